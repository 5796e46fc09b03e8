//! How pods leave: deletions, evictions, and nodes that are gone.

use flyball_decision::time::Timestamp;

use super::{Change, NEVER, PodEntry, Pods};
use crate::scenario::WorkloadKind;
use crate::time::Delay;
use crate::world::meter::Usage;

impl Pods {
    /// Deletes a pod for a drain, with a grace period in milliseconds; `None` for its own.
    /// It is gone within the grace, unless it never terminates.
    pub fn evict(&mut self, now: Timestamp, id: u64, grace_ms: Option<i64>, used: Usage) {
        let Some(index) = self.entries.iter().position(|entry| entry.id == id) else {
            return;
        };
        let entry = &self.entries[index];
        let (was_alive, owed) = (entry.is_alive(), self.is_owed(entry));
        self.note_taken(was_alive);
        self.owed += usize::from(owed);
        let grace_ms = grace_ms.unwrap_or(self.grace_ms).max(0);
        self.delete_entry(index, now, grace_ms);
        self.pass(now, used);
    }

    /// Removes a pod whose node is gone. `drained`: the node was removed on purpose.
    pub fn lose(&mut self, now: Timestamp, id: u64, drained: bool, used: Usage) {
        if let Some(index) = self.entries.iter().position(|entry| entry.id == id) {
            let lost = self.entries.remove(index);
            self.note_taken(lost.is_alive());
            self.owed += usize::from(drained && self.is_owed(&lost));
        }
        self.pass(now, used);
    }

    /// Reports whether another pod takes the place of this one.
    fn is_owed(&self, entry: &PodEntry) -> bool {
        entry.is_alive() && self.kind != WorkloadKind::Pod
    }

    /// Notes that a pod was taken away: without a controller, none takes its place.
    pub(super) fn note_taken(&mut self, was_alive: bool) {
        self.lost += usize::from(was_alive && self.kind == WorkloadKind::Pod);
    }

    /// Deletes a pod. One that does not run is removed at once; deleted again, it is gone
    /// at the earlier of both times.
    pub(super) fn delete_entry(&mut self, index: usize, now: Timestamp, grace_ms: i64) {
        let termination = self.termination;
        let entry = &mut self.entries[index];
        let runs = entry.bound.is_some() && !entry.ended;
        let grace_ms = if runs { grace_ms } else { 0 };
        let gone_at = match termination {
            Delay::Never if runs => NEVER,
            Delay::After(length) if runs => now.plus(length.0.min(grace_ms)),
            _ => now,
        };
        let earlier = entry.gone_at.map_or(gone_at, |before| before.min(gone_at));
        entry.gone_at = Some(earlier);
        entry.deletion.get_or_insert(now);
        let id = entry.id;
        self.record_change(Change::Deleted(id, now.plus(grace_ms)));
    }
}
