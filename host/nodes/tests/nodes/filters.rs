//! Which pods nodes are ordered for, and the limits of the operator.

use std::sync::Arc;

use flyball_nodes::record::Pending;
use flyball_nodes::state::{Owner, PodFacts};
use flyball_placement::Pod;

use crate::expanders::first;
use crate::world::World;
use crate::{defaults, pod};

const NONE: [&str; 0] = [];

fn owned_by(kind: &str) -> impl Fn(&mut PodFacts) {
    move |facts| {
        facts.owner = Some(Arc::new(Owner {
            uid: "owner".into(),
            kind: kind.into(),
            ..Owner::default()
        }));
    }
}

#[test]
fn pods_that_are_expendable_or_of_a_daemon_set_get_no_nodes() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 9));
    let of_priority = |priority| Pod {
        priority,
        ..pod(600)
    };
    world.pods("filler", 2, 0, &of_priority(-11));
    world.pods_as("agent", 3, 0, &pod(600), owned_by("DaemonSet"));
    world.tick(10_000);
    assert_eq!(world.calls(), NONE);
    world.pods("low", 1, 10_000, &of_priority(-10));
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    let pending = world.records().pop().unwrap().pending;
    let expected = Pending {
        unschedulable: 6,
        expendable: 2,
        daemon_set: 3,
        sought: 1,
        ..Pending::default()
    };
    assert_eq!(pending, expected);
}

#[test]
fn a_pod_of_a_daemon_set_that_is_stuck_does_not_hurry_others() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 0, 9));
    world.pods_as("agent", 1, 0, &pod(600), owned_by("DaemonSet"));
    world.pods("web", 1, 20_000, &pod(600));
    assert_eq!(world.tick(20_500), 22_000);
    assert_eq!(world.calls(), NONE);
    world.pods("more", 1, 21_000, &pod(600));
    world.tick(22_000);
    assert_eq!(
        world.calls(),
        ["increase a by 2"],
        "with one that came later"
    );
}

#[test]
fn a_pod_waits_as_long_as_the_operator_says_or_longer_if_it_says_so_itself() {
    let mut world = World::new(vec![first()], None, |options| {
        options.new_pod_scale_up_delay_ms = 60_000;
    });
    world.group("a", 1000, (0, 0, 9));
    let waits = |ms| move |facts: &mut PodFacts| facts.scale_up_delay_ms = Some(ms);
    world.pods_as("hasty", 1, 0, &pod(600), waits(10_000));
    world.pods_as("patient", 1, 0, &pod(600), waits(120_000));
    world.tick(60_000);
    assert_eq!(world.calls(), NONE);
    assert_eq!(world.records().pop().unwrap().pending.young, 2);
    world.tick(70_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    world.tick(120_000);
    assert_eq!(world.calls(), NONE);
    world.tick(130_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
}

#[test]
fn pods_of_a_node_that_is_drained_get_a_node_before_they_are_evicted() {
    let mut world = World::new(vec![first()], None, defaults);
    world.group("a", 1000, (0, 2, 9));
    let runs_on = |node: &'static str, owner: Option<&'static str>| {
        move |facts: &mut PodFacts| {
            facts.node = Some(node.into());
            facts.unschedulable = false;
            if let Some(kind) = owner {
                owned_by(kind)(facts);
            }
        }
    };
    world.pods_as("other", 1, 0, &pod(900), runs_on("a-0", Some("ReplicaSet")));
    world.pods_as("web", 1, 0, &pod(500), runs_on("a-1", Some("ReplicaSet")));
    world.pods_as("bare", 1, 0, &pod(100), runs_on("a-1", None));
    world.pods_as("agent", 1, 0, &pod(100), runs_on("a-1", Some("DaemonSet")));
    world.tick(10_000);
    assert_eq!(world.calls(), NONE);
    // The node is not ready either, but does not count as on its way.
    world.break_node("a-1");
    world.taint("a-1", "ToBeDeletedByClusterAutoscaler");
    world.tick(20_000);
    assert_eq!(world.calls(), ["increase a by 1"]);
    let pending = world.records().pop().unwrap().pending;
    assert_eq!((pending.drained, pending.sought), (1, 1));
    let events = world.events();
    assert!(
        !events.iter().any(|event| event.starts_with("web")),
        "it runs still: {events:?}"
    );
}

#[test]
fn the_cluster_gets_no_more_cores_and_memory_than_the_operator_allows() {
    // Nodes of a have four cores and 16 GiB each, one of b has one core.
    let world = |cores: u64, gib: u64| {
        let mut world = World::new(vec![first()], None, |options| {
            options.cores_total.max = cores;
            options.memory_total.max = gib << 30;
        });
        world.group("a", 4000, (0, 1, 9));
        world.group("b", 1000, (0, 0, 9));
        world.pods("web", 4, 0, &pod(3900));
        world.tick(10_000);
        world
    };
    for (cores, gib, limit) in [(12, 1000, "CoresTotal"), (1000, 50, "MemoryTotal")] {
        let world = world(cores, gib);
        assert_eq!(world.calls(), ["increase a by 2"], "{limit}");
        let record = world.records().pop().unwrap();
        let step = &record.rounds[0].steps[0];
        assert_eq!((&*step.guardrail, step.from, step.to), (limit, 3, 2));
        assert_eq!(&*record.skipped[0].code, limit);
    }
    // The current total is above the limit already.
    let world = world(3, 1000);
    assert_eq!(world.calls(), NONE);
    let events = world.events();
    let limited = "web-1: NotTriggerScaleUp: pod didn't trigger scale-up: \
                   1 Insufficient cpu, 1 max cluster cpu limit reached";
    assert!(events.contains(&limited.to_owned()), "{events:?}");
}

#[test]
fn groups_that_are_full_or_have_bounds_that_are_none_stay_as_they_are() {
    let mut world = World::new(vec![first()], None, |_| ());
    world.group("broken", 1000, (0, 1, 9));
    world.change("broken", |group| (group.min_size, group.max_size) = (5, 3));
    world.group("full", 1000, (0, 1, 1));
    world.group("used", 1000, (0, 1, 9));
    world.pods("web", 6, 0, &pod(600));
    world.tick(10_000);
    assert_eq!(world.calls(), ["increase used by 3"]);
    let record = world.records().pop().unwrap();
    let skipped = record.skipped.iter();
    let skipped: Vec<_> = skipped.map(|one| (&*one.group, &*one.code)).collect();
    let expected = [("broken", "InvalidBounds"), ("full", "MaxSize")];
    assert_eq!(skipped, expected);
}

#[test]
fn without_scale_up_from_zero_a_cluster_needs_one_ready_node() {
    let world = |nodes_of_full: u32| {
        let mut world = World::new(vec![first()], None, |options| {
            options.scale_up_from_zero = false;
        });
        world.group("empty", 1000, (0, 0, 9));
        world.group("full", 1000, (0, nodes_of_full, nodes_of_full));
        world.pods("web", 3, 0, &pod(600));
        world.tick(10_000);
        world
    };
    assert_eq!(world(1).calls(), ["increase empty by 2"]);

    // A cordoned node does not count.
    let mut cordoned = World::new(vec![first()], None, |options| {
        options.scale_up_from_zero = false;
    });
    cordoned.group("full", 1000, (0, 1, 1));
    cordoned.group("empty", 1000, (0, 0, 9));
    cordoned.change_node("full-0", |facts| {
        Arc::make_mut(&mut facts.node).unschedulable = true;
    });
    cordoned.pods("web", 3, 0, &pod(600));
    cordoned.tick(10_000);
    assert_eq!(cordoned.calls(), NONE);

    let world = world(0);
    assert_eq!(world.calls(), NONE);
    let record = world.records().pop().unwrap();
    let skipped = &record.skipped[0];
    assert_eq!((&*skipped.group, &*skipped.code), ("empty", "FromZero"));
}
