//! Similarity of node groups. New nodes may be split over similar groups, which have
//! nearly the same resources and the same labels, except for those of a node's location
//! or group. Taints are not compared, as in Cluster Autoscaler.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::options::DifferenceRatios;

/// Labels that never make groups different.
pub const IGNORED_LABELS: &[&str] = &[
    "kubernetes.io/hostname",
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
    "beta.kubernetes.io/fluentd-ds-ready",
    "kops.k8s.io/instancegroup",
];

/// The fields of a new node that are compared. Amounts are in milli of each resource's
/// unit.
#[derive(Clone, Copy, Debug)]
pub struct NodeShape<'a> {
    /// Labels.
    pub labels: &'a BTreeMap<Arc<str>, Arc<str>>,
    /// Capacity.
    pub capacity: &'a BTreeMap<Arc<str>, i64>,
    /// Allocatable.
    pub allocatable: &'a BTreeMap<Arc<str>, i64>,
    /// Requests of the pods that each new node carries.
    pub requested: &'a BTreeMap<Arc<str>, i64>,
}

/// Resources whose free amount is compared whether or not a pod requests them.
const ALWAYS_FREE: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// Whether two groups are similar.
#[must_use]
pub fn similar(
    left: NodeShape<'_>,
    right: NodeShape<'_>,
    ignored_labels: &BTreeSet<Arc<str>>,
    ratios: DifferenceRatios,
) -> bool {
    let capacity = |resource: &str, left: i64, right: i64| match resource {
        "memory" => within(left, right, ratios.capacity_memory),
        _ => left == right,
    };
    let allocatable = |_: &str, left, right| within(left, right, ratios.allocatable);
    let free = |_: &str, left, right| within(left, right, ratios.free);
    both(left.capacity, right.capacity, capacity)
        && both(left.allocatable, right.allocatable, allocatable)
        && both(&free_of(left), &free_of(right), free)
        && same_labels(left.labels, right.labels, ignored_labels)
}

/// Whether both have the same labels, other than ignored ones.
#[must_use]
pub fn same_labels(
    left: &BTreeMap<Arc<str>, Arc<str>>,
    right: &BTreeMap<Arc<str>, Arc<str>>,
    ignored: &BTreeSet<Arc<str>>,
) -> bool {
    let compared = |labels: &'_ BTreeMap<Arc<str>, Arc<str>>| -> Vec<(Arc<str>, Arc<str>)> {
        let compared = labels.iter().filter(|(key, _)| !ignored.contains(*key));
        compared
            .map(|(key, value)| (Arc::clone(key), Arc::clone(value)))
            .collect()
    };
    compared(left) == compared(right)
}

/// The labels to ignore: [`IGNORED_LABELS`], and the cloud's and the operator's in
/// `others`.
#[must_use]
pub fn ignored_labels(others: &[Arc<str>]) -> BTreeSet<Arc<str>> {
    let known = IGNORED_LABELS.iter().map(|&label| Arc::from(label));
    known.chain(others.iter().cloned()).collect()
}

fn free_of(shape: NodeShape<'_>) -> BTreeMap<Arc<str>, i64> {
    let amount = |of: &BTreeMap<Arc<str>, i64>, resource: &str| {
        of.get(resource).copied().unwrap_or_default()
    };
    let names = ALWAYS_FREE.iter().map(|&name| Arc::from(name));
    names
        .chain(shape.requested.keys().cloned())
        .map(|name: Arc<str>| {
            let free = amount(shape.allocatable, &name) - amount(shape.requested, &name);
            (name, free)
        })
        .collect()
}

fn both(
    left: &BTreeMap<Arc<str>, i64>,
    right: &BTreeMap<Arc<str>, i64>,
    compare: impl Fn(&str, i64, i64) -> bool,
) -> bool {
    left.len() == right.len()
        && left.iter().all(|(name, &amount)| {
            let other = right.get(name);
            other.is_some_and(|&other| compare(name, amount, other))
        })
}

fn within(left: i64, right: i64, ratio: f64) -> bool {
    let (larger, smaller) = (left.max(right) as f64, left.min(right) as f64);
    larger - smaller <= larger * ratio
}
