//! Pods for which the scheduler preempts others on a node, as they and the node change.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_nodes::state::{ClusterState, NodeFacts, PodFacts};
use flyball_placement::{Node, Resources};

use crate::expanders::first;
use crate::world::World;
use crate::{defaults, pod};

const NONE: [&str; 0] = [];

fn node(name: &str) -> NodeFacts {
    NodeFacts {
        node: Arc::new(Node {
            name: name.into(),
            allocatable: Resources {
                cpu: 4000,
                pods: 10,
                ..Resources::default()
            },
            ..Node::default()
        }),
        ..NodeFacts::default()
    }
}

fn facts(node: Option<&str>, nominated: Option<&str>) -> PodFacts {
    PodFacts {
        uid: "high".into(),
        key: ObjectKey {
            namespace: "default".into(),
            name: "high".into(),
        },
        node: node.map(Arc::from),
        nominated: nominated.map(Arc::from),
        unschedulable: true,
        ..PodFacts::default()
    }
}

#[test]
fn a_nomination_holds_while_its_node_is_there() {
    let mut state = ClusterState::new();
    let waits = |state: &mut ClusterState| {
        let queued = state.unschedulable_count();
        assert_eq!(state.take_new_unschedulable(), queued > 0);
        (queued, state.nominated_to("n").count())
    };
    let placed = |state: &ClusterState| {
        let node = state.cluster().find_node("n").unwrap();
        state.cluster().placed(node).count()
    };
    state.apply_pod(facts(None, Some("n")), &pod(3000));
    assert_eq!(waits(&mut state), (1, 1));
    state.apply_node(node("n"));
    assert_eq!(waits(&mut state), (0, 1));
    state.delete_node("n");
    assert_eq!(waits(&mut state), (1, 1));
    state.apply_node(node("n"));
    assert_eq!(waits(&mut state), (0, 1));
    state.apply_pod(facts(None, Some("m")), &pod(3000));
    assert_eq!(waits(&mut state), (1, 0));
    state.apply_pod(facts(None, None), &pod(3000));
    assert_eq!(waits(&mut state), (1, 0));
    state.apply_pod(facts(None, Some("n")), &pod(3000));
    assert_eq!(waits(&mut state), (0, 1));
    assert_eq!(placed(&state), 0, "where it will be is simulated");
    // Once bound, it counts as bound, even if the nomination stays in its status.
    state.apply_pod(facts(Some("n"), Some("n")), &pod(3000));
    assert_eq!(waits(&mut state), (0, 0));
    assert_eq!(placed(&state), 1);
    state.apply_node(node("n"));
    state.delete_pod("high");
    assert_eq!((waits(&mut state), placed(&state)), ((0, 0), 0));
    assert_eq!(state.absent_nodes().count(), 0);
}

#[test]
fn nothing_is_ordered_for_a_nominated_pod_until_its_node_goes() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 4000, (0, 1, 5));
    world.pods_as("low", 1, 0, &pod(3000), |facts| {
        facts.node = Some("a-0".into())
    });
    world.pods_as("high", 1, 0, &pod(3000), |facts| {
        facts.nominated = Some("a-0".into());
    });
    world.tick(10_000);
    assert_eq!(world.calls(), NONE);
    // Another pod of its priority has to go elsewhere, also once the room is free.
    world.delete_pods(&["low-0"]);
    world.pods("other", 1, 10_000, &pod(3000));
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    world.lose("a", "a-0");
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}

#[test]
fn whoever_is_nominated_to_a_node_that_goes_wants_another_one_marked_or_not() {
    let unmarked = |node: &str| PodFacts {
        unschedulable: false,
        ..facts(None, Some(node))
    };
    let mut state = ClusterState::new();
    state.apply_node(node("n"));
    state.apply_pod(unmarked("n"), &pod(3000));
    assert_eq!(state.unschedulable_count(), 0);
    state.delete_node("n");
    assert_eq!(state.unschedulable_count(), 1);
    state.apply_pod(facts(Some("n"), Some("n")), &pod(3000));
    assert_eq!(state.unschedulable_count(), 0);

    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 4000, (0, 1, 9));
    let nominated = |to: &'static str| {
        move |facts: &mut PodFacts| {
            facts.nominated = Some(to.into());
            facts.unschedulable = false;
        }
    };
    world.pods_as("high", 1, 0, &pod(3000), nominated("a-0"));
    world.tick(10_000);
    assert_eq!(world.calls(), NONE);
    world.taint("a-0", "ToBeDeletedByClusterAutoscaler");
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    world.pods_as("lost", 1, 20_000, &pod(3000), nominated("gone"));
    world.tick(40_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}
