//! The loop over a cluster of plain data, with policies that are closures: due
//! times, modes, conflicts, failures and fallback, memory, records and replay.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

mod answers;
mod cached_decision;
mod fuel;
mod guardrails;
mod inputs;
mod messages;
mod predecessors;
mod removals;
mod replays;
mod rows;
mod stores;
mod windows;
mod world;
mod zero;

use std::sync::Arc;

use flyball_decision::context::{GrantedInput, Reason};
use flyball_decision::policy::PolicyFailure;
use flyball_decision::recorder::Recorder as _;
use flyball_decision::replay::{Replay, replay};
use flyball_decision::replica::ReplicaDecision;
use flyball_decision::ring::Ring;
use flyball_replicas::record::{DecisionRecord, Outcome};
use flyball_report::document::Documented as _;
use serde_json::json;

use world::{World, policy};

fn to(replicas: i64) -> ReplicaDecision {
    ReplicaDecision {
        replicas: Some(replicas),
        ..ReplicaDecision::default()
    }
}

#[test]
fn objects_are_due_at_once_when_new_or_changed_and_then_once_a_period() {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(5)))]);
    world.add("a", json!({}));
    assert_eq!(world.tick(0), 15_000);
    assert_eq!(world.records().len(), 1);
    world.add("b", json!({}));
    assert_eq!(world.tick(4_000), 15_000);
    assert_eq!(world.tick(15_000), 19_000);
    world.add("b", json!({ "maxReplicas": 4 }));
    assert_eq!(world.tick(16_000), 30_000);
    let names: Vec<_> = world
        .records()
        .iter()
        .map(|r| r.object.name.to_string())
        .collect();
    assert_eq!(names, ["a", "b", "a", "b"]);
    assert_eq!(world.replicas("a"), 5);
    assert_eq!(world.replicas("b"), 4);
}

#[test]
fn observe_decides_and_records_but_writes_nothing() {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(5)))]);
    world.add("a", json!({ "mode": "Observe" }));
    world.tick(0);
    let record = &world.records()[0];
    assert_eq!(
        (record.verdict.to, &record.outcome),
        (Some(5), &Outcome::Observed)
    );
    assert_eq!(world.replicas("a"), 3);
}

#[test]
fn of_two_writers_of_one_target_neither_decides_and_both_say_so() {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(5)))]);
    let shared = json!({ "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } });
    world.add("a", shared.clone());
    world.add("b", shared.clone());
    world.tick(0);
    for (name, other) in [("a", "default/b"), ("b", "default/a")] {
        let active = world.condition(name, "ScalingActive");
        assert_eq!(
            (&*active.status, &*active.reason),
            ("False", "AmbiguousTarget")
        );
        assert!(active.message.contains(other), "{}", active.message);
        assert_eq!(world.replicas(name), 3);
    }
    let mut observing = shared;
    observing["mode"] = json!("Observe");
    world.add("b", observing);
    world.tick(15_000);
    assert_eq!(world.replicas("a"), 5);
}

#[test]
fn a_policy_that_fails_scales_nothing_unless_the_fallback_is_asked() {
    let trap = || {
        policy("mine", |_, _| {
            Err(PolicyFailure::Trapped("unreachable".to_owned()))
        })
    };
    let mine = json!({ "policies": [{ "name": "mine" }] });
    let mut world = World::new([trap(), policy("hpa", |_, _| Ok(to(5)))]);
    world.add("a", mine.clone());
    world.tick(0);
    assert_eq!(world.replicas("a"), 3);
    let healthy = world.condition("a", "PoliciesHealthy");
    assert_eq!(
        (&*healthy.status, &*healthy.reason),
        ("False", "PolicyTrapped")
    );
    assert!(
        world
            .events("a")
            .iter()
            .any(|event| event.contains("PolicyTrapped"))
    );

    let mut world = World::new([trap(), policy("hpa", |_, _| Ok(to(5)))]);
    world.options(|options| options.fallback = true);
    world.add("a", mine);
    world.tick(0);
    assert_eq!(world.replicas("a"), 5);
    assert!(
        world
            .condition("a", "PoliciesHealthy")
            .message
            .contains("built-in policy hpa")
    );
}

#[test]
fn however_long_a_sentence_its_event_says_who_decided_and_what_follows() {
    let long = "é".repeat(512);
    let sentence = long.clone();
    let wordy = policy("hpa", move |_, _| {
        Ok(ReplicaDecision {
            reason: Reason {
                sentence: sentence.clone(),
                ..Reason::default()
            },
            ..to(5)
        })
    });
    let mut world = World::new([wordy]);
    world.add("a", json!({}));
    world.refuse_writes("no quota");
    world.tick(0);
    world.accept_writes();
    world.tick(15_000);
    world.swap(policy("hpa", move |_, _| {
        Err(PolicyFailure::Trapped(long.clone()))
    }));
    world.tick(30_000);
    let events = world.events("a");
    let parts = [
        (
            "FailedRescale: ",
            "New size: 5; reason: éé",
            "é…; error: no quota",
        ),
        (
            "SuccessfulRescale: ",
            "New size: 5; reason: éé",
            "é…; policy: hpa (hpa)",
        ),
        (
            "PolicyTrapped: ",
            "policy hpa: éé",
            "é…; the target is held",
        ),
    ];
    assert_eq!(events.len(), parts.len(), "{events:?}");
    for (event, (reason, begin, end)) in events.iter().zip(parts) {
        let message = event.strip_prefix(reason).unwrap();
        assert!(message.starts_with(begin), "{message}");
        assert!(message.ends_with(end), "{message}");
        assert!(message.len() <= 1024, "{} bytes", message.len());
    }
    // The record has the whole sentence.
    assert_eq!(world.records()[1].verdict.message.len(), 1024);
}

#[test]
fn absurd_answers_scale_nothing() {
    for replicas in [-1, 1 << 31, i64::MIN, i64::MAX] {
        let mut world = World::new([policy("hpa", move |_, _| Ok(to(replicas)))]);
        world.add("a", json!({}));
        world.tick(0);
        assert_eq!(world.replicas("a"), 3, "{replicas}");
        assert_eq!(
            *world.condition("a", "PoliciesHealthy").reason,
            *"PolicyInvalidAnswer"
        );
    }
}

#[test]
fn of_several_policies_a_failing_one_speaks_for_what_there_is() {
    let both = |combine: &str| json!({ "combine": combine, "policies": [{ "name": "hpa" }, { "name": "mine" }] });
    let cases = [("Max", 5, 5), ("Max", 1, 3), ("Min", 5, 3), ("Min", 1, 1)];
    for (combine, asked, replicas) in cases {
        let fail = |_: &_, _: &_| Err(PolicyFailure::OutOfFuel("spent".to_owned()));
        let mut world = World::new([
            policy("hpa", move |_, _| Ok(to(asked))),
            policy("mine", fail),
        ]);
        world.add("a", both(combine));
        // After the window of the first recommendation.
        world.tick(0);
        world.tick(400_000);
        assert_eq!(world.replicas("a"), replicas, "{combine} {asked}");
    }
}

#[test]
fn state_is_handed_on_until_the_write_fails_or_its_version_changes() {
    let count = |context: &flyball_decision::context::Context, _: &_| {
        let state = format!("{}x", context.state);
        let replicas = 3 + state.len() as i64;
        Ok(ReplicaDecision {
            state: Some(state),
            ..to(replicas)
        })
    };
    let mut world = World::new([policy("hpa", count)]);
    world.add("a", json!({}));
    world.tick(0);
    assert_eq!(world.replicas("a"), 4);
    world.refuse_writes("no quota");
    world.tick(15_000);
    assert_eq!(
        world.records()[1].outcome,
        Outcome::Failed("no quota".to_owned())
    );
    world.accept_writes();
    world.tick(30_000);
    assert_eq!(&*world.records()[2].policies[0].context.state, "x");
    world.swap(policy("hpa", count).state_version(2));
    world.tick(45_000);
    assert_eq!(&*world.records()[3].policies[0].context.state, "");
    assert!(
        world
            .events("a")
            .iter()
            .any(|event| event.contains("PolicyStateReset"))
    );
}

#[test]
fn what_is_remembered_of_one_target_is_not_taken_for_another() {
    let mut world = World::new([policy("hpa", |_, _| {
        Ok(ReplicaDecision {
            state: Some("learnt".to_owned()),
            ..to(3)
        })
    })]);
    let target = |name: &str| json!({ "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": name } });
    world.add("a", target("web"));
    world.tick(0);
    world.tick(15_000);
    world.add("a", target("api"));
    world.tick(16_000);
    let states: Vec<_> = world
        .records()
        .iter()
        .map(|record| record.policies[0].context.state.to_string())
        .collect();
    assert_eq!(states, ["", "learnt", ""]);
}

#[test]
fn a_clock_that_is_set_back_keeps_nobody_waiting_and_forgets_no_change() {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(9)))]);
    let one_a_minute = json!({ "type": "Pods", "value": 1, "periodSeconds": 60 });
    world.add(
        "a",
        json!({ "behavior": { "scaleUp": { "policies": [one_a_minute] } } }),
    );
    world.tick(3_600_000);
    assert_eq!(world.replicas("a"), 4);
    assert_eq!(world.tick(10_000), 25_000);
    assert_eq!(world.replicas("a"), 4);
    assert_eq!(world.records().len(), 2);
    world.tick(70_000);
    assert_eq!(world.replicas("a"), 5);
}

#[test]
fn a_record_reads_back_and_decides_again_to_the_byte() {
    let asks = policy("hpa", |_, input| {
        Ok(to(i64::from(input.current_replicas) + 2))
    });
    let mut world = World::new([asks.clone()]);
    world.add(
        "a",
        json!({ "behavior": { "scaleUp": { "tolerance": "350m" } } }),
    );
    for tick in 0..4 {
        world.tick(tick * 15_000);
    }
    for record in world.records() {
        let line = serde_json::to_string(&record).unwrap();
        let read = serde_json::from_str::<DecisionRecord>(&line).unwrap();
        assert_eq!(read, *record);
        assert_eq!(serde_json::to_string(&read).unwrap(), line);
        assert_eq!(replay(&read, |_| Some(asks.resolve())), Replay::Same);
        let other = policy("hpa", |_, _| Ok(to(100)));
        assert!(matches!(
            replay(&read, |_| Some(other.resolve())),
            Replay::Differs { .. }
        ));
        assert!(matches!(
            replay(&read, |_| None),
            Replay::PolicyUnavailable { .. }
        ));
    }
    let text = world.records()[0].document().to_string();
    assert!(
        text.starts_with("1970-01-01T00:00:00Z  default/a  3 → 5, scaled"),
        "{text}"
    );
    assert!(text.ends_with('\n') && !text.contains("\\n"), "{text}");
}

#[test]
fn a_wish_to_be_asked_again_is_granted_but_not_before_a_second() {
    let wish = |_: &_, _: &_| {
        Ok(ReplicaDecision {
            again_after_ms: Some(1),
            ..to(3)
        })
    };
    let mut world = World::new([policy("hpa", wish)]);
    world.add("a", json!({}));
    assert_eq!(world.tick(0), 1_000);
    assert_eq!(world.tick(1_000), 2_000);
}

#[test]
fn the_ring_keeps_the_latest_within_its_bytes_and_counts_shared_columns_once() {
    let mut world = World::new([policy("hpa", |_, _| Ok(to(3)))]);
    world.add("a", json!({}));
    world.add("b", json!({}));
    world.options(|options| options.max_decision_age_ms = 0);
    for tick in 0..50 {
        world.tick(tick * 15_000);
    }
    let records = world.records();
    let ring = Ring::new(usize::MAX);
    ring.record(&records[0]);
    let one = ring.bytes();
    ring.record(&records[0]);
    assert!(ring.bytes() < 2 * one, "{} for two of {one}", ring.bytes());

    let ring = Ring::new(10 * one);
    for record in &records {
        ring.record(record);
        assert!(ring.bytes() <= 10 * one);
    }
    let of_b = ring.find(2, |record| record.object == records[1].object);
    let times: Vec<_> = of_b.iter().map(|record| record.at.0).collect();
    assert_eq!(times, [49 * 15_000, 48 * 15_000]);
    assert!(ring.latest(100).len() < 20);
    // Annotations that a policy was granted count too.
    let mut long = (*records[0]).clone();
    long.policies[0].context.inputs = vec![GrantedInput {
        texts: vec!["x".repeat(100_000)],
        ..GrantedInput::default()
    }];
    let ring = Ring::new(usize::MAX);
    ring.record(&Arc::new(long));
    assert!(ring.bytes() > 100_000, "{}", ring.bytes());
}
