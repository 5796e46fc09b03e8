//! Which rows of a question are which pods and nodes.

use std::sync::Arc;

use crate::state::ClusterState;
use flyball_decision::key::ObjectKey;

/// A node of a question about pods, and its rows.
pub(super) struct NodeRows {
    pub(super) name: Arc<str>,
    /// First row after its pods. They begin where those of the node before end.
    pub(super) end: usize,
}

/// The rows of a question about pods.
#[derive(Default)]
pub(super) struct PodRows {
    pub(super) nodes: Vec<NodeRows>,
    /// Slot of the pod of each row.
    pub(super) slots: Vec<u32>,
}

impl PodRows {
    /// Returns the pod of each row.
    pub(super) fn pod_names(&self, state: &ClusterState) -> Vec<ObjectKey> {
        let pods = self.slots.iter().filter_map(|&slot| state.pod_at(slot));
        pods.map(|pod| pod.key.clone()).collect()
    }
}
