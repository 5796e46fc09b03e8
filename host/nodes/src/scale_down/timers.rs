//! Since when nodes have been unneeded.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::time::Timestamp;

/// Since when nodes have been unneeded without a break, by name.
#[derive(Clone, Debug, Default)]
pub struct UnneededTimers {
    nodes: BTreeMap<Arc<str>, Timer>,
}

#[derive(Clone, Copy, Debug)]
struct Timer {
    since: Timestamp,
    /// Creation of the node. Another node of the same name starts anew.
    created: Timestamp,
}

impl UnneededTimers {
    /// Since when a node has been unneeded.
    #[must_use]
    pub fn since(&self, node: &str) -> Option<Timestamp> {
        self.nodes.get(node).map(|timer| timer.since)
    }

    /// Replaces the unneeded nodes, given by name and creation. Nodes that were unneeded
    /// before keep their time.
    pub(super) fn update<'a>(
        &mut self,
        now: Timestamp,
        unneeded: impl Iterator<Item = (&'a Arc<str>, Timestamp)>,
    ) {
        let before = std::mem::take(&mut self.nodes);
        for (name, created) in unneeded {
            let known = before.get(name);
            let known = known.filter(|timer| timer.created == created);
            let since = known.map_or(now, |timer| timer.since);
            self.nodes
                .insert(Arc::clone(name), Timer { since, created });
        }
    }

    /// Forgets all times.
    pub(crate) fn clear(&mut self) {
        self.nodes.clear();
    }

    /// Restores a timer from before a restart.
    pub(crate) fn restore(&mut self, node: &Arc<str>, since: Timestamp, created: Timestamp) {
        self.nodes
            .insert(Arc::clone(node), Timer { since, created });
    }
}

/// Whether a time has passed, strictly, as in Cluster Autoscaler. A time of zero has always
/// passed.
pub(super) fn has_passed(since: Timestamp, time_ms: i64, now: Timestamp) -> bool {
    time_ms <= 0 || since.plus(time_ms) < now
}
