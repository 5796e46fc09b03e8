//! Sends the orders of a plan to the cloud.

use std::sync::Arc;

use super::NodeLoop;
use super::plan_events::{RoundOutcome, plan_events, round_outcomes};
use crate::cloud::{CloudError, CloudProvider, NOT_LEADER};
use crate::findings::Findings;
use crate::ports::{NodeEvent, NodesReader, NodesWriter};
use crate::record::{Incident, Order, OrderOutcome};
use crate::reported::PODS_PUT_OFF;
use crate::scale_up::Plan;
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;

/// A plan whose orders were sent to the cloud.
#[derive(Default)]
pub(super) struct OrderedPlan {
    /// The plan, without what later passes keep of it.
    pub(super) plan: Plan,
    /// Outcome of each order, at its index.
    pub(super) outcomes: Vec<OrderOutcome>,
    /// Log lines and events of the plan and of its orders.
    pub(super) findings: Findings,
    /// Whether the cloud refused an order, so that another group may be chosen.
    pub(super) is_refused: bool,
}

/// Outcomes of orders.
#[derive(Default)]
struct SentOrders {
    outcomes: Vec<OrderOutcome>,
    findings: Findings,
    is_refused: bool,
}

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Sends the orders, keeps what later passes need to know of those that were accepted,
    /// and derives the events from the outcomes.
    pub(super) async fn carry_out(&mut self, now: Timestamp, mut plan: Plan) -> OrderedPlan {
        let sent = self.send_orders(now, &plan.verdict.orders).await;
        let rounds = round_outcomes(&plan.rounds, &sent.outcomes);
        self.commit_rounds(now, &mut plan, &rounds);
        let put_off = plan.put_off_message().map(|message| Incident {
            code: PODS_PUT_OFF.into(),
            group: None,
            message,
        });
        let mut findings = Findings {
            incidents: put_off.into_iter().collect(),
            log: std::mem::take(&mut plan.log),
            ..Findings::default()
        };
        findings.extend(sent.findings);
        findings.events.extend(plan_events(&plan, &rounds));
        findings.extend(self.configurations.new_warnings(&plan.rounds));
        OrderedPlan {
            plan,
            outcomes: sent.outcomes,
            findings,
            is_refused: sent.is_refused,
        }
    }

    async fn send_orders(&mut self, now: Timestamp, orders: &[Order]) -> SentOrders {
        let mut sent = SentOrders::default();
        let mut refused: Vec<&Arc<str>> = Vec::new();
        for order in orders {
            let outcome = if self.options.observe {
                not_tried(
                    "Observed",
                    "orders are only observed (--nodes-mode=observe)",
                )
            } else if refused.contains(&&order.group) {
                not_tried("NotTried", "an order of this group was refused before")
            } else {
                let (outcome, findings) = self.send_order(now, order).await;
                sent.findings.extend(findings);
                if outcome == OrderOutcome::Ordered {
                    self.scale_down.delays.note_added(&order.group, now);
                }
                outcome
            };
            match &outcome {
                OrderOutcome::Ordered => {}
                OrderOutcome::Failed { class, .. } if **class == *NOT_LEADER => {}
                OrderOutcome::Failed { .. } => refused.push(&order.group),
            }
            sent.outcomes.push(outcome);
        }
        sent.is_refused = self.writer.leads() && !refused.is_empty() && !self.options.observe;
        sent
    }

    /// Sends one order, if this instance still leads. Returns its outcome, and its log lines and
    /// events.
    pub(super) async fn send_order(
        &mut self,
        now: Timestamp,
        order: &Order,
    ) -> (OrderOutcome, Findings) {
        let Order {
            group,
            from,
            to,
            max,
        } = order;
        // What came before, such as another order, may have taken until the lease was lost.
        if !self.writer.leads() {
            return (not_leader(), Findings::default());
        }
        let sizes = format!("{to} instead of {from} (max: {max})");
        let sent = format!("Scale-up: setting group {group} size to {sizes}");
        let sent = NodeEvent::normal("ScaledUpGroup", sent);
        let (outcome, answered) = match self.cloud.increase_size(now, group, to - from).await {
            Ok(()) => {
                self.history.add_order(now, group, to - from);
                let message = format!("Scale-up: group {group} size set to {sizes}");
                let accepted = NodeEvent::normal("ScaledUpGroup", message);
                (OrderOutcome::Ordered, accepted)
            }
            Err(error) if error.class == NOT_LEADER => {
                return (not_leader(), Findings::default());
            }
            // If the cloud accepted the order and only its answer was lost, the next census
            // counts the nodes as missing.
            Err(error) => self.order_refused(now, group, error),
        };
        let findings = Findings {
            log: vec![format!("Scale-up: setting group {group} size to {to}")],
            events: vec![sent, answered],
            ..Findings::default()
        };
        (outcome, findings)
    }

    /// Backs a group off whose order was refused. Returns the outcome and its event.
    fn order_refused(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        error: CloudError,
    ) -> (OrderOutcome, NodeEvent) {
        let CloudError { class, message } = error;
        self.backoffs
            .fail(now, group, class, &message, &self.options);
        let event_message = format!("Scale-up failed for group {group}: {message}");
        let event = NodeEvent::warning("FailedToScaleUpGroup", event_message);
        let outcome = OrderOutcome::Failed {
            class: class.into(),
            message,
        };
        (outcome, event)
    }

    /// Keeps the zone orders of the accepted rounds, and the states of the expanders.
    fn commit_rounds(&mut self, now: Timestamp, plan: &mut Plan, outcomes: &[RoundOutcome]) {
        for (round, order) in plan.zone_orders.drain(..) {
            let is_accepted = match outcomes.get(round) {
                Some(RoundOutcome::Accepted(orders)) => {
                    orders.iter().any(|accepted| accepted.group == order.group)
                }
                _ => false,
            };
            if is_accepted {
                self.backoffs.zones.add_order(now, order);
            }
        }
        let mut states_changed = false;
        for (number, round) in plan.rounds.iter().enumerate() {
            let is_carried_out = outcomes.get(number) != Some(&RoundOutcome::Refused);
            for expander in &round.expanders {
                states_changed |= self.memories.commit(expander, is_carried_out);
            }
        }
        if states_changed {
            self.save_states();
        }
    }
}

fn not_leader() -> OrderOutcome {
    not_tried(NOT_LEADER, "another instance leads by now")
}

fn not_tried(class: &str, message: &str) -> OrderOutcome {
    OrderOutcome::Failed {
        class: class.into(),
        message: message.to_owned(),
    }
}
