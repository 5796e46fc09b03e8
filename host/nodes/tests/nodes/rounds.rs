//! Choices of one pass: their total, and which groups share an order.

use std::sync::Arc;

use flyball_placement::{AffinityTerm, LabelSelector, Pod, Requirement};

use crate::expanders::first;
use crate::world::World;
use crate::{defaults, pod};

#[test]
fn similar_groups_share_an_order_only_if_their_nodes_take_the_pods() {
    let mut world = World::new(vec![first()], None, |options| {
        options.balance_similar_node_groups = true;
        options.balancing_ignored_labels = vec!["team".into()];
    });
    world.group("a", 1000, (0, 3, 10));
    world.group("b", 1000, (0, 0, 10));
    let mut pinned = pod(900);
    pinned.node_selector.set("pool".into(), "a".into());
    world.pods("pinned", 5, 0, &pinned);
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 2"]);
    // Other pods fit either group, and balance the groups.
    world.pods("free", 4, 10_000, &pod(900));
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase b by 4"]);
}

#[test]
fn one_pass_adds_no_more_nodes_than_the_operator_allows_whatever_it_chooses() {
    let mut world = World::new(vec![first()], None, |options| {
        options.max_nodes_per_scale_up = 3;
    });
    world.group("a", 1000, (0, 0, 2));
    world.group("b", 1000, (0, 0, 10));
    world.pods("web", 6, 0, &pod(900));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 2", "increase b by 1"]);
    let events = world.events();
    assert!(
        !events
            .iter()
            .any(|event| event.contains("NotTriggerScaleUp")),
        "their turn comes: {events:?}"
    );
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase b by 3"]);
}

#[test]
fn a_pod_that_wants_others_out_of_its_zone_gets_one_of_its_own() {
    let mut world = World::new(vec![first()], None, |options| {
        options.balance_similar_node_groups = true;
        options.balancing_ignored_labels = vec!["team".into()];
    });
    for zone in ["a", "b", "c"] {
        world.group(zone, 1000, (0, 0, 10));
    }
    let large = Pod {
        labels: [("app", "large")].into_iter().collect(),
        ..pod(900)
    };
    world.pods("large", 6, 0, &large);
    // A pod that wants none of the others in its zone.
    let apart = AffinityTerm {
        topology_key: "pool".into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", "large")])),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    let shy = Pod {
        anti_affinity: vec![apart],
        ..pod(100)
    };
    world.pods("shy", 1, 0, &shy);
    world.tick(10_000);
    // It gets a zone of its own: nodes for the others are ordered in other zones.
    let apart = ["increase a by 1", "increase b by 3", "increase c by 3"];
    assert_eq!(world.calls(), apart);
    let record = world.records().pop().unwrap();
    assert_eq!(record.rounds[0].helped.count, 7);
    assert!(record.remaining.is_empty());
}

#[test]
fn no_node_is_ordered_for_pods_that_a_choice_before_shut_out() {
    let mut world = World::new(vec![first()], None, defaults);
    for team in ["one", "two"] {
        world.group(team, 1000, (0, 0, 10));
        world.change(team, |group| {
            let template = Arc::make_mut(group.template.as_mut().unwrap());
            template.labels.insert("zone".into(), "a".into());
        });
    }
    let of_team = |team: &str, pod: Pod| Pod {
        node_selector: [("team", team)].into_iter().collect(),
        ..pod
    };
    let apart = AffinityTerm {
        topology_key: "zone".into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", "plain")])),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    let shy = Pod {
        anti_affinity: vec![apart],
        ..pod(600)
    };
    let plain = Pod {
        labels: [("app", "plain")].into_iter().collect(),
        ..pod(600)
    };
    world.pods("shy", 1, 0, &of_team("one", shy));
    world.pods("plain", 1, 0, &of_team("two", plain));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase one by 1"]);
}
