//! How the loop handles inputs that a reader can and can't read.

use flyball_decision::context::{Context, GrantedInput};
use flyball_decision::replay::{Replay, replay};
use flyball_decision::replica::ReplicaDecision;
use flyball_replicas::ports::{MetricAnswer, ObservationError};
use flyball_replicas::record::Outcome;
use flyball_replicas::spec::Mode;
use serde_json::{Value, json};

use crate::to;
use crate::world::{Policy, World, policy};

fn queue() -> Value {
    let external = json!({
        "metric": { "name": "queue" },
        "target": { "type": "Value", "value": "10" },
    });
    json!({ "metrics": [{ "type": "External", "external": external }] })
}

fn wanting_history(policy: Policy) -> Policy {
    policy.wants("metric-history", &[("window", "2m"), ("step", "15s")])
}

fn error(class: &'static str, message: &str) -> ObservationError {
    ObservationError {
        class,
        message: message.to_owned(),
    }
}

#[test]
fn what_could_not_be_observed_is_a_gap_in_the_history() {
    let mut world = World::new([wanting_history(policy("hpa", |_, _| Ok(to(3))))]);
    world.add("a", queue());
    for second in [0, 15, 30, 45, 60] {
        world.observe(move |_, seen| {
            seen.metrics = vec![Ok(MetricAnswer::Values([second * 1000].into()))];
            if second == 30 {
                seen.pods = Err(error("ambiguousSelector", "two selectors match"));
            }
        });
        world.tick(second * 1000);
    }
    let last = world.records().pop().unwrap();
    let history = &last.policies[0].context.inputs[0];
    assert_eq!(history.times_ms, [15_000, 30_000, 60_000]);
    assert_eq!(history.values, [0.0, 15.0, 45.0]);
}

#[test]
fn a_target_that_another_autoscaler_writes_is_left_alone_and_may_be_observed() {
    let why = "HorizontalPodAutoscaler default/web scales the same target";
    let mut world = World::new([policy("hpa", |_, _| Ok(to(5)))]);
    world.observe(move |question, seen| {
        if question.autoscaler.spec.mode == Mode::Active {
            seen.scale = Err(error("targetConflict", why));
        }
    });
    world.add("a", json!({}));
    world.tick(0);
    let active = world.condition("a", "ScalingActive");
    assert_eq!(
        (&*active.status, &*active.reason, &*active.message),
        ("False", "AmbiguousTarget", why)
    );
    let record = world.records().pop().unwrap();
    let told: Vec<_> = record.conditions.iter().map(|known| &*known.kind).collect();
    assert_eq!(told, ["ScalingActive"], "the scale was not read");
    assert_eq!((record.verdict.from, record.verdict.to), (None, None));
    assert_eq!(record.outcome, Outcome::Unchanged);
    assert_eq!(world.events("a"), [format!("AmbiguousTarget: {why}")]);
    assert_eq!(world.replicas("a"), 3);

    world.add("a", json!({ "mode": "Observe" }));
    world.tick(15_000);
    let record = world.records().pop().unwrap();
    assert_eq!(
        (record.verdict.to, &record.outcome),
        (Some(5), &Outcome::Observed)
    );
    assert_eq!(world.replicas("a"), 3);
}

#[test]
fn wanted_inputs_are_granted_recorded_and_decided_on_again() {
    fn counts(context: &Context) -> ReplicaDecision {
        let inputs = context.inputs.iter();
        to(inputs
            .map(|input| 1 + input.keys.len() as i64 + input.values.len() as i64)
            .sum())
    }
    let plain = policy("hpa", |context, _| Ok(counts(context)));
    let wanting = wanting_history(plain.clone())
        .wants("target-labels", &[])
        .wants("target-annotations", &[]);
    let mut world = World::new([plain]);
    world.observe(|question, seen| {
        let granted = |keys: &[&str], texts: &[&str]| GrantedInput {
            keys: keys.iter().copied().map(str::to_owned).collect(),
            texts: texts.iter().copied().map(str::to_owned).collect(),
            ..GrantedInput::default()
        };
        seen.metrics = vec![Ok(MetricAnswer::Values([2500].into()))];
        if question.target_metadata {
            seen.labels = granted(&["app", "team"], &["web", "shop"]);
            seen.annotations = granted(&["example.org/peak"], &["09:00"]);
        }
    });
    world.add("a", queue());
    world.tick(0);
    world.swap_once_observed(wanting.clone());
    for second in [15, 30, 45] {
        world.tick(second * 1000);
    }
    let records = world.records();
    assert_eq!(records[0].policies[0].context.inputs, []);
    let [_, labels, annotations] = &*records[1].policies[0].context.inputs else {
        panic!("three inputs are wanted");
    };
    for late in [labels, annotations] {
        assert_eq!(
            late.error,
            "wanted since after the observation: had from the next on"
        );
    }
    let [history, labels, annotations] = &*records[3].policies[0].context.inputs else {
        panic!("three inputs are wanted");
    };
    assert_eq!(
        (&*history.times_ms, &*history.values),
        (&[45_000][..], &[2.5][..])
    );
    assert_eq!(labels.texts, ["web", "shop"]);
    assert_eq!(annotations.keys, ["example.org/peak"]);
    assert_eq!(records[3].verdict.proposed, Some(7));
    let same = replay(&*records[3], |_| Some(wanting.resolve()));
    assert_eq!(same, Replay::Same);
    let mut without = (*records[3]).clone();
    without.policies[0].context.inputs.clear();
    assert!(matches!(
        replay(&without, |_| Some(wanting.resolve())),
        Replay::Differs { .. }
    ));
}
