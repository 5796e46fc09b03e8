//! Planning of orders for pods that fit nowhere. It is pure except for the simulation in
//! the state, which is rolled back.
//!
//! A plan is made of rounds. In each round every group that could help becomes an option,
//! the expanders choose one, and the guardrails decide what of it is ordered. The next
//! round is for the pods that are left over. For pods with spread constraints or
//! affinities over topology domains such as zones, an option is a family: one group in
//! each domain, all of which grow together. In the end the plan is rehearsed: all pods
//! are placed again with all ordered nodes present.

mod candidates;
mod expansion_option;
mod families;
mod reasons;
mod rehearse;
mod reissue;
mod rounds;
mod zones;

use std::sync::Arc;

use super::backoff::Backoffs;
use super::census::Census;
use super::demand::{UnplacedPods, add_upcoming, place_on_known, put_off, unplaced_pods};
use super::limits::ClusterLimits;
use super::options::NodeOptions;
use super::ports::Subject;
use super::record::{
    NodeVerdict, Order, Pending, Remaining, Round, SkippedGroup, Upcoming, listed_within,
};
use super::reported::ReportedEvents;
use super::state::ClusterState;
use super::zone_orders::ZoneOrder;
use flyball_decision::event::Event;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::text::{self, MESSAGE_BYTES, NOTE_BYTES, counted};
use flyball_decision::time::Timestamp;
use flyball_placement::Name;
use flyball_placement::pack::Work;

use self::candidates::Candidates;
use self::rehearse::RehearsalStart;
use self::rounds::Rounds;

/// Maximum number of events about pods that one plan emits. Events about further pods
/// that no order helps follow with the next plan. For further pods that orders are for,
/// only the record says so.
pub const MAX_POD_EVENTS: usize = 500;

/// Inputs of a plan, other than the state.
#[derive(Clone, Copy)]
pub struct PlanContext<'a> {
    /// Time of the plan.
    pub now: Timestamp,
    /// The operator's options.
    pub options: &'a NodeOptions,
    /// Where expanders are found.
    pub engine: &'a dyn PolicyEngine,
    /// The states of the expanders.
    pub memories: &'a PolicyMemories,
    /// The node groups, and the nodes that are upcoming or being drained.
    pub census: &'a Census,
    /// Groups that are backed off after a failure.
    pub backoffs: &'a Backoffs,
    /// Seed for random choices.
    pub seed: u64,
}

/// A plan: the nodes to order, and why.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Numbers of pending pods.
    pub pending: Pending,
    /// Groups that were no option.
    pub skipped: Vec<SkippedGroup>,
    /// Nodes on their way.
    pub upcoming: Vec<Upcoming>,
    /// The choices.
    pub rounds: Vec<Round>,
    /// Pods that no order helps.
    pub remaining: Vec<Remaining>,
    /// Whether events about some pods that no order helps were omitted, because there are
    /// too many.
    pub events_omitted: bool,
    /// The decision.
    pub verdict: NodeVerdict,
    /// Orders of nodes that help only in some zones, each with the index of its round.
    pub zone_orders: Vec<(usize, ZoneOrder)>,
    /// Lines for the log.
    pub log: Vec<String>,
    /// Events about expanders that failed, were swapped or rolled back.
    pub expander_events: Vec<Event>,
    /// Pods that get an event once the orders for them are carried out.
    pub helped_pods: Vec<HelpedPods>,
    /// Pods that get an event because no order helps them.
    pub unhelped_pods: Vec<UnhelpedPods>,
    /// Maximum number of nodes of the cluster, if it keeps a group from growing.
    pub max_nodes_reached: Option<u32>,
    /// Namespaces for all of whose pods packing would take too many steps, so that the plan
    /// is for a part of them. Ordered by name.
    pub put_off: Vec<Name>,
}

impl Plan {
    /// Returns a message that names the namespaces of which only a part of the pods is
    /// planned for. `None` if there are none.
    #[must_use]
    pub fn put_off_message(&self) -> Option<String> {
        let names = text::list(&self.put_off, self.put_off.len(), ", ", NOTE_BYTES / 2);
        (!self.put_off.is_empty()).then(|| {
            format!(
                "planning for all pods of these namespaces would take too long, so each pass \
                 plans for a part of them: {names}"
            )
        })
    }
}

/// Pods that the orders of one round help. At most [`MAX_POD_EVENTS`] in all rounds.
#[derive(Clone, Debug)]
pub struct HelpedPods {
    /// Index of the round.
    pub round: usize,
    /// The pods.
    pub pods: Vec<Subject>,
}

/// Pods that no order helps, for the same reasons. At most [`MAX_POD_EVENTS`] in a plan.
#[derive(Clone, Debug)]
pub struct UnhelpedPods {
    /// Message of the event.
    pub message: String,
    /// The pods.
    pub pods: Vec<Subject>,
}

/// Plans orders for the pods that fit nowhere. Leaves the state unchanged.
pub fn plan(context: &PlanContext<'_>, state: &mut ClusterState) -> Plan {
    plan_unreported(context, &ReportedEvents::default(), state)
}

/// Like [`plan`], but without events that were reported before.
///
/// If packing takes too many steps for the pods of some namespaces, the plan is made anew
/// with few of these pods, so that it is for other pods as if the namespaces had only these.
/// Of the plan before nothing stays, but its expanders were asked, and those that failed have
/// failed once more.
pub(super) fn plan_unreported(
    context: &PlanContext<'_>,
    reported: &ReportedEvents,
    state: &mut ClusterState,
) -> Plan {
    let (plan, work) = plan_without(context, reported, state, &[]);
    if work.used_up().is_empty() {
        return plan;
    }
    let mut namespaces = work.heaviest();
    let (plan, work) = plan_without(context, reported, state, &namespaces);
    namespaces.extend(work.used_up());
    namespaces.sort_unstable();
    namespaces.dedup();
    Plan {
        put_off: namespaces,
        ..plan
    }
}

/// Plans for all pods, except most of those of some namespaces, which are ordered by name.
/// Also returns the steps that packing took.
fn plan_without(
    context: &PlanContext<'_>,
    reported: &ReportedEvents,
    state: &mut ClusterState,
    namespaces: &[Name],
) -> (Plan, Work) {
    let drained = &context.census.drained;
    let (mut unplaced, mut pending) = unplaced_pods(state, context.now, context.options, drained);
    if unplaced.is_empty() {
        let plan = Plan {
            pending,
            upcoming: upcoming(context),
            verdict: verdict(&[], &pending, None),
            ..Plan::default()
        };
        return (plan, Work::unlimited());
    }
    let left_out = put_off(state, &mut unplaced, namespaces, context.seed);
    let demands = unplaced.iter().map(UnplacedPods::demand);
    let work = Work::new(state.cluster(), demands, context.options.packing_steps);
    let mut limits = ClusterLimits::new(context.options, state.size());
    let classes = unplaced.iter().map(|unplaced| unplaced.class);
    let keys = state.cluster().topology_keys(classes);
    let mut candidates = Candidates::new(context, state, &mut limits, &keys);
    let mark = state.cluster_mut().mark();
    let upcoming_nodes = candidates.upcoming_nodes(state);
    let (mut known, nominated_pods) = add_upcoming(state, &upcoming_nodes, drained);
    let mut start = RehearsalStart::new(state, &unplaced, &known, &nominated_pods, limits);
    let fit = place_on_known(
        state,
        &known,
        nominated_pods,
        &mut unplaced,
        context.options,
        &work,
    );
    start.note_fit(&unplaced);
    unplaced.retain(|unplaced| unplaced.left > 0);
    let fit_anywhere =
        zones::place_in_unknown_zones(state, &mut candidates, &mut known, &mut unplaced, &work);
    pending.fit = fit + fit_anywhere;
    let sought = unplaced.iter().chain(&left_out);
    pending.sought = sought.map(|unplaced| unplaced.left).sum();
    let (mut plan, mut held) = (Plan::default(), None);
    if pending.sought > 0 {
        let mut rounds = Rounds::new(context, candidates, limits, known, &work);
        held = rounds.run(state, &mut unplaced);
        rounds.rehearse(state, &mut start, &mut unplaced);
        unplaced.extend(left_out);
        plan = plan_of(context, rounds, reported, state, &unplaced);
    }
    start.close(state);
    state.cluster_mut().rollback(mark);
    plan.verdict = verdict(&plan.rounds, &pending, held);
    if !plan.verdict.orders.is_empty() {
        let orders = listed_within(&plan.verdict.orders, MESSAGE_BYTES / 2);
        plan.log.push(format!("Final scale-up plan: {orders}"));
    }
    let plan = Plan {
        pending,
        upcoming: upcoming(context),
        ..plan
    };
    (plan, work)
}

/// Returns the result of the rounds. `unplaced` are the pods that they left over.
fn plan_of(
    context: &PlanContext<'_>,
    mut rounds: Rounds<'_>,
    reported: &ReportedEvents,
    state: &mut ClusterState,
    unplaced: &[UnplacedPods],
) -> Plan {
    rounds.list_helped(state);
    let room = MAX_POD_EVENTS.saturating_sub(rounds.expander_events.len());
    let (helped_pods, room) = reasons::helped_pods(state, &rounds.chosen, room);
    let candidates = &rounds.candidates;
    let unhelped = reasons::unhelped(reported, state, candidates, unplaced, room);
    Plan {
        skipped: candidates.skipped(),
        remaining: unhelped.remaining,
        events_omitted: unhelped.events_omitted,
        helped_pods,
        unhelped_pods: unhelped.pods,
        max_nodes_reached: reasons::max_nodes_reached(context, candidates),
        rounds: rounds.records,
        zone_orders: rounds.zone_orders,
        log: rounds.log,
        expander_events: rounds.expander_events,
        ..Plan::default()
    }
}

fn upcoming(context: &PlanContext<'_>) -> Vec<Upcoming> {
    let groups = context.census.groups.iter();
    groups
        .filter(|census| census.upcoming > 0)
        .map(|census| Upcoming {
            group: Arc::clone(&census.group.name),
            nodes: census.upcoming,
        })
        .collect()
}

/// Returns the decision that the rounds add up to. `held` is the reason and sentence of
/// an expander that rejected all options or failed.
fn verdict(rounds: &[Round], pending: &Pending, held: Option<(String, String)>) -> NodeVerdict {
    let orders: Vec<Order> = rounds
        .iter()
        .flat_map(|round| round.orders.clone())
        .collect();
    let (reason, message) = match held {
        Some(held) if orders.is_empty() => held,
        _ if !orders.is_empty() => {
            let nodes: u32 = orders.iter().map(|order| order.to - order.from).sum();
            let helped: u32 = rounds.iter().map(|round| round.helped.count).sum();
            let message = format!(
                "{} for {}: {}",
                counted(nodes, "node"),
                counted(helped, "pod"),
                listed_within(&orders, MESSAGE_BYTES / 2)
            );
            ("ScaleUp".to_owned(), message)
        }
        _ if pending.unschedulable + pending.drained == 0 => (
            "NoPendingPods".to_owned(),
            "no pod waits for a node".to_owned(),
        ),
        _ if pending.sought == 0 => (
            "NotNeeded".to_owned(),
            format!(
                "nodes that are there or on their way have room for {}",
                counted(pending.fit, "pod")
            ),
        ),
        _ => (
            "NoOption".to_owned(),
            match pending.sought {
                1 => "no group helps the pod that fits nowhere".to_owned(),
                sought => format!("no group helps the {sought} pods that fit nowhere"),
            },
        ),
    };
    NodeVerdict {
        orders,
        reason,
        message,
    }
}
