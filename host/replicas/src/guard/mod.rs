//! Guardrails of the host. They turn the proposal of any policy into replicas that may be
//! written. No policy can lift them.
//!
//! They are those of HorizontalPodAutoscaler, exactly as in Kubernetes 1.36.3:
//! stabilization over recent recommendations, then the rate of change together with the
//! bounds of the spec. One is Flyball's own: a limit on the replicas removed at once in
//! the whole cluster. Upstream wraps around if an `int32` overflows and leaves a float
//! out of range to the processor; here both saturate.
//!
//! Pure functions on plain data: earlier recommendations and changes come in with
//! [`GuardInput`], and [`guard`] remembers nothing.

mod behavior;
mod limits;

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use behavior::{LONGEST_PERIOD_MS, defaulted, longest_period_ms, longest_window_ms};
pub use limits::{scale_down_limit, scale_up_limit};

use crate::spec::Behavior;
use flyball_decision::replica::Samples;
use flyball_decision::time::Timestamp;

/// Input of the guardrails.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardInput {
    /// Time of the decision.
    pub now: Timestamp,
    /// The scale's spec.replicas.
    pub current: i32,
    /// Combined proposal of the policies.
    pub proposed: i32,
    /// Lower bound of replicas.
    pub min: i32,
    /// Upper bound of replicas.
    pub max: i32,
    /// The object's behavior, its defaults filled in by [`defaulted`]. `None` applies the
    /// limits of an autoscaler without a behavior.
    pub behavior: Option<Arc<Behavior>>,
    /// Downscale stabilization window if the behavior sets none, in milliseconds.
    pub downscale_stabilization_ms: i64,
    /// Earlier combined proposals, oldest first: at least those that can still be the
    /// highest or the lowest of a window.
    pub recommendations: Samples,
    /// Changes carried out, oldest first: positive up, negative down.
    pub scale_events: Samples,
    /// How many replicas the object may lose, given what other objects lost lately.
    /// `None` if there is no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removable: Option<i32>,
}

/// What one guardrail did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardStep {
    /// One of [`STABILIZATION`], [`LIMITS`], [`FROM_ZERO`] and [`MASS_SCALE_DOWN`].
    pub guardrail: Cow<'static, str>,
    /// Desired replicas before it.
    pub before: i32,
    /// Desired replicas after it.
    pub after: i32,
    /// CamelCase: the reason of the condition that the step sets.
    pub reason: Cow<'static, str>,
    /// The reason as a sentence.
    pub message: Cow<'static, str>,
}

/// Name of the step that applies recent recommendations.
pub const STABILIZATION: &str = "Stabilization";
/// Name of the step that applies the rate of change and the bounds.
pub const LIMITS: &str = "Limits";
/// Name of the step that brings a target out of zero.
pub const FROM_ZERO: &str = "FromZero";
/// Name of the step that limits the replicas removed at once over all objects.
pub const MASS_SCALE_DOWN: &str = "MassScaleDown";

impl GuardStep {
    fn new(guardrail: &'static str, (before, after): (i32, i32), why: Why) -> Self {
        Self {
            guardrail: Cow::Borrowed(guardrail),
            before,
            after,
            reason: Cow::Borrowed(why.0),
            message: Cow::Borrowed(why.1),
        }
    }

    /// Returns whether the guardrail changed the desired replicas.
    #[must_use]
    pub fn changed(&self) -> bool {
        self.before != self.after
    }
}

/// A reason and its sentence.
type Why = (&'static str, &'static str);

const READY: Why = ("ReadyForNewScale", "recommended size matches current size");
const UP_STABILIZED: Why = (
    "ScaleUpStabilized",
    "recent recommendations were lower than current one, applying the lowest recent recommendation",
);
const DOWN_STABILIZED: Why = (
    "ScaleDownStabilized",
    "recent recommendations were higher than current one, applying the highest recent recommendation",
);

/// Applies the guardrails, one step each: stabilization, the limits, the lower bound of a
/// target that Flyball itself scaled to zero before the bound was raised, and the limit
/// on removals over all objects. The last step's `after` is the result.
#[must_use]
pub fn guard(input: &GuardInput) -> Vec<GuardStep> {
    let (stabilized, limited, why) = match input.behavior.as_deref() {
        Some(behavior) => {
            let stabilized = behavior::stabilize(input, behavior);
            let (limited, why) = limits::with_behavior(input, behavior, stabilized);
            (stabilized, limited, why)
        }
        None => {
            let stabilized = behavior::stabilize_down(input);
            let (limited, why) = limits::without_behavior(input, stabilized);
            (stabilized, limited, why)
        }
    };
    let stable = match (stabilized == input.proposed, &input.behavior) {
        (true, _) => READY,
        (false, Some(_)) if input.proposed >= input.current => UP_STABILIZED,
        (false, _) => DOWN_STABILIZED,
    };
    let mut steps = vec![
        GuardStep::new(STABILIZATION, (input.proposed, stabilized), stable),
        GuardStep::new(LIMITS, (stabilized, limited), why),
    ];
    if input.current == 0 && limited < input.min {
        steps.push(GuardStep::new(
            FROM_ZERO,
            (limited, input.min),
            limits::BELOW_MIN,
        ));
    }
    let removable = input.removable.unwrap_or(i32::MAX).max(0);
    let lowest = input.current.saturating_sub(removable);
    let desired = steps.last().map_or(limited, |step| step.after);
    if desired < lowest {
        steps.push(GuardStep::new(
            MASS_SCALE_DOWN,
            (desired, lowest),
            limits::MASS,
        ));
    }
    steps
}
