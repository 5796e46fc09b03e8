//! Pending orders of nodes in certain zones, and backoffs of groups for single pods.

use std::collections::BTreeSet;
use std::sync::Arc;

use flyball_placement::Pod;

use super::Backoff;
use crate::options::NodeOptions;
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;

/// An order of a node for pods that only nodes in some of the group's zones help.
#[derive(Clone, Debug)]
pub struct ZoneOrder {
    /// The group.
    pub group: Arc<str>,
    /// Provider ids of the instances that the group had before.
    pub before: BTreeSet<Arc<str>>,
    /// Scheduling requirements of the pods. The order is for all pods that share them.
    pub pod: Pod,
    /// One of the pods.
    pub key: ObjectKey,
    /// The zones in which a node helps them.
    pub zones: Vec<Arc<str>>,
}

/// Pending orders, and backoffs of groups for some pods.
#[derive(Clone, Debug, Default)]
pub struct ZoneOrders {
    /// Pending orders with their times.
    waiting: Vec<(Timestamp, ZoneOrder)>,
    backoffs: Vec<ZoneBackoff>,
}

/// The backoff of a group for pods with the same scheduling requirements.
#[derive(Clone, Debug)]
struct ZoneBackoff {
    group: Arc<str>,
    pod: Pod,
    backoff: Backoff,
}

impl ZoneBackoff {
    fn is_of(&self, order: &ZoneOrder) -> bool {
        self.group == order.group && self.pod == order.pod
    }
}

impl ZoneOrders {
    /// Adds an order that was made at this time.
    pub(crate) fn add_order(&mut self, at: Timestamp, order: ZoneOrder) {
        self.waiting.push((at, order));
    }

    /// Removes all pending orders, and returns them with their times.
    pub(crate) fn take_waiting(&mut self) -> Vec<(Timestamp, ZoneOrder)> {
        std::mem::take(&mut self.waiting)
    }

    /// The pods for which a group has a pending order.
    pub(crate) fn awaited(&self, group: &str) -> impl Iterator<Item = &Pod> {
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(move |(_, order)| *order.group == *group);
        waiting.map(|(_, order)| &order.pod)
    }

    /// The pods for which a group is backed off now.
    pub(crate) fn avoided(&self, now: Timestamp, group: &str) -> impl Iterator<Item = &Pod> {
        let failed = self.backoffs.iter();
        let failed =
            failed.filter(move |failed| *failed.group == *group && failed.backoff.until >= now);
        failed.map(|failed| &failed.pod)
    }

    /// The groups that are backed off now for some pods, and when each backoff ends.
    pub(crate) fn ends(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, Timestamp)> {
        let ends = self.backoffs.iter();
        let ends = ends.map(|failed| (&failed.group, failed.backoff.until));
        ends.filter(move |(_, until)| *until >= now)
    }

    /// Backs the group of an order off for the order's pods, and returns the length of the
    /// backoff in milliseconds.
    pub(crate) fn fail(
        &mut self,
        now: Timestamp,
        order: ZoneOrder,
        class: &str,
        message: &str,
        options: &NodeOptions,
    ) -> i64 {
        let known = self.backoffs.iter().position(|failed| failed.is_of(&order));
        let before = known.map(|at| self.backoffs.swap_remove(at).backoff);
        let backoff = Backoff::after(before.as_ref(), now, class, message, options);
        let duration_ms = backoff.duration_ms;
        self.backoffs.push(ZoneBackoff {
            group: order.group,
            pod: order.pod,
            backoff,
        });
        duration_ms
    }

    /// Forgets the failures of a group for the pods of an order that helped them.
    pub(crate) fn succeed(&mut self, order: &ZoneOrder) {
        self.backoffs.retain(|failed| !failed.is_of(order));
    }

    /// Drops backoffs of failures that are older than the reset time.
    pub(super) fn forget(&mut self, now: Timestamp, options: &NodeOptions) {
        let lasts =
            |failed: &ZoneBackoff| now.since(failed.backoff.failed_at) <= options.backoff_reset_ms;
        self.backoffs.retain(lasts);
    }
}
