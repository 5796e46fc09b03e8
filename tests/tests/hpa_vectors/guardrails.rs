//! The guardrails alone against the same cases, those too that no whole decision
//! comes to.

use std::sync::Arc;

use flyball_core::guard::{
    self, GuardInput, STABILIZATION, defaulted, longest_window_ms, scale_down_limit, scale_up_limit,
};
use flyball_core::memory::Memory;
use flyball_core::replica::Samples;
use flyball_core::time::Timestamp;
use flyball_test_support::vectors;

use crate::behavior::{Case, In, NOW, ordered, samples};
use crate::forms::{ConditionCase, is_apart};

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

/// What upstream can't be compared with still keeps the bounds, and never goes
/// against the direction asked for.
fn check_saturated(case: &Case) {
    let input = guard_input(&case.r#in);
    let steps = guard::guard(&input);
    let replicas = steps[1].after;
    let (low, high) = (input.min.min(input.current), input.max.max(input.current));
    assert!((low..=high).contains(&replicas), "{}: {replicas}", case.id);
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
