//! Properties of a group's nodes: the template that the cloud reports, and the nodes that
//! join.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_nodes::cloud::{NodeTemplate, TemplateTaint};
use flyball_placement as placement;

use crate::scenario::{NodeGroupSpec, NodeResources};

const HOSTNAME: &str = "kubernetes.io/hostname";
/// Label of a node's zone.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// Returns the template of a group's new nodes, in any of its zones.
pub fn of_group(spec: &NodeGroupSpec) -> NodeTemplate {
    let effect = |taint: &crate::scenario::TaintSpec| match taint.effect {
        placement::Effect::NoSchedule => "NoSchedule",
        placement::Effect::PreferNoSchedule => "PreferNoSchedule",
        placement::Effect::NoExecute => "NoExecute",
    };
    let taints = spec.taints.iter().map(|taint| TemplateTaint {
        key: taint.key.as_str().into(),
        value: taint.value.as_str().into(),
        effect: effect(taint).into(),
    });
    NodeTemplate {
        labels: labels(spec, None),
        zone_labels: Vec::new(),
        taints: taints.collect(),
        capacity: amounts(&spec.capacity),
        allocatable: amounts(spec.allocatable()),
    }
}

/// Returns a node of a group.
pub fn node(spec: &NodeGroupSpec, name: &Arc<str>, zone: Option<&Arc<str>>) -> placement::Node {
    let mut labels = labels(spec, zone);
    labels.insert(HOSTNAME.into(), Arc::clone(name));
    let taints = spec.taints.iter().map(|taint| placement::Taint {
        key: taint.key.as_str().into(),
        value: taint.value.as_str().into(),
        effect: taint.effect,
    });
    placement::Node {
        name: Arc::clone(name),
        labels: labels.into_iter().collect(),
        taints: taints.collect(),
        unschedulable: false,
        allocatable: in_units(spec.allocatable()),
        ..placement::Node::default()
    }
}

/// Returns the capacity of a group's node.
pub fn capacity(spec: &NodeGroupSpec) -> placement::Resources {
    in_units(&spec.capacity)
}

fn in_units(resources: &NodeResources) -> placement::Resources {
    let mut units = placement::Resources {
        cpu: milli(resources.cpu),
        // The conversion from float saturates.
        memory: resources.memory as i64,
        pods: i64::from(resources.pods),
        ..placement::Resources::default()
    };
    for (name, amount) in &resources.extended {
        units.set(name, *amount);
    }
    units
}

fn labels(spec: &NodeGroupSpec, zone: Option<&Arc<str>>) -> BTreeMap<Arc<str>, Arc<str>> {
    let usual = [
        ("kubernetes.io/os", "linux"),
        ("kubernetes.io/arch", "amd64"),
    ];
    let usual = usual.map(|(key, value)| (key.into(), value.into()));
    let zone = zone.map(|zone| (ZONE.into(), Arc::clone(zone)));
    let own = spec.labels.iter();
    let own = own.map(|(key, value)| (key.as_str().into(), value.as_str().into()));
    usual.into_iter().chain(zone).chain(own).collect()
}

fn amounts(resources: &NodeResources) -> BTreeMap<Arc<str>, i64> {
    let usual = [
        ("cpu".into(), milli(resources.cpu)),
        ("memory".into(), milli(resources.memory)),
        ("pods".into(), i64::from(resources.pods) * 1000),
    ];
    let extended = resources.extended.iter();
    let extended =
        extended.map(|(name, amount)| (name.as_str().into(), amount.saturating_mul(1000)));
    usual.into_iter().chain(extended).collect()
}

/// The conversion from float saturates.
fn milli(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}
