//! Events of a plan, derived from the outcomes of its orders.

use crate::ports::{NodeEvent, Subject};
use crate::record::{Order, OrderOutcome, Round, listed_within};
use crate::reported::{NOT_TRIGGERED, PODS_PUT_OFF};
use crate::scale_up::{HelpedPods, Plan};
use flyball_decision::text::NOTE_BYTES;

/// Outcome of the orders of one round.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum RoundOutcome {
    /// Nothing was ordered.
    NoOrders,
    /// The cloud accepted these orders, of at least one.
    Accepted(Vec<Order>),
    /// The cloud accepted none of the orders.
    Refused,
}

/// Returns the outcome of each round. `outcomes` are those of the orders of all rounds, in
/// order.
pub(super) fn round_outcomes(rounds: &[Round], outcomes: &[OrderOutcome]) -> Vec<RoundOutcome> {
    let mut outcomes = outcomes.iter();
    let of_round = |round: &Round| {
        let own = round.orders.iter().zip(outcomes.by_ref());
        let accepted = own.filter(|(_, outcome)| **outcome == OrderOutcome::Ordered);
        let accepted: Vec<Order> = accepted.map(|(order, _)| order.clone()).collect();
        if round.orders.is_empty() {
            RoundOutcome::NoOrders
        } else if accepted.is_empty() {
            RoundOutcome::Refused
        } else {
            RoundOutcome::Accepted(accepted)
        }
    };
    rounds.iter().map(of_round).collect()
}

/// Returns the events of a plan after its orders: about expanders, about pods that orders
/// help or that no order helps, about the limit of nodes, and about namespaces whose pods are
/// put off. Events about pods list the accepted orders of their round. There is none about
/// pods of a round whose orders were all refused.
pub(super) fn plan_events(plan: &Plan, outcomes: &[RoundOutcome]) -> Vec<NodeEvent> {
    let expanders = plan.expander_events.iter().cloned();
    let mut events: Vec<NodeEvent> = expanders
        .map(|event| NodeEvent::about(Subject::Autoscaler, event))
        .collect();
    for HelpedPods { round, pods } in &plan.helped_pods {
        if let Some(RoundOutcome::Accepted(orders)) = outcomes.get(*round) {
            let orders = listed_within(orders, NOTE_BYTES / 2);
            let message = format!("pod triggered scale-up: {orders}");
            events.extend(pods_events(pods, "TriggeredScaleUp", &message));
        }
    }
    for unhelped in &plan.unhelped_pods {
        events.extend(pods_events(
            &unhelped.pods,
            NOT_TRIGGERED,
            &unhelped.message,
        ));
    }
    if let Some(max) = plan.max_nodes_reached {
        let message = format!("Max total nodes in cluster reached: {max}");
        events.push(NodeEvent::warning("MaxNodesTotalReached", message));
    }
    if let Some(message) = plan.put_off_message() {
        events.push(NodeEvent::warning(PODS_PUT_OFF, message));
    }
    events
}

fn pods_events(
    pods: &[Subject],
    reason: &'static str,
    message: &str,
) -> impl Iterator<Item = NodeEvent> {
    pods.iter()
        .map(move |pod| NodeEvent::of_pod(pod, reason, message))
}
