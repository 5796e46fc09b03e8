//! The guardrails against what Kubernetes 1.36.3 itself decided: every case of
//! `tests/vectors/hpa/behavior.jsonl.gz`.
#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::sync::Arc;

use flate2::read::GzDecoder;
use flyball_core::guard::{
    self, GuardInput, STABILIZATION, defaulted, longest_window_ms, scale_down_limit, scale_up_limit,
};
use flyball_core::memory::Memory;
use flyball_core::replica::Samples;
use flyball_core::spec::Behavior;
use flyball_core::time::Timestamp;
use serde::Deserialize;

const NOW: Timestamp = Timestamp(1_772_442_088_000);

/// Where upstream's int32 wraps around, or a float out of range becomes whatever
/// the processor makes of it: there the guardrails saturate instead.
const SATURATED: &[&str] = &["podsPolicyWraps"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    tags: Vec<String>,
    arch_dependent: bool,
    r#in: In,
    out: Out,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct In {
    current_replicas: i32,
    desired_replicas: i32,
    min_replicas: i32,
    max_replicas: i32,
    downscale_stabilization_seconds: i64,
    behavior: Option<Behavior>,
    recommendations: Option<Vec<Sample>>,
    scale_up_events: Option<Vec<Sample>>,
    scale_down_events: Option<Vec<Sample>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Sample {
    #[serde(alias = "change")]
    replicas: i32,
    ms_ago: i64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Out {
    replicas: i32,
    stabilized: i32,
    scale_up_limit: Option<i32>,
    scale_down_limit: Option<i32>,
    conditions: Vec<Condition>,
    behavior_defaulted: Option<Behavior>,
    recommendations_after: Option<Vec<Sample>>,
    scale_up_events_after: Option<Vec<Sample>>,
    scale_down_events_after: Option<Vec<Sample>>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    reason: String,
    message: String,
}

#[test]
fn the_guardrails_agree_with_upstream() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../tests/vectors/hpa/behavior.jsonl.gz"
    );
    let lines = BufReader::new(GzDecoder::new(File::open(path).unwrap())).lines();
    let (mut agreed, mut saturated) = (0, 0);
    for line in lines {
        let case: Case = serde_json::from_str(&line.unwrap()).unwrap();
        let apart = case
            .tags
            .iter()
            .any(|tag| SATURATED.contains(&tag.as_str()));
        if apart || case.arch_dependent {
            check_saturated(&case);
            saturated += 1;
        } else {
            check(&case);
            agreed += 1;
        }
    }
    println!("{agreed} cases agree, {saturated} saturate where upstream wraps around");
    assert!(agreed > 700 && saturated < agreed / 10);
}

fn check(case: &Case) {
    let Case { id, r#in, out, .. } = case;
    let input = guard_input(r#in);
    let steps = guard::guard(&input);
    assert_eq!(steps[0].after, out.stabilized, "{id}: stabilized");
    assert_eq!(steps[1].after, out.replicas, "{id}: replicas");
    let conditions: Vec<_> = steps[..2].iter().map(condition).collect();
    assert_eq!(conditions, out.conditions, "{id}");
    assert_eq!(
        input.behavior.as_deref(),
        out.behavior_defaulted.as_ref(),
        "{id}: defaults"
    );
    if let Some(behavior) = &input.behavior {
        let up = behavior
            .scale_up
            .as_ref()
            .map(|rules| scale_up_limit(&input, rules));
        let down = behavior
            .scale_down
            .as_ref()
            .map(|rules| scale_down_limit(&input, rules));
        assert_eq!(
            (up, down),
            (out.scale_up_limit, out.scale_down_limit),
            "{id}: limits"
        );
    }
    check_memory(case, &input, steps[1].after);
}

/// What upstream can't be compared with still keeps the bounds, and never goes
/// against the direction asked for.
fn check_saturated(case: &Case) {
    let input = guard_input(&case.r#in);
    let steps = guard::guard(&input);
    let replicas = steps[1].after;
    let (low, high) = (input.min.min(input.current), input.max.max(input.current));
    assert!((low..=high).contains(&replicas), "{}: {replicas}", case.id);
}

fn condition(step: &guard::GuardStep) -> Condition {
    let stabilization = step.guardrail == STABILIZATION;
    let kind = if stabilization {
        "AbleToScale"
    } else {
        "ScalingLimited"
    };
    let status = if stabilization || step.changed() {
        "True"
    } else {
        "False"
    };
    Condition {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: step.reason.to_string(),
        message: step.message.to_string(),
    }
}

/// Upstream overwrites what is outdated in place, here it is dropped: what still
/// counts is the same.
fn check_memory(case: &Case, input: &GuardInput, replicas: i32) {
    let Case { id, r#in, out, .. } = case;
    let behavior = input.behavior.as_deref();
    let window = longest_window_ms(behavior, input.downscale_stabilization_ms);
    let mut recommendations = input.recommendations.clone();
    recommendations.prune(NOW, window);
    recommendations.push(NOW, input.proposed);
    let upstream = samples(&out.recommendations_after, &None);
    assert_eq!(
        counting(&recommendations, window),
        counting(&upstream, window),
        "{id}"
    );

    if behavior.is_some() {
        let mut memory = Memory::default();
        for sample in ordered(&r#in.scale_up_events, &r#in.scale_down_events) {
            memory.scaled(Timestamp(NOW.0 - sample.ms_ago), sample.replicas, None);
        }
        if replicas != r#in.current_replicas {
            memory.scaled(NOW, replicas - r#in.current_replicas, behavior);
        }
        let upstream = samples(&out.scale_up_events_after, &out.scale_down_events_after);
        assert_eq!(memory.scale_events(), upstream, "{id}");
    }
}

fn counting(samples: &Samples, window_ms: i64) -> Vec<(i64, i32)> {
    let all = samples
        .at_ms
        .iter()
        .copied()
        .zip(samples.replicas.iter().copied());
    let mut counting: Vec<_> = all
        .filter(|&(at, _)| NOW.since(Timestamp(at)) < window_ms)
        .collect();
    counting.sort_unstable();
    counting
}

fn guard_input(input: &In) -> GuardInput {
    GuardInput {
        now: NOW,
        current: input.current_replicas,
        proposed: input.desired_replicas,
        min: input.min_replicas,
        max: input.max_replicas,
        behavior: input
            .behavior
            .as_ref()
            .map(|behavior| Arc::new(defaulted(behavior))),
        downscale_stabilization_ms: input.downscale_stabilization_seconds * 1000,
        recommendations: samples(&input.recommendations, &None),
        scale_events: samples(&input.scale_up_events, &input.scale_down_events),
        removable: None,
    }
}

/// Both lists as one, oldest first, the second with its sign turned.
fn samples(positive: &Option<Vec<Sample>>, negative: &Option<Vec<Sample>>) -> Samples {
    let mut all = ordered(positive, negative);
    all.sort_by_key(|sample| std::cmp::Reverse(sample.ms_ago));
    Samples {
        at_ms: all.iter().map(|sample| NOW.0 - sample.ms_ago).collect(),
        replicas: all.iter().map(|sample| sample.replicas).collect(),
    }
}

/// Both lists as one, in upstream's order, the second with its sign turned.
fn ordered(positive: &Option<Vec<Sample>>, negative: &Option<Vec<Sample>>) -> Vec<Sample> {
    let positive = positive.iter().flatten().copied();
    let negative = negative.iter().flatten().map(|sample| Sample {
        replicas: -sample.replicas,
        ..*sample
    });
    positive.chain(negative).collect()
}
