//! Trials: asks a new version for the answers to recorded inputs, and the version that it
//! would replace as well. Differing answers are counted, since they are the purpose of a
//! new version. Failures prevent its activation only if it fails everywhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use flyball_decision::policy::{Description, Policy as _, PolicyFailure, PolicyOutcome};
use flyball_decision::question::RecordedQuestion;
use flyball_decision::recorded::RecordedInput;
use flyball_decision::text;
use serde::{Deserialize, Serialize};

use crate::error::LoadError;
use crate::policy::CompiledPolicy;
use crate::registry::users::Users;

/// Fuel after which no further input is tried: about two seconds' worth.
const MAX_FUEL: u64 = 2_000_000_000;
/// Number of inputs that are tried regardless of fuel.
const MIN_INPUTS: usize = 4;
/// Maximum number of objects, and of namespaces, that are listed.
const MAX_NAMES: usize = 10;
/// Maximum size of the names of namespaces in an error.
const NAMESPACES_BYTES: usize = 256;
/// Stands for the namespace of node groups.
const NO_NAMESPACE: &str = "node groups";

/// Result of a trial on recorded inputs. Only inputs count for which the version to be
/// replaced has an answer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Trial {
    /// Inputs.
    pub inputs: usize,
    /// Inputs for which the new version has another answer: other replicas, or another
    /// choice among node groups.
    pub differing: usize,
    /// Inputs for which the new version failed.
    pub failed: usize,
    /// Objects for which it failed, at most ten: they keep the previous version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
    /// If it failed on all inputs: namespaces that use the policy and have no input, at
    /// most ten. Because of them it was not refused.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub untried: Vec<String>,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inputs,
            differing,
            failed,
            failing,
            untried,
        } = self;
        match differing {
            0 => write!(f, "answers differ on none of {inputs} recorded inputs")?,
            _ => write!(
                f,
                "answers differ on {differing} of {inputs} recorded inputs"
            )?,
        }
        if *failed > 0 {
            write!(f, ", it fails on {failed} ({})", failing.join(", "))?;
        }
        if !untried.is_empty() {
            write!(f, " and was not tried in {}", untried.join(", "))?;
        }
        Ok(())
    }
}

/// The part of an answer that is compared: not its texts.
#[derive(PartialEq)]
enum ComparedAnswer {
    Replicas(Option<i64>),
    Best(Vec<u32>),
    Verdicts(Vec<u32>),
    /// The version does not answer this question, so that it would not be asked.
    NotAsked,
    /// A typed error, which counts as an answer.
    Refused,
}

/// Asks `new` and `old` for answers to recorded inputs; `described` returns the
/// description of the code with a digest. Returns `None` if there was no input for which
/// `old` has an answer.
///
/// # Errors
/// If `new` fails for every object for which `old` has an answer, and there is one in
/// every namespace of `users`, the objects that name the policy: which records are left
/// depends on what other tenants do. If there are several objects, one is not enough: it
/// keeps the previous version. With `None` for `users`, failures are only counted.
pub(super) fn trial(
    new: &CompiledPolicy,
    old: &CompiledPolicy,
    inputs: &[RecordedInput],
    users: Option<&Users>,
    described: impl Fn(&str) -> Option<Description>,
) -> Result<Option<Trial>, LoadError> {
    let mut counts = TrialCounts::default();
    let mut fuel = 0_u64;
    for input in inputs {
        if counts.trial.inputs >= MIN_INPUTS && fuel > MAX_FUEL {
            break;
        }
        let asked = input.asked.as_ref();
        let asked = asked.and_then(|version| described(&version.digest));
        let mut ask = |policy: &CompiledPolicy| {
            let (compared, spent) = ask(policy, input, asked.as_ref());
            fuel = fuel.saturating_add(spent);
            compared
        };
        let Ok(before) = ask(old) else { continue };
        if before != ComparedAnswer::Refused {
            counts.count(input, &before, ask(new));
        }
    }
    counts.judge(users)
}

/// Returns the answer of one version, and the fuel that it used.
fn ask(
    policy: &CompiledPolicy,
    input: &RecordedInput,
    asked: Option<&Description>,
) -> (Result<ComparedAnswer, PolicyFailure>, u64) {
    let kinds = &policy.description().kinds;
    let is_of_kind = kinds.iter().any(|kind| *kind == input.question.kind());
    if is_of_kind && !policy.answers(input.question.interface()) {
        return (Ok(ComparedAnswer::NotAsked), 0);
    }
    let context = input.context_for(policy.version(), policy.description(), asked);
    match &input.question {
        RecordedQuestion::Replica(question) => {
            let outcome = policy.decide(&context, question);
            compared(policy, outcome, |answer| {
                ComparedAnswer::Replicas(answer.replicas)
            })
        }
        RecordedQuestion::Expander(question) => {
            let outcome = policy.rank(&context, question);
            compared(policy, outcome, |answer| ComparedAnswer::Best(answer.best))
        }
        RecordedQuestion::ScaleDownPods(question) => {
            let outcome = policy.judge_pods(&context, question);
            compared(policy, outcome, |answer| {
                ComparedAnswer::Verdicts(answer.verdict)
            })
        }
        RecordedQuestion::ScaleDownNodes(question) => {
            let outcome = policy.judge_nodes(&context, question);
            compared(policy, outcome, |answer| {
                ComparedAnswer::Verdicts(answer.verdict)
            })
        }
        RecordedQuestion::ScaleDownMoves(question) => {
            let outcome = policy.judge_moves(&context, question);
            compared(policy, outcome, |answer| {
                ComparedAnswer::Verdicts(answer.verdict)
            })
        }
    }
}

fn compared<A>(
    policy: &CompiledPolicy,
    outcome: PolicyOutcome<A>,
    of: impl FnOnce(A) -> ComparedAnswer,
) -> (Result<ComparedAnswer, PolicyFailure>, u64) {
    let compared = match outcome.answer {
        Ok(answer) => Ok(of(answer)),
        Err(PolicyFailure::Refused(_)) => Ok(ComparedAnswer::Refused),
        Err(failure) => {
            // A panic's message is among them.
            for (_, line) in &outcome.log {
                tracing::warn!(policy = %policy.version().name, "on a recorded input: {line}");
            }
            Err(failure)
        }
    };
    (compared, outcome.usage.fuel)
}

#[derive(Default)]
struct TrialCounts {
    trial: Trial,
    /// Whether it failed, by namespace and object.
    objects: BTreeMap<Arc<str>, BTreeMap<String, bool>>,
    /// The first object that it failed for, and the failure.
    first: Option<(String, PolicyFailure)>,
}

impl TrialCounts {
    fn count(
        &mut self,
        input: &RecordedInput,
        before: &ComparedAnswer,
        now: Result<ComparedAnswer, PolicyFailure>,
    ) {
        let objects = self
            .objects
            .entry(Arc::clone(&input.namespace))
            .or_default();
        let failed = objects.entry(input.object.clone()).or_default();
        self.trial.inputs += 1;
        match now {
            Ok(now) => self.trial.differing += usize::from(now != *before),
            Err(failure) => {
                self.trial.failed += 1;
                if !*failed && self.trial.failing.len() < MAX_NAMES {
                    self.trial.failing.push(input.object.clone());
                }
                *failed = true;
                self.first
                    .get_or_insert_with(|| (input.object.clone(), failure));
            }
        }
    }

    fn judge(self, users: Option<&Users>) -> Result<Option<Trial>, LoadError> {
        let Self {
            mut trial,
            objects,
            first,
        } = self;
        let fails_everywhere = objects
            .values()
            .all(|objects| objects.values().all(|failed| *failed));
        let (Some((object, failure)), Some(users), true) = (first, users, fails_everywhere) else {
            return Ok((trial.inputs > 0).then_some(trial));
        };
        let untried = users.namespaces();
        let untried = untried.filter(|namespace| !objects.contains_key(*namespace));
        let untried = untried.map(|namespace| shown(namespace).to_owned());
        trial.untried = untried.take(MAX_NAMES).collect();
        // A single object that fails keeps the previous version, without effect on
        // others.
        let tried: usize = objects.values().map(BTreeMap::len).sum();
        if !trial.untried.is_empty() || tried < users.count().min(2) {
            return Ok(Some(trial));
        }
        let namespaces = objects.keys().map(|namespace| shown(namespace));
        Err(LoadError::Recorded {
            namespaces: text::list(namespaces, objects.len(), ", ", NAMESPACES_BYTES),
            failed: trial.failed,
            inputs: trial.inputs,
            object,
            failure,
        })
    }
}

/// Returns a namespace as text.
fn shown(namespace: &str) -> &str {
    match namespace {
        "" => NO_NAMESPACE,
        namespace => namespace,
    }
}
