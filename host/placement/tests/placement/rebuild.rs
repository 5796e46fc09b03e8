//! A cluster that went through changes, marks and rollbacks gives the same results as
//! one built from the final objects, and as its own rebuilt copy.

use std::collections::BTreeMap;

use flyball_placement::{
    AffinityTerm, Cluster, Effect, HostPort, LabelSelector, Labels, Mark, Name, Node, Operator,
    Pod, Protocol, Requirement, Resources, SpreadConstraint, Taint,
};
use proptest::collection::vec;
use proptest::prelude::*;

const NODES: usize = 5;
const PODS: usize = 14;

/// A change. Indexes are of `node_name`, `node_variant`, `pod` and `namespace`.
#[derive(Clone, Debug)]
enum Change {
    SetNode(usize, usize),
    RemoveNode(usize),
    Namespace(usize, Option<usize>),
    Place(usize, usize, bool),
    Unplace(usize, usize, bool),
    Mark,
    Rollback,
    Keep,
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => (0..NODES, 0..6usize).prop_map(|(node, variant)| Change::SetNode(node, variant)),
        1 => (0..NODES).prop_map(Change::RemoveNode),
        1 => (0..2usize, proptest::option::of(0..2usize))
            .prop_map(|(namespace, labels)| Change::Namespace(namespace, labels)),
        8 => (0..PODS, 0..NODES, any::<bool>())
            .prop_map(|(pod, node, terminating)| Change::Place(pod, node, terminating)),
        3 => (0..PODS, 0..NODES, any::<bool>())
            .prop_map(|(pod, node, terminating)| Change::Unplace(pod, node, terminating)),
        1 => Just(Change::Mark),
        1 => Just(Change::Rollback),
        1 => Just(Change::Keep),
    ]
}

/// A simple model of a cluster's content.
#[derive(Clone, Default)]
struct Model {
    nodes: BTreeMap<usize, usize>,
    namespaces: BTreeMap<usize, usize>,
    pods: BTreeMap<(usize, usize, bool), usize>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match *change {
            Change::SetNode(node, variant) => {
                self.nodes.insert(node, variant);
            }
            Change::RemoveNode(node) => {
                self.nodes.remove(&node);
                self.pods.retain(|(_, on, _), _| *on != node);
            }
            Change::Namespace(namespace, Some(labels)) => {
                self.namespaces.insert(namespace, labels);
            }
            Change::Namespace(namespace, None) => {
                self.namespaces.remove(&namespace);
            }
            Change::Place(pod, node, terminating) if self.nodes.contains_key(&node) => {
                *self.pods.entry((pod, node, terminating)).or_default() += 1;
            }
            Change::Unplace(pod, node, terminating) => {
                if let Some(count) = self.pods.get_mut(&(pod, node, terminating)) {
                    *count = count.saturating_sub(1);
                }
            }
            _ => {}
        }
    }

    fn build(&self) -> Cluster {
        let mut cluster = Cluster::default();
        for (node, variant) in &self.nodes {
            cluster.add_node(node_of(*node, *variant));
        }
        for (place, count) in &self.pods {
            for _ in 0..*count {
                apply(&mut cluster, &Change::Place(place.0, place.1, place.2));
            }
        }
        for (namespace, labels) in &self.namespaces {
            apply(&mut cluster, &Change::Namespace(*namespace, Some(*labels)));
        }
        cluster
    }
}

fn apply(cluster: &mut Cluster, change: &Change) {
    match *change {
        Change::SetNode(node, variant) => {
            cluster.add_node(node_of(node, variant));
        }
        Change::RemoveNode(node) => {
            if let Some(id) = cluster.find_node(&node_name(node)) {
                cluster.remove_node(id);
            }
        }
        Change::Namespace(namespace, labels) => {
            let name: Name = format!("ns-{namespace}").into();
            match labels {
                Some(labels) => {
                    let team = format!("team-{labels}");
                    cluster.set_namespace(&name, &labels_of(&[("team", &team)]));
                }
                None => cluster.remove_namespace(&name),
            }
        }
        Change::Place(pod, node, terminating) => {
            let class = cluster.class(&pod_of(pod));
            if let Some(id) = cluster.find_node(&node_name(node)) {
                assert!(cluster.place(class, id, terminating));
            }
        }
        Change::Unplace(pod, node, terminating) => {
            let class = cluster.class(&pod_of(pod));
            if let Some(id) = cluster.find_node(&node_name(node)) {
                cluster.unplace(class, id, terminating);
            }
        }
        Change::Mark | Change::Rollback | Change::Keep => {}
    }
}

fn node_name(node: usize) -> String {
    format!("node-{node}")
}

fn labels_of(labels: &[(&str, &str)]) -> Labels {
    labels.iter().copied().collect()
}

/// Variants differ in zone, taint, cordon and size. One has a resource that the others
/// lack.
fn node_of(node: usize, variant: usize) -> Node {
    let name = node_name(node);
    let zone = format!("zone-{}", variant % 3);
    let mut labels = labels_of(&[("hostname", &name)]);
    if variant != 5 {
        labels.set("zone".into(), zone.into());
    }
    let taint = Taint {
        key: "dedicated".into(),
        value: "".into(),
        effect: Effect::NoSchedule,
    };
    Node {
        name: name.into(),
        labels,
        taints: (variant == 3).then_some(taint).into_iter().collect(),
        unschedulable: variant == 4,
        allocatable: Resources {
            cpu: 1000 + 500 * i64::try_from(variant).unwrap(),
            memory: 1 << 30,
            pods: 6,
            extended: (variant == 1)
                .then(|| ("example.com/gpu".into(), 1))
                .into_iter()
                .collect(),
            ..Resources::default()
        },
        ..Node::default()
    }
}

fn app(value: &str) -> Option<LabelSelector> {
    Some(LabelSelector(vec![Requirement::equals("app", value)]))
}

fn term(key: &str, selector: Option<LabelSelector>) -> AffinityTerm {
    AffinityTerm {
        topology_key: key.into(),
        selector,
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn spread(key: &str, selector: Option<LabelSelector>) -> SpreadConstraint {
    SpreadConstraint {
        max_skew: 1,
        topology_key: key.into(),
        selector,
        min_domains: 2,
        honor_affinity: true,
        honor_taints: true,
    }
}

/// Pods with affinity, anti-affinity and spread rules, in two namespaces.
fn pod_of(pod: usize) -> Pod {
    let apps = ["a", "b", "c"];
    let ordinal = pod.to_string();
    let labels = [("app", apps[pod % 3]), ("ordinal", ordinal.as_str())];
    let mut made = Pod {
        namespace: format!("ns-{}", pod % 2).into(),
        labels: labels_of(&labels),
        requests: Resources {
            cpu: 100,
            ..Resources::default()
        },
        ..Pod::default()
    };
    match pod {
        0 => made.affinity = vec![term("zone", app("a"))],
        1 => made.anti_affinity = vec![term("hostname", app("b")), term("zone", app("c"))],
        2 => made.spread = vec![spread("zone", app("c")), spread("hostname", app("c"))],
        3 => {
            made.anti_affinity = vec![AffinityTerm {
                namespace_selector: Some(LabelSelector(vec![Requirement::equals(
                    "team", "team-1",
                )])),
                ..term("zone", app("a"))
            }];
        }
        4 => {
            made.host_ports = vec![HostPort {
                ip: "".into(),
                protocol: Protocol::Tcp,
                port: 80,
            }];
        }
        5 => {
            made.affinity = vec![AffinityTerm {
                namespace_selector: Some(LabelSelector::default()),
                ..term("hostname", app("b"))
            }];
        }
        6 => made.spread = vec![spread("zone", Some(LabelSelector::default()))],
        7 => {
            made.anti_affinity = vec![term(
                "zone",
                Some(LabelSelector(vec![Requirement {
                    key: "ordinal".into(),
                    operator: Operator::NotIn,
                    values: vec!["1".into(), "7".into()],
                }])),
            )];
        }
        8 => made.node_selector = labels_of(&[("zone", "zone-1")]),
        9 => made.requests.extended = vec![("example.com/gpu".into(), 1)],
        _ => {}
    }
    made
}

/// The results of all queries, by names.
fn answers(cluster: &mut Cluster) -> Vec<String> {
    let classes: Vec<_> = (0..PODS).map(|pod| cluster.class(&pod_of(pod))).collect();
    let mut answers = Vec::new();
    for node in 0..NODES {
        let Some(id) = cluster.find_node(&node_name(node)) else {
            answers.push(format!("no {node}"));
            continue;
        };
        answers.push(format!("{:?} {:?}", cluster.node(id), cluster.free(id)));
        for (pod, class) in classes.iter().enumerate() {
            let count = cluster.placed(id).find(|(placed, _)| placed == class);
            let check = cluster.check(*class, id);
            assert_eq!(check.is_ok(), cluster.fits(*class, id));
            let alike = cluster.representative(*class);
            assert_eq!(check, cluster.check(alike, id));
            answers.push(format!(
                "{node} {pod}: {:?} {check:?}",
                count.map(|(_, count)| count)
            ));
        }
    }
    answers
}

/// Runs changes with nested marks, and closes the marks that are left open.
fn run(changes: &[Change]) -> (Cluster, Model) {
    let mut cluster = Cluster::default();
    let mut model = Model::default();
    let mut marks: Vec<(Mark, Model)> = Vec::new();
    let close: Vec<Change> = vec![Change::Rollback; changes.len()];
    for change in changes.iter().chain(&close) {
        match change {
            Change::Mark => marks.push((cluster.mark(), model.clone())),
            Change::Rollback => {
                if let Some((mark, before)) = marks.pop() {
                    cluster.rollback(mark);
                    model = before;
                }
            }
            Change::Keep => {
                if let Some((mark, _)) = marks.pop() {
                    cluster.keep(mark);
                }
            }
            other => {
                apply(&mut cluster, other);
                model.apply(other);
            }
        }
    }
    (cluster, model)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_cluster_that_was_changed_answers_as_one_built_anew(changes in vec(change(), 1..80)) {
        let (mut changed, model) = run(&changes);
        let mut anew = model.build();
        let classes: Vec<_> = (0..PODS).map(|pod| changed.class(&pod_of(pod))).collect();
        let (mut rebuilt, renumbered) = changed.rebuilt(classes);
        for (pod, class) in renumbered.into_iter().enumerate() {
            prop_assert_eq!(rebuilt.pod(class), pod_of(pod));
            prop_assert_eq!(rebuilt.class(&pod_of(pod)), class);
        }
        let ids = |cluster: &Cluster| (0..NODES).map(|node| cluster.find_node(&node_name(node))).collect::<Vec<_>>();
        prop_assert_eq!(ids(&changed), ids(&rebuilt));
        let expected = answers(&mut anew);
        prop_assert_eq!(&answers(&mut rebuilt), &expected);
        prop_assert_eq!(&answers(&mut changed), &expected);
    }
}
