//! Planning of removals: which nodes are unneeded, what moves where, and which of them go
//! now. It is pure except for the simulation in the state, which is rolled back.
//!
//! ```text
//! candidates ──▶ judge ────────────▶ simulate ───────────▶ timers ──▶ limits
//! own rules      pods, then nodes,   one after the other,             which go now
//!                by the policies     what moves stays
//!                                       │       ▲
//!                                       ▼       │ the moves that they take
//!                                     moves, if a policy judges them
//! ```

use std::sync::Arc;

use super::candidates::candidates;
use super::disruption::Disruption;
use super::judge::{JudgedNode, Verdicts, compare_scores, judge};
use super::limits::{Limits, UnderWay};
use super::moves::take::{PlannedReplacement, simulate};
use super::timers::has_passed;
use super::tracker::ScaleDownTracker;
use super::wishes::ListedPolicies;
use crate::backoff::Backoffs;
use crate::census::Census;
use crate::limits::NodeSize;
use crate::options::NodeOptions;
use crate::reasons::{HostReason, Stay};
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
    /// Groups that are backed off after a failure: none of their nodes replaces others.
    pub backoffs: &'a Backoffs,
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
    /// The node that it finds room on. `None` if no room is sought, as it has ended.
    pub to: Option<Arc<str>>,
}

/// How a node that is not needed goes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RemovalKind {
    /// Other nodes have room for its pods.
    #[default]
    Plain,
    /// Cheaper nodes could take its place: a replacement is proposed.
    Replaceable,
    /// Nodes that take its place have come.
    Replaced,
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
    /// How it goes.
    pub kind: RemovalKind,
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
    pub result: Result<UnneededNode, Arc<Stay>>,
}

/// A node that stays for now.
#[derive(Clone, Debug)]
pub struct StayingNode {
    /// Its name.
    pub name: Arc<str>,
    /// Why.
    pub stay: Arc<Stay>,
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
    /// Replacements of unneeded nodes by cheaper ones.
    pub replacements: Vec<PlannedReplacement>,
    /// Replacements whose new nodes have come and have no room: the names of the nodes that
    /// would leave, and why they stay.
    pub unfit: Vec<(Vec<Arc<str>>, Arc<Stay>)>,
    /// Indices of unneeded nodes that go now, in this order.
    pub removed: Vec<usize>,
    /// Indices of unneeded nodes that stay for now, and why.
    pub waiting: Vec<(usize, Arc<Stay>)>,
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
    let mut candidates = found.nodes;
    candidates.extend(found.reviewed);
    let Verdicts {
        mut nodes,
        questions,
        events,
    } = judge(context, state, candidates, &mut tracker.verdicts);
    plan.questions = questions;
    plan.policy_events = events;
    let reviewed = nodes
        .extract_if(.., |node| tracker.is_reviewed(&node.node.name))
        .collect();
    let nodes = in_order(context, nodes);
    simulate(context, state, tracker, (reviewed, nodes), &mut plan);
    let unneeded = plan.unneeded.iter().map(|node| (&node.name, node.created));
    tracker.timers.update(context.now, unneeded);
    choose(context, state, tracker, found.registered, &mut plan);
    choose_replacements(context, tracker, &mut plan);
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
        let since = |node: &JudgedNode| node.node.unneeded_since.unwrap_or(context.now);
        is_own(a)
            .cmp(&is_own(b))
            .then_with(|| compare_scores(&a.scores, &b.scores))
            .then_with(|| b.is_empty().cmp(&a.is_empty()))
            .then_with(|| b.node.in_zone.cmp(&a.node.in_zone))
            .then_with(|| since(a).cmp(&since(b)))
            .then_with(|| a.node.name.cmp(&b.node.name))
    });
    nodes
}

/// Chooses which unneeded nodes go now.
fn choose(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    tracker: &ScaleDownTracker,
    registered: Vec<u32>,
    plan: &mut ScaleDownPlan,
) {
    let options = &context.options.scale_down;
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
    let mut nodes = plan.unneeded.iter();
    let replaced = nodes.any(|node| node.kind == RemovalKind::Replaced);
    let limits = Limits {
        now: context.now,
        options: context.options,
        census: context.census,
        timers: &tracker.timers,
        delays: &tracker.delays,
        under_way: &under_way,
        size,
        registered: &registered,
        disruption: Disruption::new(context, state, tracker, options.max_disruption),
        disruption_of_replaced: replaced
            .then(|| {
                let limit = options.max_disruption_of_replacements();
                Disruption::new(context, state, tracker, Some(limit))
            })
            .flatten(),
        hold: context.hold,
    };
    let chosen = limits.choose(&plan.unneeded);
    plan.removed = chosen.removed;
    plan.waiting = chosen.stays;
    plan.next = plan.next.into_iter().chain(chosen.next).min();
}

/// Chooses which replacements are ordered now: those that were proposed in every pass for long
/// enough, unless something holds all removals of the group.
fn choose_replacements(
    context: &ScaleDownContext<'_>,
    tracker: &mut ScaleDownTracker,
    plan: &mut ScaleDownPlan,
) {
    let options = &context.options.scale_down;
    let keys = plan.replacements.iter().map(|one| one.key.clone());
    tracker.replacements.propose(context.now, keys);
    let under_way = tracker.under_way();
    for one in &mut plan.replacements {
        one.since = tracker.replacements.since(&one.key).unwrap_or(context.now);
        let stay = Arc::new(one.stay());
        let waiting = one.nodes.iter().map(|&at| (at, Arc::clone(&stay)));
        plan.waiting.extend(waiting);
        let groups = one.nodes.iter().map(|&at| plan.unneeded[at].group);
        let delays = groups.filter_map(|group| {
            let group = &context.census.groups[group].group;
            tracker.delays.until(&group.name, options)
        });
        let until = delays.max().filter(|until| *until > context.now);
        let stable_ms = options.replacement_stable_time_ms;
        let is_stable = has_passed(one.since, stable_ms, context.now);
        one.is_ordered = is_stable
            && until.is_none()
            && context.hold.is_none()
            && keeps_bounds(
                context,
                &under_way,
                &plan.unneeded,
                &plan.removed,
                &one.nodes,
            );
        // Times are strict: a timer is over a moment after its end.
        let stable = (!is_stable).then(|| one.since.plus(stable_ms));
        let next = until.into_iter().chain(stable).max();
        let next = next.map(|next| next.plus(1));
        plan.next = plan.next.into_iter().chain(next).min();
    }
}

/// Whether the groups of these nodes stay at their smallest sizes at least if they leave
/// besides the nodes that are removed now and those that are leaving.
fn keeps_bounds(
    context: &ScaleDownContext<'_>,
    under_way: &UnderWay,
    unneeded: &[UnneededNode],
    removed: &[usize],
    nodes: &[usize],
) -> bool {
    let count_in = |rows: &[usize], group: usize| {
        let rows = rows.iter().filter(|&&at| unneeded[at].group == group);
        u32::try_from(rows.count()).unwrap_or(u32::MAX)
    };
    nodes.iter().all(|&at| {
        let row = unneeded[at].group;
        let group = &context.census.groups[row].group;
        let leaving = count_in(nodes, row)
            .saturating_add(count_in(removed, row))
            .saturating_add(under_way.leaving(&group.name));
        group.target_size.saturating_sub(leaving) >= group.min_size
    })
}
