//! Spec of a `ReplicaAutoscaler`: the spec of an autoscaling/v2 HorizontalPodAutoscaler
//! plus Flyball's own fields, in Kubernetes' spelling. It is read from the API server,
//! scenario files and records.

mod bounds;
mod check;
mod configuration;
pub mod limits;
mod metric;
mod segment;

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

pub use check::SpecFault;
pub use configuration::{Configuration, ConfigurationTooLarge};
pub use metric::{
    ContainerResourceMetric, ExternalMetric, LabelSelector, LabelSelectorRequirement, MetricFields,
    MetricIdentifier, MetricSpec, MetricTarget, ObjectMetric, PodsMetric, ResourceMetric,
};
pub use segment::{SEGMENT_PATTERN, SegmentFault};

use flyball_decision::policy::DEFAULT_REPLICA_POLICY;
use flyball_decision::quantity::QuantityText;

/// Spec of a `ReplicaAutoscaler`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalerSpec {
    /// What is scaled: any kind with a scale subresource.
    pub scale_target_ref: CrossVersionObjectReference,
    /// Lower bound of replicas (default 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_replicas: Option<i32>,
    /// Upper bound of replicas.
    pub max_replicas: i32,
    /// What is measured (default: cpu at 80% of the request).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<MetricSpec>,
    /// How fast replicas may change (default: as without the field in autoscaling/v2).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub behavior: Option<Behavior>,
    /// The policies asked (default: `hpa`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyRef>,
    /// How the answers of several policies become one.
    #[serde(default)]
    pub combine: Combine,
    /// Whether the target is written.
    #[serde(default)]
    pub mode: Mode,
}

impl AutoscalerSpec {
    /// Returns the lower bound of replicas, or its default.
    #[must_use]
    pub fn effective_min(&self) -> i32 {
        self.min_replicas.unwrap_or(1)
    }

    /// Returns the metrics, or the default: cpu at 80% of the request.
    #[must_use]
    pub fn effective_metrics(&self) -> &[MetricSpec] {
        static DEFAULT: LazyLock<[MetricSpec; 1]> = LazyLock::new(|| [MetricSpec::default_cpu()]);
        if self.metrics.is_empty() {
            &*DEFAULT
        } else {
            &self.metrics
        }
    }

    /// Returns whether some metric is measured outside the pods and therefore exists at
    /// zero replicas.
    #[must_use]
    pub fn has_outside_metric(&self) -> bool {
        let mut metrics = self.effective_metrics().iter();
        metrics.any(|metric| limits::OUTSIDE_METRICS.contains(&metric.kind()))
    }

    /// Returns the policies, or the default: `hpa`.
    #[must_use]
    pub fn effective_policies(&self) -> &[PolicyRef] {
        static DEFAULT: LazyLock<[PolicyRef; 1]> = LazyLock::new(|| {
            [PolicyRef {
                name: DEFAULT_REPLICA_POLICY.to_owned(),
                config: None,
            }]
        });
        if self.policies.is_empty() {
            &*DEFAULT
        } else {
            &self.policies
        }
    }
}

/// A policy in use by an object.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyRef {
    /// Stem of the policy's file, or a built-in's name.
    pub name: String,
    /// Its configuration: a JSON object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config: Option<Configuration>,
}

impl PolicyRef {
    /// Returns the configuration, or the empty one, as JSON.
    #[must_use]
    pub fn configuration(&self) -> Arc<str> {
        static EMPTY: LazyLock<Arc<str>> = LazyLock::new(|| "{}".into());
        let own = self.config.as_ref().map(Configuration::text);
        Arc::clone(own.unwrap_or(&EMPTY))
    }
}

/// How the answers of several policies become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Combine {
    /// The largest desired replicas.
    #[default]
    Max,
    /// The smallest desired replicas.
    Min,
}

/// Whether the target is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Mode {
    /// Decide, record and scale.
    #[default]
    Active,
    /// Decide and record only.
    Observe,
}

/// Names a kind of object, and one of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CrossVersionObjectReference {
    /// Group and version, such as `apps/v1`.
    #[serde(default)]
    pub api_version: String,
    /// Such as `Deployment`.
    pub kind: String,
    /// In the autoscaler's namespace.
    pub name: String,
}

impl CrossVersionObjectReference {
    /// Returns the API group; empty for the core group.
    #[must_use]
    pub fn group(&self) -> &str {
        api_group(&self.api_version)
    }
}

/// Returns the API group of an apiVersion; empty for the core group.
#[must_use]
pub fn api_group(api_version: &str) -> &str {
    let parts = api_version.split_once('/');
    parts.map_or("", |(group, _)| group)
}

/// How fast replicas may change.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Behavior {
    /// Going up.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_up: Option<ScalingRules>,
    /// Going down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScalingRules>,
}

/// How fast replicas may change in one direction.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingRules {
    /// Seconds (0 to 3600) over which recommendations are looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stabilization_window_seconds: Option<i32>,
    /// `Max` (default), `Min` or `Disabled`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub select_policy: Option<String>,
    /// How much may change in which time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<Vec<ScalingPolicy>>,
    /// Overrides the controller's tolerance in this direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<QuantityText>,
}

/// How much may change in which time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScalingPolicy {
    /// `Pods` or `Percent`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Pods, or percent of the replicas at the period's start (> 0).
    pub value: i32,
    /// Seconds (1 to 1800).
    pub period_seconds: i32,
}
