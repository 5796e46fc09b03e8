//! Nodes that are not needed leave.

use flyball_decision::context::Reason;
use flyball_decision::key::ObjectKey;
use flyball_decision::scale_down::{NodeVerdicts, PodVerdicts, node_verdict, pod_verdict};
use flyball_nodes::options::NodeOptions;
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_nodes::state::BudgetFacts;
use flyball_placement::LabelSelector;
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
fn half() -> TestPolicy {
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

#[test]
fn pods_are_evicted_one_after_the_other_as_their_budget_allows() {
    let mut world = world(|options| options.scale_down.max_parallelism = 1);
    // Two small pods on a-2 whose budget allows one disruption at a time.
    world.running("shop", 2, "a-2", &pod(100));
    let budget = |allowed| BudgetFacts {
        uid: "budget".into(),
        key: ObjectKey {
            namespace: "default".into(),
            name: "shop".into(),
        },
        selector: Some(LabelSelector::default()),
        disruptions_allowed: allowed,
        is_current: true,
        always_evict_unhealthy: false,
        min_healthy: 1,
        current_healthy: 2,
    };
    world.change_state(|state| state.apply_budget(budget(1)));
    world.fail("evict shop-1", "Blocked", false);
    let mut now = 0;
    let calls = run(&mut world, &mut now, 10 * MINUTE + 6 * SECOND);
    // The empty place of a-1 is found first; then a-2 by name.
    let evicted: Vec<&String> = calls
        .iter()
        .filter(|call| call.starts_with("evict"))
        .collect();
    assert_eq!(evicted.len(), 1, "{calls:?}");
}
