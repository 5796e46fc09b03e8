//! Removals in the simulation: of one node, and of several that leave together.

use std::sync::Arc;

use flyball_placement::pack::Template;
use flyball_placement::{ClassId, NodeId};
use hashbrown::HashSet;

use super::budgets::{NeededDisruptions, RemainingBudgets};
use super::candidates::Candidate;
use super::judge::{JudgedNode, PodAction};
use super::load::place_load;
use super::plan::{MovedPod, RemovalKind, ScaleDownContext, UnneededNode};
use super::simulate::{NewNodes, Simulation};
use super::tracker::ScaleDownTracker;
use crate::reasons::{self, Stay};
use crate::state::ClusterState;
use flyball_decision::time::Timestamp;

/// New nodes that may take the pods of nodes that leave together.
#[derive(Clone, Copy)]
pub(super) struct Replacing<'a> {
    /// What a new node looks like.
    pub(super) template: &'a Template,
    /// Name of their group, for records.
    pub(super) group: &'a Arc<str>,
    /// Largest number of new nodes.
    pub(super) max: u32,
}

/// A cluster in which one node after the other is removed. What moves stays moved, so that
/// the next removal sees it.
pub(super) struct SimulatedRemovals<'a> {
    context: &'a ScaleDownContext<'a>,
    pub(super) state: &'a mut ClusterState,
    simulation: Simulation,
    pub(super) budgets: RemainingBudgets,
    /// When the first pod is old enough that is too young to move now.
    pub(super) old_enough: Option<Timestamp>,
}

/// Evictions that a removal needs, in order.
struct Evictions {
    slots: Vec<u32>,
    needs: NeededDisruptions,
}

impl<'a> SimulatedRemovals<'a> {
    /// Begins with the load that is on its way. `nodes` are the candidates in their order.
    pub(super) fn new(
        context: &'a ScaleDownContext<'a>,
        state: &'a mut ClusterState,
        tracker: &ScaleDownTracker,
        nodes: &[JudgedNode],
    ) -> Self {
        let destinations = destinations(context, state, nodes);
        let mut simulation = Simulation::new(state, destinations);
        place_load(context, state, tracker, &mut simulation);
        let budgets = RemainingBudgets::new(state);
        Self {
            context,
            state,
            simulation,
            budgets,
            old_enough: None,
        }
    }

    /// Removes one node.
    ///
    /// # Errors
    /// Why it stays.
    pub(super) fn remove(&mut self, judged: &JudgedNode) -> Result<UnneededNode, Arc<Stay>> {
        if let Some(stay) = &judged.stay {
            return Err(Arc::clone(stay));
        }
        let min_age = self.context.options.scale_down.min_pod_age_ms;
        let Evictions { slots, needs } = self.evictions(judged, min_age)?;
        let awaits_load = self.simulation.has_received(judged.node.id);
        self.simulation
            .vacate(self.state, &judged.node, &slots, self.context.now)?;
        self.budgets.take(&needs);
        let node = self.unneeded(judged, slots, needs.is_risky, awaits_load);
        Ok(node)
    }

    /// Removes nodes that leave together, all or none. Pods that find no room on other nodes
    /// are placed on new ones, if there may be any. Returns also the number of new nodes.
    ///
    /// # Errors
    /// Why they stay.
    pub(super) fn remove_together(
        &mut self,
        nodes: &[&JudgedNode],
        min_pod_age_ms: i64,
        replacing: Option<Replacing<'_>>,
    ) -> Result<(Vec<UnneededNode>, u32), Arc<Stay>> {
        let slots = self.evictions_together(nodes, min_pod_age_ms)?;
        let needs = self.needs(&slots)?;
        let received: Vec<bool> = nodes
            .iter()
            .map(|node| self.simulation.has_received(node.node.id))
            .collect();
        let mut new = replacing.map(NewNodes::new);
        let leaving = leaving(nodes, &slots);
        self.simulation
            .vacate_together(self.state, &leaving, new.as_mut(), self.context)?;
        self.budgets.take(&needs);
        let unneeded = nodes.iter().zip(slots).zip(received);
        let unneeded = unneeded.map(|((judged, slots), awaits_load)| {
            self.unneeded(judged, slots, needs.is_risky, awaits_load)
        });
        let unneeded = unneeded.collect();
        Ok((unneeded, new.map_or(0, |new| new.count())))
    }

    /// Returns the classes of the pods that find no room on other nodes if these nodes leave
    /// together. Changes nothing.
    ///
    /// # Errors
    /// Why they stay.
    pub(super) fn without_room(
        &mut self,
        nodes: &[&JudgedNode],
        min_pod_age_ms: i64,
    ) -> Result<Vec<ClassId>, Arc<Stay>> {
        let slots = self.evictions_together(nodes, min_pod_age_ms)?;
        self.needs(&slots)?;
        let leaving = leaving(nodes, &slots);
        let (simulation, context) = (&mut self.simulation, self.context);
        Ok(simulation.without_room(self.state, &leaving, context))
    }

    /// Returns how many new nodes it takes if these nodes leave together. `None` if they
    /// can't leave, or if more than may come would be needed. Changes nothing.
    pub(super) fn new_nodes(
        &mut self,
        nodes: &[&JudgedNode],
        replacing: Replacing<'_>,
    ) -> Option<u32> {
        let slots: Vec<Vec<u32>> = nodes.iter().map(|judged| evicted(judged)).collect();
        let leaving = leaving(nodes, &slots);
        let new = NewNodes::new(replacing);
        let (simulation, context) = (&mut self.simulation, self.context);
        simulation.new_nodes(self.state, &leaving, new, context)
    }

    /// Number of budgets that allow no further disruption once these nodes have left.
    pub(super) fn exhausted_budgets(&self, nodes: &[&JudgedNode]) -> u32 {
        let slots: Vec<Vec<u32>> = nodes.iter().map(|judged| evicted(judged)).collect();
        let needs = self.needs(&slots);
        needs.map_or(0, |needs| self.budgets.exhausted(&needs))
    }

    /// Looks at a drained node once more.
    ///
    /// # Errors
    /// Why it stays after all.
    pub(super) fn review(&mut self, judged: &JudgedNode) -> Result<UnneededNode, Arc<Stay>> {
        let group = &self.context.census.groups[judged.node.group].group;
        match group.target_size <= group.min_size {
            true => Err(Arc::new(Stay::of(reasons::MIN_SIZE))),
            false => self.remove(judged),
        }
    }

    /// Where each pod of a node moves to.
    pub(super) fn set_places(&self, node: &mut UnneededNode) {
        for pod in &mut node.pods {
            pod.to = self.simulation.place_of(pod.slot);
        }
    }

    /// The evictions of each of these nodes.
    fn evictions_together(
        &mut self,
        nodes: &[&JudgedNode],
        min_pod_age_ms: i64,
    ) -> Result<Vec<Vec<u32>>, Arc<Stay>> {
        let slots = nodes.iter().map(|judged| {
            if let Some(stay) = &judged.stay {
                return Err(Arc::clone(stay));
            }
            let evicted = evicted(judged);
            self.young_pod(&evicted, min_pod_age_ms)?;
            Ok(evicted)
        });
        slots.collect()
    }

    /// What the evictions of several nodes need of the budgets.
    fn needs(&self, slots: &[Vec<u32>]) -> Result<NeededDisruptions, Arc<Stay>> {
        let all: Vec<u32> = slots.iter().flatten().copied().collect();
        self.budgets.check(self.state, &all)
    }

    /// The evictions that the removal of one node needs.
    fn evictions(&mut self, judged: &JudgedNode, min_age: i64) -> Result<Evictions, Arc<Stay>> {
        let slots = evicted(judged);
        self.young_pod(&slots, min_age)?;
        let mut disrupted = slots.clone();
        disrupted.extend(self.simulation.moved_to(judged.node.id));
        let needs = self.budgets.check(self.state, &disrupted)?;
        Ok(Evictions { slots, needs })
    }

    /// Refuses a node with a pod that is too young to move again.
    fn young_pod(&mut self, evicted: &[u32], min_age: i64) -> Result<(), Arc<Stay>> {
        if min_age <= 0 {
            return Ok(());
        }
        let now = self.context.now;
        let pods = evicted.iter().filter_map(|&slot| self.state.pod_at(slot));
        let Some(youngest) = pods.max_by_key(|pod| pod.facts.created) else {
            return Ok(());
        };
        let old_enough = youngest.facts.created.plus(min_age);
        if old_enough <= now {
            return Ok(());
        }
        let known = self.old_enough.into_iter();
        self.old_enough = known.chain([old_enough]).min();
        Err(Arc::new(Stay::of_pod(reasons::POD_YOUNG, youngest.key)))
    }

    fn unneeded(
        &self,
        judged: &JudgedNode,
        evicted: Vec<u32>,
        is_risky: bool,
        awaits_load: bool,
    ) -> UnneededNode {
        let waits = judged.pods.iter();
        let mut waits = waits.filter(|pod| pod.action == PodAction::Wait);
        let waits = waits.next().and_then(|pod| self.state.pod_at(pod.slot));
        let Candidate {
            name,
            uid,
            provider_id,
            created,
            group,
            ready,
            size,
            ..
        } = &judged.node;
        let evicted = evicted.into_iter();
        let daemons = judged.pods.iter();
        let daemons = daemons.filter(|pod| pod.action == PodAction::DaemonSet);
        UnneededNode {
            name: Arc::clone(name),
            uid: Arc::clone(uid),
            provider_id: Arc::clone(provider_id),
            created: *created,
            group: *group,
            ready: *ready,
            size: *size,
            kind: RemovalKind::Plain,
            pods: evicted.map(|slot| MovedPod { slot, to: None }).collect(),
            daemon_set_pods: daemons.map(|pod| pod.slot).collect(),
            waits_for: waits.map(|pod| pod.key.clone()),
            awaits_load,
            is_risky,
            unneeded_ms: judged.unneeded_ms,
            cost: judged.cost,
            utilization: judged.utilization,
        }
    }
}

/// Nodes that leave, each with the slots of the pods to evict.
fn leaving<'n>(nodes: &[&'n JudgedNode], slots: &[Vec<u32>]) -> Vec<(&'n Candidate, Vec<u32>)> {
    let nodes = nodes.iter().zip(slots);
    let nodes = nodes.map(|(judged, slots)| (&judged.node, slots.clone()));
    nodes.collect()
}

/// Slots of the pods to evict.
pub(super) fn evicted(judged: &JudgedNode) -> Vec<u32> {
    let pods = judged.pods.iter();
    let pods = pods.filter(|pod| pod.action == PodAction::Evict);
    pods.map(|pod| pod.slot).collect()
}

/// Nodes that pods may move to: all that are not leaving. Nodes that stay come first, then
/// the candidates with pods, the last one first, then the empty ones, so that few pods
/// move to a node that goes itself.
fn destinations(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    nodes: &[JudgedNode],
) -> Vec<NodeId> {
    let cluster = state.cluster();
    let drained = context.census.drained.iter();
    let drained: Vec<NodeId> = drained.filter_map(|name| cluster.find_node(name)).collect();
    let candidates = nodes.iter().rev().filter(|node| node.stay.is_none());
    let (empty, occupied): (Vec<&JudgedNode>, Vec<&JudgedNode>) =
        candidates.partition(|node| node.is_empty());
    let candidates = occupied.into_iter().chain(empty);
    let candidates: Vec<NodeId> = candidates.map(|node| node.node.id).collect();
    let known: HashSet<NodeId> = candidates.iter().chain(&drained).copied().collect();
    let stay = cluster.node_ids().filter(|node| !known.contains(node));
    stay.chain(candidates).collect()
}
