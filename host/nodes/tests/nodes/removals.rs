//! Nodes that are not needed leave.

use std::sync::Arc;

use flyball_decision::context::Reason;
use flyball_decision::key::ObjectKey;
use flyball_decision::scale_down::{
    NodeVerdicts, PodVerdicts, node_state, node_verdict, pod_verdict,
};
use flyball_decision::time::Timestamp;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_nodes::state::BudgetFacts;
use flyball_placement::{LabelSelector, Pod};
use flyball_test_policies::{TestPolicy, scale_down};

use crate::expanders::first;
use crate::world::World;
use crate::{MINUTE, pod};

const SECOND: i64 = 1000;

fn on(options: &mut NodeOptions) {
    options.scale_down.mode = ScaleDownMode::On;
}

/// A policy that lets all pods be evicted.
pub fn evicts() -> TestPolicy {
    scale_down("evicts").judging_pods(|_, input| {
        Ok(PodVerdicts {
            verdict: vec![pod_verdict::EVICT; input.pods.len()],
            ..PodVerdicts::default()
        })
    })
}

/// A policy that lets nodes go of whose cpu at most half is requested.
pub fn half() -> TestPolicy {
    scale_down("half").judging_nodes(|_, input| {
        let nodes = &input.nodes;
        let rows = nodes.requested_cpu.iter().zip(&nodes.allocatable_cpu);
        let verdict = rows.map(
            |(requested, allocatable)| match 2 * requested <= *allocatable {
                true => node_verdict::MAY_GO,
                false => node_verdict::MUST_STAY,
            },
        );
        let verdict: Vec<u32> = verdict.collect();
        Ok(NodeVerdicts {
            reason: vec![0; verdict.len()],
            verdict,
            reasons: vec![Reason {
                code: "NotUnderutilized".to_owned(),
                sentence: "node {node:0} or another".to_owned(),
                ..Reason::default()
            }],
            ..NodeVerdicts::default()
        })
    })
}

/// Three nodes of 1000m, of at least one: a-0 and a-1 with pods, a-2 empty.
pub fn world(change: impl FnOnce(&mut NodeOptions)) -> World {
    let mut world = World::new(vec![first()], None, |options| {
        on(options);
        change(options);
    });
    world.judge(vec![evicts(), half()]);
    world.group("a", 1000, (1, 3, 5));
    world.running("web", 2, "a-0", &pod(300));
    world.running("cart", 1, "a-1", &pod(300));
    world
}

/// Runs ticks as they are due until a time, and returns the calls.
pub fn run(world: &mut World, now: &mut i64, until: i64) -> Vec<String> {
    while *now <= until {
        let next = world.tick(*now);
        assert!(next > *now, "a tick at {now} is due again at {next}");
        *now = next;
    }
    world.calls()
}

#[test]
fn an_empty_node_is_tainted_and_leaves_after_its_time() {
    let mut world = world(|options| options.scale_down.max_drain_parallelism = 0);
    let mut now = 0;
    run(&mut world, &mut now, 0);
    let candidate = "DeletionCandidateOfClusterAutoscaler";
    assert_eq!(world.marks("a-2"), candidate);
    // a-1 fits on a-0, but not both ways.
    assert_eq!(
        (world.marks("a-1").as_str(), world.marks("a-0").as_str()),
        (candidate, "")
    );
    // The time is strict, and the tick comes when it is over.
    assert_eq!(run(&mut world, &mut now, 10 * MINUTE), Vec::<String>::new());
    assert_eq!(now, 10 * MINUTE + 1);
    assert_eq!(run(&mut world, &mut now, 10 * MINUTE + 1), ["update a-2"]);
    assert_eq!(
        world.marks("a-2"),
        format!(
            "{candidate} ToBeDeletedByClusterAutoscaler flyball.dev/scale-down=cordoned cordoned"
        )
    );
    // It is looked at again, and then the cloud removes it.
    let calls = run(&mut world, &mut now, 10 * MINUTE + 6 * SECOND);
    assert_eq!(calls, ["delete a: a-2"]);
    world.delete_node("a-2");
    assert_eq!(run(&mut world, &mut now, 12 * MINUTE), Vec::<String>::new());
    let records = world.records();
    let steps = records
        .iter()
        .filter_map(|record| record.scale_down.as_ref());
    let steps = steps.flat_map(|record| &record.steps);
    let steps: Vec<&str> = steps.map(|step| &*step.step).collect();
    assert_eq!(steps, ["Started", "Marked", "Terminating", "Gone"]);
    let events = world.events();
    for event in [
        "autoscaler: ScaleDownEmpty: Scale-down: removing empty node a-2",
        "a-2: ScaleDown: marked the node as toBeDeleted/unschedulable",
        "autoscaler: ScaleDownEmpty: Scale-down: empty node a-2 removed",
    ] {
        assert!(
            events.iter().any(|known| known == event),
            "{event}: {events:#?}"
        );
    }
}

/// A budget of the namespace of all pods that allows so many disruptions.
pub fn budget(allowed: i32) -> BudgetFacts {
    BudgetFacts {
        uid: "budget".into(),
        key: ObjectKey {
            namespace: "default".into(),
            name: "all".into(),
        },
        selector: Some(LabelSelector::default()),
        disruptions_allowed: allowed,
        is_current: true,
        always_evict_unhealthy: false,
        min_healthy: 1,
        current_healthy: 2,
    }
}

/// A world in which only a-1 can go, with a pod of web on a-0 and two of cart to evict.
pub fn drained() -> World {
    let mut world = World::new(vec![first()], None, on);
    world.judge(vec![evicts(), half()]);
    world.group("a", 1000, (1, 2, 5));
    world.running("web", 1, "a-0", &pod(600));
    world.running("cart", 2, "a-1", &pod(100));
    world
}

/// Time of the tick at which the node of [`drained`] is evicted.
pub const EVICTED: i64 = 10 * MINUTE + 5 * SECOND + 1;

pub fn evictions(calls: &[String]) -> Vec<&str> {
    let calls = calls.iter().map(String::as_str);
    calls.filter(|call| call.starts_with("evict")).collect()
}

#[test]
fn pods_are_evicted_one_after_the_other_as_their_budget_allows() {
    let mut world = drained();
    world.change_state(|state| state.apply_budget(budget(1)));
    let mut now = 0;
    let calls = run(&mut world, &mut now, EVICTED);
    assert_eq!(evictions(&calls), ["evict cart-0"]);
    // The budget allows no other until the pod is there again: nothing is requested.
    world.change_state(|state| state.apply_budget(budget(0)));
    world.delete_pods(&["cart-0"]);
    let calls = run(&mut world, &mut now, EVICTED + 30 * SECOND);
    assert_eq!(evictions(&calls), Vec::<&str>::new());
    world.change_state(|state| state.apply_budget(budget(1)));
    // The watch wakes the loop.
    now = EVICTED + 31 * SECOND;
    let calls = run(&mut world, &mut now, EVICTED + 31 * SECOND);
    assert_eq!(evictions(&calls), ["evict cart-1"]);
    world.delete_pods(&["cart-1"]);
    let calls = run(&mut world, &mut now, EVICTED + 45 * SECOND);
    assert_eq!(calls, ["delete a: a-1"]);
}

#[test]
fn many_evictions_leave_time_for_passes_in_between() {
    let mut world = World::new(vec![first()], None, on);
    world.judge(vec![evicts(), half()]);
    world.group("a", 1000, (1, 2, 5));
    world.running("web", 1, "a-0", &pod(550));
    world.running("cart", 100, "a-1", &pod(4));
    let mut now = 0;
    let calls = run(&mut world, &mut now, EVICTED);
    let mut evicted: Vec<String> = evictions(&calls).into_iter().map(str::to_owned).collect();
    assert_eq!(evicted.len(), 64);
    assert_eq!(now, EVICTED + 1);
    let calls = run(&mut world, &mut now, EVICTED + 1);
    evicted.extend(evictions(&calls).into_iter().map(str::to_owned));
    assert!(now > EVICTED + 2, "nothing is left to evict");
    evicted.sort_unstable();
    evicted.dedup();
    assert_eq!(evicted.len(), 100);
}

#[test]
fn pods_of_higher_priority_are_evicted_once_those_below_are_gone() {
    let mut world = World::new(vec![first()], None, |options| {
        on(options);
        options.scale_down.drain_priorities = "0:10,1000:0,2000:5".parse().unwrap();
    });
    world.judge(vec![evicts(), half()]);
    world.group("a", 1000, (1, 2, 5));
    world.running("web", 1, "a-0", &pod(600));
    let with_priority = |priority| Pod {
        priority,
        ..pod(50)
    };
    world.running("high", 1, "a-1", &with_priority(3000));
    world.running("low", 2, "a-1", &with_priority(999));
    world.running("middle", 1, "a-1", &with_priority(1000));
    let mut now = 0;
    let calls = run(&mut world, &mut now, EVICTED + 20 * SECOND);
    assert_eq!(evictions(&calls), ["evict low-0", "evict low-1"]);
    world.delete_pods(&["low-0"]);
    let calls = run(&mut world, &mut now, EVICTED + 25 * SECOND);
    assert_eq!(evictions(&calls), Vec::<&str>::new(), "one is there still");
    world.delete_pods(&["low-1"]);
    let mut at = now;
    for (pod, grace) in [("middle-0", 30), ("high-0", 5)] {
        // The watch wakes the loop.
        let calls = run(&mut world, &mut now, at);
        assert_eq!(evictions(&calls), [format!("evict {pod}")]);
        let mut ends = None;
        world.change_state(|state| ends = state.pod(pod).unwrap().facts.deletion);
        assert_eq!(ends, Some(Timestamp(at + grace * SECOND)), "{pod}");
        world.delete_pods(&[pod]);
        at = now;
    }
    let calls = run(&mut world, &mut now, at);
    assert_eq!(calls, ["delete a: a-1"]);
}

#[test]
fn a_drain_that_is_refused_for_too_long_is_taken_back() {
    let mut world = drained();
    for pod in ["cart-0", "cart-1"] {
        world.fail(&format!("evict {pod}"), "Blocked", false);
    }
    let mut now = 0;
    run(&mut world, &mut now, EVICTED + 3 * MINUTE);
    let marks = world.marks("a-1");
    assert!(
        !marks.contains("ToBeDeleted") && !marks.contains("cordoned"),
        "{marks}"
    );
    let events = world.events();
    let failed = events
        .iter()
        .find(|event| event.contains("ScaleDownFailed"));
    let failed = failed.unwrap();
    assert!(
        failed.contains("pod default/cart-0 could not be evicted"),
        "{failed}"
    );
    assert!(
        world
            .calls()
            .iter()
            .all(|call| !call.starts_with("delete a"))
    );
}

#[test]
fn a_cordon_of_others_is_left_whenever_it_is_made() {
    let mut world = world(|options| options.scale_down.max_drain_parallelism = 0);
    let mut now = 0;
    run(&mut world, &mut now, 10 * MINUTE);
    // Between our look at the node and our write, somebody cordons it.
    world.cordon_at_update("a-2");
    run(&mut world, &mut now, 10 * MINUTE + 1);
    let marks = world.marks("a-2");
    assert!(marks.contains("flyball.dev/scale-down=tainted"), "{marks}");
    world.restart();
    world.running("late", 1, "a-2", &pod(600));
    run(&mut world, &mut now, 10 * MINUTE + 10 * SECOND);
    assert_eq!(world.marks("a-2"), "cordoned");
}

#[test]
fn an_empty_node_that_gets_a_pod_is_given_back() {
    let mut world = world(|options| options.scale_down.max_drain_parallelism = 0);
    let mut now = 0;
    let calls = run(&mut world, &mut now, 10 * MINUTE + 1);
    assert_eq!(calls.last().map(String::as_str), Some("update a-2"));
    world.running("late", 1, "a-2", &pod(100));
    let calls = run(&mut world, &mut now, 10 * MINUTE + 6 * SECOND);
    assert_eq!(calls, ["update a-2"]);
    assert_eq!(world.marks("a-2"), "");
    let events = world.events();
    let message = "pods have come to the empty node";
    assert!(
        events.iter().any(|event| event.contains(message)),
        "{events:#?}"
    );
}

#[test]
fn another_process_takes_over_timers_and_drains() {
    let mut world = drained();
    let mut now = 0;
    run(&mut world, &mut now, 9 * MINUTE);
    // Somebody led a moment ago: the timer goes on from the taint.
    world.restart();
    let calls = run(&mut world, &mut now, 10 * MINUTE + 1);
    assert_eq!(calls, ["update a-1"]);
    world.restart();
    let calls = run(&mut world, &mut now, EVICTED);
    assert_eq!(evictions(&calls), ["evict cart-0", "evict cart-1"]);
    // Nothing is requested again for pods that end already.
    world.restart();
    assert_eq!(
        evictions(&run(&mut world, &mut now, EVICTED + 20 * SECOND)),
        Vec::<&str>::new()
    );
    world.delete_pods(&["cart-0", "cart-1"]);
    // The cloud does it, and its answer is lost.
    world.fail("delete a-1", "Unreachable", true);
    let calls = run(&mut world, &mut now, EVICTED + MINUTE);
    assert_eq!(calls, ["delete a: a-1"], "once");
    let size = |world: &World| world.group_sizes("a");
    assert_eq!(size(&world), (1, 1));
    world.restart();
    let calls = run(&mut world, &mut now, EVICTED + 2 * MINUTE);
    assert_eq!(calls, Vec::<String>::new());
    assert!(
        world.marks("a-1").contains("ToBeDeleted"),
        "its Node goes with its instance"
    );
}

#[test]
fn timers_begin_anew_after_a_time_without_a_leader() {
    let mut world = drained();
    let mut now = 0;
    run(&mut world, &mut now, 9 * MINUTE);
    world.restart();
    now = 20 * MINUTE;
    // The taint has the new time.
    let calls = run(&mut world, &mut now, 22 * MINUTE);
    assert_eq!(calls, ["update a-1"]);
    // A restart at once does not go back to the time before.
    world.restart();
    let calls = run(&mut world, &mut now, 29 * MINUTE);
    assert_eq!(calls, Vec::<String>::new());
    assert_eq!(run(&mut world, &mut now, 30 * MINUTE + 1), ["update a-1"]);
}

#[test]
fn a_lease_says_exactly_when_somebody_led_last() {
    for (led, goes_on) in [(None, false), (Some(13), true), (Some(2), false)] {
        let mut world = drained();
        let mut now = 0;
        run(&mut world, &mut now, 8 * MINUTE);
        // The status was written at 5 minutes last, or before.
        let written = (5 * MINUTE).to_string();
        world.annotate_status("flyball.dev/last-led", &written);
        if let Some(minute) = led {
            world.was_led_at(minute * MINUTE);
        }
        world.restart();
        now = 14 * MINUTE;
        run(&mut world, &mut now, 14 * MINUTE);
        let is_marked = world.marks("a-1").contains("ToBeDeleted");
        assert_eq!(is_marked, goes_on, "{led:?}");
    }
}

#[test]
fn a_node_that_outlives_its_instance_is_reported_after_five_minutes_also_across_restarts() {
    let mut world = drained();
    let mut now = 0;
    run(&mut world, &mut now, EVICTED);
    world.delete_pods(&["cart-0", "cart-1"]);
    // The watch wakes the loop.
    now = EVICTED + SECOND;
    let gone = now;
    assert_eq!(run(&mut world, &mut now, gone), ["delete a: a-1"]);
    let reports = |world: &World| {
        let events = world.events();
        let lingers = "a-1: ScaleDownFailed: the Node is still there 5 minutes";
        let reports = events.iter().filter(|event| event.starts_with(lingers));
        reports.count()
    };
    // Its kubelet reports no more.
    let not_ready = gone + 40 * SECOND;
    world.change_node("a-1", |facts| {
        (facts.ready, facts.condition_ready) = (false, false);
        facts.ready_since = Some(Timestamp(not_ready));
    });
    for minute in 1..=4 {
        world.restart();
        run(&mut world, &mut now, gone + minute * MINUTE);
    }
    run(&mut world, &mut now, not_ready + 5 * MINUTE - 1);
    assert_eq!(reports(&world), 0);
    run(&mut world, &mut now, not_ready + 5 * MINUTE);
    assert_eq!(reports(&world), 1);
    run(&mut world, &mut now, gone + 20 * MINUTE);
    assert_eq!(reports(&world), 0, "once");

    // A node that was not ready for long, and one whose instance has just gone.
    for is_ready in [false, true] {
        let mut world = drained();
        let mut now = 0;
        run(&mut world, &mut now, EVICTED);
        world.delete_pods(&["cart-0", "cart-1"]);
        now = EVICTED + SECOND;
        run(&mut world, &mut now, EVICTED + SECOND);
        world.change_node("a-1", |facts| {
            (facts.ready, facts.condition_ready) = (is_ready, is_ready);
            facts.ready_since = Some(Timestamp(0));
        });
        world.restart();
        let since = match is_ready {
            true => now,
            // When it was marked, in whole seconds.
            false => 10 * MINUTE,
        };
        run(&mut world, &mut now, since + 5 * MINUTE - 1);
        assert_eq!(reports(&world), 0, "{is_ready}");
        run(&mut world, &mut now, since + 5 * MINUTE);
        assert_eq!(reports(&world), 1, "{is_ready}");
    }
}

/// Pods of a priority below --expendable-pods-priority-cutoff keep no node, and are not
/// evicted.
#[test]
fn expendable_pods_go_with_their_node() {
    let mut world = World::new(vec![first()], None, on);
    world.judge(vec![evicts(), half()]);
    world.group("a", 1000, (1, 2, 5));
    world.running("web", 1, "a-0", &pod(600));
    let filler = Pod {
        priority: -11,
        ..pod(900)
    };
    world.running("filler", 1, "a-1", &filler);
    let mut now = 0;
    let calls = run(&mut world, &mut now, 11 * MINUTE);
    assert_eq!(calls, ["update a-1", "update a-1", "delete a: a-1"]);
}

#[test]
fn a_node_has_gpus_by_what_is_allocatable_or_by_its_label() {
    let mut world = World::new(vec![first()], None, on);
    let by_gpus = scale_down("by-gpus").judging_nodes(|_, input| {
        let has_gpus = input.nodes.state.iter().map(|bits| bits & node_state::GPU);
        let verdict = has_gpus.map(|bit| match bit {
            0 => node_verdict::MUST_STAY,
            _ => node_verdict::MAY_GO,
        });
        Ok(NodeVerdicts {
            verdict: verdict.collect(),
            ..NodeVerdicts::default()
        })
    });
    world.judge(vec![evicts(), by_gpus]);
    world.group("a", 1000, (0, 3, 5));
    world.change_node("a-1", |facts| {
        let node = Arc::make_mut(&mut facts.node);
        node.allocatable.set("nvidia.com/gpu", 1);
    });
    world.change_node("a-2", |facts| {
        let node = Arc::make_mut(&mut facts.node);
        node.labels.set("accelerator".into(), "v100".into());
        node.allocatable.set("nvidia.com/gpu", 1);
    });
    world.tick(0);
    let candidate = "DeletionCandidateOfClusterAutoscaler";
    let marks = ["a-0", "a-1", "a-2"].map(|node| world.marks(node));
    assert_eq!(marks, ["", candidate, candidate]);
}

/// Times that nobody watched do not count.
#[test]
fn an_unhealthy_cluster_begins_the_times_of_unneeded_nodes_anew() {
    let mut world = world(|_| {});
    world.group("b", 1000, (5, 5, 5));
    // The nodes are not new.
    let mut now = 20 * MINUTE;
    run(&mut world, &mut now, 25 * MINUTE);
    for node in 0..5 {
        world.break_node(&format!("b-{node}"));
    }
    let calls = run(&mut world, &mut now, 40 * MINUTE);
    assert!(
        !calls.iter().any(|call| call.starts_with("delete")),
        "{calls:?}"
    );
    let events = world.events();
    let unhealthy = "autoscaler: ClusterUnhealthy: Cluster is unhealthy";
    assert!(events.iter().any(|event| event == unhealthy), "{events:?}");
    for node in 0..5 {
        world.change_node(&format!("b-{node}"), |facts| facts.ready = true);
    }
    let healthy = now;
    let calls = run(&mut world, &mut now, healthy + 10 * MINUTE);
    assert!(
        !calls.iter().any(|call| call.starts_with("delete")),
        "{calls:?}"
    );
    let calls = run(&mut world, &mut now, healthy + 12 * MINUTE);
    assert!(
        calls.iter().any(|call| call == "delete a: a-2"),
        "{calls:?}"
    );
}
