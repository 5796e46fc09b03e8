//! What is remembered of a group: which of its nodes are waited for, since when, and
//! what was told of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::missing::Missing;
use crate::nodes::cloud::InstanceError;
use crate::time::Timestamp;

/// What is remembered of a group from one pass to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// When nodes were last ordered, if they have not all come.
    pub(super) ordered_at: Option<Timestamp>,
    /// Nodes without an instance.
    pub(super) missing: Missing,
    /// Instances without a node that is ready.
    waiting: BTreeMap<Arc<str>, Waiting>,
}

/// An instance whose node is not ready.
#[derive(Clone, Copy, Debug)]
struct Waiting {
    /// It can't be had; else it is on its way.
    failed: bool,
    since: Timestamp,
    /// It was told that it failed, or has not come in time.
    told: bool,
}

/// Something that went wrong with a group's nodes.
#[derive(Clone, Debug)]
pub(in crate::nodes) struct Found {
    pub(in crate::nodes) what: Trouble,
    /// It was not told of yet, or not of all of it.
    pub(in crate::nodes) new: bool,
}

/// What went wrong.
#[derive(Clone, Debug)]
pub(in crate::nodes) enum Trouble {
    /// Instances that can't be had, and why the first of them can't.
    Failed(Vec<Arc<str>>, InstanceError),
    /// So many nodes that there is no instance for have not come in time.
    Lost(u32),
    /// Instances whose node has not joined in time.
    Overdue(Vec<Arc<str>>),
    /// Instances whose node has joined and has not become ready in time.
    Unready(Vec<Arc<str>>),
}

impl Trouble {
    /// How many nodes are not to be counted on any longer.
    pub(super) fn gone(&self) -> u32 {
        match self {
            Self::Failed(ids, _) | Self::Overdue(ids) => {
                u32::try_from(ids.len()).unwrap_or(u32::MAX)
            }
            Self::Lost(count) => *count,
            Self::Unready(_) => 0,
        }
    }
}

impl Memory {
    /// Begins a census: what was known of instances. Those that are waited for still
    /// are to be looked up in it.
    pub(super) fn begin(&mut self) -> Known {
        Known(std::mem::take(&mut self.waiting))
    }

    /// An instance is waited for, or failed: since when that has been known, and
    /// whether it was told.
    pub(super) fn wait(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        failed: bool,
        known: &Known,
    ) -> (Timestamp, bool) {
        let known = known.0.get(id).filter(|known| known.failed == failed);
        let waiting = known.copied().unwrap_or(Waiting {
            failed,
            since: now,
            told: false,
        });
        self.waiting.insert(Arc::clone(id), waiting);
        (waiting.since, waiting.told)
    }

    /// Something was told of.
    pub(super) fn tell(&mut self, what: &Trouble) {
        match what {
            Trouble::Lost(count) => self.missing.tell(*count),
            Trouble::Failed(ids, _) | Trouble::Overdue(ids) | Trouble::Unready(ids) => {
                for id in ids {
                    if let Some(waiting) = self.waiting.get_mut(id) {
                        waiting.told = true;
                    }
                }
            }
        }
    }
}

/// Instances that were waited for when the last census was taken.
pub(super) struct Known(BTreeMap<Arc<str>, Waiting>);

impl Known {
    /// Whether an instance was waited for.
    pub(super) fn waits(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}
