//! One choice after the other, each for the pods that the ones before left over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_placement::pack::{Demand, Growth, Packed, pack_and_keep, pack_each, settle};
use flyball_placement::{Bonds, NodeId};

use super::choosable::{Choosable, columns, growth};
use super::families::{Domain, Domains, Family, domain_text};
use super::groups::Candidates;
use super::{MAX_POD_EVENTS, Plan, Scene, pod_event, triggered, zones};
use crate::nodes::choose::{Asker, ExpanderStates, choose, mix};
use crate::nodes::demand::{Wanted, list};
use crate::nodes::expander::ExpanderInput;
use crate::nodes::guard::guarded;
use crate::nodes::limits::{ClusterLimits, NodeSize};
use crate::nodes::ports::{NodeEvent, Subject};
use crate::nodes::record::{GuardedGroup, Order, Round, RoundGuard};
use crate::nodes::state::ClusterState;
use crate::nodes::templates::GroupTemplate;

/// The rounds of a plan.
pub(super) struct Rounds<'a> {
    scene: &'a Scene<'a>,
    pub(super) candidates: Candidates<'a>,
    limits: ClusterLimits,
    /// How many nodes were ordered so far.
    added: u32,
    /// Nodes that are there or on their way, and those ordered so far that stay in the
    /// simulation: where their pods are decides where others may go.
    known: Vec<NodeId>,
    /// What expanders keep from one choice to the next.
    states: ExpanderStates,
}

/// Nodes ordered of a group: its row, and how many.
type Ordered = (usize, u32);

impl<'a> Rounds<'a> {
    /// `known`: the nodes that are there or on their way.
    pub(super) fn new(
        scene: &'a Scene<'a>,
        candidates: Candidates<'a>,
        limits: ClusterLimits,
        known: Vec<NodeId>,
    ) -> Self {
        Self {
            scene,
            candidates,
            limits,
            added: 0,
            known,
            states: scene.states.clone(),
        }
    }

    /// Chooses until all pods are helped, no group helps, or a bound on choices or on
    /// nodes is reached. Returns reason and sentence if an expander had no group grow.
    pub(super) fn run(
        &mut self,
        state: &mut ClusterState,
        wanted: &mut Vec<Wanted>,
        plan: &mut Plan,
    ) -> Option<(String, String)> {
        for number in 0..self.scene.options.max_options_per_pass {
            if wanted.is_empty() || self.left_of_pass() == Some(0) {
                return None;
            }
            let seed = mix(self.scene.seed.wrapping_add(number as u64));
            let demands = demands_of(wanted);
            let families = self.families(state, &demands, seed, plan);
            let mut options = self.estimate(state, &demands, families);
            let most = self.most_nodes();
            let candidates = &mut self.candidates;
            let uncertain =
                zones::options(state, candidates, &self.known, &demands, &options, most);
            options.extend(uncertain);
            if options.is_empty() {
                return None;
            }
            let mut round = self.choose(state, &demands, &options, seed, plan);
            let Some(chosen) = round.choice.row.and_then(|row| options.get(row as usize)) else {
                let held = (round.choice.reason.clone(), round.choice.message.clone());
                plan.rounds.push(round);
                return Some(held);
            };
            let chosen = &self.settled(state, &demands, chosen);
            let ordered = self.order(chosen, &options, &mut round, plan);
            if let Some(in_zones) = chosen.in_zones.as_ref().filter(|_| !ordered.is_empty()) {
                let candidate = &mut self.candidates.all[chosen.first()];
                let orders = zones::orders(state, candidate, in_zones, &demands, wanted);
                round.helps_in = zones::named(&orders);
                let number = plan.rounds.len();
                plan.zone_orders
                    .extend(orders.into_iter().map(|order| (number, order)));
            }
            let helped = self.help(state, &demands, chosen, &ordered, wanted);
            round.helped = list(state, helped.iter());
            announce_helped(state, &helped, &round.orders, plan);
            plan.rounds.push(round);
        }
        None
    }

    /// Asks the expanders about some options. Nothing is ordered yet.
    fn choose(
        &mut self,
        state: &ClusterState,
        demands: &[Demand],
        options: &[Choosable],
        seed: u64,
        plan: &mut Plan,
    ) -> Round {
        let input = ExpanderInput {
            options: Arc::new(columns(state, &self.candidates, demands, options)),
            cluster_node_count: Some(state.size().nodes),
        };
        let asker = Asker {
            now: self.scene.now,
            options: self.scene.options,
            engine: self.scene.engine,
            states: &self.states,
        };
        let (expanders, choice, events) = choose(&asker, &input, seed);
        self.states.commit(&expanders);
        let about = |event| NodeEvent {
            about: Subject::Autoscaler,
            event,
        };
        plan.events.extend(events.into_iter().map(about));
        Round {
            domain: None,
            helps_in: Vec::new(),
            input,
            seed,
            expanders,
            choice,
            guard: None,
            steps: Vec::new(),
            orders: Vec::new(),
            helped: list(state, std::iter::empty()),
        }
    }

    /// The groups that may grow, each with those that grow with it.
    fn families(
        &mut self,
        state: &mut ClusterState,
        demands: &[Demand],
        seed: u64,
        plan: &mut Plan,
    ) -> Vec<Family> {
        let domains = Domains::new(&self.candidates);
        let mut best: BTreeMap<Domain, usize> = BTreeMap::new();
        let unsettled = domains.unsettled(&self.candidates).into_iter();
        let unsettled: Vec<(Domain, Vec<Family>)> = unsettled
            .map(|(domain, rows)| (domain.clone(), rows.iter().copied().map(Family::of)))
            .map(|(domain, families)| (domain, families.collect()))
            .collect();
        for (domain, families) in unsettled {
            let options = self.estimate(state, demands, families);
            if options.is_empty() {
                continue;
            }
            let mut round = self.choose(state, demands, &options, seed, plan);
            let row = round.choice.row.and_then(|row| options.get(row as usize));
            if let Some(option) = row {
                best.insert(domain.clone(), option.first());
            }
            round.domain = Some(domain_text(&domain, self.candidates.keys));
            plan.rounds.push(round);
        }
        domains.families(&self.candidates, &best)
    }

    /// An option for every family that takes some of the pods.
    fn estimate(
        &self,
        state: &mut ClusterState,
        demands: &[Demand],
        families: Vec<Family>,
    ) -> Vec<Choosable> {
        let most = self.most_nodes();
        let growths = families.iter().map(|family| {
            let alone = family.rows.len() == 1;
            let room = |row: usize| match alone {
                true => self.candidates.room(&self.candidates.family(row)),
                false => self.candidates.all[row].room(),
            };
            growth(&self.candidates, family, room, most)
        });
        let Some(growths) = growths.collect::<Option<Vec<Growth<'_>>>>() else {
            return Vec::new();
        };
        let packed = pack_each(state.cluster_mut(), &self.known, &growths, demands);
        let options = families.into_iter().zip(packed);
        let mut options: Vec<Choosable> = options
            .filter_map(|(family, packed)| Choosable::new(family, packed))
            .collect();
        // Families that differ in groups without a node come to the same.
        let mut seen = BTreeSet::new();
        options.retain(|option| seen.insert(option.parts.clone()));
        options
    }

    /// The option with the nodes that it takes once all of them are there. Where pods don't
    /// go by where others are, and where nodes of one group are split over several, that is
    /// as estimated.
    fn settled(
        &self,
        state: &mut ClusterState,
        demands: &[Demand],
        option: &Choosable,
    ) -> Choosable {
        let placed = demands.iter().zip(&option.packed.placed);
        let mut placed = placed.filter(|(_, placed)| **placed > 0);
        let coupled = placed.any(|(demand, _)| {
            let bonds = state.cluster().bonds(demand.class);
            bonds.affinity || bonds.spread
        });
        let split = self.candidates.family(option.first()).len() > 1 && option.parts.len() == 1;
        let room = |row: usize| self.candidates.all[row].room();
        let growth = growth(&self.candidates, &option.family, room, self.most_nodes());
        // In a zone that is not certain there is one node, whatever else it could help.
        let settles = coupled && !split && option.in_zones.is_none();
        let settled = growth.filter(|_| settles).and_then(|growth| {
            let cluster = state.cluster_mut();
            let packed = settle(cluster, &self.known, &growth, demands, &option.packed);
            Choosable::new(option.family.clone(), Arc::new(packed))
        });
        settled.unwrap_or_else(|| option.clone())
    }

    /// Most nodes that an estimate may come to.
    fn most_nodes(&self) -> u32 {
        let total = self.limits.max_nodes;
        let total = total.map(|max| max.saturating_sub(self.limits.size.nodes));
        let pass = self.left_of_pass();
        total.unwrap_or(u32::MAX).min(pass.unwrap_or(u32::MAX))
    }

    /// How many more nodes this pass may add. `None`: any number.
    fn left_of_pass(&self) -> Option<u32> {
        let most = self.scene.options.max_nodes_per_scale_up;
        (most > 0).then(|| most.saturating_sub(self.added))
    }

    /// The groups that nodes of an option of one group may be split over: those similar
    /// to it that take the same pods. (Zones and taints don't make groups different.)
    fn split_over(&self, chosen: &Choosable, options: &[Choosable]) -> Vec<usize> {
        if chosen.in_zones.is_some() {
            return vec![chosen.first()];
        }
        let takes_the_same = |row: usize| {
            let is_alone =
                |option: &&Choosable| option.parts.len() == 1 && option.in_zones.is_none();
            let mut alone = options.iter().filter(is_alone);
            let option = alone.find(|option| option.first() == row);
            option.is_some_and(|option| takes_all_of(&option.packed, &chosen.packed))
        };
        let mut family = self.candidates.family(chosen.first());
        family.retain(|&row| row == chosen.first() || takes_the_same(row));
        family
    }

    /// Settles what is ordered of a chosen option.
    fn order(
        &mut self,
        chosen: &Choosable,
        options: &[Choosable],
        round: &mut Round,
        plan: &mut Plan,
    ) -> Vec<Ordered> {
        let several = chosen.parts.len() > 1;
        let groups: Vec<(usize, Option<u32>)> = if several {
            let parts = chosen.parts.iter();
            parts.map(|(row, nodes)| (*row, Some(*nodes))).collect()
        } else {
            let rows = self.split_over(chosen, options).into_iter();
            rows.map(|row| (row, None)).collect()
        };
        for (row, nodes) in &chosen.parts {
            let name = &self.candidates.all[*row].group.name;
            plan.log.push(format!("Best option to resize: {name}"));
            plan.log
                .push(format!("Estimated {nodes} nodes needed in {name}"));
        }
        let guard = RoundGuard {
            wanted: chosen.packed.node_count(),
            node: self.largest(&groups),
            limits: self.limits,
            max_per_pass: self.left_of_pass(),
            groups: groups
                .iter()
                .map(|&(row, nodes)| GuardedGroup {
                    group: Arc::clone(&self.candidates.all[row].group.name),
                    size: self.candidates.all[row].size(),
                    nodes,
                })
                .collect(),
        };
        let (steps, orders) = guarded(&guard);
        let mut ordered = Vec::with_capacity(orders.len());
        for order in &orders {
            let mut rows = groups.iter().map(|(row, _)| *row);
            let row = rows.find(|&row| self.candidates.all[row].group.name == order.group);
            if let Some(row) = row {
                self.count(row, order);
                ordered.push((row, order.to - order.from));
            }
        }
        if orders.is_empty() {
            let message = steps
                .last()
                .map_or_else(String::new, |step| step.message.clone());
            for (row, _) in &chosen.parts {
                let candidate = &mut self.candidates.all[*row];
                let message = format!("{}: {message}", candidate.group.name);
                candidate.skip("Limited", "not ready for scale-up", message);
            }
        }
        self.candidates.limit(&self.limits);
        (round.guard, round.steps, round.orders) = (Some(guard), steps, orders);
        ordered
    }

    /// Counts an order into the group's target and into the limits.
    fn count(&mut self, row: usize, order: &Order) {
        let candidate = &mut self.candidates.all[row];
        let nodes = order.to - order.from;
        candidate.target = order.to;
        self.added += nodes;
        let size = candidate.template().map(GroupTemplate::size);
        self.limits.add(size.unwrap_or_default(), nodes);
        if order.to >= order.max {
            let message = format!("{}: at its largest size {}", order.group, order.max);
            candidate.skip("MaxSize", "max node group size reached", message);
        }
    }

    fn largest(&self, groups: &[(usize, Option<u32>)]) -> NodeSize {
        let templates = groups.iter();
        let templates = templates.filter_map(|&(row, _)| self.candidates.all[row].template());
        templates
            .map(GroupTemplate::size)
            .fold(NodeSize::default(), |largest, size| NodeSize {
                cpu_milli: largest.cpu_milli.max(size.cpu_milli),
                memory: largest.memory.max(size.memory),
            })
    }

    /// Takes the pods away that the ordered nodes are for, and those that these let
    /// onto other nodes. Returns their slots.
    fn help(
        &mut self,
        state: &mut ClusterState,
        demands: &[Demand],
        chosen: &Choosable,
        ordered: &[Ordered],
        wanted: &mut Vec<Wanted>,
    ) -> Vec<u32> {
        let mut helped = Vec::new();
        let estimate = &chosen.packed;
        let as_estimated = *ordered == chosen.parts;
        // Where pods are decides where others may go: the nodes stay in the simulation.
        let cluster = state.cluster();
        let bound = demands
            .iter()
            .zip(&estimate.placed)
            .filter(|(demand, placed)| !as_estimated || demand.count > **placed)
            .any(|(demand, _)| {
                let class = demand.class;
                cluster.bonds(class) != Bonds::default() || cluster.is_unwanted(class)
            });
        if as_estimated && !bound {
            take(wanted, &estimate.placed, &mut helped);
            return helped;
        }
        // Nodes of one option are packed at once; those of one group that are split over
        // similar ones, group by group.
        let together = chosen.parts.len() > 1;
        let batches: Vec<&[Ordered]> = match together {
            true => vec![ordered],
            false => ordered.chunks(1).collect(),
        };
        for batch in batches {
            let family = Family {
                rows: batch.iter().map(|(row, _)| *row).collect(),
                stand_ins: chosen.family.stand_ins.clone(),
            };
            let nodes = |row: usize| {
                let mut of_row = batch.iter().filter(|(other, _)| *other == row);
                of_row.next().map_or(0, |(_, nodes)| *nodes)
            };
            let Some(growth) = growth(&self.candidates, &family, nodes, u32::MAX) else {
                continue;
            };
            let cluster = state.cluster_mut();
            let demands = demands_of(wanted);
            let (packed, kept) =
                pack_and_keep(cluster, &self.known, &growth, &demands, estimate.order);
            take(wanted, &packed.placed, &mut helped);
            self.known.extend(kept);
        }
        helped
    }
}

pub(super) fn demands_of(wanted: &[Wanted]) -> Vec<Demand> {
    wanted.iter().map(Wanted::demand).collect()
}

/// Takes pods away that found a place, as many of each as `placed` says. Those that get
/// an event about it are added to `helped`.
pub(super) fn take(wanted: &mut Vec<Wanted>, placed: &[u32], helped: &mut Vec<u32>) {
    for (wanted, count) in wanted.iter_mut().zip(placed) {
        let told = wanted.is_told();
        let slots = wanted.take(*count);
        if told {
            helped.extend_from_slice(slots);
        }
    }
    wanted.retain(|wanted| wanted.left > 0);
}

fn announce_helped(state: &ClusterState, helped: &[u32], orders: &[Order], plan: &mut Plan) {
    let message = triggered(orders);
    let room = MAX_POD_EVENTS.saturating_sub(plan.events.len());
    let pods = helped.iter().take(room);
    let pods = pods.filter_map(|&slot| state.pod_at(slot));
    let events = pods.map(|pod| pod_event(pod, "TriggeredScaleUp", &message));
    plan.events.extend(events);
}

/// Whether an estimate finds a place for pods of every class that another one does.
fn takes_all_of(packed: &Arc<Packed>, other: &Arc<Packed>) -> bool {
    let mut both = packed.placed.iter().zip(&other.placed);
    Arc::ptr_eq(packed, other) || both.all(|(&own, &other)| own > 0 || other == 0)
}
