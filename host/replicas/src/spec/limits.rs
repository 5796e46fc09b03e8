//! Limits on the values of a spec, beyond their types. They go into the schema of the
//! custom resource, and scenarios are validated against them.

use std::ops::RangeInclusive;

/// A kind of metric.
#[derive(Debug)]
pub struct MetricKind {
    /// `type` of the metric.
    pub name: &'static str,
    /// The field that is set for this kind only.
    pub field: &'static str,
    /// Allowed values of its target's `type`.
    pub targets: &'static [&'static str],
}

/// All kinds of metric, in the order of the fields of [`super::MetricFields`].
pub const METRICS: [MetricKind; 5] = [
    metric("Resource", "resource", &["Utilization", "AverageValue"]),
    metric(
        "ContainerResource",
        "containerResource",
        &["Utilization", "AverageValue"],
    ),
    metric("Pods", "pods", &["AverageValue"]),
    metric("Object", "object", &["Value", "AverageValue"]),
    metric("External", "external", &["Value", "AverageValue"]),
];

const fn metric(
    name: &'static str,
    field: &'static str,
    targets: &'static [&'static str],
) -> MetricKind {
    MetricKind {
        name,
        field,
        targets,
    }
}

/// `type` of a target, and the field that is set for it.
pub const TARGETS: [(&str, &str); 3] = [
    ("Utilization", "averageUtilization"),
    ("Value", "value"),
    ("AverageValue", "averageValue"),
];

/// Kinds of metric that are measured outside the pods and therefore exist at zero
/// replicas.
pub const OUTSIDE_METRICS: [&str; 2] = ["Object", "External"];

/// Error for a `minReplicas` of 0 without one of [`OUTSIDE_METRICS`].
pub const ZERO_WITHOUT_OUTSIDE_METRIC: &str =
    "must specify at least one Object or External metric to support scaling to zero replicas";

/// Maximum number of metrics of an object.
pub const MAX_METRICS: usize = 20;

/// Maximum number of policies of an object.
pub const MAX_POLICIES: usize = 8;

/// Maximum bytes of a name of a kind, a container or a policy.
pub const NAME_BYTES: usize = 63;

/// Maximum bytes of the name of an object.
pub const OBJECT_NAME_BYTES: usize = 253;

/// Maximum bytes of the name of a metric and of an apiVersion: a DNS subdomain, a slash and
/// a name.
pub const METRIC_NAME_BYTES: usize = 317;

/// Maximum number of labels, of expressions, and of values of an expression, in the
/// selector of a metric.
pub const MAX_REQUIREMENTS: usize = 32;

/// Maximum bytes of the keys and values in the selector of a metric.
pub const SELECTOR_BYTES: usize = 4096;

/// Maximum number of fields of a configuration. Its size is limited apart, by
/// [`super::Configuration::MAX_BYTES`], which a schema can't express.
pub const MAX_CONFIGURATION_FIELDS: usize = 256;

/// Allowed `stabilizationWindowSeconds`.
pub const WINDOW_SECONDS: RangeInclusive<i32> = 0..=3600;

/// Allowed `selectPolicy` values of scaling rules.
pub const SELECT_POLICIES: [&str; 3] = ["Max", "Min", "Disabled"];

/// Allowed number of policies of scaling rules, if there are any.
pub const SCALING_POLICIES: RangeInclusive<usize> = 1..=20;

/// Allowed `type` values of a scaling policy.
pub const SCALING_POLICY_TYPES: [&str; 2] = ["Pods", "Percent"];

/// Allowed `periodSeconds` of a scaling policy.
pub const PERIOD_SECONDS: RangeInclusive<i32> = 1..=1800;
