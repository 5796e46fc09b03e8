//! Anti-affinity whose terms select nearly all pods: exact, at a cost by the number of
//! the terms.

use std::process::Command;

use flyball_placement::pack::{Demand, Growth, Template, pack};
use flyball_placement::{
    AffinityTerm, ClassId, Cluster, LabelSelector, Misfit, Name, NodeId, Operator, Pod, Reason,
    Requirement,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{HOST, node};

const MIB: u64 = 1 << 20;

/// Set in the process that runs a test alone.
const ALONE: &str = "FLYBALL_TEST_ALONE";

/// Memory of this process that is in use.
fn resident_bytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line
        .and_then(|line| line.split_whitespace().next())
        .unwrap();
    kib.parse::<u64>().unwrap() << 10
}

/// A pod of an app, with ten terms that each select every pod but those of a few apps.
fn loner(row: usize) -> Pod {
    let terms = (0..10).map(|term| AffinityTerm {
        topology_key: if term % 2 == 0 { HOST } else { "zone" }.into(),
        selector: Some(LabelSelector(vec![requirement(
            "app",
            Operator::NotIn,
            &[
                &format!("app-{}", row + term),
                &format!("none-{row}-{term}"),
            ],
        )])),
        namespaces: Vec::new(),
        namespace_selector: None,
    });
    Pod {
        namespace: "shop".into(),
        labels: [("app", format!("app-{row}"))].into_iter().collect(),
        anti_affinity: terms.collect(),
        ..Pod::default()
    }
}

fn requirement(key: &str, operator: Operator, values: &[&str]) -> Requirement {
    Requirement {
        key: key.into(),
        operator,
        values: values.iter().map(|value| Name::from(*value)).collect(),
    }
}

#[test]
fn pods_with_many_terms_that_select_nearly_all_pods_are_judged_exactly() {
    // In a process of its own: other tests take memory as well.
    if std::env::var_os(ALONE).is_none() {
        let name = "not_in::pods_with_many_terms_that_select_nearly_all_pods_are_judged_exactly";
        let mut alone = Command::new(std::env::current_exe().unwrap());
        alone.args(["--exact", name]).env(ALONE, "yes");
        let ran = alone.output().unwrap();
        let output = String::from_utf8_lossy(&ran.stdout);
        assert!(
            ran.status.success() && output.contains("1 passed"),
            "{output}"
        );
        return;
    }
    let before = resident_bytes();
    let mut cluster = Cluster::default();
    let nodes: Vec<NodeId> = (0..100)
        .map(|row| cluster.add_node(node(row, &format!("zone-{}", row % 50))))
        .collect();
    let classes: Vec<ClassId> = (0..2000).map(|row| cluster.class(&loner(row))).collect();
    // Each zone has two nodes. One of them has a pod.
    for (row, class) in classes.iter().take(50).enumerate() {
        assert!(cluster.fits(*class, nodes[row]));
        assert!(cluster.place(*class, nodes[row], false));
    }
    for (row, class) in classes.iter().enumerate().skip(50) {
        let fitting = nodes.iter().filter(|node| cluster.fits(*class, **node));
        assert_eq!(fitting.count(), 0, "pod {row} shares a zone");
    }
    // The first of these can't share a zone with another pod, and each pod with no other.
    let demands: Vec<Demand> = classes[50..]
        .iter()
        .map(|&class| Demand { class, count: 1 })
        .collect();
    let template = Template {
        node: std::sync::Arc::new(node(1000, "zone-new")),
        carried: Vec::new(),
    };
    let growth = Growth::of(&template, 10);
    let packed = pack(&mut cluster, &nodes, &growth, &demands);
    assert_eq!(packed.pods(), 1);
    let used = resident_bytes().saturating_sub(before);
    assert!(used < 64 * MIB, "{} MiB", used / MIB);
}

/// Why a pod does not fit on a node, by the definition of the terms. `placed` are pods and
/// their nodes.
fn misfit_by_definition(
    pods: &[Pod],
    placed: &[(usize, usize)],
    (pod, at): (usize, usize),
) -> Option<Reason> {
    let value = |at: usize, key: &str| node(at, &zone(at)).labels.get(key).cloned();
    let excludes = |owner: &Pod, other: &Pod, (a, b): (usize, usize)| {
        let mut terms = owner.anti_affinity.iter();
        terms.any(|term| {
            let is_own = term.namespaces.is_empty() && term.namespace_selector.is_none();
            let is_there = term.namespace_selector.is_some()
                || term.namespaces.contains(&other.namespace)
                || (is_own && owner.namespace == other.namespace);
            let mut selector = term.selector.iter();
            let domain = value(a, &term.topology_key);
            is_there
                && selector.any(|selector| selector.selects(|key| other.labels.get(key)))
                && domain.is_some()
                && domain == value(b, &term.topology_key)
        })
    };
    let mut others = placed.iter();
    if others.any(|&(other, on)| excludes(&pods[pod], &pods[other], (at, on))) {
        return Some(Reason::AntiAffinity);
    }
    let mut others = placed.iter();
    let excluded = others.any(|&(other, on)| excludes(&pods[other], &pods[pod], (on, at)));
    excluded.then_some(Reason::ExistingAntiAffinity)
}

fn zone(row: usize) -> String {
    format!("zone-{}", row % 2)
}

fn generated_requirement() -> impl Strategy<Value = Requirement> {
    let key = prop_oneof![Just("app"), Just("tier"), Just("track")];
    let values = vec(prop_oneof![Just("a"), Just("b"), Just("c")], 1..3);
    (key, 0..6_usize, values).prop_map(|(key, operator, values)| match operator {
        0 => requirement(key, Operator::In, &values),
        1 => requirement(key, Operator::Exists, &[]),
        2 => requirement(key, Operator::DoesNotExist, &[]),
        _ => requirement(key, Operator::NotIn, &values),
    })
}

fn generated_term() -> impl Strategy<Value = AffinityTerm> {
    let scope = prop_oneof![
        3 => Just((Vec::new(), None)),
        1 => Just((vec![Name::from("ns-0"), Name::from("ns-1")], None)),
        1 => Just((Vec::new(), Some(LabelSelector::default()))),
    ];
    let key = prop_oneof![Just(HOST), Just("zone"), Just("absent")];
    let selector = proptest::option::weighted(0.95, vec(generated_requirement(), 0..3));
    (scope, key, selector).prop_map(|((namespaces, namespace_selector), key, selector)| {
        AffinityTerm {
            topology_key: key.into(),
            selector: selector.map(LabelSelector),
            namespaces,
            namespace_selector,
        }
    })
}

fn generated_pod() -> impl Strategy<Value = Pod> {
    let value = || proptest::option::of(prop_oneof![Just("a"), Just("b"), Just("c")]);
    let labels = (value(), value(), value());
    let terms = vec(generated_term(), 0..4);
    (0..2_usize, labels, terms).prop_map(|(namespace, (app, tier, track), anti_affinity)| Pod {
        namespace: format!("ns-{namespace}").into(),
        labels: [("app", app), ("tier", tier), ("track", track)]
            .into_iter()
            .filter_map(|(key, value)| Some((key, value?)))
            .collect(),
        anti_affinity,
        ..Pod::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn anti_affinity_is_what_its_terms_say(
        pods in vec(generated_pod(), 2..9),
        places in vec(0..6_usize, 9),
        early in 0..9_usize,
    ) {
        let mut cluster = Cluster::default();
        let nodes: Vec<NodeId> = (0..4).map(|row| cluster.add_node(node(row, &zone(row)))).collect();
        let mut classes: Vec<ClassId> = Vec::new();
        let mut placed = Vec::new();
        // Some pods are placed before the others are known, and some run nowhere.
        for (row, pod) in pods.iter().enumerate() {
            classes.push(cluster.class(pod));
            if row >= early || row + 1 == pods.len() {
                for pod in placed.len()..classes.len() {
                    if let Some(node) = nodes.get(places[pod]) {
                        prop_assert!(cluster.place(classes[pod], *node, false));
                    }
                    placed.push((pod, places[pod]));
                }
            }
        }
        placed.retain(|(_, place)| *place < nodes.len());
        for (pod, class) in classes.iter().enumerate() {
            if places[pod] < nodes.len() {
                continue;
            }
            for (at, node) in nodes.iter().enumerate() {
                let found = match cluster.check(*class, *node) {
                    Ok(()) => None,
                    Err(Misfit::Rejected { reasons, .. }) => reasons.into_iter().next(),
                    Err(other) => panic!("{other}"),
                };
                prop_assert_eq!(found, misfit_by_definition(&pods, &placed, (pod, at)));
            }
        }
    }
}
