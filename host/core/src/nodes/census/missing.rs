//! Since when a group has been short of instances.

use crate::time::Timestamp;

/// Nodes that a group's target asks for and that its cloud has no instance of, the
/// oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct Missing(Vec<Batch>);

/// Nodes that have been missing for equally long.
#[derive(Clone, Copy, Debug)]
struct Batch {
    since: Timestamp,
    count: u32,
    /// It was told that they have not come in time.
    told: bool,
}

impl Missing {
    /// So many more were ordered.
    pub(super) fn add(&mut self, now: Timestamp, count: u32) {
        self.0.push(Batch {
            since: now,
            count,
            told: false,
        });
    }

    /// So many are missing now. What has come since, or was taken back, counts as the
    /// oldest of them.
    pub(super) fn settle(&mut self, now: Timestamp, count: u32) {
        let known = sum(&self.0);
        if count > known {
            self.add(now, count - known);
        }
        let mut gone = known.saturating_sub(count);
        self.0.retain_mut(|batch| {
            let taken = gone.min(batch.count);
            gone -= taken;
            batch.count -= taken;
            batch.count > 0
        });
    }

    /// How many have been missing for longer than that, and whether some of them were
    /// not told of yet.
    pub(super) fn longer_than(&self, now: Timestamp, length_ms: i64) -> (u32, bool) {
        let late = |batch: &Batch| now.since(batch.since) > length_ms;
        // The oldest come first.
        let late = &self.0[..self.0.partition_point(late)];
        (sum(late), late.iter().any(|batch| !batch.told))
    }

    /// So many of them, the oldest, were told of.
    pub(super) fn tell(&mut self, mut count: u32) {
        for batch in &mut self.0 {
            if count == 0 {
                return;
            }
            count = count.saturating_sub(batch.count);
            batch.told = true;
        }
    }
}

fn sum(batches: &[Batch]) -> u32 {
    let counts = batches.iter().map(|batch| batch.count);
    counts.fold(0, u32::saturating_add)
}
