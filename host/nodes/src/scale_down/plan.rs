//! Planning of removals: which nodes are unneeded, what moves where, and which of them go
//! now. It is pure except for the simulation in the state, which is rolled back.
//!
//! ```text
//! candidates ──▶ judge ────────────▶ simulate ───────────▶ timers ──▶ limits
//! own rules      pods, then nodes,   one after the other,             which go now
//!                by the policies     what moves stays
//! ```

use std::sync::Arc;

use flyball_placement::NodeId;
use hashbrown::HashSet;

use super::budgets::RemainingBudgets;
use super::candidates::{Candidate, candidates};
use super::judge::{JudgedNode, PodAction, Verdicts, judge};
use super::limits::{Limits, UnderWay};
use super::load::place_load;
use super::simulate::Simulation;
use super::tracker::ScaleDownTracker;
use super::wishes::ListedPolicies;
use crate::census::Census;
use crate::limits::NodeSize;
use crate::options::NodeOptions;
use crate::reasons::{self, HostReason, Stay};
use crate::record::ScaleDownQuestions;
use crate::state::ClusterState;
use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::time::Timestamp;

/// Inputs of a plan, other than the state.
#[derive(Clone, Copy)]
pub struct ScaleDownContext<'a> {
    /// Time of the plan.
    pub now: Timestamp,
    /// The operator's options.
    pub options: &'a NodeOptions,
    /// Where policies are found.
    pub engine: &'a dyn PolicyEngine,
    /// The states of policies.
    pub memories: &'a PolicyMemories,
    /// The node groups, and the nodes that are upcoming or leaving.
    pub census: &'a Census,
    /// The order in which candidates are considered. `None` for the planner's own.
    pub order: Option<&'a [Arc<str>]>,
    /// Why no node may go in this pass. They are judged all the same.
    pub hold: Option<HostReason>,
    /// Seed for random choices of policies.
    pub seed: u64,
}

/// A pod that moves when its node goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MovedPod {
    /// Its slot in the state.
    pub slot: u32,
    /// The node that it finds room on. `None` if no room is sought, as its priority is
    /// expendable.
    pub to: Option<Arc<str>>,
}

/// A node that is not needed: its pods find room elsewhere.
#[derive(Clone, Debug)]
pub struct UnneededNode {
    /// Its name.
    pub name: Arc<str>,
    /// metadata.uid.
    pub uid: Arc<str>,
    /// Its instance.
    pub provider_id: Arc<str>,
    /// Its creation.
    pub created: Timestamp,
    /// Index of its group in the census.
    pub group: usize,
    /// Whether it is ready.
    pub ready: bool,
    /// What the cluster loses with it.
    pub size: NodeSize,
    /// The pods that are evicted, and where they go.
    pub pods: Vec<MovedPod>,
    /// Slots of the pods of DaemonSets that may be evicted with it.
    pub daemon_set_pods: Vec<u32>,
    /// A pod that runs to its end first.
    pub waits_for: Option<ObjectKey>,
    /// Whether pods that need room soon were placed on it in the simulation.
    pub awaits_load: bool,
    /// Whether a budget does not allow all its evictions at once.
    pub is_risky: bool,
    /// How long it must have been unneeded, as the policies say.
    pub unneeded_ms: i64,
    /// What moving its pods costs, as the policies say.
    pub cost: f64,
    /// Requests of its pods as a part of what is allocatable: of cpu or memory, whichever is
    /// larger.
    pub utilization: f64,
}

impl UnneededNode {
    /// Whether no pod has to be evicted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty() && !self.awaits_load
    }
}

/// A drained node that was looked at once more.
#[derive(Clone, Debug)]
pub struct ReviewedNode {
    /// Its name.
    pub name: Arc<str>,
    /// What has to move, or why the node stays after all.
    pub result: Result<UnneededNode, Stay>,
}

/// A node that stays for now.
#[derive(Clone, Debug)]
pub struct StayingNode {
    /// Its name.
    pub name: Arc<str>,
    /// Why.
    pub stay: Stay,
}

/// A plan: which nodes are unneeded, which go now, and why the others stay.
#[derive(Debug, Default)]
pub struct ScaleDownPlan {
    /// Names of the nodes that were considered, in order: those of groups that may shrink.
    pub considered: Vec<Arc<str>>,
    /// Drained nodes that were looked at once more, before their pods are evicted.
    pub reviewed: Vec<ReviewedNode>,
    /// The unneeded nodes, in the order in which they were found.
    pub unneeded: Vec<UnneededNode>,
    /// Nodes that are needed.
    pub needed: Vec<StayingNode>,
    /// Indices of unneeded nodes that go now, in this order.
    pub removed: Vec<usize>,
    /// Indices of unneeded nodes that stay for now, and why.
    pub waiting: Vec<(usize, Stay)>,
    /// The next time at which a timer or a delay ends, if that is what a node waits for.
    pub next: Option<Timestamp>,
    /// What policies were asked.
    pub questions: ScaleDownQuestions,
    /// Events about policies that failed, were swapped or rolled back.
    pub policy_events: Vec<Event>,
}

/// Plans removals. Leaves the cluster in the state unchanged, and updates the timers and
/// kept verdicts of the tracker.
pub fn plan_scale_down(
    context: &ScaleDownContext<'_>,
    state: &mut ClusterState,
    tracker: &mut ScaleDownTracker,
) -> ScaleDownPlan {
    let engine = ListedPolicies::new(context.engine, state);
    let context = &ScaleDownContext {
        engine: &engine,
        ..*context
    };
    let found = candidates(context, state, tracker);
    let mut plan = ScaleDownPlan {
        considered: found.considered,
        needed: found.stays,
        ..ScaleDownPlan::default()
    };
    let candidates = found.nodes.into_iter().chain(found.reviewed).collect();
    let Verdicts {
        nodes,
        questions,
        events,
    } = judge(context, state, candidates, &mut tracker.verdicts);
    plan.questions = questions;
    plan.policy_events = events;
    let (reviewed, nodes) = nodes
        .into_iter()
        .partition(|node: &JudgedNode| tracker.is_reviewed(&node.node.name));
    let nodes = in_order(context, nodes);
    simulate(context, state, tracker, (reviewed, nodes), &mut plan);
    let unneeded = plan.unneeded.iter().map(|node| (&node.name, node.created));
    tracker.timers.update(context.now, unneeded);
    choose(context, state, tracker, found.registered, &mut plan);
    plan
}

/// Sorts the nodes: by the scores of the policies, then empty ones first, then those of
/// the zone in which their group has most nodes, so that the cloud has nothing to
/// rebalance, then the longest unneeded, then by name. The node that this process runs on
/// comes last.
fn in_order(context: &ScaleDownContext<'_>, mut nodes: Vec<JudgedNode>) -> Vec<JudgedNode> {
    if let Some(order) = context.order {
        let place = |node: &JudgedNode| order.iter().position(|name| *name == node.node.name);
        nodes.sort_by_key(place);
        return nodes;
    }
    let own = context.options.scale_down.own_node.as_deref();
    nodes.sort_by(|a, b| {
        let is_own = |node: &JudgedNode| Some(&*node.node.name) == own;
        let scores = || {
            let pairs = a.scores.iter().zip(&b.scores);
            let orders = pairs.map(|(a, b)| a.total_cmp(b));
            orders.fold(std::cmp::Ordering::Equal, std::cmp::Ordering::then)
        };
        let since = |node: &JudgedNode| node.node.unneeded_since.unwrap_or(context.now);
        is_own(a)
            .cmp(&is_own(b))
            .then_with(scores)
            .then_with(|| b.is_empty().cmp(&a.is_empty()))
            .then_with(|| b.node.in_zone.cmp(&a.node.in_zone))
            .then_with(|| since(a).cmp(&since(b)))
            .then_with(|| a.node.name.cmp(&b.node.name))
    });
    nodes
}

/// Simulates the removal of one node after the other. What moves stays moved, so that the
/// next node sees it.
fn simulate(
    context: &ScaleDownContext<'_>,
    state: &mut ClusterState,
    tracker: &ScaleDownTracker,
    (reviewed, nodes): (Vec<JudgedNode>, Vec<JudgedNode>),
    plan: &mut ScaleDownPlan,
) {
    let mark = state.cluster_mut().mark();
    let destinations = destinations(context, state, &nodes);
    let mut simulation = Simulation::new(state, destinations);
    place_load(context, state, tracker, &mut simulation);
    let mut budgets = RemainingBudgets::new(state);
    for node in reviewed {
        let group = &context.census.groups[node.node.group].group;
        let result = match group.target_size <= group.min_size {
            true => Err(Stay::of(reasons::MIN_SIZE)),
            false => {
                remove(context, state, &mut simulation, &mut budgets, &node).map_err(|stay| *stay)
            }
        };
        plan.reviewed.push(ReviewedNode {
            name: node.node.name,
            result,
        });
    }
    for node in nodes {
        match remove(context, state, &mut simulation, &mut budgets, &node) {
            Ok(unneeded) => plan.unneeded.push(unneeded),
            Err(stay) => plan.needed.push(StayingNode {
                name: node.node.name,
                stay: *stay,
            }),
        }
    }
    for node in &mut plan.unneeded {
        for pod in &mut node.pods {
            pod.to = simulation.place_of(pod.slot);
        }
    }
    state.cluster_mut().rollback(mark);
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

/// Removes one node in the simulation.
fn remove(
    context: &ScaleDownContext<'_>,
    state: &mut ClusterState,
    simulation: &mut Simulation,
    budgets: &mut RemainingBudgets,
    judged: &JudgedNode,
) -> Result<UnneededNode, Box<Stay>> {
    if let Some(stay) = &judged.stay {
        return Err(Box::new(stay.clone()));
    }
    let evicted = judged
        .pods
        .iter()
        .filter(|pod| pod.action == PodAction::Evict);
    let evicted: Vec<u32> = evicted.map(|pod| pod.slot).collect();
    young_pod(context, state, &evicted)?;
    let mut disrupted = evicted.clone();
    disrupted.extend(simulation.moved_to(judged.node.id));
    let needs = budgets.check(state, &disrupted)?;
    let awaits_load = simulation.has_received(judged.node.id);
    let cutoff = context.options.expendable_pods_priority_cutoff;
    simulation.vacate(state, &judged.node, &evicted, cutoff, context.now)?;
    budgets.take(&needs);
    let waits = judged.pods.iter();
    let mut waits = waits.filter(|pod| pod.action == PodAction::Wait);
    let waits = waits.next().and_then(|pod| state.pod_at(pod.slot));
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
    Ok(UnneededNode {
        name: Arc::clone(name),
        uid: Arc::clone(uid),
        provider_id: Arc::clone(provider_id),
        created: *created,
        group: *group,
        ready: *ready,
        size: *size,
        pods: evicted
            .into_iter()
            .map(|slot| MovedPod { slot, to: None })
            .collect(),
        daemon_set_pods: judged
            .pods
            .iter()
            .filter(|pod| pod.action == PodAction::DaemonSet)
            .map(|pod| pod.slot)
            .collect(),
        waits_for: waits.map(|pod| pod.key.clone()),
        awaits_load,
        is_risky: needs.is_risky,
        unneeded_ms: judged.unneeded_ms,
        cost: judged.cost,
        utilization: judged.utilization,
    })
}

/// Refuses a node with a pod that is too young to move again.
fn young_pod(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    evicted: &[u32],
) -> Result<(), Box<Stay>> {
    let min_age = context.options.scale_down.min_pod_age_ms;
    if min_age <= 0 {
        return Ok(());
    }
    let mut pods = evicted.iter().filter_map(|&slot| state.pod_at(slot));
    let young = pods.find(|pod| context.now.since(pod.facts.created) < min_age);
    match young {
        Some(pod) => Err(Box::new(Stay::of_pod(reasons::POD_YOUNG, pod.key))),
        None => Ok(()),
    }
}

/// Chooses which unneeded nodes go now.
fn choose(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    tracker: &ScaleDownTracker,
    registered: Vec<u32>,
    plan: &mut ScaleDownPlan,
) {
    let under_way: UnderWay = tracker.under_way();
    let mut size = state.size();
    for name in &context.census.drained {
        if let Some(node) = state.node(name) {
            let leaving = node.facts.size();
            size.nodes = size.nodes.saturating_sub(1);
            size.cpu_milli = size.cpu_milli.saturating_sub(leaving.cpu_milli);
            size.memory = size.memory.saturating_sub(leaving.memory);
        }
    }
    let limits = Limits {
        now: context.now,
        options: context.options,
        census: context.census,
        timers: &tracker.timers,
        delays: &tracker.delays,
        under_way: &under_way,
        size,
        registered: &registered,
        hold: context.hold,
    };
    let chosen = limits.choose(&plan.unneeded);
    plan.removed = chosen.removed;
    plan.waiting = chosen.stays;
    plan.next = chosen.next;
}
