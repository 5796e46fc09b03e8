//! What values of a spec may be, beyond their types. The schema of the custom
//! resource is made from it, and scenarios are held to it.

use std::ops::RangeInclusive;

/// A kind of metric.
#[derive(Debug)]
pub struct MetricKind {
    /// `type` of the metric.
    pub name: &'static str,
    /// The field that is set for it, and for no other.
    pub field: &'static str,
    /// `type` of its target: one of these.
    pub targets: &'static [&'static str],
}

/// All kinds of metric, in the order of the fields of [`super::MetricSpec`].
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

/// Kinds of metric that are measured outside the pods, so that there is something to go
/// by at zero replicas.
pub const OUTSIDE_METRICS: [&str; 2] = ["Object", "External"];

/// What is wrong with a `minReplicas` of 0 and none of [`OUTSIDE_METRICS`].
pub const ZERO_WITHOUT_OUTSIDE_METRIC: &str =
    "must specify at least one Object or External metric to support scaling to zero replicas";

/// Most metrics of an object.
pub const MOST_METRICS: usize = 20;

/// Most policies that an object asks.
pub const MOST_POLICIES: usize = 8;

/// Seconds over which recommendations are looked at.
pub const WINDOW_SECONDS: RangeInclusive<i32> = 0..=3600;

/// What `selectPolicy` of scaling rules may be.
pub const SELECT_POLICIES: [&str; 3] = ["Max", "Min", "Disabled"];

/// Fewest and most policies of scaling rules that have some.
pub const SCALING_POLICIES: RangeInclusive<usize> = 1..=20;

/// What `type` of a scaling policy may be.
pub const SCALING_POLICY_TYPES: [&str; 2] = ["Pods", "Percent"];

/// Seconds that a scaling policy looks back.
pub const PERIOD_SECONDS: RangeInclusive<i32> = 1..=1800;
