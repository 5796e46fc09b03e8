#![allow(clippy::unwrap_used, reason = "a test that can't go on has failed")]
//! Pods that come and go for long, each with labels of its own, leave nothing
//! behind, and those that stay are where they were.

use std::sync::Arc;

use flyball_core::nodes::state::{ClusterState, NodeFacts, PodFacts};
use flyball_core::ports::ObjectKey;
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
