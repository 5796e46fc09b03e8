//! History of the nodes that were removed on purpose, and of what that did to pods.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;

/// Removals of nodes in a run, with sums. Nodes that die are not included.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Removals {
    /// The removed nodes, in the order in which the cloud accepted their deletion.
    pub nodes: Vec<RemovedNode>,
    /// Number of evictions of pods other than those of DaemonSets.
    pub evictions: u64,
    /// Number of evictions that the API server refused.
    pub refused: u64,
    /// Number of drains that were taken back: the node stayed.
    pub taken_back: u64,
    /// Number of pods that took the place of ones that drains took away, and fitted on no
    /// node when they were created.
    pub pending: u64,
    /// Number of pods that were lost with a removed node, without having been evicted.
    pub lost: u64,
}

/// A removed node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovedNode {
    /// When the cloud accepted its deletion, in milliseconds since the start.
    pub at_ms: i64,
    /// When it joined, in milliseconds since the start.
    pub joined_ms: i64,
    /// Its name.
    pub name: Arc<str>,
    /// Its node group.
    pub group: Arc<str>,
    /// Its zone, if it had one.
    pub zone: Option<Arc<str>>,
    /// The pods that were evicted from it.
    pub evicted: Vec<ObjectKey>,
}

impl Removals {
    /// Reports whether no node was removed, and no removal was tried.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the number of pods moved for each removed node. `None` if no node was
    /// removed.
    #[must_use]
    pub fn moved_per_node(&self) -> Option<f64> {
        let nodes = self.nodes.len() as f64;
        (nodes > 0.0).then(|| self.evictions as f64 / nodes)
    }
}
