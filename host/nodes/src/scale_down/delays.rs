//! Delays: for a while after nodes were added, removed, or failed to be removed, none is
//! removed.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::options::ScaleDownOptions;
use flyball_decision::time::Timestamp;

/// When nodes were last added, removed and failed to be removed, by node group.
#[derive(Clone, Debug, Default)]
pub(crate) struct Delays {
    added: BTreeMap<Arc<str>, Timestamp>,
    removed: BTreeMap<Arc<str>, Timestamp>,
    failed: BTreeMap<Arc<str>, Timestamp>,
}

impl Delays {
    /// Notes that nodes of a group were ordered.
    pub(crate) fn note_added(&mut self, group: &Arc<str>, now: Timestamp) {
        self.added.insert(Arc::clone(group), now);
    }

    /// Notes that nodes of a group were removed.
    pub(crate) fn note_removed(&mut self, group: &Arc<str>, now: Timestamp) {
        self.removed.insert(Arc::clone(group), now);
    }

    /// Notes that a node of a group could not be removed.
    pub(crate) fn note_failed(&mut self, group: &Arc<str>, now: Timestamp) {
        self.failed.insert(Arc::clone(group), now);
    }

    /// Until when no node of a group is removed.
    pub(crate) fn until(&self, group: &str, options: &ScaleDownOptions) -> Option<Timestamp> {
        let kinds = [
            (&self.added, options.delay_after_add_ms),
            (&self.removed, options.delay_after_delete_ms),
            (&self.failed, options.delay_after_failure_ms),
        ];
        let until = kinds.into_iter().filter_map(|(times, delay)| {
            let last = match options.delay_type_local {
                true => times.get(group),
                false => times.values().max(),
            };
            Some(last?.plus(delay))
        });
        until.max()
    }
}
