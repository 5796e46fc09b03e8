//! Cached decisions: if nothing but time changes, nothing is decided or recorded, and
//! the results are the same.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use flyball_decision::replica::ReplicaDecision;
use flyball_decision::time::Timestamp;
use flyball_replicas::pods::{Phase, Pod, Ready};
use flyball_replicas::ports::MetricAnswer;
use serde_json::{Value, json};

use crate::to;
use crate::world::{Policy, World, policy};

const SYNC: i64 = 15_000;

fn steady() -> Policy {
    policy("hpa", |_, _| Ok(to(3)))
}

fn queue() -> Value {
    let external =
        json!({ "metric": { "name": "queue" }, "target": { "type": "Value", "value": "10" } });
    json!({ "metrics": [{ "type": "External", "external": external }] })
}

/// Ticks once per sync, and returns the syncs at which something was decided.
fn decided(world: &mut World, ticks: std::ops::Range<i64>) -> Vec<i64> {
    let known = world.records().len();
    for tick in ticks {
        world.tick(tick * SYNC);
    }
    let records = world.records();
    let at = records[known..].iter().map(|record| record.at.0 / SYNC);
    at.collect()
}

#[test]
fn a_decision_is_cached_for_a_minute_or_until_something_changes() {
    let mut world = World::new([steady()]);
    let value = Arc::new(AtomicI64::new(0));
    let measured = Arc::clone(&value);
    world.observe(move |_, seen| {
        let value = measured.load(Ordering::Relaxed);
        seen.metrics = vec![Ok(MetricAnswer::Values([value].into()))];
    });
    world.add("a", queue());
    // The first decision changes the status; the second one leaves it unchanged.
    assert_eq!(decided(&mut world, 0..10), [0, 1, 5, 9]);
    assert_eq!(world.reused_decisions(), 6);
    value.store(1, Ordering::Relaxed);
    assert_eq!(decided(&mut world, 10..13), [10, 11]);
    world.swap(policy("hpa", |_, _| Ok(to(3))).state_version(2));
    assert_eq!(decided(&mut world, 13..15), [13]);
    world.add("a", queue());
    assert_eq!(decided(&mut world, 15..18), [15, 16]);
    world.set_replicas("a", 4);
    assert_eq!(decided(&mut world, 18..19), [18]);
}

#[test]
fn what_goes_by_the_clock_is_decided_each_time() {
    let again = policy("hpa", |_, _| {
        Ok(ReplicaDecision {
            again_after_ms: Some(1),
            ..to(3)
        })
    });
    let counting = policy("hpa", |context, _| {
        Ok(ReplicaDecision {
            state: Some(context.now.0.to_string()),
            ..to(3)
        })
    });
    let history = steady().wants("metric-history", &[("window", "2m"), ("step", "15s")]);
    let failing = policy("hpa", |_, _| {
        Err(flyball_decision::policy::PolicyFailure::Trapped(
            "unreachable".to_owned(),
        ))
    });
    // Lower than the current replicas: the window holds it until it ends.
    let lower = policy("hpa", |_, _| Ok(to(1)));
    for (what, policy, until) in [
        ("a wish", again, 8),
        ("state", counting, 8),
        ("history", history, 8),
        ("failure", failing, 8),
        ("window", lower, 20),
    ] {
        let mut world = World::new([policy]);
        world.observe(|_, seen| seen.metrics = vec![Ok(MetricAnswer::Values([0].into()))]);
        world.add("a", queue());
        let all: Vec<_> = (0..until).collect();
        assert_eq!(decided(&mut world, 0..until), all, "{what}");
    }
}

#[test]
fn a_policy_that_goes_by_the_clock_is_asked_at_its_time() {
    let mut world = World::new([policy("hpa", |_, _| {
        Ok(ReplicaDecision {
            again_after_ms: Some(20_000),
            ..to(3)
        })
    })]);
    world.observe(|_, seen| seen.metrics = vec![Ok(MetricAnswer::Values([0].into()))]);
    world.add("a", queue());
    let mut now = 0;
    while now < 100_000 {
        now = world.tick(now);
    }
    let at = world.records().into_iter().map(|record| record.at.0);
    assert_eq!(
        at.collect::<Vec<_>>(),
        [0, 15_000, 35_000, 55_000, 75_000, 95_000]
    );
}

#[test]
fn a_pod_that_has_just_started_keeps_decisions_from_being_cached() {
    let mut world = World::new([steady()]);
    let pods: Arc<[Pod]> = Arc::new([Pod {
        name: "web-1".into(),
        phase: Phase::Running,
        ready: Some((Ready::True, None)),
        start: Some(Timestamp(0)),
        ..Pod::default()
    }]);
    world.observe(move |_, seen| {
        seen.pods = Ok(Arc::clone(&pods));
        seen.metrics = vec![Ok(MetricAnswer::Values([0].into()))];
    });
    world.add("a", queue());
    // The cpu initialization period is five minutes.
    let all: Vec<_> = (0..=21).chain([25]).collect();
    assert_eq!(decided(&mut world, 0..28), all);
}

/// Scaling down right after a long quiet time has to wait for the window, because every
/// sync of the quiet time recommended the current replicas.
#[test]
fn what_was_asked_for_while_a_decision_stood_counts_as_asked_for() {
    let run = |max_decision_age_ms| {
        let mut world = World::new([steady()]);
        world.options(|options| options.max_decision_age_ms = max_decision_age_ms);
        world.observe(|_, seen| seen.metrics = vec![Ok(MetricAnswer::Values([0].into()))]);
        world.add("a", queue());
        let quiet = decided(&mut world, 0..100).len();
        world.swap(policy("hpa", |_, _| Ok(to(1))).state_version(2));
        let mut replicas = Vec::new();
        for tick in 100..130 {
            world.tick(tick * SYNC);
            replicas.push(world.replicas("a"));
        }
        (quiet, replicas, world.events("a"))
    };
    let (every_time, expected, told) = run(0);
    let (once, replicas, tells) = run(i64::MAX);
    assert_eq!((every_time, once), (100, 2));
    assert_eq!((replicas, tells), (expected.clone(), told));
    assert_eq!(
        expected.iter().filter(|&&replicas| replicas == 3).count(),
        20
    );
}

#[test]
fn a_disabled_target_is_told_of_once() {
    let mut world = World::new([steady()]);
    world.add("a", json!({}));
    world.set_replicas("a", 0);
    assert_eq!(decided(&mut world, 0..5), [0, 1]);
    assert_eq!(
        *world.condition("a", "ScalingActive").reason,
        *"ScalingDisabled"
    );
    world.set_replicas("a", 2);
    assert_eq!(decided(&mut world, 5..6), [5]);
    assert_eq!(world.replicas("a"), 3);
}
