//! Backoff of node groups after failures: no nodes are ordered from them for a while,
//! longer each time.

mod zone_orders;

use std::collections::BTreeMap;
use std::sync::Arc;

pub use self::zone_orders::{ZoneOrder, ZoneOrders};
use super::options::NodeOptions;
use flyball_decision::text;
use flyball_decision::time::Timestamp;

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
    /// Length of the backoff.
    pub duration_ms: i64,
    /// End of the backoff, inclusive.
    pub until: Timestamp,
    /// When it failed.
    pub failed_at: Timestamp,
    /// Stable class of the failure, such as `ScaleUpTimedOut` or the class of a cloud
    /// error.
    pub class: Arc<str>,
    /// Message for people.
    pub message: Arc<str>,
}

impl Backoff {
    /// Returns the backoff after a failure. It is twice as long as the one before, or
    /// equally long if that one has not ended.
    fn after(
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
            message: text::message(message).into(),
        }
    }
}

impl Backoffs {
    /// Backs a group off after a failure. A failure during a backoff does not double its
    /// length.
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

    /// The current backoff of a group. `None` if it is not backed off.
    #[must_use]
    pub fn of(&self, now: Timestamp, group: &str) -> Option<&Backoff> {
        self.groups
            .get(group)
            .filter(|backoff| backoff.until >= now)
    }

    /// Time of a group's last failure. `None` if there was none or it was forgotten.
    #[must_use]
    pub fn last(&self, group: &str) -> Option<Timestamp> {
        self.groups.get(group).map(|backoff| backoff.failed_at)
    }

    /// The groups that are backed off now.
    pub fn active(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, &Backoff)> {
        self.groups
            .iter()
            .filter(move |(_, backoff)| backoff.until >= now)
    }

    /// Forgets the failures of a group that delivered its nodes.
    pub fn succeed(&mut self, group: &str) {
        self.groups.remove(group);
    }

    /// Forgets failures that are older than the reset time.
    pub fn forget(&mut self, now: Timestamp, options: &NodeOptions) {
        self.groups
            .retain(|_, backoff| now.since(backoff.failed_at) <= options.backoff_reset_ms);
        self.zones.forget(now, options);
    }

    /// The earliest end of a current backoff.
    #[must_use]
    pub fn next(&self, now: Timestamp) -> Option<Timestamp> {
        let ends = self.groups.values().map(|backoff| backoff.until);
        ends.filter(|&until| until >= now).min()
    }
}
