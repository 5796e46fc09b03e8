//! Decides records again: the recorded input through a policy and the guardrails,
//! and whether the verdict is the same to the byte.

use std::sync::Arc;

use crate::guard::GuardInput;
use crate::pipeline::{StateBudget, out_of_bounds, settle, validated};
use crate::policy::{PolicyFailure, PolicyOutcome, ReplicaPolicy};
use crate::record::{Answer, DecisionRecord, PolicyRecord, Verdict};
use crate::replica::{Context, ReplicaDecision, ReplicaInput};

/// What replaying a record shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay {
    /// The verdict is the same, to the byte of its JSON.
    Same,
    /// The verdict differs.
    Differs {
        /// As recorded.
        was: Verdict,
        /// As decided now.
        now: Verdict,
    },
    /// Nothing was decided then (the scale could not be read, scaling is disabled),
    /// so that there is nothing to decide again.
    NothingAsked,
    /// A policy of the record is not available.
    PolicyUnavailable {
        /// Its name.
        name: Arc<str>,
        /// `sha256:…` of the component that answered.
        digest: Arc<str>,
    },
    /// Something from outside ended a policy (its time was up, or there was
    /// none), which no replay can repeat: its answer is taken from the record.
    TakenAsGiven {
        /// The policy's name.
        name: Arc<str>,
        /// What ended it.
        failure: PolicyFailure,
        /// The verdict as decided now, if it is another one.
        differs: Option<Verdict>,
    },
}

/// Decides `record` again. `resolve` finds the policy that is to answer for one
/// of the record: the same digest, or another one to be tried.
pub fn replay(
    record: &DecisionRecord,
    resolve: impl Fn(&PolicyRecord) -> Option<Arc<dyn ReplicaPolicy>>,
) -> Replay {
    let Some(guard) = &record.guard else {
        return Replay::NothingAsked;
    };
    let Some(input) = &record.input else {
        return compared(record, bounded(record, guard));
    };
    let mut again = Again {
        resolve,
        input: input.clone(),
        given: None,
    };
    let mut budget = StateBudget::before(&record.policies);
    let mut policies = Vec::with_capacity(record.policies.len());
    for (place, policy) in record.policies.iter().enumerate() {
        match again.part(policy, |context, answer| {
            budget.admitted(place, context, answer)
        }) {
            Ok(part) => {
                budget.took(place, &part);
                policies.push(part);
            }
            Err(missing) => return unavailable(missing),
        }
    }
    let Again { input, given, .. } = again;
    let guard_input = |proposed| GuardInput {
        proposed,
        ..guard.clone()
    };
    let settled = settle(
        &input,
        &policies,
        record.combine,
        &record.names,
        guard_input,
    );
    let now = settled.verdict;
    match given {
        Some((name, failure)) => {
            let differs = (now != record.verdict).then_some(now);
            Replay::TakenAsGiven {
                name,
                failure,
                differs,
            }
        }
        None => compared(record, now),
    }
}

fn compared(record: &DecisionRecord, now: Verdict) -> Replay {
    if now == record.verdict {
        return Replay::Same;
    }
    Replay::Differs {
        was: record.verdict.clone(),
        now,
    }
}

/// What the bounds alone decide; within them, nothing.
fn bounded(record: &DecisionRecord, guard: &GuardInput) -> Verdict {
    let verdict = out_of_bounds(guard.current, guard.min, guard.max);
    verdict.unwrap_or_else(|| Verdict {
        to: None,
        ..record.verdict.clone()
    })
}

/// The policies of a record, asked again.
struct Again<F> {
    resolve: F,
    input: ReplicaInput,
    /// Whose answer is taken from the record, and why.
    given: Option<(Arc<str>, PolicyFailure)>,
}

impl<F: Fn(&PolicyRecord) -> Option<Arc<dyn ReplicaPolicy>>> Again<F> {
    /// Returns a policy's part, or that of the version before or of its fallback if it
    /// fails again. The error is the part of a policy that is not available.
    fn part<'a>(
        &mut self,
        policy: &'a PolicyRecord,
        admit: impl Fn(&Context, ReplicaDecision) -> Result<ReplicaDecision, PolicyFailure>,
    ) -> Result<PolicyRecord, &'a PolicyRecord> {
        let Some(failed) = &policy.failed else {
            return self.ask(policy, admit);
        };
        let failed = self.ask(failed, &admit)?;
        if failed.failure().is_none() {
            return Ok(failed);
        }
        let fallback = if policy.previous {
            self.ask(policy, admit)?
        } else {
            self.ask(policy, |_, answer| Ok(answer))?
        };
        if digest(&fallback) == digest(&failed) {
            // As in the loop, none stands in for itself.
            return Ok(failed);
        }
        Ok(PolicyRecord {
            failed: Some(Box::new(failed)),
            ..fallback
        })
    }

    fn ask<'a>(
        &mut self,
        policy: &'a PolicyRecord,
        admit: impl Fn(&Context, ReplicaDecision) -> Result<ReplicaDecision, PolicyFailure>,
    ) -> Result<PolicyRecord, &'a PolicyRecord> {
        let resolved = (self.resolve)(policy);
        let resolved = resolved.filter(|resolved| !repeats_outside(policy, &**resolved));
        match (resolved, from_outside(policy)) {
            (Some(resolved), _) => Ok(ask_again(policy, &*resolved, &mut self.input, admit)),
            (None, Some(failure)) => {
                self.given = Some((Arc::clone(&policy.name), failure.clone()));
                Ok(policy.clone())
            }
            (None, None) => Err(policy),
        }
    }
}

fn digest(policy: &PolicyRecord) -> Option<&Arc<str>> {
    policy.version.as_ref().map(|version| &version.digest)
}

fn unavailable(policy: &PolicyRecord) -> Replay {
    Replay::PolicyUnavailable {
        name: Arc::clone(&policy.name),
        digest: digest(policy).cloned().unwrap_or_default(),
    }
}

/// A failure that is no function of the input.
fn from_outside(policy: &PolicyRecord) -> Option<&PolicyFailure> {
    match &policy.answer {
        Answer::Failure(
            failure @ (PolicyFailure::Interrupted(_)
            | PolicyFailure::Missing(_)
            | PolicyFailure::Quarantined(_)),
        ) => Some(failure),
        _ => None,
    }
}

/// Whether `resolved` is the code that something from outside kept from answering.
fn repeats_outside(policy: &PolicyRecord, resolved: &dyn ReplicaPolicy) -> bool {
    from_outside(policy).is_some() && digest(policy) == Some(&resolved.version().digest)
}

fn ask_again(
    policy: &PolicyRecord,
    resolved: &dyn ReplicaPolicy,
    input: &mut ReplicaInput,
    admit: impl Fn(&Context, ReplicaDecision) -> Result<ReplicaDecision, PolicyFailure>,
) -> PolicyRecord {
    input.recommendations.clone_from(&policy.recommendations);
    let PolicyOutcome { usage, answer, log } = resolved.decide(&policy.context, input);
    let answer = answer
        .and_then(validated)
        .and_then(|answer| admit(&policy.context, answer));
    input.recommendations = crate::replica::Samples::default();
    PolicyRecord {
        version: Some(Arc::clone(resolved.version())),
        usage,
        answer: answer.map_or_else(Answer::Failure, Answer::Decision),
        log,
        ..policy.clone()
    }
}
