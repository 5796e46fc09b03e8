//! How many nodes are ordered at a time, and the backoff after one came in another zone.

use std::sync::Arc;

use flyball_nodes::state::Owner;

use super::{NONE, apart, in_zone, join_in, launch_in, multi};
use crate::world::World;
use crate::{MINUTE, pod};

/// Returns why pods are left over, from all records since the last time.
fn reasons(world: &World) -> Vec<String> {
    let records = world.records();
    let remaining = records.iter().flat_map(|record| &record.remaining);
    let reasons = remaining.flat_map(|remaining| &remaining.reasons);
    reasons.map(ToString::to_string).collect()
}

#[test]
fn pods_that_any_zone_helps_get_as_many_nodes_as_they_need() {
    let mut world = multi(&["a", "b", "c"]);
    world.pods("free", 4, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 4"]);
    world.tick(20_000);
    assert_eq!(
        world.calls(),
        NONE,
        "they are on their way, wherever they come"
    );
    // The node on its way may help the pods that one zone helps; then others need more.
    world.pods("pinned", 2, 20_000, &in_zone("b", 900));
    world.tick(30_000);
    assert_eq!(world.calls(), ["increase multi by 2"]);

    // Together with other pods, such a pod gets one node, and a second one waits.
    let mut world = multi(&["a", "b", "c"]);
    world.pods("free", 2, 0, &pod(900));
    world.pods("pinned", 2, 0, &in_zone("b", 900));
    world.tick(10_000);
    let orders = ["increase multi by 2", "increase multi by 1"];
    assert_eq!(world.calls(), orders);
}

#[test]
fn a_pod_that_one_zone_helps_has_one_node_on_its_way_and_then_a_backoff() {
    let mut world = multi(&["a", "b", "c"]);
    world.pods("pinned", 2, 0, &in_zone("b", 600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    let record = world.records().pop().unwrap();
    assert_eq!(record.rounds[0].helps_in, ["b".into()]);
    assert_eq!(record.rounds[0].helped.count, 1);
    let awaited = "multi: waiting for the zone of the node on its way";
    let reason = record.remaining[0].reasons.iter().map(ToString::to_string);
    assert!(reason.collect::<Vec<_>>().contains(&awaited.to_owned()));
    world.tick(20_000);
    assert_eq!(world.calls(), NONE);

    join_in(&mut world, "multi", 0, "c", MINUTE);
    world.tick(MINUTE);
    assert_eq!(world.calls(), NONE, "it may come elsewhere again");
    let record = world.records().pop().unwrap();
    let incident = &record.incidents[0];
    assert_eq!(&*incident.code, "NodeInOtherZone");
    let message = "multi: a node was ordered for default/pinned-0, which only zone b helps, \
                   and came in c; not asked again for such pods for 300 s";
    assert_eq!(incident.message, message);
    let reasons = record.remaining[0].reasons.iter().map(ToString::to_string);
    let avoided = "multi: in backoff after a node came in another zone";
    assert!(reasons.collect::<Vec<_>>().contains(&avoided.to_owned()));

    // Other pods may still get nodes of the group.
    world.pods("free", 2, 2 * MINUTE, &pod(600));
    world.tick(2 * MINUTE + 10_000);
    assert_eq!(world.calls(), ["increase multi by 1"], "one fits in c");
    join_in(&mut world, "multi", 1, "a", 3 * MINUTE);
    world.tick(3 * MINUTE);
    world.tick(5 * MINUTE + 50_000);
    assert_eq!(world.calls(), NONE);

    // The next backoff is twice as long, and lasts until the zone is known.
    world.tick(6 * MINUTE + 10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    launch_in(&mut world, "multi", 2, "a");
    world.tick(7 * MINUTE);
    join_in(&mut world, "multi", 2, "a", 8 * MINUTE);
    world.tick(16 * MINUTE + 50_000);
    assert_eq!(world.calls(), NONE);
    world.tick(17 * MINUTE + 10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);

    // The node comes where it helps: the failures are forgotten, and the next pod has its
    // turn.
    launch_in(&mut world, "multi", 3, "b");
    world.tick(18 * MINUTE);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    join_in(&mut world, "multi", 3, "b", 19 * MINUTE);
    join_in(&mut world, "multi", 4, "b", 19 * MINUTE);
    world.tick(19 * MINUTE);
    assert_eq!(world.calls(), NONE);
}

#[test]
fn what_another_process_ordered_is_waited_for_as_well() {
    let mut world = multi(&["a", "b", "c"]);
    world.pods("pinned", 2, 0, &in_zone("b", 600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    world.restart();
    world.tick(20_000);
    assert_eq!(world.calls(), NONE);
    // It may come where it helps no pod: nobody remembers what it was ordered for.
    join_in(&mut world, "multi", 0, "c", MINUTE);
    world.tick(MINUTE);
    assert_eq!(world.calls(), ["increase multi by 1"]);
}

#[test]
fn pods_that_spread_over_zones_get_nodes_one_after_the_other() {
    // A node in one zone: wherever the new one comes, it helps one pod.
    let mut world = multi(&["a"]);
    world.pods("web", 1, 0, &apart(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);

    // Only a node in b helps the third.
    let mut world = multi(&["a", "b", "c"]);
    for (zone, group) in [("a", "in-a"), ("c", "in-c")] {
        world.group(group, 1000, (1, 1, 1));
        join_in(&mut world, group, 0, zone, 0);
        world.pods_as(&format!("there-{zone}"), 1, 0, &apart(900), |facts| {
            facts.node = Some(format!("{group}-0").into());
            facts.unschedulable = false;
        });
    }
    world.pods("web", 1, 0, &apart(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    assert_eq!(world.records()[0].rounds[0].helps_in, ["b".into()]);
    join_in(&mut world, "multi", 0, "a", MINUTE);
    world.tick(MINUTE);
    assert_eq!(world.calls(), NONE);
    let avoided = "multi: in backoff after a node came in another zone";
    assert!(reasons(&world).contains(&avoided.to_owned()));
}

#[test]
fn pods_of_a_drained_node_that_one_zone_helps_are_waited_for_as_others_are() {
    let mut world = multi(&["a", "c"]);
    world.group("old", 1000, (0, 1, 1));
    join_in(&mut world, "old", 0, "b", 0);
    world.pods_as("pinned", 2, 0, &in_zone("b", 500), |facts| {
        facts.node = Some("old-0".into());
        facts.unschedulable = false;
        facts.owner = Some(Arc::new(Owner {
            uid: "set".into(),
            kind: "StatefulSet".into(),
            ..Owner::default()
        }));
    });
    world.taint("old-0", "ToBeDeletedByClusterAutoscaler");
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    join_in(&mut world, "multi", 0, "c", MINUTE);
    world.tick(MINUTE);
    assert_eq!(world.calls(), NONE, "it may come elsewhere again");
    let record = world.records().pop().unwrap();
    assert_eq!(&*record.incidents[0].code, "NodeInOtherZone");
    world.tick(2 * MINUTE);
    assert_eq!(world.calls(), NONE);
}

#[test]
fn an_order_whose_node_came_elsewhere_is_not_forgotten_for_another_that_is_late() {
    let mut world = multi(&["a", "b", "c"]);
    world.pods("pinned", 1, 0, &in_zone("b", 600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    world.tick(20_000);
    // Somebody else orders another node, and no instance comes.
    world.stall("multi");
    world.change("multi", |group| group.target_size = 2);
    world.tick(10 * MINUTE);
    join_in(&mut world, "multi", 0, "c", 12 * MINUTE);
    world.tick(12 * MINUTE);
    world.records();
    world.tick(15 * MINUTE + 11_000);
    let records = world.records();
    let mut incidents = records.iter().flat_map(|record| &record.incidents);
    assert!(
        incidents.any(|incident| &*incident.code == "NodeInOtherZone"),
        "{records:#?}"
    );
}

#[test]
fn pods_of_other_zones_do_not_wait_for_each_other() {
    let mut world = multi(&["a", "b", "c"]);
    world.pods("pinned", 2, 0, &in_zone("b", 600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    world.pods("other", 2, 10_000, &in_zone("c", 600));
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase multi by 1"]);
    world.tick(30_000);
    assert_eq!(world.calls(), NONE);
}
