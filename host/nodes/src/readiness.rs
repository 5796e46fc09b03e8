//! Readiness of nodes: which take pods, and which have not started yet.

use flyball_placement::Taint;

use super::gpu::{gpus, has_gpu_label};
use super::options::NodeOptions;
use super::state::NodeView;
use flyball_decision::time::Timestamp;

/// Age at which a node counts as started even if it is not ready (default of Cluster
/// Autoscaler's `--max-node-startup-time`).
const STARTUP_MS: i64 = 15 * 60_000;

/// Prefixes of taints that a node has only while it starts.
const STARTUP_PREFIXES: &[&str] = &[
    "ignore-taint.cluster-autoscaler.kubernetes.io/",
    "startup-taint.cluster-autoscaler.kubernetes.io/",
];

/// Whether a taint is one that nodes have only while they start.
pub(super) fn is_startup_taint(taint: &Taint, options: &NodeOptions) -> bool {
    let key = &*taint.key;
    let mut prefixes = STARTUP_PREFIXES.iter();
    prefixes.any(|prefix| key.starts_with(prefix)) || options.startup_taints.contains(&taint.key)
}

/// Taint of a node that is being removed.
pub(super) const TO_BE_DELETED: &str = "ToBeDeletedByClusterAutoscaler";

/// Whether a node is being drained, to be deleted.
pub(super) fn is_drained(node: NodeView<'_>) -> bool {
    let mut taints = node.facts.node.taints.iter();
    taints.any(|taint| &*taint.key == TO_BE_DELETED)
}

/// Whether a node is ready, as defined by Cluster Autoscaler: it has no startup taint,
/// and it has allocatable GPUs if it has the GPU label.
pub(super) fn is_ready(node: NodeView<'_>, options: &NodeOptions) -> bool {
    let object = &node.facts.node;
    let starts = object
        .taints
        .iter()
        .any(|taint| is_startup_taint(taint, options));
    let lacks_gpus = has_gpu_label(object, options) && gpus(&object.allocatable) == 0;
    node.facts.ready && !starts && !lacks_gpus
}

/// Whether a node is ready, or is too old to be starting.
pub(super) fn has_started(now: Timestamp, node: NodeView<'_>, options: &NodeOptions) -> bool {
    is_ready(node, options) || now.since(node.facts.created) > STARTUP_MS
}
