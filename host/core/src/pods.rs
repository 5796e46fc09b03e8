//! Pods, slim: what a decision needs of them, compacted where they are read.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::time::Timestamp;

/// A pod that a scale target's selector matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    /// Name: for messages only, no policy sees it.
    pub name: Arc<str>,
    /// `Pending`, `Running`, `Succeeded`, `Failed`, or nothing known.
    pub phase: Phase,
    /// The Ready condition and its last transition.
    pub ready: Option<(Ready, Option<Timestamp>)>,
    /// status.startTime.
    pub start: Option<Timestamp>,
    /// metadata.deletionTimestamp.
    pub deletion: Option<Timestamp>,
    /// What it requests: shared by the pods of one template.
    pub requests: Arc<PodRequests>,
}

/// Phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Phase {
    /// None of the others.
    #[default]
    Unknown,
    /// Not all containers run yet.
    Pending,
    /// Running.
    Running,
    /// All containers ended well.
    Succeeded,
    /// A container ended badly.
    Failed,
}

/// Status of a pod's Ready condition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// Ready.
    True,
    /// Not ready.
    False,
    /// The kubelet is silent.
    Unknown,
}

/// Resources by name, in milli.
pub type Resources = BTreeMap<Arc<str>, i64>;

/// What the pods of one template request.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodRequests {
    /// spec.containers.
    pub containers: Vec<Container>,
    /// spec.initContainers, in order.
    pub init_containers: Vec<Container>,
    /// spec.resources.requests: requests at pod level.
    pub pod: Resources,
    /// spec.overhead.
    pub overhead: Resources,
}

/// A container's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Container {
    /// Name.
    pub name: Arc<str>,
    /// Requests; a resource not in it has none.
    pub requests: Resources,
    /// Init containers: restartPolicy Always, that is a sidecar.
    pub restartable: bool,
}
