//! What has changed since a pass: for all of the state, and node by node.
//!
//! Scale-up and scale-down count changes apart, since scale-up skips a pass whose inputs
//! are unchanged, and most changes that scale-down alone reads are frequent: readiness of
//! pods and status of budgets.

use std::collections::BTreeSet;
use std::sync::Arc;

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
    /// owner of such a pod (its existence, `desired` or `deleting`; not `ready`), a budget
    /// that selects a pod bound to it, or the labels of such a pod's namespace.
    ///
    /// Changes of storage and DaemonSets, and of other nodes, are not among them although
    /// they may change where pods fit: they only count in [`Self::drain_revision`].
    ///
    /// Reads the nodes only, or each pod if a budget or a namespace has changed.
    pub fn changed_since(&self, revision: u64) -> impl Iterator<Item = NodeView<'_>> {
        let budgets = self.budgets.changes(revision);
        let namespaces = self.namespace_changes.iter();
        let namespaces = namespaces.filter(|(_, changed)| **changed > revision);
        let namespaces: BTreeSet<&str> = namespaces.map(|(name, _)| &**name).collect();
        let has_changed_namespace = move |entry: &NodeEntry| {
            let mut pods = entry.pods.iter();
            !namespaces.is_empty()
                && pods.any(|&slot| {
                    let pod = self.pods.view(slot);
                    pod.is_some_and(|pod| namespaces.contains(&*pod.key.namespace))
                })
        };
        let has_changed_budget = move |entry: &NodeEntry| {
            budgets.as_ref().is_some_and(|budgets| {
                let mut classes = entry.pods.iter().filter_map(|&slot| self.pods.class(slot));
                classes.any(|class| budgets.concern(class))
            })
        };
        let entries = self.nodes.iter().map(|(_, entry)| entry);
        let known = entries.filter_map(|entry| Some((entry, entry.view()?)));
        let changed = known.filter(move |(entry, _)| {
            entry.changed > revision || has_changed_budget(entry) || has_changed_namespace(entry)
        });
        changed.map(|(_, view)| view)
    }

    /// Notes that the labels of a namespace have changed.
    pub(super) fn note_namespace(&mut self, name: &Arc<str>) {
        self.namespace_changes
            .insert(Arc::clone(name), self.drain_revision);
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
