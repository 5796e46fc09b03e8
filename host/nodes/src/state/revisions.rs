//! What has changed since a pass: for all of the state, and node by node.
//!
//! Scale-up and scale-down count changes apart, since scale-up skips a pass whose inputs
//! are unchanged, and most changes that scale-down alone reads are frequent: readiness of
//! pods and status of budgets.

use super::node_table::NodeEntry;
use super::{ClusterState, NodeView};

impl ClusterState {
    /// Number of changes so far, other than those that only scale-down reads.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Number of changes so far, of any kind. The marks of [`Self::changed_since`] are
    /// such numbers.
    #[must_use]
    pub fn drain_revision(&self) -> u64 {
        self.drain_revision
    }

    /// Number of times that ids of classes have changed. A [`flyball_placement::ClassId`]
    /// is only valid for as long as this number is the same.
    #[must_use]
    pub fn class_generation(&self) -> u64 {
        self.class_generation
    }

    /// The nodes, ordered by name, of which something that decides whether they may go
    /// has changed after a drain revision: the node, a pod bound or nominated to it, an
    /// owner of such a pod (its existence, `desired` or `deleting`; not `ready`), or a
    /// budget that selects a pod bound to it.
    ///
    /// Changes of namespaces, storage and DaemonSets, and of other nodes, are not among
    /// them although they may change where pods fit: they only count in
    /// [`Self::drain_revision`].
    ///
    /// Reads the nodes only, or each pod if a budget has changed.
    pub fn changed_since(&self, revision: u64) -> impl Iterator<Item = NodeView<'_>> {
        let budgets = self.budgets.changes(revision);
        let has_changed_budget = move |entry: &NodeEntry| {
            budgets.as_ref().is_some_and(|budgets| {
                let mut classes = entry.pods.iter().filter_map(|&slot| self.pods.class(slot));
                classes.any(|class| budgets.concern(class))
            })
        };
        let entries = self.nodes.iter().map(|(_, entry)| entry);
        let known = entries.filter_map(|entry| Some((entry, entry.view()?)));
        let changed =
            known.filter(move |(entry, _)| entry.changed > revision || has_changed_budget(entry));
        changed.map(|(_, view)| view)
    }

    /// Counts a change that scale-up may read.
    pub(super) fn count_change(&mut self) {
        self.revision += 1;
        self.drain_revision += 1;
    }

    /// Counts a change that only scale-down reads.
    pub(super) fn count_drain_change(&mut self) {
        self.drain_revision += 1;
    }

    /// Counts a change that only scale-down reads and that concerns all nodes.
    pub(super) fn count_drain_change_of_all(&mut self) {
        self.count_drain_change();
        self.nodes.mark_all(self.drain_revision);
    }
}
