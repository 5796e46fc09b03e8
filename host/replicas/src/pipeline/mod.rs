//! Replica decisions: from an observation to a verdict, and to the status and events
//! about it.
//!
//! [`decide`] is pure apart from the policies it asks, which are pure themselves: the
//! same context gives the same decision. It writes nothing; the result of writing is passed
//! to [`Decision::conclude`].

mod ask;
mod metrics;
mod report;
mod settle;

use std::sync::Arc;

pub use settle::{Settled, settle};

use crate::guard::GuardInput;
use crate::memory::ObjectMemory;
use crate::observe::{Columns, Prepared};
use crate::options::ReplicaOptions;
use crate::ports::{Autoscaler, ObservationError, Scale};
use crate::record::{DecisionRecord, FORMAT, Outcome, Verdict};
use crate::spec::Mode;
use crate::status::condition::{SCALED_TO_ZERO, SCALING_DISABLED};
use flyball_decision::context::GrantedInput;
use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::replica::{ReplicaInput, Samples};
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// Input of a decision.
pub struct DecisionContext<'a> {
    /// Time of the decision.
    pub now: Timestamp,
    /// The operator's options.
    pub options: &'a ReplicaOptions,
    /// Finds policies.
    pub engine: &'a dyn PolicyEngine,
    /// The autoscaler.
    pub autoscaler: &'a Autoscaler,
    /// Its prepared spec.
    pub prepared: &'a Prepared,
    /// Another autoscaler that would write the same target.
    pub conflict: Option<&'a ObjectKey>,
    /// The target's scale.
    pub scale: Result<&'a Scale, &'a ObservationError>,
    /// Whether the target's pods are known.
    pub pods: Result<(), &'a ObservationError>,
    /// Pods and metrics, if the pods are known.
    pub columns: &'a Columns,
    /// Labels of the target. `None` if no policy asks for them.
    pub labels: Option<&'a GrantedInput>,
    /// Annotations of the target. `None` if no policy asks for them.
    pub annotations: Option<&'a GrantedInput>,
    /// Memory of the object's earlier decisions.
    pub memory: &'a ObjectMemory,
    /// How many replicas the object may lose, given what other objects lost lately.
    /// `None` if there is no limit.
    pub removable: Option<i32>,
    /// When the object was due, if its decision was put off because policies had used up
    /// the fuel of a tick.
    pub put_off: Option<Timestamp>,
    /// Sequence number within one daemon process.
    pub sequence: u64,
}

/// A decision whose outcome is not known yet.
#[derive(Debug)]
pub struct Decision {
    record: DecisionRecord,
    branch: Branch,
    /// Whether the feature gate `HPAScaleToZero` is on.
    scale_to_zero: bool,
    outside_metric: bool,
    min: i32,
    /// Whether the spec's lower bound of 0 counts as 1 because the feature gate is off.
    kept_from_zero: bool,
    notes: Vec<Event>,
    again_after_ms: Option<u64>,
    /// Fuel of each policy that was asked, in the order of the spec.
    fuel: Vec<u64>,
    /// Whether it was put off for a sync period or longer.
    is_late: bool,
}

/// How a decision is made.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Branch {
    /// The scale could not be read.
    NoScale(ObservationError),
    /// Nothing is decided. The condition has this reason and message; the event, if any,
    /// has a reason of its own.
    Disabled {
        reason: &'static str,
        message: String,
        event: Option<&'static str>,
    },
    /// A bound is enforced without asking a policy.
    Bound(Verdict),
    /// The policies are asked.
    Asked,
}

/// Decides, and asks the policies if they are needed.
#[must_use]
pub fn decide(context: &DecisionContext<'_>) -> Decision {
    let branch = branch(context);
    let mut decision = blank(context, branch);
    match (&decision.branch, context.scale) {
        (Branch::Asked, _) => ask::ask(context, &mut decision),
        (Branch::Bound(_), Ok(scale)) => {
            decision.record.guard = Some(guard_input(context, scale, scale.spec_replicas));
        }
        _ => {}
    }
    decision
}

fn branch(context: &DecisionContext<'_>) -> Branch {
    let Prepared { spec, min, .. } = context.prepared;
    if let Some(other) = context.conflict {
        let message = format!(
            "autoscaler {}/{} has the same target: let one of them go, or set its mode to Observe",
            other.namespace, other.name
        );
        return disabled("AmbiguousTarget", message, Some("AmbiguousTarget"));
    }
    let scale = match context.scale {
        Ok(scale) => scale,
        Err(error) => {
            let disabled = |reason| disabled(reason, error.message.clone(), Some(reason));
            return match error.class {
                "targetConflict" => disabled("AmbiguousTarget"),
                "invalidSpec" => disabled("InvalidSpec"),
                _ => Branch::NoScale(error.clone()),
            };
        }
    };
    let current = scale.spec_replicas;
    if current == 0 && !leaves_zero(context) {
        let message = "scaling is disabled since the replica count of the target is zero";
        return disabled(SCALING_DISABLED, message.to_owned(), None);
    }
    if let Some(verdict) = out_of_bounds(current, *min, spec.max_replicas) {
        return Branch::Bound(verdict);
    }
    selector_fault(context, scale).unwrap_or(Branch::Asked)
}

/// Reason of a verdict about replicas outside their bounds.
const OUT_OF_BOUNDS: &str = "OutOfBounds";

/// Returns the verdict for replicas outside their bounds. `None` if they are within them.
pub(crate) fn out_of_bounds(current: i32, min: i32, max: i32) -> Option<Verdict> {
    let (to, message) = if current > max {
        (max, "Current number of replicas above Spec.MaxReplicas")
    } else if current != 0 && current < min {
        (min, "Current number of replicas below Spec.MinReplicas")
    } else {
        return None;
    };
    Some(Verdict {
        from: Some(current),
        to: Some(to),
        proposed: None,
        reason: OUT_OF_BOUNDS.to_owned(),
        message: message.to_owned(),
    })
}

fn disabled(reason: &'static str, message: String, event: Option<&'static str>) -> Branch {
    Branch::Disabled {
        reason,
        message,
        event,
    }
}

/// Returns whether a target at zero replicas is decided about: only if Flyball itself
/// scaled it down, and a metric is measured outside the pods or the lower bound was
/// raised.
fn leaves_zero(context: &DecisionContext<'_>) -> bool {
    let conditions = &context.autoscaler.status.conditions;
    let ours = context.options.scale_to_zero
        && conditions
            .iter()
            .any(|condition| *condition.kind == *SCALED_TO_ZERO && *condition.status == *"True");
    ours && (context.prepared.min != 0 || context.prepared.spec.has_outside_metric())
}

fn selector_fault(context: &DecisionContext<'_>, scale: &Scale) -> Option<Branch> {
    if scale.selector.is_empty() {
        let message = "the HPA target's scale is missing a selector".to_owned();
        return Some(disabled(
            "InvalidSelector",
            message,
            Some("SelectorRequired"),
        ));
    }
    let error = context.pods.err()?;
    let reason = match error.class {
        "ambiguousSelector" => "AmbiguousSelector",
        _ => "InvalidSelector",
    };
    Some(disabled(reason, error.message.clone(), Some(reason)))
}

/// Returns a decision for which no policy was asked yet.
fn blank(context: &DecisionContext<'_>, branch: Branch) -> Decision {
    let prepared = context.prepared;
    let from = context.scale.ok().map(|scale| scale.spec_replicas);
    let held = |reason: &str, message: &str| Verdict {
        from,
        to: None,
        proposed: None,
        reason: reason.to_owned(),
        message: text::message(message),
    };
    let verdict = match &branch {
        Branch::NoScale(error) => held("FailedGetScale", &error.message),
        Branch::Disabled {
            reason, message, ..
        } => held(reason, message),
        Branch::Bound(verdict) => verdict.clone(),
        Branch::Asked => held("", ""),
    };
    Decision {
        record: record(context, verdict),
        branch,
        scale_to_zero: context.options.scale_to_zero,
        outside_metric: prepared.spec.has_outside_metric(),
        min: prepared.min,
        kept_from_zero: prepared.is_kept_from_zero(),
        notes: Vec::new(),
        again_after_ms: None,
        fuel: Vec::new(),
        is_late: context
            .put_off
            .is_some_and(|since| context.now.since(since) >= context.options.sync_period_ms),
    }
}

fn record(context: &DecisionContext<'_>, verdict: Verdict) -> DecisionRecord {
    let DecisionContext {
        autoscaler,
        prepared,
        ..
    } = context;
    DecisionRecord {
        format: FORMAT.into(),
        host: Arc::clone(&context.options.host_version),
        sequence: context.sequence,
        at: context.now,
        object: autoscaler.key.clone(),
        uid: Arc::clone(&autoscaler.uid),
        generation: autoscaler.generation,
        put_off_since: context.put_off,
        mode: prepared.spec.mode,
        combine: prepared.spec.combine,
        names: context.columns.names.clone(),
        input: None,
        policies: Vec::new(),
        guard: None,
        guard_steps: Vec::new(),
        verdict,
        outcome: Outcome::Unchanged,
        conditions: Vec::new(),
        events: Vec::new(),
    }
}

/// Returns the input that all policies share.
fn input(context: &DecisionContext<'_>, scale: &Scale) -> ReplicaInput {
    let DecisionContext {
        prepared,
        columns,
        options,
        ..
    } = context;
    ReplicaInput {
        target: Arc::clone(&prepared.target),
        min_replicas: prepared.min,
        max_replicas: prepared.spec.max_replicas,
        current_replicas: scale.spec_replicas,
        status_replicas: scale.status_replicas,
        ready_replicas: columns.pods.ready_count(),
        tolerance_up: prepared.tolerance_up,
        tolerance_down: prepared.tolerance_down,
        cpu_initialization_period_ms: options.cpu_initialization_period_ms,
        initial_readiness_delay_ms: options.initial_readiness_delay_ms,
        pods: Arc::clone(&columns.pods),
        metrics: columns.metrics.clone(),
        recommendations: Samples::default(),
        scale_events: context.memory.scale_events(),
    }
}

fn guard_input(context: &DecisionContext<'_>, scale: &Scale, proposed: i32) -> GuardInput {
    GuardInput {
        now: context.now,
        current: scale.spec_replicas,
        proposed,
        min: context.prepared.min,
        max: context.prepared.spec.max_replicas,
        behavior: context.prepared.behavior.clone(),
        downscale_stabilization_ms: context.options.downscale_stabilization_ms,
        recommendations: context.memory.recommendations.clone(),
        scale_events: context.memory.scale_events(),
        removable: context.removable,
    }
}

impl Decision {
    /// Returns the replicas to write. `None` if nothing is to be written.
    #[must_use]
    pub fn intent(&self) -> Option<i32> {
        self.change().filter(|_| self.record.mode == Mode::Active)
    }

    /// Returns the replicas that would be written in mode Active.
    fn change(&self) -> Option<i32> {
        self.record
            .verdict
            .to
            .filter(|&to| self.record.verdict.from != Some(to))
    }

    /// Returns when the first policy wants to be asked again, in milliseconds from now.
    #[must_use]
    pub fn again_after_ms(&self) -> Option<u64> {
        self.again_after_ms
    }

    /// Returns the fuel of each policy that was asked, in the order of the spec, with that
    /// of all that were asked in its place.
    #[must_use]
    pub fn fuel(&self) -> &[u64] {
        &self.fuel
    }

    /// Returns an estimate of the memory that the policies' answers and logs take.
    #[must_use]
    pub fn answer_bytes(&self) -> usize {
        self.record.answer_bytes()
    }

    /// Returns whether the replicas were outside their bounds, so that no policy was asked.
    #[must_use]
    pub fn keeps_bounds(&self) -> bool {
        self.record.verdict.reason == OUT_OF_BOUNDS
    }

    /// Returns whether the guardrail of this name changed the proposal.
    #[must_use]
    pub fn changed_by(&self, guardrail: &str) -> bool {
        let mut steps = self.record.guard_steps.iter();
        steps.any(|step| step.guardrail == guardrail && step.changed())
    }

    /// Returns the verdict.
    #[must_use]
    pub fn verdict(&self) -> &Verdict {
        &self.record.verdict
    }
}
