//! Columns of what was asked for or changed, in the order of time.

use crate::replica::Samples;
use crate::time::Timestamp;

impl Samples {
    /// Adds the latest.
    pub fn push(&mut self, at: Timestamp, replicas: i32) {
        self.at_ms.push(at.0);
        self.replicas.push(replicas);
    }

    /// Adds the latest, and forgets those that no window from then until now or
    /// later has for its highest or its lowest. A window with a sample in it has all
    /// that came after, too: one that is neither above nor below all of these can't
    /// be. So few are left, however long the window and short the time between two.
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

    /// Forgets what is older than `window_ms`.
    pub fn prune(&mut self, now: Timestamp, window_ms: i64) {
        let is_old = |&&at: &&i64| now.since(Timestamp(at)) > window_ms;
        self.forget_first(self.at_ms.iter().take_while(is_old).count());
    }

    /// Forgets all but the latest `most`.
    pub(super) fn keep_latest(&mut self, most: usize) {
        self.forget_first(self.at_ms.len().saturating_sub(most));
    }

    /// Nothing is later than `now`, or it would count until `now` has come there.
    pub(super) fn end_at(&mut self, now: Timestamp) {
        for at in &mut self.at_ms {
            *at = now.0.min(*at);
        }
    }

    /// Forgets what is older than `window_ms`, in whatever order it is.
    pub(super) fn retain_within(&mut self, now: Timestamp, window_ms: i64) {
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
