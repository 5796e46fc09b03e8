//! Combines the policies' answers and applies the guardrails: the part of a decision that
//! a replay repeats.

use super::metrics;
use crate::guard::{self, GuardInput, GuardStep};
use crate::record::{Names, Verdict};
use crate::spec::Combine;
use flyball_decision::part::PolicyRecord;
use flyball_decision::replica::ReplicaInput;
use flyball_decision::text;

/// The result of [`settle`].
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// Input of the guardrails. If the target is held, `proposed` is its current number
    /// of replicas.
    pub guard: GuardInput,
    /// What each guardrail did.
    pub steps: Vec<GuardStep>,
    /// The verdict.
    pub verdict: Verdict,
}

/// Combines the answers and applies the guardrails. `guard_input` makes the guardrails'
/// input from the combined proposal.
pub fn settle(
    input: &ReplicaInput,
    policies: &[PolicyRecord],
    how: Combine,
    names: &Names,
    guard_input: impl FnOnce(i32) -> GuardInput,
) -> Settled {
    let from = input.current_replicas;
    let leader = leader(policies, how, from);
    let proposed = leader.and_then(proposal);
    let Some(proposed) = proposed else {
        let (reason, message) = leader
            .map(|policy| why_held(input, names, policy))
            .unwrap_or_default();
        let verdict = Verdict {
            from: Some(from),
            to: None,
            proposed: None,
            reason,
            message,
        };
        return Settled {
            guard: guard_input(from),
            steps: Vec::new(),
            verdict,
        };
    };
    let guard = guard_input(proposed);
    let steps = guard::guard(&guard);
    let to = steps.last().map_or(from, |step| step.after);
    let (reason, message) = leader.map(|policy| why(names, policy)).unwrap_or_default();
    let message = if to == from {
        message
    } else {
        rescale_reason(names, leader, &steps, from, message)
    };
    let verdict = Verdict {
        from: Some(from),
        to: Some(to),
        proposed: Some(proposed.into()),
        reason,
        message,
    };
    Settled {
        guard,
        steps,
        verdict,
    }
}

/// Returns the policy that the decision follows: the one that asks for most (or least). A
/// policy that holds or fails counts as asking for the current replicas: it keeps the
/// others from going in the direction that could be wrong, never from going in the safe
/// one.
pub(super) fn leader(
    policies: &[PolicyRecord],
    how: Combine,
    current: i32,
) -> Option<&PolicyRecord> {
    let ahead = |a: i32, b: i32| match how {
        Combine::Max => a > b,
        Combine::Min => a < b,
    };
    let mut leader: Option<(&PolicyRecord, i32)> = None;
    for policy in policies {
        let wish = proposal(policy).unwrap_or(current);
        let proposes = proposal(policy).is_some();
        let leads = leader.is_none_or(|(known, most)| {
            ahead(wish, most) || (wish == most && proposes && proposal(known).is_none())
        });
        if leads {
            leader = Some((policy, wish));
        }
    }
    leader.map(|(policy, _)| policy)
}

/// Returns the replicas that a policy asks for. `None` if it holds or has failed.
pub(super) fn proposal(policy: &PolicyRecord) -> Option<i32> {
    let decision = policy.answer.as_ref().ok()?;
    i32::try_from(decision.replicas?).ok()
}

/// Returns code and sentence of a policy's reason, or of its failure.
pub(super) fn why(names: &Names, policy: &PolicyRecord) -> (String, String) {
    match &policy.answer {
        Err(failure) => (
            failure.code().to_owned(),
            text::message(format!("policy {}: {}", policy.name, failure.message())),
        ),
        Ok(decision) => {
            let reason = &decision.reason;
            (reason.code.clone(), names.in_sentence(&reason.sentence))
        }
    }
}

fn why_held(input: &ReplicaInput, names: &Names, policy: &PolicyRecord) -> (String, String) {
    if let Ok(decision) = &policy.answer
        && let Some(failure) = metrics::failure(input, names, decision)
    {
        return (failure.reason.to_owned(), failure.summary);
    }
    why(names, policy)
}

/// Returns why replicas change, in Kubernetes' words if a metric leads.
fn rescale_reason(
    names: &Names,
    leader: Option<&PolicyRecord>,
    steps: &[GuardStep],
    current: i32,
    sentence: String,
) -> String {
    let asked = steps.first().map_or(current, |step| step.before);
    if asked == current {
        // Only a guardrail changes the replicas: an earlier recommendation still counts.
        let guarded = steps.iter().rev().find(|step| step.changed());
        return guarded.map_or(sentence, |step| step.message.to_string());
    }
    let Some(Ok(decision)) = leader.map(|policy| &policy.answer) else {
        return sentence;
    };
    let metric = decision
        .leading
        .and_then(|row| names.metrics.get(row as usize));
    match metric {
        Some(metric) if asked > current => format!("{metric} above target"),
        Some(_) => "All metrics below target".to_owned(),
        None => sentence,
    }
}
