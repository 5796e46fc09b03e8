//! Status of an autoscaler: conditions, events and current metrics, named as in
//! HorizontalPodAutoscaler. These names are spelled here and nowhere else.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use flyball_decision::time::Timestamp;

/// Status of a `ReplicaAutoscaler`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct AutoscalerStatus {
    /// metadata.generation that the status is about.
    pub observed_generation: Option<i64>,
    /// When replicas were last changed.
    pub last_scale_time: Option<Timestamp>,
    /// spec.replicas of the scale, as HorizontalPodAutoscaler reports it.
    pub current_replicas: i32,
    /// Desired replicas of the last decision.
    pub desired_replicas: i32,
    /// Current metrics, at the index of the spec's metrics.
    pub current_metrics: Vec<MetricStatus>,
    /// Conditions, in the order of their first appearance.
    pub conditions: Vec<Condition>,
    /// The policies that the last decision asked.
    pub policies: Vec<PolicyStatus>,
}

/// Value of a metric at the last decision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct MetricStatus {
    /// The spec's `type`; empty if the metric is unavailable.
    pub source: String,
    /// Name of the resource or metric.
    pub name: String,
    /// For `ContainerResource`: name of the container.
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
    /// `sha256:…` of the component that answered; empty if none did.
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
    pub kind: Arc<str>,
    /// `True`, `False` or `Unknown`.
    pub status: Arc<str>,
    /// When `status` last changed.
    pub last_transition_time: Timestamp,
    /// CamelCase.
    pub reason: Arc<str>,
    /// Message for people.
    pub message: Arc<str>,
}

/// Types of conditions.
pub mod condition {
    /// Whether the target's scale can be read and written.
    pub const ABLE_TO_SCALE: &str = "AbleToScale";
    /// Whether desired replicas could be computed.
    pub const SCALING_ACTIVE: &str = "ScalingActive";
    /// Whether a guardrail changed the proposal.
    pub const SCALING_LIMITED: &str = "ScalingLimited";
    /// Whether Flyball itself scaled the target to zero. Only set with the feature gate
    /// `HPAScaleToZero`.
    pub const SCALED_TO_ZERO: &str = "ScaledToZero";
    /// `False` if the spec's `minReplicas` of 0 does not count because the feature gate
    /// `HPAScaleToZero` is off. Absent otherwise.
    pub const SCALE_TO_ZERO_ENABLED: &str = "ScaleToZeroEnabled";
    /// Reason of [`SCALING_ACTIVE`] while the target has no replicas.
    pub const SCALING_DISABLED: &str = "ScalingDisabled";
    /// Whether all policies answered; if not, what took their place.
    pub const POLICIES_HEALTHY: &str = "PoliciesHealthy";
}

/// Reasons of events that other code depends on.
pub mod event {
    /// The object was decided late, because policies use more fuel for its namespace than a
    /// tick has for them.
    pub const DECISION_PUT_OFF: &str = "DecisionPutOff";
    /// The spec's `minReplicas` of 0 does not count because the feature gate is off.
    pub const SCALE_TO_ZERO_DISABLED: &str = "ScaleToZeroDisabled";
}
