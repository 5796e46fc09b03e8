//! Marks and rollbacks: a log of changes that can be undone.

use std::sync::Arc;

use hashbrown::HashMap;

use super::nodes::Slot;
use super::{ClassId, Cluster, NodeId};
use crate::{Labels, Name, Node};

/// A state of the cluster to roll back to.
#[derive(Debug)]
#[must_use = "changes are recorded until the mark is rolled back or kept"]
pub struct Mark {
    changes: usize,
}

/// A change of the cluster.
pub(super) enum Change {
    Added(NodeId),
    Replaced(NodeId, Arc<Node>),
    Removed(Box<Slot>),
    Namespace(Name, Option<Labels>),
    Shifted {
        class: ClassId,
        node: NodeId,
        terminating: bool,
        up: bool,
    },
}

#[derive(Default)]
pub(super) struct Journal {
    changes: Vec<Change>,
    /// Number of open marks.
    marks: usize,
    namespaces: HashMap<Name, Labels>,
}

impl Journal {
    pub(super) fn push(&mut self, change: Change) {
        if self.marks > 0 {
            self.changes.push(change);
        }
    }

    /// Returns the namespaces and their labels, in no particular order.
    #[expect(
        clippy::disallowed_methods,
        reason = "what is set in another order answers the same"
    )]
    pub(super) fn namespaces(&self) -> impl Iterator<Item = (&Name, &Labels)> {
        self.namespaces.iter()
    }

    /// Returns the labels of a namespace.
    pub(super) fn namespace(&self, name: &str) -> Option<&Labels> {
        self.namespaces.get(name)
    }

    /// Sets a namespace's labels, or removes the namespace. Returns the labels that it
    /// had.
    pub(super) fn set_namespace(&mut self, name: &Name, labels: Option<Labels>) -> Option<Labels> {
        match labels {
            Some(labels) => self.namespaces.insert(name.clone(), labels),
            None => self.namespaces.remove(name),
        }
    }
}

impl Cluster {
    /// Marks the present state. Changes are recorded until the mark is passed to
    /// [`Self::rollback`] or [`Self::keep`]. Marks may be nested; the inner one must be
    /// closed first.
    pub fn mark(&mut self) -> Mark {
        self.journal.marks += 1;
        Mark {
            changes: self.journal.changes.len(),
        }
    }

    /// Undoes every change since a mark. Nodes, namespaces and placed pods are as they
    /// were, and restored nodes have the ids that they had. Classes are not removed.
    pub fn rollback(&mut self, mark: Mark) {
        let marks = std::mem::take(&mut self.journal.marks);
        while self.journal.changes.len() > mark.changes {
            if let Some(change) = self.journal.changes.pop() {
                self.undo(change);
            }
        }
        self.journal.marks = marks;
        self.close();
    }

    /// Keeps the changes since a mark.
    pub fn keep(&mut self, _mark: Mark) {
        self.close();
    }

    fn close(&mut self) {
        self.journal.marks -= 1;
        if self.journal.marks == 0 {
            self.journal.changes.clear();
            self.new_nodes.forget_templates();
        }
    }

    fn undo(&mut self, change: Change) {
        match change {
            Change::Added(id) => self.remove_node(id),
            Change::Replaced(id, node) => self.set_node(id, node),
            Change::Removed(slot) => self.put_back(*slot),
            Change::Namespace(name, labels) => self.change_namespace(&name, labels),
            Change::Shifted {
                class,
                node,
                terminating,
                up,
            } => {
                self.shift(class, node, terminating, !up);
            }
        }
    }
}
