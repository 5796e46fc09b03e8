//! Fields of pods, and of what guards them, that decide whether a node may go.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use super::facts::{NodeFacts, PodFacts};

/// Annotation `cluster-autoscaler.kubernetes.io/safe-to-evict` of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum SafeToEvict {
    /// The pod has no such annotation.
    #[default]
    Unset,
    /// `"true"`: the pod may be evicted whatever it is.
    True,
    /// `"false"`: the pod must not be evicted.
    False,
    /// `"on-completion"`: the node waits until the pod has ended.
    OnCompletion,
    /// Any other text, which Cluster Autoscaler ignores.
    Other,
}

/// spec.restartPolicy of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RestartPolicy {
    /// Containers are started again whenever they end.
    #[default]
    Always,
    /// Containers are started again when they fail.
    OnFailure,
    /// Containers are never started again.
    Never,
}

/// The volumes of one kind, emptyDir or hostPath, that a pod has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum LocalVolumes {
    /// It has none.
    #[default]
    None,
    /// It has some, and annotation
    /// `cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes` names each of them.
    Excepted,
    /// It has some, and the annotation does not name each of them.
    Kept,
}

impl LocalVolumes {
    /// Counts a volume. `excepted`: the annotation names it.
    pub fn add(&mut self, excepted: bool) {
        *self = match (*self, excepted) {
            (Self::None | Self::Excepted, true) => Self::Excepted,
            _ => Self::Kept,
        };
    }
}

/// Fields of a pod that only scale-down reads. Alike pods share them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct DrainFacts {
    /// spec.terminationGracePeriodSeconds. `None` if it is not set: 30 seconds.
    pub grace_seconds: Option<i64>,
    /// Annotation `cluster-autoscaler.kubernetes.io/safe-to-evict`.
    pub safe_to_evict: SafeToEvict,
    /// Annotation `controller.kubernetes.io/pod-deletion-cost`. 0 if it is missing or not
    /// an integer of 32 bits, as for the ReplicaSet controller.
    pub deletion_cost: i32,
    /// Its emptyDir volumes that are not in memory.
    pub empty_dir: LocalVolumes,
    /// Its hostPath volumes.
    pub host_path: LocalVolumes,
    /// Annotation `cluster-autoscaler.kubernetes.io/enable-ds-eviction` of a DaemonSet's
    /// pod: true for `"true"`, false for any other text, `None` if it is missing.
    pub enable_ds_eviction: Option<bool>,
    /// spec.restartPolicy.
    pub restart_policy: RestartPolicy,
    /// Its annotations with keys that policies want. See
    /// [`ClusterState::listed_annotations`](super::ClusterState::listed_annotations).
    pub annotations: BTreeMap<Arc<str>, Arc<str>>,
}

/// Grace period of a pod that sets none, in seconds.
const DEFAULT_GRACE_SECONDS: i64 = 30;

/// The facts of a pod that sets none of the fields.
static DEFAULT: LazyLock<Arc<DrainFacts>> = LazyLock::new(Arc::default);

impl DrainFacts {
    /// Returns the shared default: a pod that sets none of the fields.
    #[must_use]
    pub fn shared_default() -> Arc<Self> {
        Arc::clone(&DEFAULT)
    }

    /// Returns the grace period of the pod in seconds, at least 0.
    #[must_use]
    pub fn grace_seconds(&self) -> i64 {
        self.grace_seconds.unwrap_or(DEFAULT_GRACE_SECONDS).max(0)
    }
}

impl PodFacts {
    /// Whether everything that scale-up reads is equal.
    pub(super) fn is_same_for_scale_up(&self, other: &Self) -> bool {
        let Self {
            uid,
            key,
            node,
            nominated,
            phase,
            created,
            deletion,
            unschedulable,
            owner,
            mirror,
            like_daemon_set,
            scale_up_delay_ms,
            ready: _,
            drain: _,
        } = self;
        *uid == other.uid
            && *key == other.key
            && *node == other.node
            && *nominated == other.nominated
            && *phase == other.phase
            && *created == other.created
            && *deletion == other.deletion
            && *unschedulable == other.unschedulable
            && *owner == other.owner
            && *mirror == other.mirror
            && *like_daemon_set == other.like_daemon_set
            && *scale_up_delay_ms == other.scale_up_delay_ms
    }
}

impl NodeFacts {
    /// Whether everything that scale-up reads is equal.
    pub(super) fn is_same_for_scale_up(&self, other: &Self) -> bool {
        let Self {
            uid,
            node,
            provider_id,
            created,
            ready,
            deleting,
            capacity,
            condition_ready: _,
            ready_since: _,
            annotations: _,
        } = self;
        *uid == other.uid
            && *node == other.node
            && *provider_id == other.provider_id
            && *created == other.created
            && *ready == other.ready
            && *deleting == other.deleting
            && *capacity == other.capacity
    }
}
