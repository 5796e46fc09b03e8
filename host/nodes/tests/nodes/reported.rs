//! Events about pods, and how often they are emitted.

use crate::expanders::first;
use crate::world::World;
use crate::{defaults, pod};

/// Returns how many pods the events since the last call report as not triggering a
/// scale-up.
fn not_triggered(world: &World) -> usize {
    let events = world.events();
    let events = events.iter();
    events
        .filter(|event| event.contains("NotTriggerScaleUp"))
        .count()
}

fn one_group() -> World {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world
}

#[test]
fn every_pod_gets_one_event_about_why_it_gets_no_node_however_many_there_are() {
    // Pods of one class, and pods of one class each.
    let mut alike = one_group();
    alike.pods("huge", 1200, 0, &pod(5000));
    let mut different = one_group();
    for number in 0..120 {
        different.pods(&format!("huge-{number}"), 1, 0, &pod(5000 + number));
    }
    for (mut world, counts) in [(alike, [500, 500, 200, 0]), (different, [50, 50, 20, 0])] {
        for (number, count) in (1..).zip(counts) {
            world.tick(number * 10_000);
            assert_eq!(not_triggered(&world), count, "{number}");
        }
    }
}

#[test]
fn what_a_pass_does_not_check_stays_reported() {
    let mut world = one_group();
    world.pods("huge", 3, 0, &pod(5000));
    world.tick(10_000);
    assert_eq!(not_triggered(&world), 3);
    for number in 1..4 {
        world.fail("groups", "Throttled", false);
        world.tick(number * 20_000);
        assert_eq!(
            world.events(),
            ["autoscaler: CloudUnavailable: cannot list the node groups: the cloud is away"]
        );
        world.mend("groups");
        let name = format!("another-{number}");
        world.pods(&name, 1, number * 20_000, &pod(5000));
        world.tick(number * 20_000 + 10_000);
        assert_eq!(not_triggered(&world), 1, "the new one");
    }
    // A pod that no longer exists is forgotten.
    world.delete_pods(&["huge-0"]);
    world.tick(100_000);
    world.pods("huge", 1, 100_000, &pod(5000));
    world.tick(110_000);
    assert_eq!(not_triggered(&world), 1);
}

#[test]
fn an_outage_after_passes_without_a_plan_is_reported_again() {
    let mut world = one_group();
    world.pods("huge", 1, 0, &pod(5000));
    world.tick(10_000);
    assert_eq!(not_triggered(&world), 1);
    for number in 1..4 {
        world.fail("groups", "Throttled", false);
        world.tick(number * 20_000);
        assert_eq!(
            world.events(),
            ["autoscaler: CloudUnavailable: cannot list the node groups: the cloud is away"]
        );
        world.mend("groups");
        // Nothing has changed since the last plan, so none is made.
        world.tick(number * 20_000 + 10_000);
        assert_eq!(world.events(), Vec::<String>::new());
    }
}

#[test]
fn groups_that_do_not_help_for_the_same_reason_are_counted() {
    let mut world = World::new(vec![first()], None, defaults);
    for number in 0..30 {
        world.group(&format!("small-{number:02}"), 1000, (0, 0, 5));
    }
    world.group("full", 9000, (0, 1, 1));
    world.pods("huge", 2, 0, &pod(9000));
    world.pods_as("on-it", 1, 0, &pod(100), |facts| {
        facts.node = Some("full-0".into());
        facts.unschedulable = false;
    });
    world.tick(10_000);
    let record = world.records().pop().unwrap();
    assert_eq!(record.remaining.len(), 1);
    let reasons = record.remaining[0].reasons.iter();
    let reasons: Vec<_> = reasons
        .map(|refusal| (&*refusal.reason, refusal.count, refusal.groups.len()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("Insufficient cpu", 30, 20),
            ("max node group size reached", 1, 1)
        ]
    );
    let text = record.remaining[0].reasons[0].to_string();
    assert!(text.starts_with("small-00, small-01, "), "{text}");
    assert!(
        text.ends_with("small-19 and 10 more: Insufficient cpu"),
        "{text}"
    );
}
