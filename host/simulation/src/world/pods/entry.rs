//! One pod of a workload.

use std::sync::Arc;

use flyball_decision::time::Timestamp;

use super::NEVER;
use crate::world::meter::Usage;

/// A change of a pod that runs on a node, or waits for one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It was created, and waits for a node.
    Created {
        /// Its number.
        id: u64,
        /// Its name.
        name: Arc<str>,
        /// Its creation.
        at: Timestamp,
        /// Whether it takes the place of a pod that a drain took away.
        replaces: bool,
    },
    /// Its containers run.
    Running(u64),
    /// It is Ready.
    Ready(u64),
    /// It was deleted, and keeps its resources until it is gone; with its
    /// metadata.deletionTimestamp.
    Deleted(u64, Timestamp),
    /// It ended by itself, and is kept.
    Ended(u64),
    /// It was removed.
    Gone(u64),
}

/// A pod.
#[derive(Clone, Debug)]
pub struct PodEntry {
    /// Number of the pod in its workload.
    pub id: u64,
    /// Number in its name, in a StatefulSet.
    pub ordinal: u64,
    /// Name.
    pub name: Arc<str>,
    /// Creation time.
    pub created: Timestamp,
    /// When it was bound to a node; without nodes, its creation.
    pub bound: Option<Timestamp>,
    /// When it starts to run; never as long as it waits for a node.
    pub running_at: Timestamp,
    /// Whether it is Running.
    pub running: bool,
    /// When it becomes Ready.
    pub ready_at: Timestamp,
    /// When it ends by itself.
    pub ends_at: Timestamp,
    /// Whether it has ended by itself.
    pub ended: bool,
    /// When it will be removed, if it was deleted.
    pub gone_at: Option<Timestamp>,
    /// When it was deleted.
    pub deletion: Option<Timestamp>,
    /// Usage counter of Ready pods when this one became Ready.
    pub used_before: Option<Usage>,
}

impl PodEntry {
    /// Reports whether it has not ended and is not deleted.
    pub fn is_alive(&self) -> bool {
        self.deletion.is_none() && !self.ended
    }

    /// Applies what is due by `now`, except for its removal. Returns the changes.
    pub(super) fn pass(&mut self, now: Timestamp, used: Usage) -> impl Iterator<Item = Change> {
        let runs = !self.running && self.running_at <= now;
        self.running = self.running_at <= now;
        let becomes_ready = self.used_before.is_none() && self.ready_at <= now;
        if becomes_ready {
            self.used_before = Some(used);
        }
        let ends = self.is_alive() && self.running && self.ends_at <= now;
        self.ended |= ends;
        let changes = [
            runs.then_some(Change::Running(self.id)),
            becomes_ready.then_some(Change::Ready(self.id)),
            ends.then_some(Change::Ended(self.id)),
        ];
        changes.into_iter().flatten()
    }

    /// Returns the time of its next change after `now`.
    pub(super) fn next_change(&self, now: Timestamp) -> Timestamp {
        let ends_at = if self.is_alive() { self.ends_at } else { NEVER };
        let removal = self.gone_at.unwrap_or(NEVER);
        let changes = [self.running_at, self.ready_at, ends_at, removal];
        let coming = changes.into_iter().filter(|at| *at > now);
        coming.fold(NEVER, Timestamp::min)
    }
}
