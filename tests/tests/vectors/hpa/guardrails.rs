//! The guardrails alone against the same cases, those too that no whole decision
//! comes to.

use std::sync::Arc;

use flyball_decision::replica::Samples;
use flyball_decision::time::Timestamp;
use flyball_replicas::guard::{
    self, GuardInput, STABILIZATION, defaulted, longest_window_ms, scale_down_limit, scale_up_limit,
};
use flyball_replicas::memory::ObjectMemory;
use flyball_replicas::spec::{ScalingPolicy, ScalingRules};
use flyball_test_support::vectors;

use crate::hpa::behavior::{Case, In, NOW, ordered, samples};
use crate::hpa::forms::{ConditionCase, is_apart};

#[test]
fn the_guardrails_agree_with_upstream() {
    let (mut agreed, mut saturated) = (0, 0);
    for case in vectors::read::<Case>("hpa/behavior").unwrap() {
        if is_apart(case.arch_dependent, &case.tags) {
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

/// Where upstream's limits wrap around they must be what integers without bounds come to,
/// cut to what fits: a limit beyond all numbers limits nothing.
fn check_saturated(case: &Case) {
    let Case { id, r#in, out, .. } = case;
    let input = guard_input(r#in);
    let steps = guard::guard(&input);
    assert_eq!(steps[0].after, out.stabilized, "{id}: stabilized");
    let behavior = out.behavior_defaulted.as_ref().unwrap();
    let [up, down] = [&behavior.scale_up, &behavior.scale_down].map(|it| it.as_ref().unwrap());
    let limits = [limit(r#in, up, 1), limit(r#in, down, -1)];
    assert_eq!(
        [scale_up_limit(&input, up), scale_down_limit(&input, down)],
        limits,
        "{id}: limits"
    );
    let [most, fewest] = [limits[0].min(input.max), limits[1].max(input.min)];
    let current = input.current;
    let replicas = out.stabilized.clamp(fewest.min(current), most.max(current));
    assert_eq!(steps[1].after, replicas, "{id}: replicas");
}

/// The limit of rules in a direction, 1 up and -1 down, from the replicas that there are:
/// none of these cases has a change that counts.
fn limit(input: &In, rules: &ScalingRules, direction: i32) -> i32 {
    let current = input.current_replicas;
    let moved = |policy: &ScalingPolicy| {
        let value = direction * policy.value;
        let limit = match &*policy.kind {
            "Percent" => f64::from(current) * (1.0 + f64::from(value) / 100.0),
            _ => f64::from(current) + f64::from(value),
        };
        let whole = if direction > 0 {
            limit.ceil()
        } else {
            limit.trunc()
        };
        whole.clamp(i32::MIN.into(), i32::MAX.into()) as i32
    };
    let limits = rules.policies.iter().flatten().map(moved);
    let furthest = limits.max_by_key(|limit| direction.saturating_mul(*limit));
    match rules.select_policy.as_deref() {
        Some("Disabled") => current,
        Some("Max") => furthest.unwrap(),
        other => panic!("{other:?} is in none of these cases"),
    }
}

fn condition(step: &guard::GuardStep) -> ConditionCase {
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
    ConditionCase {
        r#type: kind.to_owned(),
        status: status.to_owned(),
        reason: step.reason.to_string(),
        message: step.message.to_string(),
        last_transition_time: None,
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
        let mut memory = ObjectMemory::default();
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
