//! Which rows of a question are which pods and nodes.

use std::sync::Arc;

use crate::state::ClusterState;

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
    /// Returns `namespace/name` of the pod of each row.
    pub(super) fn pod_names(&self, state: &ClusterState) -> Vec<Arc<str>> {
        let names = self.slots.iter().map(|&slot| {
            let pod = state.pod_at(slot)?;
            Some(format!("{}/{}", pod.key.namespace, pod.key.name).into())
        });
        names.map(Option::unwrap_or_default).collect()
    }
}
