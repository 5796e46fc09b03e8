//! The status of an autoscaler: conditions, events and current metrics, named as
//! HorizontalPodAutoscaler names them. Spelled here and nowhere else.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Status of a `ReplicaAutoscaler`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalerStatus {
    /// metadata.generation that the status speaks of.
    pub observed_generation: Option<i64>,
    /// When replicas were last changed.
    pub last_scale_time: Option<Timestamp>,
    /// spec.replicas of the scale, as HorizontalPodAutoscaler reports it.
    pub current_replicas: i32,
    /// What the last decision asks for.
    pub desired_replicas: i32,
    /// At the index of the spec's metrics.
    pub current_metrics: Vec<MetricStatus>,
    /// Conditions, in the order of their first appearance.
    pub conditions: Vec<Condition>,
    /// The policies that the last decision asked.
    pub policies: Vec<PolicyStatus>,
}

/// What a metric was at the last decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricStatus {
    /// The spec's `type`; empty: the metric could not be had.
    pub source: String,
    /// Name of the resource or metric.
    pub name: String,
    /// `ContainerResource`: the container.
    pub container: String,
    /// Percent of the request.
    pub utilization: Option<i64>,
    /// Average over pods, in milli.
    pub average: Option<i64>,
    /// The value itself, in milli.
    pub value: Option<i64>,
}

/// A policy that a decision asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyStatus {
    /// Name.
    pub name: Arc<str>,
    /// `sha256:…` of the component that answered; empty: none did.
    pub digest: Arc<str>,
    /// Replicas that it asked for. `None` if it asked to hold.
    pub desired_replicas: Option<i64>,
    /// CamelCase code of its reason, or of its failure.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

/// A condition of an autoscaler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// One of [`condition`].
    #[serde(rename = "type")]
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// CamelCase.
    pub reason: String,
    /// What a person reads.
    pub message: String,
}

/// Types of conditions.
pub mod condition {
    /// Whether the target's scale can be read and written.
    pub const ABLE_TO_SCALE: &str = "AbleToScale";
    /// Whether desired replicas could be computed.
    pub const SCALING_ACTIVE: &str = "ScalingActive";
    /// Whether a guardrail changed what was asked for.
    pub const SCALING_LIMITED: &str = "ScalingLimited";
    /// Whether the target was scaled to zero by Flyball itself (only with the
    /// option for it).
    pub const SCALED_TO_ZERO: &str = "ScaledToZero";
    /// False: the spec's `minReplicas` of 0 does not count, as the feature gate
    /// `HPAScaleToZero` is off. Left out otherwise.
    pub const SCALE_TO_ZERO_ENABLED: &str = "ScaleToZeroEnabled";
    /// Reason of [`SCALING_ACTIVE`] while the target has no replicas.
    pub const SCALING_DISABLED: &str = "ScalingDisabled";
    /// Whether a policy was left unheard, and what took its place.
    pub const POLICIES_HEALTHY: &str = "PoliciesHealthy";
}

/// Reasons of events that others go by.
pub mod event {
    /// The spec's `minReplicas` of 0 does not count, as the feature gate is off.
    pub const SCALE_TO_ZERO_DISABLED: &str = "ScaleToZeroDisabled";
}

/// Something that happened, to be published on the autoscaler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// A warning, as against normal.
    pub warning: bool,
    /// CamelCase, such as `SuccessfulRescale`.
    pub reason: String,
    /// What a person reads.
    pub message: String,
}

impl Event {
    /// Most bytes of a message that Kubernetes takes.
    pub const MESSAGE_LIMIT: usize = 1024;

    /// A message with a sentence of any length in it, which is shortened where the
    /// message would be too long: what stands behind it is never what gets lost.
    pub(crate) fn message(before: &str, sentence: &str, after: &str) -> String {
        let room = Self::MESSAGE_LIMIT.saturating_sub(before.len() + after.len());
        if sentence.len() <= room {
            return format!("{before}{sentence}{after}");
        }
        let room = room.saturating_sub(CUT.len());
        let sentence = &sentence[..sentence.floor_char_boundary(room)];
        format!("{before}{sentence}{CUT}{after}")
    }
}

/// Stands where a sentence was shortened.
const CUT: &str = "…";
