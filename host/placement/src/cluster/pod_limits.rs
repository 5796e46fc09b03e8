//! Limits on the lists of a pod.
//!
//! Whoever may create pods chooses how long these lists are, and a check of a node walks
//! them. So a pod beyond a limit is not judged: it fits on no node.

use crate::{
    AffinityTerm, Disk, LabelSelector, Pod, PodVolumes, Requirement, SpreadConstraint, Unjudged,
};

/// Maximum number of terms of required affinity and anti-affinity of a pod that is judged,
/// and of spread constraints.
pub(super) const MAX_TERMS: usize = 32;

/// Maximum number of requirements, values and namespaces in these terms, and in the
/// constraints. They are compared with each pod that they may select.
const MAX_CONDITIONS: usize = 1000;

/// Maximum number of extended resources that a pod requests. A check names each resource
/// that a node lacks, and a node has about a dozen at most.
const MAX_RESOURCES: usize = 64;

/// Maximum number of claims and disks of a pod, and of the monitors of its rbd disks. A
/// check looks up each claim several times, and compares each disk with those on the node.
/// Nodes attach at most about 128 disks. A claim counts each time that it is mounted, since
/// the scheduler looks for a volume each time.
const MAX_VOLUMES: usize = 128;

/// Maximum number of host ports of a pod. A check looks up each.
const MAX_PORTS: usize = 128;

/// Maximum number of names, conditions and tolerations of a pod that selects nodes by name.
/// Such a pod is compared with each node, others with one node of each kind. DaemonSet pods
/// have one name.
const MAX_BY_NAME: usize = 1000;

/// Returns which limit a pod is beyond. `None` if it is within all.
pub(super) fn exceeded(pod: &Pod) -> Option<Unjudged> {
    if resources(pod) > MAX_RESOURCES {
        Some(Unjudged::TooManyResources)
    } else if pod.volumes.as_deref().map_or(0, volumes) > MAX_VOLUMES {
        Some(Unjudged::TooManyVolumes)
    } else if pod.host_ports.len() > MAX_PORTS {
        Some(Unjudged::TooManyPorts)
    } else if parts_by_name(pod) > MAX_BY_NAME {
        Some(Unjudged::TooManyNodeNames)
    } else {
        None
    }
}

/// Returns which limit a pod's terms of affinity and anti-affinity are beyond. `None` if they
/// are within all.
pub(super) fn exceeded_by_terms(pod: &Pod) -> Option<Unjudged> {
    let terms = || pod.affinity.iter().chain(&pod.anti_affinity);
    exceeded_by(terms().count(), terms().map(conditions_of_term).sum())
}

/// Returns which limit the spread constraints of a pod are beyond. `None` if they are within
/// all.
pub(super) fn exceeded_by_spread(constraints: &[SpreadConstraint]) -> Option<Unjudged> {
    let selectors = constraints
        .iter()
        .flat_map(|constraint| &constraint.selector);
    exceeded_by(constraints.len(), selectors.map(conditions).sum())
}

fn exceeded_by(terms: usize, conditions: usize) -> Option<Unjudged> {
    if terms > MAX_TERMS {
        Some(Unjudged::TooManyTerms)
    } else if conditions > MAX_CONDITIONS {
        Some(Unjudged::TooManyConditions)
    } else {
        None
    }
}

fn conditions_of_term(term: &AffinityTerm) -> usize {
    let selectors = term.selector.iter().chain(&term.namespace_selector);
    term.namespaces.len() + selectors.map(conditions).sum::<usize>()
}

/// Returns the number of requirements and values of a selector.
fn conditions(selector: &LabelSelector) -> usize {
    let requirements = selector.0.iter();
    requirements
        .map(|requirement| 1 + requirement.values.len())
        .sum()
}

/// Returns the number of extended resources of which a pod requests some.
fn resources(pod: &Pod) -> usize {
    let requests = pod.requests.extended.iter();
    requests.filter(|(_, amount)| *amount != 0).count()
}

fn volumes(volumes: &PodVolumes) -> usize {
    let disks = volumes.disks.iter();
    let disks = disks.map(|disk| match disk {
        Disk::Rbd { monitors, .. } => monitors.len().max(1),
        _ => 1,
    });
    volumes.claims.len() + disks.sum::<usize>()
}

/// Returns the number of names, conditions and tolerations that are compared with each node.
/// None if the pod does not select nodes by name.
fn parts_by_name(pod: &Pod) -> usize {
    let terms = pod.node_affinity.as_deref().unwrap_or_default();
    if terms.iter().all(|term| term.fields.is_empty()) {
        return 0;
    }
    let values = |one: &Requirement| one.values.len().max(1);
    let parts = terms.iter().map(|term| {
        let all = term.fields.iter().chain(&term.expressions);
        all.map(values).sum::<usize>().max(1)
    });
    pod.tolerations.len() + parts.sum::<usize>()
}
