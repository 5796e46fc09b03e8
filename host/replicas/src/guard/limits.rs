//! Limits on the rate of change, and the bounds of the spec.

use super::{GuardInput, Why};
use crate::spec::{Behavior, ScalingPolicy, ScalingRules};
use flyball_decision::replica::Samples;
use flyball_decision::time::Timestamp;

const WITHIN: Why = (
    "DesiredWithinRange",
    "the desired count is within the acceptable range",
);
const TOO_MANY: Why = (
    "TooManyReplicas",
    "the desired replica count is more than the maximum replica count",
);
const TOO_FEW: Why = (
    "TooFewReplicas",
    "the desired replica count is less than the minimum replica count",
);
const TOO_FAST_UP: Why = (
    "ScaleUpLimit",
    "the desired replica count is increasing faster than the maximum scale rate",
);
const TOO_FAST_DOWN: Why = (
    "ScaleDownLimit",
    "the desired replica count is decreasing faster than the maximum scale rate",
);

/// Reason if fewer replicas are removed than one object's own limits allow.
pub(super) const MASS: Why = (
    "MassScaleDown",
    "too many replicas went within a minute, all objects together: the others have to wait",
);

/// Reason if a target leaves zero, whatever the rate.
pub(super) const BELOW_MIN: Why = (
    "TooFewReplicas",
    "Current number of replicas below Spec.MinReplicas",
);

/// Limits without a behavior: at most twice the current replicas or 4, whichever is more,
/// then the bounds.
pub(super) fn without_behavior(input: &GuardInput, desired: i32) -> (i32, Why) {
    let rate = input.current.saturating_mul(2).max(4);
    let (highest, why) = if input.max > rate {
        (rate, TOO_FAST_UP)
    } else {
        (input.max, TOO_MANY)
    };
    if desired < input.min {
        (input.min, TOO_FEW)
    } else if desired > highest {
        (highest, why)
    } else {
        (desired, WITHIN)
    }
}

/// Limits with a behavior: its rate policies, which never push past the current replicas,
/// and the bound of the direction. The upper bound is checked only going up, the lower
/// one only going down.
pub(super) fn with_behavior(input: &GuardInput, behavior: &Behavior, desired: i32) -> (i32, Why) {
    if desired > input.current {
        let rate = behavior
            .scale_up
            .as_ref()
            .map_or(i32::MAX, |up| scale_up_limit(input, up));
        let rate = rate.max(input.current);
        let (highest, why) = if input.max > rate {
            (rate, TOO_FAST_UP)
        } else {
            (input.max, TOO_MANY)
        };
        if desired > highest {
            return (highest, why);
        }
    } else if desired < input.current {
        let rate = behavior
            .scale_down
            .as_ref()
            .map_or(0, |down| scale_down_limit(input, down));
        let rate = rate.min(input.current);
        let (lowest, why) = if input.min < rate {
            (rate, TOO_FAST_DOWN)
        } else {
            (input.min, TOO_FEW)
        };
        if desired < lowest {
            return (lowest, why);
        }
    }
    (desired, WITHIN)
}

/// Returns the most replicas that the rate policies going up allow, before the result is
/// limited to at least current and at most max.
#[must_use]
pub fn scale_up_limit(input: &GuardInput, rules: &ScalingRules) -> i32 {
    let limit = |policy: &ScalingPolicy| {
        let start = replicas_at_start(input, policy);
        if policy.kind == "Percent" {
            // Rounded up, or a small workload could never grow.
            (f64::from(start) * (1.0 + f64::from(policy.value) / 100.0)).ceil() as i32
        } else {
            start.saturating_add(policy.value)
        }
    };
    let limits = rules.policies.iter().flatten().map(limit);
    match rules.select_policy.as_deref() {
        Some("Disabled") => input.current,
        Some("Min") => limits.fold(i32::MAX, i32::min),
        _ => limits.fold(i32::MIN, i32::max),
    }
}

/// Returns the fewest replicas that the rate policies going down allow, before the result
/// is limited to at most current and at least min.
#[must_use]
pub fn scale_down_limit(input: &GuardInput, rules: &ScalingRules) -> i32 {
    let limit = |policy: &ScalingPolicy| {
        let start = replicas_at_start(input, policy);
        if policy.kind == "Percent" {
            (f64::from(start) * (1.0 - f64::from(policy.value) / 100.0)) as i32
        } else {
            start.saturating_sub(policy.value)
        }
    };
    let limits = rules.policies.iter().flatten().map(limit);
    match rules.select_policy.as_deref() {
        Some("Disabled") => input.current,
        Some("Min") => limits.fold(i32::MIN, i32::max),
        _ => limits.fold(i32::MAX, i32::min),
    }
}

/// Returns the replicas at the start of the policy's period. A change exactly at the
/// start does not count as one within the period.
fn replicas_at_start(input: &GuardInput, policy: &ScalingPolicy) -> i32 {
    let period_ms = i64::from(policy.period_seconds) * 1000;
    let Samples { at_ms, replicas } = &input.scale_events;
    let changes = at_ms.iter().zip(replicas);
    let changed: i64 = changes
        .filter(|&(&at, _)| input.now.since(Timestamp(at)) < period_ms)
        .map(|(_, &change)| i64::from(change))
        .sum();
    let start = i64::from(input.current) - changed;
    start.clamp(i32::MIN.into(), i32::MAX.into()) as i32
}
