//! Verdicts, compared with those of kube-scheduler 1.36.3 for each pod and node: every
//! case of `tests/vectors/scheduler`.

mod cases;

use cases::{cases, disagreements};

/// Runs all cases of a feature: each must agree on every node, on the plugin and
/// on the reasons.
fn agree(feature: &str, count: usize) {
    let cases = cases(feature);
    assert_eq!(cases.len(), count, "cases of {feature}");
    let wrong: Vec<String> = cases.iter().flat_map(disagreements).collect();
    let some = wrong
        .iter()
        .take(20)
        .cloned()
        .collect::<Vec<_>>()
        .join("\n");
    assert!(wrong.is_empty(), "{} disagreements:\n{some}", wrong.len());
}

#[test]
fn resources() {
    agree("resources", 180);
}

#[test]
fn node_name() {
    agree("node-name", 60);
}

#[test]
fn unschedulable() {
    agree("unschedulable", 60);
}

#[test]
fn taints() {
    agree("taints", 120);
}

#[test]
fn node_selector() {
    agree("node-selector", 60);
}

#[test]
fn node_affinity() {
    agree("node-affinity", 144);
}

#[test]
fn host_ports() {
    agree("host-ports", 84);
}

#[test]
fn pod_affinity() {
    agree("pod-affinity", 132);
}

#[test]
fn pod_anti_affinity() {
    agree("pod-anti-affinity", 108);
}

#[test]
fn topology_spread() {
    agree("topology-spread", 180);
}

#[test]
fn upstream_quirks() {
    agree("upstream-quirks", 9);
}

#[test]
fn volumes() {
    agree("volumes", 180);
}

#[test]
fn mixed() {
    agree("mixed", 132);
}
