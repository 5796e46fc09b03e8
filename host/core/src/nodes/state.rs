//! The cluster as the nodes half sees it.

/// Nodes, pods and what waits for nodes, kept up to date by watches.
#[derive(Debug, Default)]
pub struct ClusterState {}
