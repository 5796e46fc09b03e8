//! When expanders are asked again, and who may order.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use flyball_decision::expander::ExpanderRanking;
use flyball_decision::policy::PolicyFailure;
use flyball_nodes::cloud::{InstanceError, InstanceState, NOT_LEADER};
use flyball_nodes::record::OrderOutcome;
use flyball_nodes::state::Owner;
use flyball_placement::{AffinityTerm, LabelSelector, Pod, Requirement};
use flyball_test_policies::TestPolicy;

use crate::expanders::{expander, first, ranker};
use crate::world::World;
use crate::{MINUTE, defaults, pod, two_zones};

const NONE: [&str; 0] = [];

fn one_group() -> World {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world
}

#[test]
fn an_expander_that_failed_is_asked_again_at_each_scan() {
    let failures = [
        PolicyFailure::Trapped("unreachable".to_owned()),
        PolicyFailure::Interrupted("too long".to_owned()),
        PolicyFailure::Quarantined("for half a minute".to_owned()),
    ];
    for failure in failures {
        let mut world = one_group();
        let failed = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&failed);
        world.swap(expander("first", move |_| {
            match count.fetch_add(1, Ordering::Relaxed) {
                0 => Err(failure.clone()),
                _ => Ok(vec![0]),
            }
        }));
        world.tick(10_000);
        assert_eq!(world.calls(), NONE);
        world.tick(20_000);
        assert_eq!(world.calls(), ["increase a by 1"]);
    }
}

#[test]
fn a_new_version_of_an_expander_decides_at_the_next_scan_and_the_same_one_once_a_minute() {
    let mut world = one_group();
    let asked = Arc::new(AtomicU32::new(0));
    let count = Arc::clone(&asked);
    world.swap(expander("first", move |_| {
        count.fetch_add(1, Ordering::Relaxed);
        Ok(Vec::new())
    }));
    for tick in 1..=6 {
        world.tick(tick * 10_000);
        assert_eq!(asked.load(Ordering::Relaxed), 1);
    }
    world.tick(70_000);
    assert_eq!(asked.load(Ordering::Relaxed), 2);
    assert_eq!(world.records().len(), 2);
    world.tick(80_000);
    assert_eq!(world.calls(), NONE);
    world.swap(first().digest("next"));
    world.tick(90_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}

#[test]
fn a_missing_expander_decides_as_soon_as_it_is_there() {
    let mut world = World::new(vec![first()], None, |options| {
        options.expanders[0].name = "late".into();
    });
    world.group("a", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    assert_eq!(record.verdict.reason, "PolicyMissing");
    world.swap(expander("late", |_| Ok(vec![0])));
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}

#[test]
fn who_does_not_lead_by_the_end_of_a_plan_orders_nothing_of_it() {
    let mut world = one_group();
    let depose = world.deposer();
    world.swap(expander("first", move |_| {
        depose();
        Ok(vec![0])
    }));
    world.tick(10_000);
    assert_eq!(world.calls(), NONE);
    let record = world.records().pop().unwrap();
    let OrderOutcome::Failed { class, .. } = &record.outcomes[0] else {
        panic!("{:?}", record.outcomes);
    };
    assert_eq!(&**class, "NotLeader");
    assert!(
        !world
            .events()
            .iter()
            .any(|event| event.contains("Triggered"))
    );
}

#[test]
fn a_group_that_refused_an_order_gets_no_other_one_of_the_plan() {
    let mut world = two_zones();
    world.group("other", 1000, (0, 0, 5));
    world.change("other", |group| {
        let template = Arc::make_mut(group.template.as_mut().unwrap());
        template.labels.insert("pool".into(), "c".into());
    });
    // The first pod goes to a, and the second to where the third runs, on a node of its
    // own.
    let only = |team: &str, app, pod: Pod| Pod {
        node_selector: [("team", team)].into_iter().collect(),
        labels: [("app", app)].into_iter().collect(),
        ..pod
    };
    let near = AffinityTerm {
        topology_key: "pool".into(),
        selector: Some(LabelSelector(vec![Requirement::equals("app", "third")])),
        namespaces: Vec::new(),
        namespace_selector: None,
    };
    let second = Pod {
        affinity: vec![near],
        ..pod(900)
    };
    world.pods("first", 1, 0, &only("c", "first", pod(900)));
    world.pods("second", 1, 0, &only("c", "second", second));
    world.pods("third", 1, 0, &only("other", "third", pod(900)));
    world.refuse("c");
    world.tick(10_000);
    let calls = world.calls();
    let to_c = calls.iter().filter(|call| call.contains(" c ")).count();
    assert_eq!(to_c, 1, "{calls:?}");
    let record = &world.records()[0];
    let orders = record.verdict.orders.iter();
    assert_eq!(orders.filter(|order| &*order.group == "c").count(), 2);
    assert!(
        !world
            .events()
            .iter()
            .any(|event| event.contains("group c size set"))
    );
}

/// Chooses the first option, and remembers how many choices it has made.
fn counting() -> TestPolicy {
    ranker("counting", |context, _| {
        Ok(ExpanderRanking {
            best: vec![0],
            state: Some(format!("{}|", context.state)),
            ..ExpanderRanking::default()
        })
    })
}

/// Returns the state that the expander got for each choice since the last time.
fn remembered(world: &World) -> Vec<String> {
    let records = world.records();
    let rounds = records.iter().flat_map(|record| &record.rounds);
    let asked = rounds.flat_map(|round| &round.expanders);
    asked.map(|asked| asked.context.state.to_string()).collect()
}

#[test]
fn an_expander_remembers_its_earlier_choices_of_the_same_plan_and_what_was_ordered() {
    let mut world = World::new(vec![counting()], None, defaults);
    for group in ["a", "b"] {
        world.group(group, 1000, (0, 0, 5));
        let pinned = Pod {
            node_selector: [("pool", group)].into_iter().collect(),
            ..pod(600)
        };
        world.pods(group, 1, 0, &pinned);
    }
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1", "increase b by 1"]);
    assert_eq!(remembered(&world), ["", "|"]);
    world.pods("web", 1, 10_000, &pod(600));
    world.tick(20_000);
    assert_eq!(remembered(&world), ["||"]);
}

#[test]
fn what_an_expander_remembers_outlives_the_loop() {
    let mut world = World::new(vec![counting()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    world.restart();
    world.pods("more", 1, 10_000, &pod(600));
    world.tick(20_000);
    assert_eq!(remembered(&world), ["", "|"]);
}

#[test]
fn an_expander_whose_state_leaves_too_little_for_others_is_refused_and_named() {
    let keeping = |name: &str, bytes: usize| {
        ranker(name, move |_, input| {
            Ok(ExpanderRanking {
                best: (0..input.options.len() as u32).collect(),
                state: Some("s".repeat(bytes)),
                ..ExpanderRanking::default()
            })
        })
    };
    let chain = vec![keeping("small", 300), keeping("large", 500)];
    let mut world = World::new(chain, None, defaults);
    for group in ["a", "b"] {
        world.group(group, 1000, (0, 0, 5));
    }
    world.pods("web", 1, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), NONE);
    let text = "its state has 500 bytes, and the other expanders leave 468 of 768";
    let event = format!("autoscaler: PolicyOverLimit: expander large: {text}; no group grows");
    let events = world.events();
    assert!(events.contains(&event), "{events:?}");
}

#[test]
fn what_an_expander_remembers_of_a_choice_that_was_not_ordered_is_lost() {
    let mut world = World::new(vec![counting()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world.refuse("a");
    world.tick(10_000);
    world.tick(6 * MINUTE);
    assert_eq!(remembered(&world), ["", ""]);
    world.mend("increase a");
    world.tick(20 * MINUTE);
    world.pods("more", 1, 20 * MINUTE, &pod(600));
    world.tick(20 * MINUTE + 10_000);
    assert_eq!(remembered(&world), ["", "|"]);
}

#[test]
fn a_pass_does_not_stand_if_the_cluster_changed_while_it_was_made() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 2, 9));
    for (name, node, cpu) in [("other", "a-0", 900), ("web", "a-1", 500)] {
        world.pods_as(name, 1, 0, &pod(cpu), |facts| {
            facts.node = Some(node.into());
            facts.unschedulable = false;
            facts.owner = Some(Arc::new(Owner {
                uid: "owner".into(),
                kind: "ReplicaSet".into(),
                ..Owner::default()
            }));
        });
    }
    // The groups are counted, and no plan is made yet.
    world.taint_later(2, "a-1", "ToBeDeletedByClusterAutoscaler");
    world.tick(10_000);
    assert_eq!(world.calls(), NONE);
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}

#[test]
fn a_pass_sees_one_cluster_whatever_changes_meanwhile() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 1, 9));
    world.pods("web", 2, 0, &pod(600));
    // The groups are counted, and no plan is made yet.
    world.delete_later(2, "web-1");
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}

#[test]
fn no_instance_is_terminated_once_another_process_leads() {
    let calls = |deposed_at: &str| {
        let mut world = crate::removals::world(|_| ());
        world.depose_at(deposed_at);
        let mut now = 0;
        crate::removals::run(&mut world, &mut now, 11 * MINUTE)
    };
    let (evicted, terminated) = ("evict cart-0", "delete a: a-2");
    let usual = calls("nothing");
    let at = usual.iter().position(|call| call == evicted).unwrap();
    assert_eq!(usual[at + 1], terminated, "right after: {usual:?}");
    let deposed = calls(evicted);
    assert_eq!(deposed.last().unwrap(), evicted, "{deposed:?}");
}

/// Returns a world in which an order was sent, and whose cloud does not send this call.
fn ordered(unsent: &str) -> World {
    let mut world = one_group();
    world.stall("a");
    world.tick(10_000);
    world.records();
    world.calls();
    world.fail(unsent, NOT_LEADER, false);
    world
}

#[test]
fn a_call_that_was_not_sent_since_another_process_leads_is_no_failure_of_the_cloud() {
    let mut world = one_group();
    world.fail("increase a", NOT_LEADER, false);
    world.depose_at("increase a");
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    let records = world.records();
    let outcomes = records.iter().flat_map(|record| &record.outcomes);
    let outcomes: Vec<&OrderOutcome> = outcomes.collect();
    let [OrderOutcome::Failed { class, .. }] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    assert_eq!(&**class, NOT_LEADER);
    let failed = |event: &String| event.contains("FailedToScaleUpGroup");
    assert!(!world.events().iter().any(failed));

    let mut unlisted = one_group();
    unlisted.fail("groups", NOT_LEADER, false);
    unlisted.tick(10_000);
    assert!(unlisted.records().is_empty());
    assert_eq!(unlisted.events(), NONE);

    // An order that is not delivered, and one whose instance fails.
    let mut missing = ordered("decrease a");
    missing.tick(15 * MINUTE + 20_000);
    assert_eq!(missing.calls(), ["decrease a by 1"]);
    let mut failing = ordered("delete a");
    failing.deliver("a");
    failing.change("a", |group| {
        group.instances[0].state = InstanceState::Failed(InstanceError {
            out_of_resources: true,
            code: "Gone".to_owned(),
            message: "gone".to_owned(),
        });
    });
    failing.tick(20_000);
    assert_eq!(failing.calls(), ["delete a: a-0"]);
    for world in [missing, failing] {
        let records = world.records();
        let incidents = records.iter().flat_map(|record| &record.incidents);
        let incidents: Vec<_> = incidents.collect();
        assert!(incidents.is_empty(), "{incidents:?}");
    }
}
