//! Limits on the lists of a pod.
//!
//! Whoever may create pods chooses how long these lists are, and a check of a node walks
//! them. So a pod beyond a limit is not judged: it fits on no node.

use crate::{Pod, Unjudged};

/// Maximum number of extended resources that a pod requests. A check names each resource
/// that a node lacks, and a node has about a dozen at most.
const MAX_RESOURCES: usize = 64;

/// Returns which limit a pod is beyond. `None` if it is within all.
pub(super) fn exceeded(pod: &Pod) -> Option<Unjudged> {
    (pod.requests.extended.len() > MAX_RESOURCES).then_some(Unjudged::TooManyResources)
}
