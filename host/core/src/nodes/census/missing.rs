//! Since when a group has been short of instances.

use crate::time::Timestamp;

/// Nodes that a group's target asks for and that its cloud has no instance of: how
/// many since when, the oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing(Vec<(Timestamp, u32)>);

impl Missing {
    /// So many more were ordered.
    pub(super) fn add(&mut self, now: Timestamp, count: u32) {
        self.0.push((now, count));
    }

    /// So many are missing now. What has come since, or was taken back, counts as the
    /// oldest of them.
    pub(super) fn settle(&mut self, now: Timestamp, count: u32) {
        let known = self.count(|_| true);
        if count > known {
            self.0.push((now, count - known));
        }
        let mut gone = known.saturating_sub(count);
        self.0.retain_mut(|(_, count)| {
            let taken = gone.min(*count);
            gone -= taken;
            *count -= taken;
            *count > 0
        });
    }

    /// How many have been missing for longer than that.
    pub(super) fn longer_than(&self, now: Timestamp, length_ms: i64) -> u32 {
        self.count(|since| now.since(since) > length_ms)
    }

    fn count(&self, which: impl Fn(Timestamp) -> bool) -> u32 {
        let counted = self.0.iter().filter(|(since, _)| which(*since));
        counted.fold(0, |sum, (_, count)| sum.saturating_add(*count))
    }
}
