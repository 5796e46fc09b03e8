//! The fields of objects that the nodes half reads, as the watches deliver them.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::{Node, Pod, Resources};

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;

use super::drain_facts::DrainFacts;
use super::pod_table::DAEMON_SET;
use crate::limits::NodeSize;

/// Phase of a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PodPhase {
    /// Waits for a node, or for its containers.
    #[default]
    Pending,
    /// Runs.
    Running,
    /// Ended well.
    Succeeded,
    /// Ended badly.
    Failed,
}

/// The controller of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Its uid.
    pub uid: Arc<str>,
    /// Its kind, such as `ReplicaSet` or `DaemonSet`.
    pub kind: Arc<str>,
    /// Its name. Its namespace is the pod's.
    pub name: Arc<str>,
}

/// Fields of a pod, other than its scheduling requirements ([`Pod`]).
///
/// What scale-down reads of each pod stands first, so that it takes two cache lines.
#[derive(Clone, Debug, PartialEq, Eq)]
#[repr(C)]
pub struct PodFacts {
    /// Namespace and name.
    pub key: ObjectKey,
    /// metadata.creationTimestamp.
    pub created: Timestamp,
    /// metadata.deletionTimestamp.
    pub deletion: Option<Timestamp>,
    /// Its controller. Pods of one controller share the `Arc`.
    pub owner: Option<Arc<Owner>>,
    /// What decides whether its node may go. Alike pods share the `Arc`.
    pub drain: Arc<DrainFacts>,
    /// status.phase.
    pub phase: PodPhase,
    /// Whether it is a static pod of its node (annotation
    /// `kubernetes.io/config.mirror`).
    pub mirror: bool,
    /// Whether it counts as a pod of a DaemonSet, whoever made it (annotation
    /// `cluster-autoscaler.kubernetes.io/daemonset-pod: "true"`).
    pub like_daemon_set: bool,
    /// Whether its condition Ready is True.
    pub ready: bool,
    /// Whether the scheduler found no node for it: condition PodScheduled is False with
    /// reason Unschedulable.
    pub unschedulable: bool,
    /// metadata.uid.
    pub uid: Arc<str>,
    /// spec.nodeName. `None` if the pod waits for a node.
    pub node: Option<Arc<str>>,
    /// status.nominatedNodeName: the node on which the scheduler reserves room for it, or
    /// makes room by preemption.
    pub nominated: Option<Arc<str>>,
    /// Annotation `cluster-autoscaler.kubernetes.io/pod-scale-up-delay`, in
    /// milliseconds.
    pub scale_up_delay_ms: Option<i64>,
}

impl PodFacts {
    /// Whether it has not ended and is not being deleted.
    #[must_use]
    pub fn exists(&self) -> bool {
        !self.has_ended() && self.deletion.is_none()
    }

    /// Whether it has ended and uses none of its node's resources.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        matches!(self.phase, PodPhase::Succeeded | PodPhase::Failed)
    }

    /// Whether a DaemonSet is its controller.
    pub(super) fn is_owned_by_daemon_set(&self) -> bool {
        let owner = self.owner.as_ref();
        owner.is_some_and(|owner| &*owner.kind == DAEMON_SET)
    }

    /// Whether it is neither a static pod nor one of a DaemonSet, which belong to their
    /// node.
    pub(super) fn is_of_application(&self) -> bool {
        !self.mirror && !self.like_daemon_set && !self.is_owned_by_daemon_set()
    }
}

/// A pod that is gone, by the last event about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GonePod {
    /// metadata.uid.
    pub uid: Arc<str>,
    /// The node that it was bound to.
    pub(super) node: Option<Arc<str>>,
    /// When it came to that node or left it, at the latest. `None` for the node's own pods.
    pub(super) changed: Option<Timestamp>,
}

impl From<&PodFacts> for GonePod {
    fn from(facts: &PodFacts) -> Self {
        let changed = facts.deletion.max(Some(facts.created));
        Self {
            uid: Arc::clone(&facts.uid),
            node: facts.node.clone(),
            changed: changed.filter(|_| facts.is_of_application()),
        }
    }
}

impl Default for PodFacts {
    /// A pod without a name: fill in at least `uid` and `key`.
    fn default() -> Self {
        Self {
            uid: Arc::default(),
            key: ObjectKey {
                namespace: Arc::default(),
                name: Arc::default(),
            },
            node: None,
            nominated: None,
            phase: PodPhase::Pending,
            created: Timestamp::default(),
            deletion: None,
            unschedulable: false,
            owner: None,
            mirror: false,
            like_daemon_set: false,
            scale_up_delay_ms: None,
            ready: false,
            drain: DrainFacts::shared_default(),
        }
    }
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeFacts {
    /// metadata.uid.
    pub uid: Arc<str>,
    /// The fields that the scheduler reads.
    pub node: Arc<Node>,
    /// spec.providerID.
    pub provider_id: Option<Arc<str>>,
    /// metadata.creationTimestamp.
    pub created: Timestamp,
    /// Whether it can take pods: its condition Ready is True, and no other condition or
    /// taint of a condition says otherwise.
    pub ready: bool,
    /// metadata.deletionTimestamp is set.
    pub deleting: bool,
    /// status.capacity.
    pub capacity: Resources,
    /// Whether its condition Ready is True, whatever other conditions and taints say.
    pub condition_ready: bool,
    /// Last transition of its condition Ready, whatever its status.
    pub ready_since: Option<Timestamp>,
    /// Its annotations that scale-down reads:
    /// `cluster-autoscaler.kubernetes.io/scale-down-disabled`, and those below
    /// `flyball.dev/` and `delay-deletion.cluster-autoscaler.kubernetes.io/`.
    pub annotations: Arc<BTreeMap<Arc<str>, Arc<str>>>,
}

impl NodeFacts {
    /// What it adds to the cluster.
    #[must_use]
    pub fn size(&self) -> NodeSize {
        node_size(&self.capacity)
    }
}

/// What a node of some capacity adds to the cluster.
#[must_use]
pub fn node_size(capacity: &Resources) -> NodeSize {
    NodeSize {
        cpu_milli: u64::try_from(capacity.cpu).unwrap_or_default(),
        memory: u64::try_from(capacity.memory).unwrap_or_default(),
    }
}

/// A DaemonSet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaemonSetFacts {
    /// metadata.uid.
    pub uid: Arc<str>,
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its pod template, with the tolerations that its controller adds and without the
    /// affinity to one node.
    pub pod: Arc<Pod>,
}
