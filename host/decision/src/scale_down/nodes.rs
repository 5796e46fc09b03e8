//! Which nodes may leave?

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::GroupColumns;
use crate::context::Reason;

/// Bits of [`NodeColumns::state`].
pub mod node_state {
    /// Condition Ready is True.
    pub const READY: u32 = 1;
    /// It has no pod that would be evicted or waited for.
    pub const EMPTY: u32 = 1 << 1;
    /// Annotation `scale-down-disabled` is `true`.
    pub const DISABLED: u32 = 1 << 2;
    /// A node for GPUs: it has the cloud's GPU label, or allocatable GPUs.
    pub const GPU: u32 = 1 << 3;
    /// A spot instance.
    pub const SPOT: u32 = 1 << 4;
    /// An on-demand instance. Neither this nor [`SPOT`]: not known.
    pub const ON_DEMAND: u32 = 1 << 5;
}

/// Codes of [`NodeVerdicts::verdict`].
pub mod node_verdict {
    /// The policy has no opinion.
    pub const NO_OPINION: u32 = 0;
    /// The node may leave.
    pub const MAY_GO: u32 = 1;
    /// The node must stay.
    pub const MUST_STAY: u32 = 2;
}

/// Nodes of scaled groups, a row each.
///
/// Requests leave out pods that are terminating beyond their grace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeColumns {
    /// Row of its group, or -1 if it has none.
    pub group: Vec<i32>,
    /// Row of `texts` with its zone, or -1 if it is not known.
    pub zone: Vec<i32>,
    /// Row of `texts` with its instance type, or -1 if it is not known.
    pub instance_type: Vec<i32>,
    /// Bits of [`node_state`].
    pub state: Vec<u32>,
    /// When it was created, in milliseconds since the Unix epoch, or -1.
    pub created_ms: Vec<i64>,
    /// Since when it has not been ready, or -1 if it is ready or that is not known.
    pub unready_since_ms: Vec<i64>,
    /// When a pod came or went last, or -1 if that is not known.
    pub pods_changed_ms: Vec<i64>,
    /// Since when it has been unneeded without a break, or -1 if it is needed.
    pub unneeded_since_ms: Vec<i64>,
    /// Allocatable cpu in milli, or -1 if the node has none.
    pub allocatable_cpu: Vec<i64>,
    /// Allocatable memory in bytes, or -1 if the node has none.
    pub allocatable_memory: Vec<i64>,
    /// Allocatable GPUs in milli, or -1 if the node has none.
    pub allocatable_gpu: Vec<i64>,
    /// Requests of its pods for cpu, in milli.
    pub requested_cpu: Vec<i64>,
    /// Requests of its pods for memory, in bytes.
    pub requested_memory: Vec<i64>,
    /// Requests of its pods for GPUs, in milli.
    pub requested_gpu: Vec<i64>,
    /// Part of `requested_cpu` that DaemonSet pods request, mirror pods among them left
    /// out.
    pub daemon_set_cpu: Vec<i64>,
    /// Part of `requested_memory` that DaemonSet pods request.
    pub daemon_set_memory: Vec<i64>,
    /// Part of `requested_gpu` that DaemonSet pods request.
    pub daemon_set_gpu: Vec<i64>,
    /// Part of `requested_cpu` that mirror pods request.
    pub mirror_cpu: Vec<i64>,
    /// Part of `requested_memory` that mirror pods request.
    pub mirror_memory: Vec<i64>,
    /// Part of `requested_gpu` that mirror pods request.
    pub mirror_gpu: Vec<i64>,
    /// Its price for an hour. `None` if it is not known.
    pub price: Vec<Option<f64>>,
    /// Pods that would be evicted or waited for.
    pub pod_count: Vec<u32>,
    /// Cost of moving these pods: the sum of what the policies said about each.
    pub cost: Vec<f64>,
    /// Texts of this table, each once. See [`Texts`](super::Texts).
    pub texts: Vec<Arc<str>>,
}

count_rows!(NodeColumns by group);

/// Input of `scale-down-nodes`, other than its [`crate::context::Context`]: one chunk, of
/// at most [`MAX_ROWS`](super::MAX_ROWS) nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleDownNodesInput {
    /// The groups of the nodes.
    pub groups: Arc<GroupColumns>,
    /// The nodes to judge.
    pub nodes: Arc<NodeColumns>,
}

/// Verdicts about nodes as they came out of the sandbox, which is input from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeVerdicts {
    /// For each node: a code of [`node_verdict`]. A code that the host does not know counts
    /// as the strictest, [`MUST_STAY`](node_verdict::MUST_STAY).
    pub verdict: Vec<u32>,
    /// For each node: a row of `reasons`, or -1 for none. Empty if none has a reason.
    pub reason: Vec<i32>,
    /// For each node: a score; a node with a lower one leaves first, and equal ones keep
    /// the host's order. Empty: 0 for each.
    pub score: Vec<f64>,
    /// For each node: how long it must have been unneeded, in milliseconds, or -1 if the
    /// policy demands nothing; the host's own time counts if it is longer. Empty: -1 for
    /// each.
    pub unneeded_ms: Vec<i64>,
    /// For each node: until when the verdict holds if nothing else changes; see
    /// [`PodVerdicts::until_ms`](super::PodVerdicts::until_ms).
    pub until_ms: Vec<i64>,
    /// The reasons that rows name, at most [`MAX_REASONS`](super::MAX_REASONS).
    pub reasons: Vec<Reason>,
}
