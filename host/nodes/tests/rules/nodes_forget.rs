//! Pods that come and go for a long time, each with labels of its own, leave nothing
//! behind, and pods that stay are unaffected.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_nodes::state::{ClusterState, NodeFacts, PodFacts};
use flyball_placement::{Node, Pod, Resources};

fn facts(name: &str, node: Option<&str>) -> PodFacts {
    PodFacts {
        uid: name.into(),
        key: ObjectKey {
            namespace: "default".into(),
            name: name.into(),
        },
        node: node.map(Arc::from),
        unschedulable: node.is_none(),
        ..PodFacts::default()
    }
}

fn pod(name: &str, cpu: i64) -> Pod {
    Pod {
        namespace: "default".into(),
        labels: [("job", name)].into_iter().collect(),
        requests: Resources {
            cpu,
            ..Resources::default()
        },
        ..Pod::default()
    }
}

#[test]
fn classes_of_the_past_are_forgotten() {
    let mut state = ClusterState::new();
    let node = Node {
        name: "node".into(),
        allocatable: Resources {
            cpu: 4000,
            pods: 10,
            ..Resources::default()
        },
        ..Node::default()
    };
    state.apply_node(NodeFacts {
        node: Arc::new(node),
        ..NodeFacts::default()
    });
    state.apply_pod(facts("stays", Some("node")), &pod("stays", 1000));
    state.apply_pod(facts("waits", None), &pod("waits", 3500));
    for number in 0..20_000 {
        let name = format!("job-{number}");
        state.apply_pod(facts(&name, Some("node")), &pod(&name, 500));
        state.delete_pod(&name);
    }
    assert!(state.cluster().class_count() < 5000);

    let id = state.cluster().find_node("node").unwrap();
    assert_eq!(state.cluster().free(id).cpu, 3000);
    assert_eq!(state.cluster().free(id).pods, 9);
    let waiting: Vec<_> = state.unschedulable().map(|(class, _)| class).collect();
    assert_eq!(waiting.len(), 1);
    assert_eq!(state.cluster().pod(waiting[0]), pod("waits", 3500));
    assert_eq!(state.pod("waits").unwrap().class, waiting[0]);
    assert!(!state.cluster().fits(waiting[0], id));
    state.delete_pod("stays");
    assert_eq!(state.cluster().free(id).cpu, 4000);
    assert!(state.cluster().fits(waiting[0], id));
    state.delete_pod("waits");
    assert_eq!(state.unschedulable_count(), 0);
}

#[test]
fn names_of_nodes_that_are_gone_are_forgotten() {
    let mut state = ClusterState::new();
    // It selects on the label that makes each node a kind of its own.
    let mut pinned = pod("pinned", 100);
    let host = "kubernetes.io/hostname";
    pinned.node_selector.set(host.into(), "node-0".into());
    state.apply_pod(facts("pinned", None), &pinned);
    for number in 0..20_000 {
        let name = format!("node-{number}");
        let mut node = Node {
            name: name.as_str().into(),
            allocatable: Resources {
                cpu: 1000,
                pods: 10,
                ..Resources::default()
            },
            ..Node::default()
        };
        node.labels.set(host.into(), name.as_str().into());
        state.apply_node(NodeFacts {
            node: Arc::new(node),
            ..NodeFacts::default()
        });
        // The first pod stays.
        if number > 1 {
            state.delete_node(&format!("node-{}", number - 1));
        }
    }
    assert!(state.cluster().kind_count() < 5000);
    assert!(state.cluster().text_count() < 17_000);

    let class = state.pod("pinned").unwrap().class;
    let fits = |name: &str| {
        let node = state.cluster().find_node(name);
        node.map(|node| state.cluster().fits(class, node))
    };
    assert_eq!(fits("node-0"), Some(true));
    assert_eq!(fits("node-19998"), None);
    assert_eq!(fits("node-19999"), Some(false));
    assert_eq!(state.size().nodes, 2);
}
