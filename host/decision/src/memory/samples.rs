//! Columns of recommendations or changes over time.

use crate::replica::Samples;
use crate::time::Timestamp;

impl Samples {
    /// Appends a sample, which must be the latest.
    pub fn push(&mut self, at: Timestamp, replicas: i32) {
        self.at_ms.push(at.0);
        self.replicas.push(replicas);
    }

    /// Appends the latest sample, and forgets those that can no longer be the highest or
    /// the lowest of a window that ends now or later. A window with a sample in it also
    /// has all later ones, so a sample that is neither above nor below all of these can't
    /// be. Few samples remain, however long the window and however short the time between
    /// two.
    pub fn push_extreme(&mut self, at: Timestamp, replicas: i32) {
        let (mut lowest, mut highest) = (replicas, replicas);
        let mut kept = self.at_ms.len();
        for row in (0..self.at_ms.len()).rev() {
            let known = self.replicas[row];
            if known < lowest || known > highest {
                lowest = lowest.min(known);
                highest = highest.max(known);
                kept -= 1;
                self.at_ms[kept] = self.at_ms[row];
                self.replicas[kept] = known;
            }
        }
        self.forget_first(kept);
        self.push(at, replicas);
    }

    /// Forgets samples older than `window_ms`, of sorted samples.
    pub fn prune(&mut self, now: Timestamp, window_ms: i64) {
        let is_old = |&&at: &&i64| now.since(Timestamp(at)) > window_ms;
        self.forget_first(self.at_ms.iter().take_while(is_old).count());
    }

    /// Forgets all but the latest `most`.
    pub fn keep_latest(&mut self, most: usize) {
        self.forget_first(self.at_ms.len().saturating_sub(most));
    }

    /// Moves samples that are later than `now` to `now`, or they would count until `now`
    /// reaches them.
    pub fn end_at(&mut self, now: Timestamp) {
        for at in &mut self.at_ms {
            *at = now.0.min(*at);
        }
    }

    /// Forgets samples older than `window_ms`, in any order.
    pub fn retain_within(&mut self, now: Timestamp, window_ms: i64) {
        let is_old = |&at: &i64| now.since(Timestamp(at)) > window_ms;
        while let Some(old) = self.at_ms.iter().position(is_old) {
            self.at_ms.remove(old);
            self.replicas.remove(old);
        }
    }

    fn forget_first(&mut self, count: usize) {
        self.at_ms.drain(..count);
        self.replicas.drain(..count);
    }
}
