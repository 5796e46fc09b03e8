//! Nodes that never join, and clouds that do not carry out orders.

use flyball_nodes::cloud::{InstanceError, InstanceState};

use crate::expanders::first;
use crate::world::World;
use crate::{MINUTE, defaults, pod};

/// Two groups, of which `first` chooses a, and a pod that waits for a node.
fn two_groups() -> World {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.group("b", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world
}

fn incidents(world: &World) -> Vec<String> {
    let records = world.records();
    let incidents = records.iter().flat_map(|record| &record.incidents);
    incidents.map(|incident| incident.message.clone()).collect()
}

const NONE: [&str; 0] = [];

#[test]
fn what_another_process_ordered_is_waited_for_once_and_not_for_ever() {
    let mut world = two_groups();
    world.stall("a");
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    world.restart();
    world.tick(20_000);
    world.tick(15 * MINUTE + 20_000);
    assert_eq!(world.calls(), NONE);
    world.tick(15 * MINUTE + 30_000);
    assert_eq!(world.calls(), ["decrease a by 1", "increase b by 1"]);
    let timed_out =
        "autoscaler: ScaleUpTimedOut: Nodes added to group a failed to register within 15m0s";
    assert!(world.events().contains(&timed_out.to_owned()));
    // Group a still backs off.
    world.join("b", 0, 16 * MINUTE);
    world.pods("more", 1, 16 * MINUTE, &pod(600));
    world.tick(17 * MINUTE);
    assert_eq!(world.calls(), ["increase b by 1"]);
}

#[test]
fn a_target_that_cannot_be_taken_back_is_tried_on_and_on_while_others_grow() {
    let mut world = two_groups();
    world.stall("a");
    world.fail("decrease a", "Throttled", false);
    world.tick(10_000);
    world.calls();
    world.records();
    let late = 15 * MINUTE + 20_000;
    world.tick(late);
    assert_eq!(world.calls(), ["decrease a by 1", "increase b by 1"]);
    let failed = "Nodes added to group a failed to register within 15m0s; \
                  the cloud did not mend it: a: there is nothing left";
    assert_eq!(incidents(&world), [failed]);
    world.events();
    world.tick(late + 10_000);
    assert_eq!(world.calls(), ["decrease a by 1"]);
    assert_eq!(incidents(&world), NONE, "it was said");
    assert_eq!(world.events(), NONE);
    world.mend("decrease a");
    world.tick(late + 20_000);
    assert_eq!(world.calls(), ["decrease a by 1"]);
    let mended = "Nodes added to group a failed to register within 15m0s; target taken back to 0";
    assert_eq!(incidents(&world), [mended]);
    world.tick(late + 30_000);
    assert_eq!(world.calls(), NONE);
}

#[test]
fn a_group_at_its_smallest_size_lacks_a_node_and_others_grow() {
    let mut world = two_groups();
    world.change("a", |group| (group.min_size, group.target_size) = (1, 1));
    world.tick(10_000);
    assert_eq!(world.calls(), NONE, "a node of a is on its way");
    world.tick(16 * MINUTE);
    assert_eq!(world.calls(), ["increase b by 1"]);
    let kept = "Nodes added to group a failed to register within 15m0s; \
                kept, for the group is at its smallest size 1";
    assert_eq!(incidents(&world), [kept]);
    world.tick(17 * MINUTE);
    assert_eq!(incidents(&world), NONE);
    // The instance comes at last.
    world.deliver("a");
    world.join("a", 0, 18 * MINUTE);
    world.tick(18 * MINUTE);
    world.pods("more", 2, 18 * MINUTE, &pod(600));
    world.tick(22 * MINUTE);
    assert_eq!(
        world.calls(),
        ["increase a by 1"],
        "one fits, one needs a node"
    );
}

#[test]
fn an_order_whose_answer_was_lost_is_not_given_again() {
    let mut world = two_groups();
    world.stall("a");
    world.fail("increase a", "Unreachable", true);
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    world.mend("increase a");
    world.tick(15 * MINUTE + 10_000);
    assert_eq!(world.calls(), NONE);
    world.tick(15 * MINUTE + 20_000);
    assert_eq!(world.calls(), ["decrease a by 1", "increase b by 1"]);

    // If the order was lost as well, another group grows, and the first one backs off.
    let mut world = two_groups();
    world.fail("increase a", "Unreachable", false);
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1", "increase b by 1"]);
    world.mend("increase a");
    world.join("b", 0, 20_000);
    world.pods("more", 1, 20_000, &pod(600));
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase b by 1"]);
}

#[test]
fn a_node_that_is_late_is_waited_for() {
    let mut world = two_groups();
    world.stall("a");
    world.tick(10_000);
    world.calls();
    world.tick(10 * MINUTE);
    world.deliver("a");
    world.tick(14 * MINUTE);
    // Its instance has only existed for a while.
    world.tick(16 * MINUTE);
    assert_eq!(world.calls(), NONE);
    world.join("a", 0, 20 * MINUTE);
    world.tick(20 * MINUTE);
    world.delete_pods(&["web-0"]);
    world.tick(40 * MINUTE);
    assert_eq!(world.calls(), NONE);
}

#[test]
fn a_group_whose_instances_never_join_is_left_alone_however_often_it_is_asked() {
    let mut world = two_groups();
    world.tick(10_000);
    world.tick(20_000);
    world.pods("more", 1, 10 * MINUTE, &pod(600));
    world.tick(10 * MINUTE + 10_000);
    world.tick(10 * MINUTE + 20_000);
    assert_eq!(world.calls(), ["increase a by 1", "increase a by 1"]);
    // The first instance has timed out, the second one has not.
    world.tick(15 * MINUTE + 30_000);
    assert_eq!(world.calls(), ["delete a: a-0", "increase b by 1"]);
    let timed_out =
        "autoscaler: ScaleUpTimedOut: Nodes added to group a failed to register within 15m0s";
    let has_event = |world: &World| world.events().iter().any(|event| event == timed_out);
    assert!(has_event(&world));
    world.join("b", 0, 16 * MINUTE);
    world.tick(16 * MINUTE);
    assert!(!has_event(&world));
    // The backoff is over when the second instance is given up.
    world.tick(25 * MINUTE + 30_000);
    assert_eq!(world.calls(), ["delete a: a-1", "increase b by 1"]);
    assert!(has_event(&world));
}

#[test]
fn instances_that_another_process_ordered_and_that_never_join_are_given_up_as_well() {
    let mut world = two_groups();
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    world.restart();
    world.tick(20_000);
    world.tick(15 * MINUTE + 30_000);
    assert_eq!(world.calls(), ["delete a: a-0", "increase b by 1"]);
}

#[test]
fn a_group_that_delivers_one_node_of_two_has_not_delivered() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.pods("web", 1, 0, &pod(600));
    world.refuse("a");
    world.tick(10_000);
    world.mend("increase a");
    world.tick(6 * MINUTE);
    world.tick(6 * MINUTE + 10_000);
    world.pods("more", 1, 10 * MINUTE, &pod(600));
    world.tick(11 * MINUTE);
    world.join("a", 1, 12 * MINUTE);
    world.tick(12 * MINUTE);
    let orders = ["increase a by 1", "increase a by 1", "increase a by 1"];
    assert_eq!(world.calls(), orders, "one is refused");
    world.tick(21 * MINUTE + 20_000);
    assert_eq!(world.calls(), ["delete a: a-0"]);
    // Its second failure: it backs off for ten minutes.
    world.tick(30 * MINUTE);
    assert_eq!(world.calls(), NONE);
    world.tick(32 * MINUTE);
    assert_eq!(world.calls(), ["increase a by 1"]);
}

#[test]
fn only_instances_that_were_deleted_are_told_to_be() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (1, 0, 5));
    world.change("a", |group| group.target_size = 4);
    world.deliver("a");
    let error = InstanceError {
        out_of_resources: false,
        code: "BadImage".to_owned(),
        message: "no such image".to_owned(),
    };
    world.tick(0);
    world.tick(15 * MINUTE);
    world.change("a", |group| {
        group.instances[0].state = InstanceState::Failed(error);
    });
    world.fail("delete a", "Throttled", false);
    let late = 15 * MINUTE + 10_000;
    world.tick(late);
    assert_eq!(world.calls(), ["delete a: a-0", "delete a: a-1 a-2 a-3"]);
    let events = world.events();
    let failed = "autoscaler: DeleteUnregisteredFailed: \
                  Failed to remove node a-1: a: there is nothing left";
    assert!(events.contains(&failed.to_owned()), "{events:?}");
    assert_eq!(incidents(&world).len(), 2);
    world.tick(late + 10_000);
    assert_eq!(world.events(), NONE);
    assert_eq!(incidents(&world), NONE);
    // Of the three that may be deleted, one is the failed one.
    world.calls();
    world.mend("delete a");
    world.tick(late + 20_000);
    assert_eq!(world.calls(), ["delete a: a-0", "delete a: a-1 a-2"]);
    let removed = |id| format!("autoscaler: DeleteUnregistered: Removed unregistered node {id}");
    assert_eq!(world.events(), [removed("a-1"), removed("a-2")]);
    incidents(&world);
    world.tick(late + 30_000);
    let kept = "instances of a have not joined within 15m0s: a-3; \
                kept, for the group is at its smallest size 1";
    assert_eq!(incidents(&world), [kept]);
}

#[test]
fn of_several_instances_those_that_the_cloud_deletes_are_gone_from_the_target() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.change("a", |group| group.target_size = 3);
    world.deliver("a");
    world.tick(0);
    world.fail("delete a-1", "Throttled", false);
    world.tick(15 * MINUTE);
    let late = 15 * MINUTE + 10_000;
    world.tick(late);
    assert_eq!(world.calls(), ["delete a: a-0 a-1 a-2"]);
    let events = world.events();
    let removed = |id| format!("autoscaler: DeleteUnregistered: Removed unregistered node {id}");
    let failed = "autoscaler: DeleteUnregisteredFailed: \
                  Failed to remove node a-1: a-1: there is nothing left";
    for event in [removed("a-0"), failed.to_owned(), removed("a-2")] {
        assert!(events.contains(&event), "{event} in {events:?}");
    }
    let partly = "instances of a have not joined within 15m0s: a-0, a-1, a-2; \
                  2 deleted, the cloud did not delete the others: a-1: there is nothing left";
    assert_eq!(incidents(&world), [partly]);
    world.mend("delete a-1");
    world.tick(late + 10_000);
    assert_eq!(world.calls(), ["delete a: a-1"]);
    assert_eq!(world.events(), [removed("a-1")]);
}

#[test]
fn an_instance_that_failed_and_stays_does_not_make_later_orders_fail() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (1, 1, 5));
    world.change("a", |group| {
        group.instances[0].state = InstanceState::Failed(InstanceError {
            out_of_resources: true,
            code: "Gone".to_owned(),
            message: "gone".to_owned(),
        });
    });
    world.tick(0);
    world.tick(10_000);
    let kept = "1 instances of a cannot be created: Gone: gone; \
                kept, for the group is at its smallest size 1";
    assert_eq!(incidents(&world), [kept]);
    // A failure keeps the group from growing once.
    world.pods("web", 2, 0, &pod(600));
    world.tick(6 * MINUTE);
    assert_eq!(world.calls(), ["increase a by 1"]);
    world.join("a", 1, 7 * MINUTE);
    world.events();
    for minute in 7..30 {
        world.tick(minute * MINUTE);
    }
    assert_eq!(world.events(), NONE);
    assert_eq!(
        world.calls(),
        ["delete a: a-0"],
        "it may go now that there is another one"
    );
}

#[test]
fn nothing_is_decided_while_the_cloud_does_not_tell_its_groups() {
    let mut world = two_groups();
    world.fail("groups", "Unreachable", false);
    world.tick(10_000);
    world.tick(20_000);
    assert_eq!(
        world.events(),
        ["autoscaler: CloudUnavailable: cannot list the node groups: the cloud is away"]
    );
    let records = world.records();
    assert_eq!(records.len(), 1);
    assert_eq!(records[0].verdict.reason, "CloudUnavailable");
    assert_eq!(world.calls(), NONE);
    world.mend("groups");
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}

/// Returns the minutes, from `from` on, at which an order is made.
fn asked_at(world: &mut World, from: i64, minutes: i64) -> Vec<i64> {
    let ticks = (0..minutes * 6).map(|number| from + number * 10_000);
    let asked = ticks.filter(|&now| {
        world.tick(now);
        !world.calls().is_empty()
    });
    asked.map(|now| (now - from) / MINUTE).collect()
}

#[test]
fn a_group_is_left_alone_longer_each_time_up_to_a_maximum_until_it_delivers() {
    let hour = 60 * MINUTE;
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.refuse("a");
    world.pods("web", 1, 0, &pod(600));
    let asked = asked_at(&mut world, 10_000, 120);
    assert_eq!(asked, [0, 5, 15, 35, 65, 95]);
    // The group delivers: its failures are forgotten.
    world.mend("increase a");
    assert_eq!(asked_at(&mut world, 2 * hour, 10), [6]);
    world.join("a", 0, 2 * hour + 11 * MINUTE);
    world.tick(2 * hour + 11 * MINUTE);
    world.refuse("a");
    world.pods("more", 2, 3 * hour, &pod(600));
    assert_eq!(asked_at(&mut world, 3 * hour + 10_000, 30), [0, 5, 15]);
    // They are also forgotten when the last one is three hours old.
    world.delete_pods(&["more-0", "more-1"]);
    world.tick(4 * hour);
    let later = 7 * hour;
    world.pods("last", 2, later, &pod(600));
    assert_eq!(asked_at(&mut world, later + 10_000, 30), [0, 5, 15]);
}

#[test]
fn a_group_may_have_a_time_of_its_own_for_nodes_to_join() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 5));
    world.change("a", |group| {
        group.scale_down.max_node_provision_time_ms = Some(30 * MINUTE);
    });
    world.stall("a");
    world.pods("web", 1, 0, &pod(900));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    world.tick(16 * MINUTE);
    assert_eq!(world.calls(), NONE);
    world.tick(31 * MINUTE);
    let late =
        "autoscaler: ScaleUpTimedOut: Nodes added to group a failed to register within 30m0s";
    let events = world.events();
    assert!(
        events.iter().any(|event| event.starts_with(late)),
        "{events:?}"
    );
}
