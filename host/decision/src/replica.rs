//! Input and output of a replica decision, with the fields of the policy contract
//! (`wit/`, interface `replica`), which documents their meaning. Columns are behind
//! [`Arc`], so that records share them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::Reason;

/// Bits of [`PodColumns::state`].
pub mod pod_state {
    /// Phase Pending.
    pub const PENDING: u32 = 1;
    /// Phase Running.
    pub const RUNNING: u32 = 2;
    /// Phase Succeeded.
    pub const SUCCEEDED: u32 = 4;
    /// Phase Failed.
    pub const FAILED: u32 = 8;
    /// Condition Ready is True.
    pub const READY: u32 = 16;
    /// Condition Ready is False.
    pub const NOT_READY: u32 = 32;
    /// Condition Ready is Unknown.
    pub const READY_UNKNOWN: u32 = 64;
}

/// Marks in [`MetricInput::request`], in place of a request.
pub mod request_mark {
    /// A container has no request for the resource.
    pub const MISSING: i64 = -1;
    /// The pod has no container of the metric's name.
    pub const NO_CONTAINER: i64 = -2;
    /// Requests at pod level lack the resource.
    pub const MISSING_AT_POD_LEVEL: i64 = -3;
}

/// Row of a sample whose pod is not (or no longer) known.
pub const UNKNOWN_POD: u32 = u32::MAX;

/// The scale target: the object whose scale subresource is written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Target {
    /// Group and version, such as `apps/v1`.
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// Namespace of the target and of its pods.
    pub namespace: String,
    /// Name of the target.
    pub name: String,
}

impl fmt::Display for Target {
    /// Writes kind, namespace and name: `Deployment default/web`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// The pods that the target's selector matches, one row each.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodColumns {
    /// Bits of [`pod_state`].
    pub state: Vec<u32>,
    /// Last transition of the Ready condition, or [`UNKNOWN`](crate::time::Timestamp::UNKNOWN).
    pub ready_transition_ms: Vec<i64>,
    /// status.startTime, or [`UNKNOWN`](crate::time::Timestamp::UNKNOWN).
    pub start_ms: Vec<i64>,
    /// metadata.deletionTimestamp, or [`UNKNOWN`](crate::time::Timestamp::UNKNOWN).
    pub deletion_ms: Vec<i64>,
}

impl PodColumns {
    /// Returns the number of pods.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.len()
    }

    /// Returns whether the selector matches no pod.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// Returns the number of pods that are Running and Ready, terminating ones included.
    #[must_use]
    pub fn ready_count(&self) -> i32 {
        let both = pod_state::RUNNING | pod_state::READY;
        let count = self
            .state
            .iter()
            .filter(|&&bits| bits & both == both)
            .count();
        i32::try_from(count).unwrap_or(i32::MAX)
    }
}

/// A metric of the spec, with what was measured.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricInput {
    /// `Resource`, `ContainerResource`, `Pods`, `Object` or `External`.
    pub source: String,
    /// Name of the resource or metric.
    pub name: String,
    /// For `ContainerResource`: name of the container.
    pub container: String,
    /// Label selector of the metric in text form; empty if it has none.
    pub selector: String,
    /// `Utilization`, `Value` or `AverageValue`.
    pub target_type: String,
    /// Target value, in milli.
    pub target_value: Option<i64>,
    /// Target average value, in milli.
    pub target_average_value: Option<i64>,
    /// Target average utilization, in percent.
    pub target_average_utilization: Option<i32>,
    /// Stable class of the error; empty if the metric is available.
    pub error: String,
    /// The error as a sentence.
    pub message: String,
    /// Samples: row of the pod, or [`UNKNOWN_POD`].
    pub pod: Vec<u32>,
    /// Samples: value, in milli.
    pub value: Vec<i64>,
    /// Samples: time of the measurement.
    pub timestamp_ms: Vec<i64>,
    /// Samples: length of the measured interval, in milliseconds.
    pub window_ms: Vec<i64>,
    /// Request of each pod in milli, or a [`request_mark`].
    pub request: Vec<i64>,
}

/// Replicas, or changes of them, over time; oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Samples {
    /// Times, in milliseconds since the Unix epoch.
    pub at_ms: Vec<i64>,
    /// Replicas, or a change of them.
    pub replicas: Vec<i32>,
}

/// Input of a replica policy beside its [`Context`](crate::context::Context).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplicaInput {
    /// The target.
    pub target: Arc<Target>,
    /// Lower bound of replicas.
    pub min_replicas: i32,
    /// Upper bound of replicas.
    pub max_replicas: i32,
    /// The scale's spec.replicas.
    pub current_replicas: i32,
    /// The scale's status.replicas.
    pub status_replicas: i32,
    /// Pods that are Running and Ready.
    pub ready_replicas: i32,
    /// Share of the target by which usage may exceed it without a change.
    pub tolerance_up: f64,
    /// Share of the target by which usage may fall short of it without a change.
    pub tolerance_down: f64,
    /// As kube-controller-manager's flag of that name.
    pub cpu_initialization_period_ms: i64,
    /// As kube-controller-manager's flag of that name.
    pub initial_readiness_delay_ms: i64,
    /// The target's pods.
    pub pods: Arc<PodColumns>,
    /// In the order of the spec.
    pub metrics: Vec<Arc<MetricInput>>,
    /// The policy's earlier recommendations.
    #[serde(default)]
    pub recommendations: Samples,
    /// Changes of replicas that were carried out.
    #[serde(default)]
    pub scale_events: Samples,
}

/// Proposal for one metric.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Proposal {
    /// Replicas. `None` if it proposes nothing, for the reason in `error`.
    pub replicas: Option<i64>,
    /// For the status: percent of the request.
    pub utilization: Option<i64>,
    /// For the status: average over pods, in milli.
    pub average: Option<i64>,
    /// For the status: the value itself, in milli.
    pub value: Option<i64>,
    /// Stable error class; empty if it proposes.
    pub error: String,
    /// Why.
    pub reason: Reason,
}

/// A replica policy's answer as it comes out of the sandbox. It is untrusted input.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplicaDecision {
    /// Desired replicas. `None` to hold.
    pub replicas: Option<i64>,
    /// Why.
    pub reason: Reason,
    /// One for each metric, or empty.
    #[serde(default)]
    pub proposals: Vec<Proposal>,
    /// The proposal that the decision follows.
    #[serde(default)]
    pub leading: Option<u32>,
    /// New state. `None` leaves it as it was.
    #[serde(default)]
    pub state: Option<String>,
    /// When to ask again before the next sync, in milliseconds from now.
    #[serde(default)]
    pub again_after_ms: Option<u64>,
}
