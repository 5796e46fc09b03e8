//! One choice after the other, each for the pods that the ones before left over.

use std::sync::Arc;

use flyball_placement::pack::{Demand, Packed, Template, fill, pack, pack_and_keep, pack_each};
use flyball_placement::{Bonds, NodeId, Resources};

use super::groups::{Candidate, Candidates};
use super::{MAX_POD_EVENTS, Plan, Scene, pod_event, triggered};
use crate::nodes::choose::{Asker, ExpanderStates, choose, mix};
use crate::nodes::demand::{Wanted, list};
use crate::nodes::expander::{ExpanderInput, OptionColumns, option_state};
use crate::nodes::gpu::gpus;
use crate::nodes::guard::guarded;
use crate::nodes::limits::{ClusterLimits, NodeSize};
use crate::nodes::ports::{NodeEvent, Subject};
use crate::nodes::record::{GuardedGroup, Order, Round, RoundGuard};
use crate::nodes::state::ClusterState;
use crate::nodes::templates::{GroupTemplate, add};

/// The rounds of a plan.
pub(super) struct Rounds<'a> {
    scene: &'a Scene<'a>,
    pub(super) candidates: Candidates<'a>,
    limits: ClusterLimits,
    /// How many nodes were ordered so far.
    added: u32,
    /// Nodes ordered so far that stay in the simulation: where their pods are decides
    /// where others may go.
    ordered: Vec<NodeId>,
    /// What expanders keep from one choice to the next.
    states: ExpanderStates,
}

/// A way to place pending pods: some nodes more of one group.
struct Choosable {
    /// Row of the candidate.
    row: usize,
    packed: Arc<Packed>,
}

impl<'a> Rounds<'a> {
    pub(super) fn new(
        scene: &'a Scene<'a>,
        candidates: Candidates<'a>,
        limits: ClusterLimits,
    ) -> Self {
        Self {
            scene,
            candidates,
            limits,
            added: 0,
            ordered: Vec::new(),
            states: scene.states.clone(),
        }
    }

    fn asker(&self) -> Asker<'_> {
        Asker {
            now: self.scene.now,
            options: self.scene.options,
            engine: self.scene.engine,
            states: &self.states,
        }
    }

    /// Chooses until all pods are helped, no group helps, or a bound on choices or on
    /// nodes is reached. Reason and sentence if an expander had no group grow.
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
            let demands = demands_of(wanted);
            let options = self.options(state, &demands);
            if options.is_empty() {
                return None;
            }
            let seed = mix(self.scene.seed.wrapping_add(number as u64));
            let input = ExpanderInput {
                options: Arc::new(self.columns(state, &demands, &options)),
                cluster_node_count: Some(state.size().nodes),
            };
            let (expanders, choice, told) = choose(&self.asker(), &input, seed);
            self.states.commit(&expanders);
            let about = |event| NodeEvent {
                about: Subject::Autoscaler,
                event,
            };
            plan.events.extend(told.into_iter().map(about));
            let mut round = Round {
                input,
                seed,
                expanders,
                choice,
                guard: None,
                steps: Vec::new(),
                orders: Vec::new(),
                helped: list(state, std::iter::empty()),
            };
            let Some(chosen) = round.choice.row.and_then(|row| options.get(row as usize)) else {
                let held = (round.choice.reason.clone(), round.choice.message.clone());
                plan.rounds.push(round);
                return Some(held);
            };
            let family = self.family(chosen, &options);
            let ordered = self.order(chosen, &family, &mut round, plan);
            let helped = self.help(state, &demands, chosen, &ordered, wanted);
            round.helped = list(state, helped.iter());
            tell_helped(state, &helped, &round.orders, plan);
            plan.rounds.push(round);
        }
        None
    }

    /// An option for every group that may grow and takes some of the pods.
    fn options(&self, state: &mut ClusterState, demands: &[Demand]) -> Vec<Choosable> {
        let candidates = self.candidates.0.iter().enumerate();
        let open = candidates.filter_map(|(row, candidate)| Some((row, candidate.open()?)));
        let (rows, templates): (Vec<usize>, Vec<(&Template, u32)>) = open
            .map(|(row, template)| (row, (&template.template, self.most_nodes(row))))
            .unzip();
        let packed = pack_each(state.cluster_mut(), &templates, demands);
        let options = rows.into_iter().zip(packed);
        options
            .filter(|(_, packed)| packed.nodes > 0)
            .map(|(row, packed)| Choosable { row, packed })
            .collect()
    }

    /// Most nodes that an estimate for a group may come to.
    fn most_nodes(&self, row: usize) -> u32 {
        let room = self.candidates.room(&self.candidates.family(row));
        let total = self.limits.max_nodes;
        let total = total.map(|max| max.saturating_sub(self.limits.size.nodes));
        room.min(total.unwrap_or(u32::MAX))
            .min(self.left_of_pass().unwrap_or(u32::MAX))
    }

    /// How many more nodes this pass may add; none: any number.
    fn left_of_pass(&self) -> Option<u32> {
        let most = self.scene.options.max_nodes_per_scale_up;
        (most > 0).then(|| most.saturating_sub(self.added))
    }

    /// The groups that nodes of an option may be split over: those similar to its own
    /// that take the same pods. (Zones and taints don't make groups different.)
    fn family(&self, chosen: &Choosable, options: &[Choosable]) -> Vec<usize> {
        let takes_the_same = |row: usize| {
            let option = options.iter().find(|option| option.row == row);
            option.is_some_and(|option| takes_all_of(&option.packed, &chosen.packed))
        };
        let mut family = self.candidates.family(chosen.row);
        family.retain(|&row| row == chosen.row || takes_the_same(row));
        family
    }

    fn columns(
        &self,
        state: &ClusterState,
        demands: &[Demand],
        options: &[Choosable],
    ) -> OptionColumns {
        let requests: Vec<Resources> = demands
            .iter()
            .map(|demand| state.cluster().requests(demand.class))
            .collect();
        let mut columns = OptionColumns::default();
        let mut summed: Option<(&Arc<Packed>, Resources)> = None;
        for option in options {
            let candidate = &self.candidates.0[option.row];
            // Groups in a row often share what was found.
            let requested = match summed.take() {
                Some((packed, requested)) if Arc::ptr_eq(packed, &option.packed) => requested,
                _ => sum(&requests, &option.packed),
            };
            if let Some(template) = &candidate.template {
                push(
                    &mut columns,
                    candidate,
                    template,
                    &option.packed,
                    &requested,
                );
            }
            summed = Some((&option.packed, requested));
        }
        columns
    }

    /// Settles what is ordered of a chosen option: rows of groups, and how many nodes of
    /// each.
    fn order(
        &mut self,
        chosen: &Choosable,
        family: &[usize],
        round: &mut Round,
        plan: &mut Plan,
    ) -> Vec<(usize, u32)> {
        let name = Arc::clone(&self.candidates.0[chosen.row].group.name);
        let wanted = chosen.packed.nodes;
        plan.log.push(format!("Best option to resize: {name}"));
        plan.log
            .push(format!("Estimated {wanted} nodes needed in {name}"));
        let guard = RoundGuard {
            wanted,
            node: self.largest(family),
            limits: self.limits,
            max_per_pass: self.left_of_pass(),
            groups: family
                .iter()
                .map(|&row| GuardedGroup {
                    group: Arc::clone(&self.candidates.0[row].group.name),
                    size: self.candidates.0[row].size(),
                })
                .collect(),
        };
        let (steps, orders) = guarded(&guard);
        let mut ordered = Vec::with_capacity(orders.len());
        for order in &orders {
            let mut rows = family.iter().copied();
            let row = rows.find(|&row| self.candidates.0[row].group.name == order.group);
            let Some(row) = row else {
                continue;
            };
            let candidate = &mut self.candidates.0[row];
            let nodes = order.to - order.from;
            ordered.push((row, nodes));
            candidate.target = order.to;
            self.added += nodes;
            let size = candidate.template.as_ref().map(GroupTemplate::size);
            self.limits.add(size.unwrap_or_default(), nodes);
            if order.to >= order.max {
                let message = format!("{}: at its largest size {}", order.group, order.max);
                candidate.skip("MaxSize", "max node group size reached", message);
            }
        }
        if orders.is_empty() {
            let message = steps
                .last()
                .map_or_else(String::new, |step| step.message.clone());
            self.candidates.0[chosen.row].skip(
                "Limited",
                "not ready for scale-up",
                format!("{name}: {message}"),
            );
        }
        self.candidates.limit(&self.limits);
        (round.guard, round.steps, round.orders) = (Some(guard), steps, orders);
        ordered
    }

    fn largest(&self, family: &[usize]) -> NodeSize {
        let templates = family.iter();
        let templates = templates.filter_map(|&row| self.candidates.0[row].template.as_ref());
        templates
            .map(GroupTemplate::size)
            .fold(NodeSize::default(), |largest, size| NodeSize {
                cpu_milli: largest.cpu_milli.max(size.cpu_milli),
                memory: largest.memory.max(size.memory),
            })
    }

    /// Takes the pods away that the ordered nodes are for, and those that these let
    /// onto nodes which were ordered before. `ordered`: rows of groups, and how many
    /// nodes of each.
    fn help(
        &mut self,
        state: &mut ClusterState,
        demands: &[Demand],
        chosen: &Choosable,
        ordered: &[(usize, u32)],
        wanted: &mut Vec<Wanted>,
    ) -> Vec<u32> {
        let estimate = &chosen.packed;
        let as_estimated = *ordered == [(chosen.row, estimate.nodes)];
        // Where pods are decides where others may go: the nodes stay in the simulation.
        let bound = demands
            .iter()
            .zip(&estimate.placed)
            .filter(|(demand, placed)| !as_estimated || demand.count > **placed)
            .any(|(demand, _)| state.cluster().bonds(demand.class) != Bonds::default());
        let mut helped = Vec::new();
        for &(row, nodes) in ordered {
            let Some(template) = &self.candidates.0[row].template else {
                continue;
            };
            let template = &template.template;
            let cluster = state.cluster_mut();
            let demands = demands_of(wanted);
            if !bound {
                let placed = if as_estimated {
                    estimate.placed.clone()
                } else {
                    pack(cluster, template, &demands, nodes).placed
                };
                take(wanted, &placed, &mut helped);
                continue;
            }
            let first = estimate.lonely_first;
            let (packed, kept) = pack_and_keep(cluster, template, &demands, nodes, first);
            take(wanted, &packed.placed, &mut helped);
            let placed = fill(cluster, &self.ordered, &demands_of(wanted));
            take(wanted, &placed, &mut helped);
            self.ordered.extend(kept);
        }
        helped
    }
}

fn demands_of(wanted: &[Wanted]) -> Vec<Demand> {
    wanted.iter().map(Wanted::demand).collect()
}

/// Takes pods away that found a place, as many of each as `placed` says. Those that
/// are told of it are added to `helped`.
fn take(wanted: &mut Vec<Wanted>, placed: &[u32], helped: &mut Vec<u32>) {
    for (wanted, count) in wanted.iter_mut().zip(placed) {
        let told = wanted.is_told();
        let slots = wanted.take(*count);
        if told {
            helped.extend_from_slice(slots);
        }
    }
    wanted.retain(|wanted| wanted.left > 0);
}

fn tell_helped(state: &ClusterState, helped: &[u32], orders: &[Order], plan: &mut Plan) {
    let message = triggered(orders);
    let room = MAX_POD_EVENTS.saturating_sub(plan.events.len());
    let pods = helped.iter().take(room);
    let pods = pods.filter_map(|&slot| state.pod_at(slot));
    let told = pods.map(|pod| pod_event(pod, "TriggeredScaleUp", &message));
    plan.events.extend(told);
}

/// Whether an estimate finds a place for pods of every class that another one does.
fn takes_all_of(packed: &Arc<Packed>, other: &Arc<Packed>) -> bool {
    let mut both = packed.placed.iter().zip(&other.placed);
    Arc::ptr_eq(packed, other) || both.all(|(&own, &other)| own > 0 || other == 0)
}

/// What the pods that found a place request together.
fn sum(requests: &[Resources], packed: &Packed) -> Resources {
    let mut requested = Resources::default();
    for (requests, &count) in requests.iter().zip(&packed.placed) {
        if count > 0 {
            add(&mut requested, requests, count.into());
        }
    }
    requested
}

fn push(
    columns: &mut OptionColumns,
    candidate: &Candidate<'_>,
    template: &GroupTemplate,
    packed: &Packed,
    requested: &Resources,
) {
    let (group, capacity) = (&candidate.group, &template.capacity);
    let allocatable = &template.template.node.allocatable;
    let gpu = |resources: &Resources| gpus(resources).saturating_mul(1000);
    let mut state = option_state::EXISTS | option_state::HAS_TEMPLATE;
    if template.has_gpus {
        state |= option_state::HAS_GPU;
    }
    columns.node_group.push(Arc::clone(&group.name));
    columns.state.push(state);
    columns.node_count.push(packed.nodes);
    columns.pod_count.push(packed.pods());
    columns.requested_cpu.push(requested.cpu);
    columns.requested_memory.push(requested.memory);
    columns.requested_gpu.push(gpu(requested));
    columns.capacity_cpu.push(capacity.cpu);
    columns.capacity_memory.push(capacity.memory);
    columns.capacity_gpu.push(gpu(capacity));
    columns.allocatable_cpu.push(allocatable.cpu);
    columns.allocatable_memory.push(allocatable.memory);
    columns.allocatable_gpu.push(gpu(allocatable));
    columns.node_price.push(group.price);
    columns.pod_price.push(None);
    columns.current_size.push(candidate.target);
    columns.min_size.push(group.min_size);
    columns.max_size.push(group.max_size);
}
