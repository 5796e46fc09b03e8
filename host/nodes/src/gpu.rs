//! GPUs: their resource names and labels, as in Cluster Autoscaler.

use flyball_placement::{Node, Resources};

use super::options::NodeOptions;

/// Names of GPU resources.
const GPUS: &[&str] = &[
    "nvidia.com/gpu",
    "amd.com/gpu",
    "microsoft.com/directx",
    "gpu.intel.com/xe",
    "gpu.intel.com/i915",
    "habana.ai/gaudi",
];

/// Number of GPUs.
pub(super) fn gpus(resources: &Resources) -> i64 {
    let amounts = GPUS.iter().map(|name| resources.get(name));
    amounts.fold(0, i64::saturating_add)
}

/// Whether a node has the cloud's GPU label, whether or not its GPUs can be used yet.
pub(super) fn has_gpu_label(node: &Node, options: &NodeOptions) -> bool {
    let label = options.gpu_label.as_deref();
    label.is_some_and(|label| node.labels.get(label).is_some())
}

/// Whether a node has GPUs.
pub(super) fn has_gpus(node: &Node, options: &NodeOptions) -> bool {
    has_gpu_label(node, options) || gpus(&node.allocatable) > 0
}
