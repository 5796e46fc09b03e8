//! Nodes that a group has no instance of, and since when.

use flyball_decision::time::Timestamp;

/// Nodes that a group's target asks for and that its cloud has no instance of, the
/// oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct MissingInstances(Vec<MissingBatch>);

/// Nodes that have been missing since the same time.
#[derive(Clone, Copy, Debug)]
struct MissingBatch {
    since: Timestamp,
    count: u32,
    /// Whether the delay was reported.
    reported: bool,
}

impl MissingInstances {
    /// Adds `count` ordered nodes.
    pub(super) fn add(&mut self, now: Timestamp, count: u32) {
        self.0.push(MissingBatch {
            since: now,
            count,
            reported: false,
        });
    }

    /// Sets the number of missing nodes. Nodes that were created or cancelled since count
    /// as the oldest.
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

    /// Returns how many nodes have been missing for longer than `length_ms`, and whether
    /// all of them were reported.
    pub(super) fn longer_than(&self, now: Timestamp, length_ms: i64) -> (u32, bool) {
        let late = |batch: &MissingBatch| now.since(batch.since) > length_ms;
        // The oldest come first.
        let late = &self.0[..self.0.partition_point(late)];
        (sum(late), late.iter().all(|batch| batch.reported))
    }

    /// Marks the oldest `count` nodes as reported.
    pub(super) fn mark_reported(&mut self, mut count: u32) {
        for batch in &mut self.0 {
            if count == 0 {
                return;
            }
            count = count.saturating_sub(batch.count);
            batch.reported = true;
        }
    }
}

fn sum(batches: &[MissingBatch]) -> u32 {
    let counts = batches.iter().map(|batch| batch.count);
    counts.fold(0, u32::saturating_add)
}
