//! Room for pods on nodes that stay, where many pods may fit nowhere.

use std::sync::Arc;

use flyball_placement::pack::Destinations;
use flyball_placement::{
    AffinityTerm, ClassId, Cluster, Effect, HostPort, LabelSelector, Node, NodeId, Pod, PodClaim,
    PodVolumes, Requirement, Resources, SpreadConstraint, Taint, Toleration, TolerationOperator,
};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::{HOST, node};

fn of_app(app: &str) -> Option<LabelSelector> {
    Some(LabelSelector(vec![Requirement::equals("app", app)]))
}

fn term(topology_key: &str, app: &str) -> AffinityTerm {
    AffinityTerm {
        topology_key: topology_key.into(),
        selector: of_app(app),
        namespaces: Vec::new(),
        namespace_selector: None,
    }
}

fn spread(app: &str) -> SpreadConstraint {
    SpreadConstraint {
        max_skew: 1,
        topology_key: "zone".into(),
        selector: of_app(app),
        min_domains: 1,
        honor_affinity: true,
        honor_taints: false,
    }
}

/// A pod of one of several kinds, with a label that nobody reads.
fn pod(kind: u8, index: u8) -> Pod {
    let app = format!("app-{kind}");
    let mut pod = Pod {
        namespace: "shop".into(),
        labels: [("app", app.clone()), ("index", index.to_string())]
            .into_iter()
            .collect(),
        ..Pod::default()
    };
    match kind {
        0 => {}
        1 => pod.host_ports.push(HostPort {
            ip: "".into(),
            protocol: flyball_placement::Protocol::Tcp,
            port: 80,
        }),
        2 => pod.anti_affinity.push(term(HOST, &app)),
        3 => pod.affinity.push(term("zone", "app-0")),
        4 => pod.spread.push(spread(&app)),
        5 => pod.node_selector.set("pool".into(), "none".into()),
        6 => pod.affinity.push(term("zone", "none")),
        7 => pod.anti_affinity.push(term("zone", "app-0")),
        _ => {
            let claim = PodClaim {
                name: "missing".into(),
                owner: None,
            };
            pod.volumes = Some(Arc::new(PodVolumes {
                claims: vec![claim],
                ..PodVolumes::default()
            }));
        }
    }
    pod
}

proptest! {
    #[test]
    fn a_pod_finds_a_place_if_and_only_if_it_fits_somewhere(
        pods in vec((0..9u8, 0..3u8), 1..60),
    ) {
        let mut cluster = Cluster::default();
        let nodes: Vec<NodeId> = (0..5)
            .map(|row| {
                let mut node = node(row, ["a", "a", "b"][row % 3]);
                node.allocatable = Resources {
                    pods: 4,
                    ..Resources::default()
                };
                cluster.add_node(node)
            })
            .collect();
        let classes: Vec<ClassId> = pods
            .iter()
            .map(|(kind, index)| cluster.class(&pod(*kind, *index)))
            .collect();
        let mut destinations = Destinations::new(&cluster, nodes.clone());
        for class in classes {
            let fitting: Vec<NodeId> = nodes
                .iter()
                .copied()
                .filter(|node| cluster.fits(class, *node))
                .collect();
            let found = destinations.place(&mut cluster, class);
            assert_eq!(found.is_some(), !fitting.is_empty());
            assert!(found.is_none_or(|node| fitting.contains(&node)));
        }
    }
}

/// A node that tolerant pods alone may run on.
fn tainted() -> Node {
    Node {
        taints: vec![Taint {
            key: "dedicated".into(),
            value: "".into(),
            effect: Effect::NoSchedule,
        }],
        ..node(0, "a")
    }
}

#[test]
fn pods_like_one_without_a_place_are_tried_again_only_if_others_can_have_helped() {
    let mut cluster = Cluster::default();
    let only = cluster.add_node(tainted());
    let alike: Vec<ClassId> = (0..3).map(|index| cluster.class(&pod(0, index))).collect();
    let spread = cluster.class(&pod(4, 0));
    let tolerant = cluster.class(&Pod {
        tolerations: vec![Toleration {
            operator: TolerationOperator::Exists,
            ..Toleration::default()
        }],
        ..pod(0, 0)
    });
    let mut destinations = Destinations::new(&cluster, vec![only]);
    assert_eq!(destinations.place(&mut cluster, alike[0]), None);
    assert_eq!(destinations.place(&mut cluster, spread), None);

    // The node is replaced behind the back of the destinations: who is tried finds room.
    cluster.set_node(only, node(0, "a"));
    for class in alike.iter().copied().chain([spread]) {
        assert_eq!(destinations.place(&mut cluster, class), None);
    }
    assert_eq!(destinations.place(&mut cluster, tolerant), Some(only));
    for class in alike.iter().copied() {
        assert_eq!(destinations.place(&mut cluster, class), None);
    }
    assert_eq!(destinations.place(&mut cluster, spread), Some(only));
    let mut anew = Destinations::new(&cluster, vec![only]);
    assert_eq!(anew.place(&mut cluster, alike[0]), Some(only));
}
