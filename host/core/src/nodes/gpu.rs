//! What is a GPU, in the words of Cluster Autoscaler.

use flyball_placement::{Node, Resources};

use super::options::NodeOptions;

/// The label that nodes with GPUs have on AWS.
pub const AWS_GPU_LABEL: &str = "k8s.amazonaws.com/accelerator";

/// Resources that are GPUs.
const GPUS: &[&str] = &[
    "nvidia.com/gpu",
    "amd.com/gpu",
    "microsoft.com/directx",
    "gpu.intel.com/xe",
    "gpu.intel.com/i915",
    "habana.ai/gaudi",
];

/// How many GPUs there are.
pub(super) fn gpus(resources: &Resources) -> i64 {
    let amounts = GPUS.iter().map(|name| resources.get(name));
    amounts.fold(0, i64::saturating_add)
}

/// Whether the cloud says by a label that a node has GPUs, whether or not they can be
/// used yet.
pub(super) fn has_gpu_label(node: &Node, options: &NodeOptions) -> bool {
    let label = options.gpu_label.as_deref();
    label.is_some_and(|label| node.labels.get(label).is_some())
}

/// Whether a node has GPUs.
pub(super) fn has_gpus(node: &Node, options: &NodeOptions) -> bool {
    has_gpu_label(node, options) || gpus(&node.allocatable) > 0
}
