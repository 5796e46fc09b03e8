//! Passes of the loop: orders, limits, failures, expanders that lie, records and
//! replay.

use flyball_decision::policy::PolicyFailure;
use flyball_decision::replay::{Replay, replay};
use flyball_nodes::cloud::{InstanceError, InstanceState};
use flyball_nodes::record::NodeDecisionRecord;
use flyball_placement::{Labels, Pod};

use crate::expanders::{expander, first};
use crate::world::World;
use crate::{MINUTE, defaults, pod, spread_pod, two_zones};

#[test]
fn a_pending_pod_becomes_a_node_in_the_peers_words_and_is_ordered_once() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("nodes", 1000, (1, 2, 4));
    assert_eq!(world.tick(0), 10_000);
    assert!(
        world.records().is_empty(),
        "no pod waits, nothing is recorded"
    );
    world.pods("web", 3, 1_000, &pod(600));
    // Younger than two seconds: others may follow. One fits each of the two nodes.
    assert_eq!(world.tick(1_500), 3_000);
    assert_eq!(world.calls(), Vec::<String>::new());
    assert_eq!(world.tick(3_000), 13_000);
    assert_eq!(world.calls(), ["increase nodes by 1"]);
    assert_eq!(
        world.events(),
        [
            "autoscaler: ScaledUpGroup: Scale-up: setting group nodes size to 3 instead of 2 (max: 4)",
            "autoscaler: ScaledUpGroup: Scale-up: group nodes size set to 3 instead of 2 (max: 4)",
            "web-2: TriggeredScaleUp: pod triggered scale-up: [{nodes 2->3 (max: 4)}]",
        ]
    );
    let record = world.records().pop().unwrap();
    assert_eq!(
        record.log,
        [
            "Best option to resize: nodes",
            "Estimated 1 nodes needed in nodes",
            "Final scale-up plan: [{nodes 2->3 (max: 4)}]",
            "Scale-up: setting group nodes size to 3",
        ]
    );
    let line = serde_json::to_string(&record).unwrap();
    assert_eq!(
        serde_json::from_str::<NodeDecisionRecord>(&line).unwrap(),
        *record
    );
    // The node is on its way, then joins: no second order.
    world.tick(13_000);
    world.join("nodes", 2, 60_000);
    world.tick(70_000);
    assert_eq!(world.calls(), Vec::<String>::new());
}

#[test]
fn pods_that_need_different_groups_are_helped_in_one_pass() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 4000, (0, 0, 5));
    world.group("b", 4000, (0, 0, 5));
    for group in ["a", "b"] {
        let selector: Labels = [("pool", group)].into_iter().collect();
        let pod = Pod {
            node_selector: selector,
            ..pod(2000)
        };
        world.pods(group, 3, 0, &pod);
    }
    let nowhere: Labels = [("pool", "c")].into_iter().collect();
    world.pods(
        "lost",
        2,
        0,
        &Pod {
            node_selector: nowhere,
            ..pod(10)
        },
    );
    world.pods("huge", 1, 0, &pod(64_000));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 2", "increase b by 2"]);
    let record = world.records().pop().unwrap();
    assert_eq!(record.rounds.len(), 2);
    assert_eq!(record.remaining.len(), 2);
    let events = world.events();
    let affinity = "lost-1: NotTriggerScaleUp: pod didn't trigger scale-up: \
                    2 node(s) didn't match Pod's node affinity/selector";
    assert!(events.iter().any(|event| event == affinity), "{events:?}");
    let cpu = "huge-0: NotTriggerScaleUp: pod didn't trigger scale-up: 2 Insufficient cpu";
    assert!(events.iter().any(|event| event == cpu), "{events:?}");
    // An event that is still true is not emitted again.
    world.pods("web", 1, 20_000, &pod(10));
    world.tick(30_000);
    let events = world.events();
    assert!(
        !events.iter().any(|event| event.starts_with("lost")),
        "{events:?}"
    );
}

/// Nodes of several zones are one option: each pod in one zone allows the next one in
/// another.
#[test]
fn nodes_of_several_zones_are_ordered_together_and_take_pods_in_turns() {
    let mut world = two_zones();
    world.pods("web", 4, 0, &spread_pod(300));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1", "increase c by 1"]);
    let record = world.records().pop().unwrap();
    let helped: Vec<u32> = record.rounds.iter().map(|r| r.helped.count).collect();
    assert_eq!(helped, [4]);
    assert_eq!(record.rounds[0].input.options.label(0), "a + c");
    assert!(record.remaining.is_empty());
    let events = world.events();
    let triggered = events
        .iter()
        .filter(|event| event.contains("TriggeredScaleUp"));
    assert_eq!(triggered.count(), 4, "{events:?}");
}

#[test]
fn a_group_that_refuses_is_left_alone_and_another_one_chosen_at_once() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.group("b", 1000, (0, 0, 5));
    world.refuse("a");
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1", "increase b by 1"]);
    let events = world.events();
    assert!(
        events.contains(&"autoscaler: FailedToScaleUpGroup: Scale-up failed for group a: a: there is nothing left".to_owned()),
        "{events:?}"
    );
    let triggered: Vec<_> = events
        .iter()
        .filter(|event| event.contains("Triggered"))
        .collect();
    assert_eq!(
        triggered,
        ["web-0: TriggeredScaleUp: pod triggered scale-up: [{b 0->1 (max: 5)}]"]
    );
    let record = world.records().pop().unwrap();
    assert_eq!(record.skipped[0].reason, "in backoff after failed scale-up");
}

/// The nodes of the other group have room for some of its pods.
#[test]
fn pods_of_an_option_of_which_one_group_refuses_get_events_about_the_others() {
    let mut world = two_zones();
    world.refuse("a");
    world.pods("web", 4, 0, &spread_pod(300));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1", "increase c by 1"]);
    let events = world.events();
    let of_c = "pod triggered scale-up: [{c 0->1 (max: 5)}]";
    let expected: Vec<String> = (0..4)
        .map(|pod| format!("web-{pod}: TriggeredScaleUp: {of_c}"))
        .collect();
    let mut triggered: Vec<_> = events
        .into_iter()
        .filter(|event| event.contains("TriggeredScaleUp"))
        .collect();
    triggered.sort();
    assert_eq!(triggered, expected);
}

#[test]
fn an_order_that_never_arrives_is_taken_back_and_its_group_left_alone_longer_each_time() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 1));
    world.group("b", 1000, (0, 0, 1));
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    // The cloud has no instance.
    world.change("a", |group| group.instances.clear());
    world.tick(14 * MINUTE);
    assert_eq!(world.calls(), Vec::<String>::new());
    let late = 15 * MINUTE + 20_000;
    world.tick(late);
    assert_eq!(world.calls(), ["decrease a by 1", "increase b by 1"]);
    let events = world.events();
    let expected =
        "autoscaler: ScaleUpTimedOut: Nodes added to group a failed to register within 15m0s";
    assert!(events.iter().any(|event| event == expected), "{events:?}");
    // b's instance is there and never joins: deleted, and a is tried again.
    world.tick(late + 10_000);
    world.tick(late + 16 * MINUTE);
    assert_eq!(world.calls(), ["delete b: b-0", "increase a by 1"]);
}

#[test]
fn instances_that_cannot_be_had_are_deleted_and_their_group_left_alone() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("spot", 1000, (0, 0, 3));
    world.pods("web", 2, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase spot by 2"]);
    world.change("spot", |group| {
        group.instances[0].state = InstanceState::Failed(InstanceError {
            out_of_resources: true,
            code: "InsufficientInstanceCapacity".to_owned(),
            message: "there is no spot capacity".to_owned(),
        });
    });
    world.tick(20_000);
    assert_eq!(world.calls(), ["delete spot: spot-0"]);
    let incidents = &world.records().pop().unwrap().incidents.clone();
    assert_eq!(&*incidents[0].code, "InstanceFailed");
    // Five minutes later the backoff is over.
    world.tick(5 * MINUTE);
    assert_eq!(world.calls(), Vec::<String>::new());
    world.tick(5 * MINUTE + 20_001);
    assert_eq!(world.calls(), ["increase spot by 1"]);
}

#[test]
fn guardrails_hold_whatever_the_expander_wants() {
    let mut world = World::new(vec![first()], None, |options| {
        options.max_nodes_total = 5;
        options.balance_similar_node_groups = true;
        // The cloud itself ignores the label `pool`.
        options.balancing_ignored_labels = vec!["team".into()];
    });
    world.group("a", 1000, (0, 1, 10));
    world.group("b", 1000, (0, 0, 10));
    world.pods("web", 20, 0, &pod(900));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1", "increase b by 3"]);
    let record = world.records().pop().unwrap();
    let guardrails: Vec<_> = record.rounds[0]
        .steps
        .iter()
        .map(|step| &*step.guardrail)
        .collect();
    assert_eq!(guardrails, ["BalanceSimilarNodeGroups"]);
    assert_eq!(record.rounds[0].helped.count, 4);
    let events = world.events();
    let reached = "autoscaler: MaxNodesTotalReached: Max total nodes in cluster reached: 5";
    assert!(events.iter().any(|event| event == reached), "{events:?}");
}

#[test]
fn an_expander_that_lies_or_fails_orders_nothing_unless_the_fallback_is_asked() {
    let lies: [Vec<u32>; 2] = [vec![7], vec![0, 0]];
    for lie in lies {
        let liar = expander("liar", move |_| Ok(lie.clone()));
        let mut world = World::new(vec![liar], Some(first()), defaults);
        world.group("a", 1000, (0, 0, 5));
        world.pods("web", 1, 0, &pod(600));
        world.tick(10_000);
        assert_eq!(world.calls(), Vec::<String>::new());
        let record = world.records().pop().unwrap();
        assert_eq!(record.verdict.reason, "PolicyInvalidAnswer");
        assert!(world.events()[0].contains("no group grows"));
    }
    let trap = expander("trap", |_| {
        Err(PolicyFailure::Trapped("unreachable".to_owned()))
    });
    let mut world = World::new(vec![trap], Some(first()), |options| options.fallback = true);
    world.group("a", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    let events = world.events();
    let expected = "autoscaler: PolicyTrapped: expander trap: unreachable; \
                built-in expander first (first) decides instead";
    assert!(events.iter().any(|event| event == expected), "{events:?}");
}

#[test]
fn what_the_clock_interrupted_orders_nothing_and_is_taken_as_given_by_a_replay() {
    let late = "it took longer than 1000 ms";
    let slow = expander("slow", |_| Err(PolicyFailure::Interrupted(late.to_owned())));
    let mut world = World::new(vec![slow], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), Vec::<String>::new());
    let expected = format!("autoscaler: PolicyInterrupted: expander slow: {late}; no group grows");
    assert_eq!(world.events()[0], expected);
    let record = world.records().pop().unwrap();
    assert_eq!(record.verdict.reason, "PolicyInterrupted");
    // A faster machine would have been in time.
    let again = replay(&*record, |_| world.expander("slow"));
    assert!(
        matches!(&again, Replay::TakenAsGiven { name, differs: None, .. } if &**name == "slow"),
        "{again:?}"
    );
}

#[test]
fn nothing_is_ordered_while_most_nodes_are_unready() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 6, 10));
    for node in 0..4 {
        world.break_node(&format!("a-{node}"));
    }
    world.pods("web", 5, 0, &pod(900));
    world.tick(20 * MINUTE);
    assert_eq!(world.calls(), Vec::<String>::new());
    assert_eq!(
        world.events(),
        ["autoscaler: ClusterUnhealthy: Cluster is unhealthy"]
    );
    world.tick(21 * MINUTE);
    assert_eq!(world.events(), Vec::<String>::new());
    assert_eq!(world.records().len(), 1);
}

#[test]
fn a_chain_narrows_down_chance_decides_among_equals_and_a_replay_agrees() {
    let all = expander("all", |input| Ok((0..input.options.len() as u32).collect()));
    let mut world = World::new(vec![all], None, defaults);
    for group in ["a", "b", "c"] {
        world.group(group, 1000, (0, 0, 5));
    }
    world.pods("web", 4, 0, &pod(900));
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    assert_eq!(record.rounds[0].choice.left, 3);
    let same = replay(&*record, |part| world.expander(part.name));
    assert_eq!(same, Replay::Same);
    let chosen = record.rounds[0].choice.row.unwrap();
    let other = expander("all", move |_| Ok(vec![(chosen + 1) % 3]));
    let differs = replay(&*record, |_| Some(other.resolve()));
    assert!(matches!(differs, Replay::Differs { .. }), "{differs:?}");
}
