//! Options of groups whose next node may be in any of several zones, because the cloud
//! chooses.
//!
//! They are estimated with a node in each of the zones. Pods that all zones help alike
//! make an ordinary option. For other pods, which are zone-dependent, a group has at most
//! one upcoming node, and only if no group with a certain zone helps them.

mod fits;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_placement::pack::{Demand, Growth, Packed, Work, pack_and_keep, pack_each};
use flyball_placement::{ClassId, NodeId};

use self::fits::{ZoneFits, placed_by};
use super::candidates::{Candidate, Candidates};
use super::expansion_option::ExpansionOption;
use super::families::Family;
use super::rounds::{demands_of, take};
use crate::demand::UnplacedPods;
use crate::state::ClusterState;
use crate::zone_orders::ZoneOrder;

/// How often zone-dependent pods are left out of an estimate until it is the same in all
/// zones of a group.
const REDUCTIONS: usize = 2;

/// Zone-dependent pods of a node, by class, and the zones in which it helps them.
pub(super) type ZonesByClass = Vec<(ClassId, Vec<Arc<str>>)>;

/// The options of groups with several zones, at most one a group. `certain` are the
/// options of the other groups, which come first for zone-dependent pods.
pub(super) fn options(
    state: &mut ClusterState,
    candidates: &mut Candidates<'_>,
    known: &[NodeId],
    demands: &[Demand],
    certain: &[ExpansionOption],
    most_nodes: u32,
    work: &Work,
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
    let independent = zone_independent(state, candidates, known, all.collect(), work);
    let others = rows.iter().filter(|row| !independent.contains_key(row));
    let others = others.map(|&row| {
        let candidate = &candidates.all[row];
        EstimateRequest {
            row,
            demands: left_over(candidate, demands, certain),
            nodes: 1,
        }
    });
    let others: Vec<EstimateRequest> = others.collect();
    let packed = pack_all(state, candidates, known, &others, work);
    let mut single = BTreeMap::new();
    for (asked, packed) in others.iter().zip(packed) {
        let candidate = &candidates.all[asked.row];
        let found = best_zone_option(state, candidate, &asked.demands, &packed);
        single.extend(found.map(|found| (asked.row, found)));
    }
    let mut options = Vec::with_capacity(rows.len());
    for row in rows {
        let found = independent
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

/// A request to estimate a group in each of its zones.
struct EstimateRequest {
    row: usize,
    demands: Vec<Demand>,
    /// Maximum number of nodes.
    nodes: u32,
}

/// Estimates groups: for each request, one estimate a template. Requests for the same
/// pods are packed together.
fn pack_all(
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    known: &[NodeId],
    asked: &[EstimateRequest],
    work: &Work,
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
        let found = pack_each(state.cluster_mut(), known, &growths, demands, work);
        let mut found = found.into_iter();
        for at in same {
            let zones = candidates.all[asked[at].row].templates().len();
            packed[at] = found.by_ref().take(zones).collect();
        }
    }
    packed
}

/// Returns the estimate for the pods that all zones of a group help alike, and the
/// template to assume, by row. Groups without such pods are missing. The template is that
/// of the zone which helps fewest of the other pods, so that these are not assumed to be
/// helped.
fn zone_independent(
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    known: &[NodeId],
    mut asked: Vec<EstimateRequest>,
    work: &Work,
) -> BTreeMap<usize, (usize, Arc<Packed>)> {
    let mut helps: BTreeMap<usize, ZoneFits> = BTreeMap::new();
    let mut found = BTreeMap::new();
    // Other pods may seem zone-dependent because zone-dependent ones take their room.
    for _ in 0..=REDUCTIONS {
        let packed = pack_all(state, candidates, known, &asked, work);
        let mut unlike = Vec::new();
        for (mut asked, packed) in asked.into_iter().zip(packed) {
            let row = asked.row;
            if are_same(&packed) {
                let dependent = |at: &usize| {
                    helps
                        .get(&row)
                        .map_or(0, |helps| helps.dependent_demands(*at))
                };
                let fewest = (0..packed.len()).min_by_key(dependent).unwrap_or_default();
                let is_some = packed.first().is_some_and(|packed| packed.node_count() > 0);
                found.extend(is_some.then(|| (row, (fewest, Arc::clone(&packed[fewest])))));
                continue;
            }
            let is_first = !helps.contains_key(&row);
            let of_row = helps
                .entry(row)
                .or_insert_with(|| ZoneFits::of(state, &candidates.all[row], &asked.demands));
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

/// Places pods on upcoming nodes whose zone is not known yet, each in the zone that helps
/// most. Returns the number of pods placed.
pub(super) fn place_in_unknown_zones(
    state: &mut ClusterState,
    candidates: &mut Candidates<'_>,
    known: &mut Vec<NodeId>,
    unplaced: &mut Vec<UnplacedPods>,
    work: &Work,
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
                work,
            };
            let mut nodes = left;
            let mut packed = estimate.pack(&demands, nodes);
            let mut helps = ZoneFits::default();
            if !are_same(&packed) {
                nodes = 1;
                packed = estimate.pack(&demands, nodes);
                helps = ZoneFits::of(state, candidate, &demands);
            }
            let best = helps.best(&packed);
            let growth = growth_by_zone(candidate, nodes).nth(best);
            let Some(growth) = growth.filter(|_| packed[best].node_count() > 0) else {
                break;
            };
            let dependent = helps.dependent_classes(&packed[best], &demands);
            let order = packed[best].order;
            let (packed, kept) =
                pack_and_keep(state.cluster_mut(), known, &growth, &demands, order, work);
            left = left.saturating_sub(packed.node_count().max(1));
            fit += packed.pods();
            known.extend(kept);
            take(unplaced, &packed.placed, &mut Vec::new());
            candidates.all[row].await_zone(dependent);
        }
    }
    fit
}

/// Returns the zone orders for an order of one node, one for each class of zone-dependent
/// pods. No other node of the group is ordered for them meanwhile. `unplaced` has the
/// pods of each demand.
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

/// The zones of some orders, each once.
pub(super) fn zone_names(orders: &[ZoneOrder]) -> Vec<Arc<str>> {
    let zones: BTreeSet<&Arc<str>> = orders.iter().flat_map(|order| &order.zones).collect();
    zones.into_iter().cloned().collect()
}

/// The growth of a group by up to `nodes` nodes, in each of its zones.
fn growth_by_zone<'a>(
    candidate: &'a Candidate<'_>,
    nodes: u32,
) -> impl Iterator<Item = Growth<'a>> {
    let templates = candidate.templates().iter();
    templates.map(move |template| Growth::of(&template.template, nodes))
}

/// Inputs of an estimate of one group.
struct Estimate<'a> {
    state: &'a mut ClusterState,
    candidate: &'a Candidate<'a>,
    known: &'a [NodeId],
    work: &'a Work,
}

impl Estimate<'_> {
    /// Estimates the group with each of its templates.
    fn pack(&mut self, demands: &[Demand], nodes: u32) -> Vec<Arc<Packed>> {
        let growths: Vec<Growth<'_>> = growth_by_zone(self.candidate, nodes).collect();
        pack_each(
            self.state.cluster_mut(),
            self.known,
            &growths,
            demands,
            self.work,
        )
    }
}

/// The pods that no option in `certain` helps, without those for which the group has an
/// upcoming node or is backed off.
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

/// Returns the index and the estimate of the zone that helps most, and the zones that
/// help each class of zone-dependent pods in it.
fn best_zone_option(
    state: &mut ClusterState,
    candidate: &Candidate<'_>,
    demands: &[Demand],
    packed: &[Arc<Packed>],
) -> Option<(usize, Arc<Packed>, ZonesByClass)> {
    let helps = ZoneFits::of(state, candidate, demands);
    let best = helps.best(packed);
    let found = Arc::clone(packed.get(best)?);
    let helped = (0..demands.len()).filter(|&row| placed_by(&found, row) > 0);
    let dependent = helped.filter(|&row| helps.is_zone_dependent(row));
    let zones_of = |row: usize| {
        let helping = helps.templates(row).map(|at| &candidate.templates()[at]);
        let zones = helping.filter_map(|template| template.zone().cloned());
        (demands[row].class, zones.collect())
    };
    let zones_by_class = dependent.map(zones_of).collect();
    Some((best, found, zones_by_class))
}

/// Returns how many pods of a demand each estimate places.
fn placed(packed: &[Arc<Packed>], row: usize) -> Vec<u32> {
    packed.iter().map(|packed| placed_by(packed, row)).collect()
}

fn differs(placed: &[u32]) -> bool {
    placed.windows(2).any(|pair| pair[0] != pair[1])
}

/// Whether all estimates place the same pods on as many nodes.
fn are_same(packed: &[Arc<Packed>]) -> bool {
    packed.windows(2).all(|pair| {
        Arc::ptr_eq(&pair[0], &pair[1])
            || pair[0].pods() == 0 && pair[1].pods() == 0
            || pair[0].nodes == pair[1].nodes && pair[0].placed == pair[1].placed
    })
}
