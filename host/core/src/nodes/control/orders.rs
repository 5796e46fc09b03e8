//! Gives the orders of a plan to the cloud.

use std::sync::Arc;

use super::NodeLoop;
use crate::nodes::cloud::{CloudError, CloudProvider};
use crate::nodes::ports::{NodesReader, NodesWriter};
use crate::nodes::record::{NodeDecisionRecord, Order, OrderOutcome};
use crate::nodes::scale_up::{Plan, event, triggered};
use crate::ports::Clock;
use crate::time::Timestamp;

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Gives the orders, and brings the plan and what came of it into the record.
    /// True: the cloud refused one, so that another group may do.
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
                self.give(now, &order, record).await
            };
            if outcome != OrderOutcome::Ordered {
                refused.push(order.group);
            }
            record.outcomes.push(outcome);
        }
        let mut untrue = Vec::new();
        let mut states_changed = false;
        let mut outcomes = record.outcomes.as_slice();
        let mut zone_orders = plan.zone_orders.into_iter().peekable();
        for (index, round) in record.rounds.iter().enumerate() {
            let own = outcomes.split_off(..round.orders.len());
            let taken = own.is_some_and(|own| own.contains(&OrderOutcome::Ordered));
            while let Some((_, order)) = zone_orders.next_if(|(of, _)| *of == index) {
                if taken {
                    self.backoffs.zones.ordered(now, order);
                }
            }
            let carried_out = taken || round.orders.is_empty();
            for expander in &round.expanders {
                states_changed |= self.memories.commit(expander, carried_out);
            }
            if !carried_out {
                // What pods must not be told, because none of the orders was taken.
                untrue.push(triggered(&round.orders));
            }
        }
        if states_changed {
            self.save_states();
        }
        let events = plan.events.into_iter();
        let events = events.filter(|event| !untrue.contains(&event.event.message));
        record.events.extend(events);
        leads && !refused.is_empty()
    }

    async fn give(
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
                self.registry.ordered(now, group, to - from);
                let message = format!("Scale-up: group {group} size set to {sizes}");
                record.events.push(event(false, "ScaledUpGroup", message));
                OrderOutcome::Ordered
            }
            // Where the answer was lost, and not the order, the next census finds the
            // nodes missing.
            Err(error) => self.refused(now, group, error, record),
        }
    }

    fn refused(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        error: CloudError,
        record: &mut NodeDecisionRecord,
    ) -> OrderOutcome {
        let CloudError { class, message } = error;
        self.backoffs
            .fail(now, group, class, &message, &self.options);
        let told = format!("Scale-up failed for group {group}: {message}");
        record
            .events
            .push(event(true, "FailedToScaleUpGroup", told));
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
