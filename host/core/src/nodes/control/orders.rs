//! Sends the orders of a plan to the cloud.

use std::sync::Arc;

use super::NodeLoop;
use super::plan_events::{RoundOutcome, plan_events, round_outcomes};
use crate::nodes::cloud::{CloudError, CloudProvider};
use crate::nodes::ports::{NodeEvent, NodesReader, NodesWriter};
use crate::nodes::record::{NodeDecisionRecord, Order, OrderOutcome, Round};
use crate::nodes::scale_up::Plan;
use crate::ports::Clock;
use crate::time::Timestamp;

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Sends the orders, and adds the plan and the outcomes to the record. Returns whether
    /// the cloud refused an order, so that another group may be chosen.
    pub(super) async fn act(
        &mut self,
        now: Timestamp,
        mut plan: Plan,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        record.pending = plan.pending;
        record.skipped = std::mem::take(&mut plan.skipped);
        record.upcoming = std::mem::take(&mut plan.upcoming);
        record.rounds = std::mem::take(&mut plan.rounds);
        record.remaining = std::mem::take(&mut plan.remaining);
        record.verdict = std::mem::take(&mut plan.verdict);
        record.log.append(&mut plan.log);
        let mut refused: Vec<Arc<str>> = Vec::new();
        let mut leads = true;
        for order in record.verdict.orders.clone() {
            leads = leads && self.writer.leads();
            let outcome = if !leads {
                not_tried("NotLeader", "another instance leads by now")
            } else if refused.contains(&order.group) {
                not_tried("NotTried", "an order of this group was refused before")
            } else {
                self.place_order(now, &order, record).await
            };
            if outcome != OrderOutcome::Ordered {
                refused.push(order.group);
            }
            record.outcomes.push(outcome);
        }
        let outcomes = round_outcomes(&record.rounds, &record.outcomes);
        self.commit_rounds(now, &mut plan, &record.rounds, &outcomes);
        record
            .events
            .extend(plan_events(&plan, &record.rounds, &outcomes));
        leads && !refused.is_empty()
    }

    /// Keeps the zone orders of the accepted rounds, and the states of the expanders.
    fn commit_rounds(
        &mut self,
        now: Timestamp,
        plan: &mut Plan,
        rounds: &[Round],
        outcomes: &[RoundOutcome],
    ) {
        let is = |round: usize, outcome| outcomes.get(round) == Some(&outcome);
        for (round, order) in plan.zone_orders.drain(..) {
            if is(round, RoundOutcome::Accepted) {
                self.backoffs.zones.add_order(now, order);
            }
        }
        let mut states_changed = false;
        for (number, round) in rounds.iter().enumerate() {
            let is_carried_out = !is(number, RoundOutcome::Refused);
            for expander in &round.expanders {
                states_changed |= self.memories.commit(expander, is_carried_out);
            }
        }
        if states_changed {
            self.save_states();
        }
    }

    async fn place_order(
        &mut self,
        now: Timestamp,
        order: &Order,
        record: &mut NodeDecisionRecord,
    ) -> OrderOutcome {
        let Order {
            group,
            from,
            to,
            max,
        } = order;
        record
            .log
            .push(format!("Scale-up: setting group {group} size to {to}"));
        let sizes = format!("{to} instead of {from} (max: {max})");
        let message = format!("Scale-up: setting group {group} size to {sizes}");
        record
            .events
            .push(NodeEvent::normal("ScaledUpGroup", message));
        match self.cloud.increase_size(now, group, to - from).await {
            Ok(()) => {
                self.history.add_order(now, group, to - from);
                let message = format!("Scale-up: group {group} size set to {sizes}");
                record
                    .events
                    .push(NodeEvent::normal("ScaledUpGroup", message));
                OrderOutcome::Ordered
            }
            // If the cloud accepted the order and only its answer was lost, the next census
            // counts the nodes as missing.
            Err(error) => self.order_refused(now, group, error, record),
        }
    }

    fn order_refused(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        error: CloudError,
        record: &mut NodeDecisionRecord,
    ) -> OrderOutcome {
        let CloudError { class, message } = error;
        self.backoffs
            .fail(now, group, class, &message, &self.options);
        let event_message = format!("Scale-up failed for group {group}: {message}");
        record
            .events
            .push(NodeEvent::warning("FailedToScaleUpGroup", event_message));
        OrderOutcome::Failed {
            class: class.into(),
            message,
        }
    }
}

fn not_tried(class: &str, message: &str) -> OrderOutcome {
    OrderOutcome::Failed {
        class: class.into(),
        message: message.to_owned(),
    }
}
