//! Sends the orders of a plan to the cloud.

use std::sync::Arc;

use super::NodeLoop;
use crate::cloud::{CloudError, CloudProvider};
use crate::ports::{NodesReader, NodesWriter};
use crate::record::{NodeDecisionRecord, Order, OrderOutcome};
use crate::scale_up::{Plan, event, triggered};
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Sends the orders, and adds the plan and the outcomes to the record. Returns whether
    /// the cloud refused an order, so that another group may be chosen.
    pub(super) async fn act(
        &mut self,
        now: Timestamp,
        plan: Plan,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        record.pending = plan.pending;
        record.skipped = plan.skipped;
        record.upcoming = plan.upcoming;
        record.rounds = plan.rounds;
        record.remaining = plan.remaining;
        record.verdict = plan.verdict;
        record.log.extend(plan.log);
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
        let mut retracted = Vec::new();
        let mut states_changed = false;
        let mut outcomes = record.outcomes.as_slice();
        let mut zone_orders = plan.zone_orders.into_iter().peekable();
        for (index, round) in record.rounds.iter().enumerate() {
            let own = outcomes.split_off(..round.orders.len());
            let accepted = own.is_some_and(|own| own.contains(&OrderOutcome::Ordered));
            while let Some((_, order)) = zone_orders.next_if(|(of, _)| *of == index) {
                if accepted {
                    self.backoffs.zones.add_order(now, order);
                }
            }
            let carried_out = accepted || round.orders.is_empty();
            for expander in &round.expanders {
                states_changed |= self.memories.commit(expander, carried_out);
            }
            if !carried_out {
                // None of the orders was accepted: the events about them are not emitted.
                retracted.push(triggered(&round.orders));
            }
        }
        if states_changed {
            self.save_states();
        }
        let events = plan.events.into_iter();
        let events = events.filter(|event| !retracted.contains(&event.event.message));
        record.events.extend(events);
        leads && !refused.is_empty()
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
        record.events.push(event(false, "ScaledUpGroup", message));
        match self.cloud.increase_size(now, group, to - from).await {
            Ok(()) => {
                self.history.add_order(now, group, to - from);
                let message = format!("Scale-up: group {group} size set to {sizes}");
                record.events.push(event(false, "ScaledUpGroup", message));
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
            .push(event(true, "FailedToScaleUpGroup", event_message));
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
