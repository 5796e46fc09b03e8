//! Node groups that failed are left alone for a while, and longer each time.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::options::NodeOptions;
use super::zone_orders::ZoneOrders;
use crate::time::Timestamp;

/// The groups that are backed off, until when, and why.
#[derive(Clone, Debug, Default)]
pub struct Backoffs {
    groups: BTreeMap<Arc<str>, Backoff>,
    /// Backoffs of groups for single pods, after a node came in a zone that does not help
    /// them.
    pub(super) zones: ZoneOrders,
}

/// A group's last failure.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// How long it is left alone.
    pub duration_ms: i64,
    /// When the backoff ends (that point included).
    pub until: Timestamp,
    /// When it failed.
    pub failed_at: Timestamp,
    /// Stable class of the failure, such as `ScaleUpTimedOut` or a cloud error's.
    pub class: Arc<str>,
    /// What a person reads.
    pub message: Arc<str>,
}

impl Backoff {
    /// The backoff after a failure: twice as long as the one before, unless that still
    /// lasts.
    pub(super) fn after(
        before: Option<&Self>,
        now: Timestamp,
        class: &str,
        message: &str,
        options: &NodeOptions,
    ) -> Self {
        let duration_ms = match before {
            Some(last) if last.until < now => last
                .duration_ms
                .saturating_mul(2)
                .min(options.max_backoff_ms),
            Some(last) => last.duration_ms,
            None => options.initial_backoff_ms,
        };
        Self {
            duration_ms,
            until: now.plus(duration_ms),
            failed_at: now,
            class: class.into(),
            message: message.into(),
        }
    }
}

impl Backoffs {
    /// A group failed. Failures while it is left alone anyway don't double the time.
    pub fn fail(
        &mut self,
        now: Timestamp,
        group: &Arc<str>,
        class: &str,
        message: &str,
        options: &NodeOptions,
    ) -> &Backoff {
        let backoff = Backoff::after(self.groups.get(group), now, class, message, options);
        self.groups
            .entry(Arc::clone(group))
            .insert_entry(backoff)
            .into_mut()
    }

    /// Why and until when no nodes are ordered from a group. `None` if it is not backed
    /// off.
    #[must_use]
    pub fn of(&self, now: Timestamp, group: &str) -> Option<&Backoff> {
        self.groups
            .get(group)
            .filter(|backoff| backoff.until >= now)
    }

    /// When a group last failed, if that is still remembered.
    #[must_use]
    pub fn last(&self, group: &str) -> Option<Timestamp> {
        self.groups.get(group).map(|backoff| backoff.failed_at)
    }

    /// The groups that are left alone now.
    pub fn active(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, &Backoff)> {
        self.groups
            .iter()
            .filter(move |(_, backoff)| backoff.until >= now)
    }

    /// A group delivered: its failures are forgotten.
    pub fn succeed(&mut self, group: &str) {
        self.groups.remove(group);
    }

    /// Forgets what failed so long ago that it says nothing any more.
    pub fn forget(&mut self, now: Timestamp, options: &NodeOptions) {
        self.groups
            .retain(|_, backoff| now.since(backoff.failed_at) <= options.backoff_reset_ms);
        self.zones.forget(now, options);
    }

    /// The earliest time at which some group is no longer left alone.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.groups.values().map(|backoff| backoff.until);
        ends.filter(|&until| until >= now).min()
    }
}
