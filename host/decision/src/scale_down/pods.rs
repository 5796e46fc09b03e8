//! What happens to each pod if its node leaves?

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::GroupColumns;
use crate::context::Reason;

/// Bits of [`PodColumns::state`].
pub mod pod_state {
    /// A mirror pod: of a static pod of its node.
    pub const MIRROR: u32 = 1;
    /// Runs on every node: its controller is a DaemonSet, or it says so by annotation.
    pub const DAEMON_SET: u32 = 1 << 1;
    /// Ended for good: Failed or Succeeded, and not to be restarted.
    pub const TERMINAL: u32 = 1 << 2;
    /// Condition Ready is True.
    pub const READY: u32 = 1 << 3;
    /// It is deleted, and its grace and 30 s more are over.
    pub const LONG_TERMINATING: u32 = 1 << 4;
    /// Its controller was looked up. Otherwise nothing is known of the controller.
    pub const OWNER_LOOKED_UP: u32 = 1 << 5;
    /// Its controller exists.
    pub const OWNER_EXISTS: u32 = 1 << 6;
    /// It has an emptyDir volume that is not in memory.
    pub const EMPTY_DIR: u32 = 1 << 7;
    /// Annotation `safe-to-evict-local-volumes` names all these volumes.
    pub const EMPTY_DIR_EXCEPTED: u32 = 1 << 8;
    /// It has a hostPath volume.
    pub const HOST_PATH: u32 = 1 << 9;
    /// Annotation `safe-to-evict-local-volumes` names all these volumes.
    pub const HOST_PATH_EXCEPTED: u32 = 1 << 10;
    /// Annotation `safe-to-evict` is `true`.
    pub const SAFE_TO_EVICT: u32 = 1 << 11;
    /// Annotation `safe-to-evict` is `false`.
    pub const NOT_SAFE_TO_EVICT: u32 = 1 << 12;
    /// Annotation `safe-to-evict` is `on-completion`.
    pub const EVICT_ON_COMPLETION: u32 = 1 << 13;
    /// Annotation `enable-ds-eviction` is `true`.
    pub const DS_EVICTION: u32 = 1 << 14;
    /// Annotation `enable-ds-eviction` is `false`.
    pub const NO_DS_EVICTION: u32 = 1 << 15;
}

/// Codes of [`PodColumns::owner_kind`]: kind of the pod's controller. Readers take a code
/// that they do not know as [`OTHER`](owner_kind::OTHER).
pub mod owner_kind {
    /// It has no controller.
    pub const NONE: u32 = 0;
    /// A DaemonSet.
    pub const DAEMON_SET: u32 = 1;
    /// A ReplicaSet.
    pub const REPLICA_SET: u32 = 2;
    /// A ReplicationController.
    pub const REPLICATION_CONTROLLER: u32 = 3;
    /// A StatefulSet.
    pub const STATEFUL_SET: u32 = 4;
    /// A Job.
    pub const JOB: u32 = 5;
    /// Something else.
    pub const OTHER: u32 = 6;
}

/// Codes of [`PodVerdicts::verdict`].
pub mod pod_verdict {
    /// The policy has no opinion.
    pub const NO_OPINION: u32 = 0;
    /// The pod is evicted.
    pub const EVICT: u32 = 1;
    /// The pod runs to its end, and its node waits for that.
    pub const WAIT: u32 = 2;
    /// The pod keeps its node.
    pub const BLOCK: u32 = 3;
    /// The pod is left alone and goes with its node. The host accepts it only where its
    /// own facts allow it.
    pub const SKIP: u32 = 4;
}

/// The nodes of the pods in question, a row each: what seldom changes of a node, so that
/// verdicts can be kept.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodNodeColumns {
    /// Row of its group, or -1 if it has none.
    pub group: Vec<i32>,
    /// Row of `texts` with its zone, or -1 if it is not known.
    pub zone: Vec<i32>,
    /// Row of `texts` with its instance type, or -1 if it is not known.
    pub instance_type: Vec<i32>,
    /// When it was created, in milliseconds since the Unix epoch, or -1.
    pub created_ms: Vec<i64>,
    /// Its price for an hour. `None` if it is not known.
    pub price: Vec<Option<f64>>,
    /// Texts of this table, each once. See [`Texts`](super::Texts).
    pub texts: Vec<Arc<str>>,
}

count_rows!(PodNodeColumns by group);

/// The pods in question, a row each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodColumns {
    /// Row of its node.
    pub node: Vec<u32>,
    /// Row of `texts` with its namespace.
    pub namespace: Vec<u32>,
    /// Bits of [`pod_state`].
    pub state: Vec<u32>,
    /// Codes of [`owner_kind`].
    pub owner_kind: Vec<u32>,
    /// spec.replicas of its controller, or -1 if that is not set or not known.
    pub owner_replicas: Vec<i32>,
    /// Priority; 0 if it has none.
    pub priority: Vec<i32>,
    /// Annotation `controller.kubernetes.io/pod-deletion-cost`; 0 if it is not set or no
    /// 32-bit integer.
    pub deletion_cost: Vec<i32>,
    /// Request for cpu, in milli.
    pub cpu: Vec<i64>,
    /// Request for memory, in bytes.
    pub memory: Vec<i64>,
    /// Request for GPUs, in milli.
    pub gpu: Vec<i64>,
    /// metadata.creationTimestamp, or -1 if it is not set.
    pub created_ms: Vec<i64>,
    /// metadata.deletionTimestamp, or -1 if it is not being deleted.
    pub deletion_ms: Vec<i64>,
    /// spec.terminationGracePeriodSeconds in milliseconds, or -1 if it is not set.
    pub grace_ms: Vec<i64>,
    /// Number of PodDisruptionBudgets that select it.
    pub budgets: Vec<u32>,
    /// Disruptions that these budgets allow, the least of them, or -1 if there is no
    /// budget.
    pub disruptions_allowed: Vec<i32>,
    /// Texts of this table, each once. See [`Texts`](super::Texts).
    pub texts: Vec<Arc<str>>,
}

count_rows!(PodColumns by node);

impl PodColumns {
    /// Returns a table without rows that has memory for so many.
    #[must_use]
    pub fn with_capacity(rows: usize) -> Self {
        Self {
            node: Vec::with_capacity(rows),
            namespace: Vec::with_capacity(rows),
            state: Vec::with_capacity(rows),
            owner_kind: Vec::with_capacity(rows),
            owner_replicas: Vec::with_capacity(rows),
            priority: Vec::with_capacity(rows),
            deletion_cost: Vec::with_capacity(rows),
            cpu: Vec::with_capacity(rows),
            memory: Vec::with_capacity(rows),
            gpu: Vec::with_capacity(rows),
            created_ms: Vec::with_capacity(rows),
            deletion_ms: Vec::with_capacity(rows),
            grace_ms: Vec::with_capacity(rows),
            budgets: Vec::with_capacity(rows),
            disruptions_allowed: Vec::with_capacity(rows),
            texts: Vec::new(),
        }
    }
}

/// Input of `scale-down-pods`, other than its [`crate::context::Context`]: one chunk, of
/// at most [`MAX_ROWS`](super::MAX_ROWS) pods.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleDownPodsInput {
    /// The groups of the nodes.
    pub groups: Arc<GroupColumns>,
    /// The nodes of the pods.
    pub nodes: Arc<PodNodeColumns>,
    /// The pods to judge.
    pub pods: Arc<PodColumns>,
}

/// Verdicts about pods as they came out of the sandbox, which is input from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodVerdicts {
    /// For each pod: a code of [`pod_verdict`]. A code that the host does not know counts
    /// as the strictest, [`BLOCK`](pod_verdict::BLOCK).
    pub verdict: Vec<u32>,
    /// For each pod: a row of `reasons`, or -1 for none. Empty if none has a reason.
    pub reason: Vec<i32>,
    /// For each pod: what it costs to evict it; finite and not negative. Empty: 0 for
    /// each.
    pub cost: Vec<f64>,
    /// For each pod: until when the verdict holds if nothing else changes, in milliseconds
    /// since the Unix epoch, or -1 if time alone does not change it. A time that is not
    /// later than the question's counts as now: the verdict holds for this pass alone.
    /// Empty: -1 for each.
    pub until_ms: Vec<i64>,
    /// The reasons that rows name, at most [`MAX_REASONS`](super::MAX_REASONS).
    pub reasons: Vec<Reason>,
}
