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
use super::demand::{UnplacedPods, add_upcoming, place_on_known, unplaced_pods};
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
use flyball_decision::text::{MESSAGE_BYTES, counted};
use flyball_decision::time::Timestamp;

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
pub(super) fn plan_unreported(
    context: &PlanContext<'_>,
    reported: &ReportedEvents,
    state: &mut ClusterState,
) -> Plan {
    let drained = &context.census.drained;
    let (mut unplaced, mut pending) = unplaced_pods(state, context.now, context.options, drained);
    if unplaced.is_empty() {
        return Plan {
            pending,
            upcoming: upcoming(context),
            verdict: verdict(&[], &pending, None),
            ..Plan::default()
        };
    }
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
    );
    start.note_fit(&unplaced);
    unplaced.retain(|unplaced| unplaced.left > 0);
    let fit_anywhere =
        zones::place_in_unknown_zones(state, &mut candidates, &mut known, &mut unplaced);
    pending.fit = fit + fit_anywhere;
    pending.sought = unplaced.iter().map(|unplaced| unplaced.left).sum();
    let (mut plan, mut held) = (Plan::default(), None);
    if !unplaced.is_empty() {
        let mut rounds = Rounds::new(context, candidates, limits, known);
        held = rounds.run(state, &mut unplaced);
        rounds.rehearse(state, &mut start, &mut unplaced);
        plan = plan_of(context, rounds, reported, state, &unplaced);
    }
    start.close(state);
    state.cluster_mut().rollback(mark);
    plan.verdict = verdict(&plan.rounds, &pending, held);
    if !plan.verdict.orders.is_empty() {
        let orders = listed_within(&plan.verdict.orders, MESSAGE_BYTES / 2);
        plan.log.push(format!("Final scale-up plan: {orders}"));
    }
    Plan {
        pending,
        upcoming: upcoming(context),
        ..plan
    }
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
