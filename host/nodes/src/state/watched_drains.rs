//! Nodes that are being drained: the loop is woken when one of them changes.

use std::sync::Arc;

use super::ClusterState;

/// The nodes, and the drain revision up to which their changes are known.
#[derive(Default)]
pub(super) struct WatchedDrains {
    nodes: Vec<Arc<str>>,
    seen: u64,
}

impl ClusterState {
    /// Replaces the nodes whose changes are reported.
    pub fn watch_drains(&mut self, nodes: Vec<Arc<str>>) {
        self.watched_drains.nodes = nodes;
    }

    /// Whether a watched node, a pod on one, or any budget has changed since
    /// [`Self::take_drain_change`]. A budget may allow an eviction then.
    #[must_use]
    pub fn has_drain_change(&self) -> bool {
        let WatchedDrains { nodes, seen } = &self.watched_drains;
        let has_budgets_changed = !nodes.is_empty() && self.budgets_revision() > *seen;
        has_budgets_changed
            || nodes.iter().any(|name| {
                let node = self.node(name);
                node.is_none_or(|node| node.changed > *seen)
            })
    }

    /// Whether a watched node, or a pod on one, has changed since the last call.
    pub fn take_drain_change(&mut self) -> bool {
        let has_changed = self.has_drain_change();
        self.watched_drains.seen = self.drain_revision();
        has_changed
    }
}
