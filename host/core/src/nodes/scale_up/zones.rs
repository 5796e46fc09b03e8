//! Groups whose next node may be in any of several zones, because the cloud chooses.
//!
//! They are estimated with a node in each of the zones. Pods that all zones help alike are
//! an option as any. Each of the others has at most one node of the group on its way, and
//! the group is asked only for those that no group helps whose zone is certain.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_placement::pack::{Demand, Growth, Packed, add_template, pack_and_keep, pack_each};
use flyball_placement::{ClassId, NodeId};

use super::candidates::{Candidate, Candidates};
use super::expansion_option::ExpansionOption;
use super::families::Family;
use super::rounds::{demands_of, take};
use crate::nodes::demand::UnplacedPods;
use crate::nodes::state::ClusterState;
use crate::nodes::zone_orders::ZoneOrder;

/// How often pods are left out of an estimate until all zones of a group come to the same.
const REDUCTIONS: usize = 2;

/// Pods that a node helps only in some of the zones that it may be in, and these zones.
pub(super) type ZonesByClass = Vec<(ClassId, Vec<Arc<str>>)>;

/// The options of groups whose zone is not certain, one a group. `certain`: options of the
/// other groups, which come first for pods that not every zone helps.
pub(super) fn options(
    state: &mut ClusterState,
    candidates: &mut Candidates<'_>,
    known: &[NodeId],
    demands: &[Demand],
    certain: &[ExpansionOption],
    most_nodes: u32,
) -> Vec<ExpansionOption> {
    let rows = candidates.all.iter().enumerate();
    let rows = rows.filter(|(_, one)| one.has_several_zones() && one.open_template().is_some());
    let rows: Vec<usize> = rows.map(|(row, _)| row).collect();
    let room = |row: usize| {
        candidates
            .room(&candidates.with_similar(row))
            .min(most_nodes)
    };
    let all = rows.iter().map(|&row| EstimateRequest {
        row,
        demands: demands.to_vec(),
        nodes: room(row),
    });
    let zone_independent = zone_independent(state, candidates, known, all.collect());
    let others = rows
        .iter()
        .filter(|row| !zone_independent.contains_key(row));
    let others = others.map(|&row| {
        let candidate = &candidates.all[row];
        EstimateRequest {
            row,
            demands: left_over(candidate, demands, certain),
            nodes: 1,
        }
    });
    let others: Vec<EstimateRequest> = others.collect();
    let packed = pack_all(state, candidates, known, &others);
    let mut single = BTreeMap::new();
    for (asked, packed) in others.iter().zip(packed) {
        let candidate = &candidates.all[asked.row];
        let found = best_zone_option(state, candidate, &asked.demands, &packed);
        single.extend(found.map(|found| (asked.row, found)));
    }
    let mut options = Vec::with_capacity(rows.len());
    for row in rows {
        let found = zone_independent
            .get(&row)
            .map(|(at, packed)| (*at, packed, None));
        let found = found.or_else(|| {
            let (at, packed, zones_by_class) = single.get(&row)?;
            Some((*at, packed, Some(zones_by_class.clone())))
        });
        let Some((template, packed, zones_by_class)) = found else {
            continue;
        };
        if let Some(option) = ExpansionOption::new(Family::of(row), Arc::clone(packed)) {
            candidates.all[row].assume(template);
            options.push(ExpansionOption {
                zones_by_class,
                ..option
            });
        }
    }
    options
}

/// What is estimated for a group, in each of its zones.
struct EstimateRequest {
    row: usize,
    demands: Vec<Demand>,
    /// The most nodes.
    nodes: u32,
}

/// Estimates for groups, for each at the index of its template. Those for the same pods
/// have in common what can be.
fn pack_all(
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    known: &[NodeId],
    asked: &[EstimateRequest],
) -> Vec<Vec<Arc<Packed>>> {
    let mut packed = vec![Vec::new(); asked.len()];
    let is_done = |packed: &[Vec<Arc<Packed>>], at: usize| !packed[at].is_empty();
    for first in 0..asked.len() {
        if is_done(&packed, first) {
            continue;
        }
        let demands = &asked[first].demands;
        let same = first..asked.len();
        let same: Vec<usize> = same.filter(|&at| asked[at].demands == *demands).collect();
        let growths = same.iter().flat_map(|&at| {
            let EstimateRequest { row, nodes, .. } = asked[at];
            growth_by_zone(&candidates.all[row], nodes)
        });
        let growths: Vec<Growth<'_>> = growths.collect();
        let mut found = pack_each(state.cluster_mut(), known, &growths, demands).into_iter();
        for at in same {
            let zones = candidates.all[asked[at].row].templates().len();
            packed[at] = found.by_ref().take(zones).collect();
        }
    }
    packed
}

/// The pods that all zones of a group help alike, if there are some, and the template to
/// take for granted: that of the zone which helps fewest of the others, so that none of
/// these is taken to be helped. By row; groups without such pods are missing.
fn zone_independent(
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    known: &[NodeId],
    mut asked: Vec<EstimateRequest>,
) -> BTreeMap<usize, (usize, Arc<Packed>)> {
    let mut helps: BTreeMap<usize, ZoneFits> = BTreeMap::new();
    let mut found = BTreeMap::new();
    // Pods may only be short of room because of those that not every zone helps.
    for _ in 0..=REDUCTIONS {
        let packed = pack_all(state, candidates, known, &asked);
        let mut unlike = Vec::new();
        for (mut asked, packed) in asked.into_iter().zip(packed) {
            let row = asked.row;
            if are_same(&packed) {
                let zone_dependent =
                    |at: &usize| helps.get(&row).map_or(0, |helps| helps.zone_dependent(*at));
                let fewest = (0..packed.len())
                    .min_by_key(zone_dependent)
                    .unwrap_or_default();
                let is_some = packed.first().is_some_and(|packed| packed.node_count() > 0);
                found.extend(is_some.then(|| (row, (fewest, Arc::clone(&packed[fewest])))));
                continue;
            }
            let is_first = !helps.contains_key(&row);
            let of_row = helps
                .entry(row)
                .or_insert_with(|| zone_fits(state, &candidates.all[row], &asked.demands));
            for (at, demand) in asked.demands.iter_mut().enumerate() {
                let differs = match is_first {
                    true => of_row.is_zone_dependent(at),
                    false => differs(&placed(&packed, at)),
                };
                if differs {
                    demand.count = 0;
                }
            }
            unlike.push(asked);
        }
        asked = unlike;
    }
    found
}

/// Places pods on nodes that are on their way and whose zone is not known yet, as well as
/// these may help. Returns how many found a place.
pub(super) fn place_in_unknown_zones(
    state: &mut ClusterState,
    candidates: &mut Candidates<'_>,
    known: &mut Vec<NodeId>,
    unplaced: &mut Vec<UnplacedPods>,
) -> u32 {
    let mut fit = 0;
    for row in 0..candidates.all.len() {
        let mut left = candidates.all[row].unknown_zone;
        while left > 0 && !unplaced.is_empty() {
            let demands = demands_of(unplaced);
            let candidate = &candidates.all[row];
            let mut estimate = Estimate {
                state: &mut *state,
                candidate,
                known: &known[..],
            };
            let mut nodes = left;
            let mut packed = estimate.pack(&demands, nodes);
            let mut helps = ZoneFits::default();
            if !are_same(&packed) {
                nodes = 1;
                packed = estimate.pack(&demands, nodes);
                helps = zone_fits(state, candidate, &demands);
            }
            let best = helps.best(&packed);
            let growth = growth_by_zone(candidate, nodes).nth(best);
            let Some(growth) = growth.filter(|_| packed[best].node_count() > 0) else {
                break;
            };
            let zone_dependent = helps.zone_dependent_classes(&packed[best], &demands);
            let order = packed[best].order;
            let (packed, kept) =
                pack_and_keep(state.cluster_mut(), known, &growth, &demands, order);
            left = left.saturating_sub(packed.node_count().max(1));
            fit += packed.pods();
            known.extend(kept);
            take(unplaced, &packed.placed, &mut Vec::new());
            candidates.all[row].await_zone(zone_dependent);
        }
    }
    fit
}

/// Returns what to remember about an order of one node: the zones in which it helps the
/// pods of each class. No other node of the group is ordered for them meanwhile. `wanted`
/// has the pods of each demand.
pub(super) fn orders(
    state: &ClusterState,
    candidate: &mut Candidate<'_>,
    zones_by_class: &ZonesByClass,
    demands: &[Demand],
    unplaced: &[UnplacedPods],
) -> Vec<ZoneOrder> {
    candidate.await_zone(zones_by_class.iter().map(|(class, _)| *class));
    let instances = candidate.group.instances.iter();
    let before = instances.map(|instance| Arc::clone(&instance.provider_id));
    let before: BTreeSet<Arc<str>> = before.collect();
    let order = |(class, zones): &(ClassId, Vec<Arc<str>>)| {
        let row = demands.iter().position(|demand| demand.class == *class)?;
        let slot = unplaced.get(row)?.slots_left().first()?;
        Some(ZoneOrder {
            group: Arc::clone(&candidate.group.name),
            before: before.clone(),
            pod: state.cluster().pod(*class),
            key: state.pod_at(*slot)?.key.clone(),
            zones: zones.clone(),
        })
    };
    zones_by_class.iter().filter_map(order).collect()
}

/// The zones that some orders name, each once.
pub(super) fn zone_names(orders: &[ZoneOrder]) -> Vec<Arc<str>> {
    let zones: BTreeSet<&Arc<str>> = orders.iter().flat_map(|order| &order.zones).collect();
    zones.into_iter().cloned().collect()
}

/// The group in each of its zones.
fn growth_by_zone<'a>(
    candidate: &'a Candidate<'_>,
    nodes: u32,
) -> impl Iterator<Item = Growth<'a>> {
    let templates = candidate.templates().iter();
    templates.map(move |template| Growth::of(&template.template, nodes))
}

/// What an estimate of one group is made from.
struct Estimate<'a> {
    state: &'a mut ClusterState,
    candidate: &'a Candidate<'a>,
    known: &'a [NodeId],
}

impl Estimate<'_> {
    /// At the index of the template.
    fn pack(&mut self, demands: &[Demand], nodes: u32) -> Vec<Arc<Packed>> {
        let growths: Vec<Growth<'_>> = growth_by_zone(self.candidate, nodes).collect();
        pack_each(self.state.cluster_mut(), self.known, &growths, demands)
    }
}

/// Which of the pods a node in each of a group's zones would take.
fn zone_fits(state: &mut ClusterState, candidate: &Candidate<'_>, demands: &[Demand]) -> ZoneFits {
    let cluster = state.cluster_mut();
    let templates = candidate.templates().iter();
    let fits = templates.map(|template| {
        let mark = cluster.mark();
        let node = add_template(cluster, &template.template);
        let fits = demands.iter().map(|one| cluster.fits(one.class, node));
        let fits = fits.collect();
        cluster.rollback(mark);
        fits
    });
    ZoneFits(fits.collect())
}

/// Pods that have no node of the group on their way that may help, without those that groups
/// whose zone is certain help.
fn left_over(
    candidate: &Candidate<'_>,
    demands: &[Demand],
    certain: &[ExpansionOption],
) -> Vec<Demand> {
    let left = demands.iter().enumerate().map(|(row, demand)| {
        let class = demand.class;
        let helped = certain.iter().map(|option| placed_by(&option.packed, row));
        let left = demand
            .count
            .saturating_sub(helped.max().unwrap_or_default());
        let is_asked = !candidate.avoids(class) && !candidate.awaits(class);
        let count = if is_asked { left } else { 0 };
        Demand { class, count }
    });
    left.collect()
}

/// One node in the zone that helps most, and the zones that help each kind of its pods where
/// not all do.
fn best_zone_option(
    state: &mut ClusterState,
    candidate: &Candidate<'_>,
    demands: &[Demand],
    packed: &[Arc<Packed>],
) -> Option<(usize, Arc<Packed>, ZonesByClass)> {
    let helps = zone_fits(state, candidate, demands);
    let best = helps.best(packed);
    let found = Arc::clone(packed.get(best)?);
    let helped = (0..demands.len()).filter(|&row| placed_by(&found, row) > 0);
    let zone_dependent = helped.filter(|&row| helps.is_zone_dependent(row));
    let zones_of = |row: usize| {
        let helping = helps.0.iter().zip(candidate.templates());
        let helping = helping.filter(|(fits, _)| fits[row]);
        let zones = helping.filter_map(|(_, template)| template.zone().cloned());
        (demands[row].class, zones.collect())
    };
    let zones_by_class = zone_dependent.map(zones_of).collect();
    Some((best, found, zones_by_class))
}

/// Which pods a node in each zone would take, by template and demand.
#[derive(Default)]
struct ZoneFits(Vec<Vec<bool>>);

impl ZoneFits {
    /// Whether some zones help the pods of a demand and others don't.
    fn is_zone_dependent(&self, row: usize) -> bool {
        let fits = || self.0.iter().map(|fits| fits[row]);
        fits().any(|fits| fits) && fits().any(|fits| !fits)
    }

    /// Demands that a zone helps and others don't.
    fn zone_dependent(&self, template: usize) -> usize {
        let fits = self.0.get(template).into_iter().flatten().enumerate();
        fits.filter(|(row, fits)| **fits && self.is_zone_dependent(*row))
            .count()
    }

    /// Classes of the pods that an estimate places and that not every zone helps.
    fn zone_dependent_classes(&self, packed: &Packed, demands: &[Demand]) -> Vec<ClassId> {
        let rows = demands.iter().enumerate();
        let zone_dependent = rows.filter(|(row, _)| {
            placed_by(packed, *row) > 0 && !self.0.is_empty() && self.is_zone_dependent(*row)
        });
        zone_dependent.map(|(_, demand)| demand.class).collect()
    }

    /// How many pods an estimate places that not every zone helps.
    fn zone_dependent_placed(&self, packed: &Packed) -> u32 {
        let placed = packed.placed.iter().enumerate();
        let zone_dependent =
            placed.filter(|(row, _)| !self.0.is_empty() && self.is_zone_dependent(*row));
        zone_dependent.map(|(_, count)| count).sum()
    }

    /// The first of the estimates, one a zone, that place most of the pods that not every
    /// zone helps, and most of all pods.
    fn best(&self, packed: &[Arc<Packed>]) -> usize {
        let rank = |&at: &usize| (self.zone_dependent_placed(&packed[at]), packed[at].pods());
        let rows = 0..packed.len();
        rows.rev().max_by_key(rank).unwrap_or_default()
    }
}

/// Returns how many pods of a demand an estimate places.
fn placed_by(packed: &Packed, row: usize) -> u32 {
    packed.placed.get(row).copied().unwrap_or_default()
}

/// Returns how many pods of a demand each estimate places.
fn placed(packed: &[Arc<Packed>], row: usize) -> Vec<u32> {
    packed.iter().map(|packed| placed_by(packed, row)).collect()
}

fn differs(placed: &[u32]) -> bool {
    placed.windows(2).any(|pair| pair[0] != pair[1])
}

/// Whether estimates come to the same pods on as many nodes.
fn are_same(packed: &[Arc<Packed>]) -> bool {
    packed.windows(2).all(|pair| {
        Arc::ptr_eq(&pair[0], &pair[1])
            || pair[0].pods() == 0 && pair[1].pods() == 0
            || pair[0].nodes == pair[1].nodes && pair[0].placed == pair[1].placed
    })
}
