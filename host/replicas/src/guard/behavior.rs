//! Stabilization, and the defaults of a behavior.

use super::GuardInput;
use crate::spec::{Behavior, ScalingPolicy, ScalingRules};
use flyball_decision::time::Timestamp;

/// Longest period of a rate policy that Kubernetes accepts, in milliseconds.
pub const LONGEST_PERIOD_MS: i64 = 1_800_000;

/// Returns a behavior with Kubernetes' defaults filled in. An unset downscale window
/// stays unset, because the operator's option applies then.
#[must_use]
pub fn defaulted(behavior: &Behavior) -> Behavior {
    let up = ScalingRules {
        stabilization_window_seconds: Some(0),
        select_policy: Some("Max".to_owned()),
        policies: Some(vec![policy("Pods", 4), policy("Percent", 100)]),
        tolerance: None,
    };
    let down = ScalingRules {
        stabilization_window_seconds: None,
        select_policy: Some("Max".to_owned()),
        policies: Some(vec![policy("Percent", 100)]),
        tolerance: None,
    };
    Behavior {
        scale_up: Some(overlay(behavior.scale_up.as_ref(), up)),
        scale_down: Some(overlay(behavior.scale_down.as_ref(), down)),
    }
}

fn policy(kind: &str, value: i32) -> ScalingPolicy {
    ScalingPolicy {
        kind: kind.to_owned(),
        value,
        period_seconds: 15,
    }
}

fn overlay(rules: Option<&ScalingRules>, defaults: ScalingRules) -> ScalingRules {
    let Some(rules) = rules.cloned() else {
        return defaults;
    };
    ScalingRules {
        stabilization_window_seconds: rules
            .stabilization_window_seconds
            .or(defaults.stabilization_window_seconds),
        select_policy: rules.select_policy.or(defaults.select_policy),
        policies: rules.policies.or(defaults.policies),
        tolerance: rules.tolerance,
    }
}

/// Returns the stabilization windows up and down, in milliseconds.
fn windows_ms(behavior: &Behavior, downscale_stabilization_ms: i64) -> (i64, i64) {
    let window = |rules: &Option<ScalingRules>| {
        rules
            .as_ref()?
            .stabilization_window_seconds
            .map(|seconds| i64::from(seconds) * 1000)
    };
    let up = window(&behavior.scale_up).unwrap_or(0);
    // Upstream cuts the option off at whole seconds if it is a behavior's window.
    let down = window(&behavior.scale_down).unwrap_or(downscale_stabilization_ms / 1000 * 1000);
    (up, down)
}

/// Returns how long a recommendation can count, in milliseconds.
#[must_use]
pub fn longest_window_ms(behavior: Option<&Behavior>, downscale_stabilization_ms: i64) -> i64 {
    behavior.map_or(downscale_stabilization_ms, |behavior| {
        let (up, down) = windows_ms(behavior, downscale_stabilization_ms);
        up.max(down)
    })
}

/// Returns how long a change of replicas in one direction is remembered, in milliseconds:
/// as long as that direction's rate policies look back. Without a behavior no change
/// counts, but policies and a later behavior may use it.
#[must_use]
pub fn longest_period_ms(behavior: Option<&Behavior>, up: bool) -> i64 {
    let Some(behavior) = behavior else {
        return LONGEST_PERIOD_MS;
    };
    let rules = if up {
        &behavior.scale_up
    } else {
        &behavior.scale_down
    };
    let policies = rules
        .iter()
        .filter_map(|rules| rules.policies.as_ref())
        .flatten();
    policies
        .map(|policy| i64::from(policy.period_seconds) * 1000)
        .max()
        .unwrap_or(0)
}

/// Stabilizes with a behavior: moves the current replicas no further than all
/// recommendations within the window of the direction agree on. A recommendation exactly
/// at a window's end does not count.
pub(super) fn stabilize(input: &GuardInput, behavior: &Behavior) -> i32 {
    let (up_ms, down_ms) = windows_ms(behavior, input.downscale_stabilization_ms);
    let (mut up, mut down) = (input.proposed, input.proposed);
    for (&at, &replicas) in input
        .recommendations
        .at_ms
        .iter()
        .zip(&input.recommendations.replicas)
    {
        let age = input.now.since(Timestamp(at));
        if age < up_ms {
            up = up.min(replicas);
        }
        if age < down_ms {
            down = down.max(replicas);
        }
    }
    input.current.max(up).min(down)
}

/// Stabilizes without a behavior: returns the highest recommendation of the window,
/// including one exactly at its end. As upstream, an old one can therefore raise replicas
/// when the proposal equals the current replicas.
pub(super) fn stabilize_down(input: &GuardInput) -> i32 {
    let recent = input
        .recommendations
        .at_ms
        .iter()
        .zip(&input.recommendations.replicas);
    recent
        .filter(|&(&at, _)| input.now.since(Timestamp(at)) <= input.downscale_stabilization_ms)
        .map(|(_, &replicas)| replicas)
        .fold(input.proposed, i32::max)
}
