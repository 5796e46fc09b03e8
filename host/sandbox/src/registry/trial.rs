//! Tries a new version of a policy on inputs of earlier decisions, beside the version
//! that it would replace. Other answers are what a new version is for: they are
//! counted. Failures keep it from taking over only where they are everywhere.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use flyball_core::policy::{
    Description, ExpanderPolicy as _, Policy as _, PolicyFailure, PolicyOutcome, ReplicaPolicy as _,
};
use flyball_core::recorded::{RecordedInput, RecordedQuestion};
use serde::{Deserialize, Serialize};

use crate::error::LoadError;
use crate::policy::CompiledPolicy;

/// Fuel after which no further input is tried, however few there were: about two
/// seconds' worth.
const MOST_FUEL: u64 = 2_000_000_000;
/// Inputs that are tried whatever fuel they take.
const LEAST_INPUTS: usize = 4;
/// Most objects that are named.
const MOST_NAMES: usize = 10;
/// What stands for the namespace of node groups.
const NO_NAMESPACE: &str = "node groups";

/// Result of a trial on recorded inputs. It counts inputs for which the version to be
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
    /// Objects for which it failed, the first ten: they keep the version before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failing: Vec<String>,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            inputs,
            differing,
            failed,
            failing,
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
        Ok(())
    }
}

/// What an answer comes to; the words for it may be others.
#[derive(PartialEq)]
enum Gist {
    Replicas(Option<i64>),
    Best(Vec<u32>),
    /// It refused by a typed error, which is an answer.
    Refused,
}

/// Tries `new` on recorded inputs, and `old` beside it; `described` finds the
/// description of the code of a digest, and `users` is the number of objects that name the
/// policy. Returns `None` if there was no input for which `old` has an answer.
///
/// # Errors
/// `new` fails for every object of every namespace for which `old` has an answer. One
/// object is not enough where there are others: it keeps the version before.
pub(super) fn trial(
    new: &CompiledPolicy,
    old: &CompiledPolicy,
    inputs: &[RecordedInput],
    users: usize,
    described: impl Fn(&str) -> Option<Description>,
) -> Result<Option<Trial>, LoadError> {
    let mut tally = Tally::default();
    let mut fuel = 0_u64;
    for input in inputs {
        if tally.trial.inputs >= LEAST_INPUTS && fuel > MOST_FUEL {
            break;
        }
        let asked = input.asked.as_ref();
        let asked = asked.and_then(|version| described(&version.digest));
        let mut ask = |policy: &CompiledPolicy| {
            let (gist, spent) = ask(policy, input, asked.as_ref());
            fuel = fuel.saturating_add(spent);
            gist
        };
        let Ok(before) = ask(old) else { continue };
        if before != Gist::Refused {
            tally.count(input, &before, ask(new));
        }
    }
    tally.judge(users)
}

/// The answer of one version, and the fuel that it took.
fn ask(
    policy: &CompiledPolicy,
    input: &RecordedInput,
    asked: Option<&Description>,
) -> (Result<Gist, PolicyFailure>, u64) {
    let context = input.context_for(policy.version(), policy.description(), asked);
    match &input.question {
        RecordedQuestion::Replica(question) => {
            let outcome = policy.decide(&context, question);
            gist(policy, outcome, |answer| Gist::Replicas(answer.replicas))
        }
        RecordedQuestion::Expander(question) => {
            let outcome = policy.rank(&context, question);
            gist(policy, outcome, |answer| Gist::Best(answer.best))
        }
    }
}

fn gist<A>(
    policy: &CompiledPolicy,
    outcome: PolicyOutcome<A>,
    of: impl FnOnce(A) -> Gist,
) -> (Result<Gist, PolicyFailure>, u64) {
    let gist = match outcome.answer {
        Ok(answer) => Ok(of(answer)),
        Err(PolicyFailure::Refused(_)) => Ok(Gist::Refused),
        Err(failure) => {
            // A panic's message is among them.
            for (_, line) in &outcome.log {
                tracing::warn!(policy = %policy.version().name, "on a recorded input: {line}");
            }
            Err(failure)
        }
    };
    (gist, outcome.usage.fuel)
}

#[derive(Default)]
struct Tally {
    trial: Trial,
    /// Whether it failed, by namespace and object.
    objects: BTreeMap<Arc<str>, BTreeMap<String, bool>>,
    /// The first failure, and the object.
    first: Option<(String, PolicyFailure)>,
}

impl Tally {
    fn count(&mut self, input: &RecordedInput, before: &Gist, now: Result<Gist, PolicyFailure>) {
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
                if !*failed && self.trial.failing.len() < MOST_NAMES {
                    self.trial.failing.push(input.object.clone());
                }
                *failed = true;
                self.first
                    .get_or_insert_with(|| (input.object.clone(), failure));
            }
        }
    }

    fn judge(self, users: usize) -> Result<Option<Trial>, LoadError> {
        let Self {
            trial,
            objects,
            first,
        } = self;
        // An object that fails alone keeps the version before, and decides for no other.
        let tried: usize = objects.values().map(BTreeMap::len).sum();
        let everywhere = tried >= users.min(2)
            && objects
                .values()
                .all(|objects| objects.values().all(|failed| *failed));
        match first {
            Some((object, failure)) if everywhere => {
                let namespaces = objects.keys().map(|namespace| match &**namespace {
                    "" => NO_NAMESPACE,
                    namespace => namespace,
                });
                Err(LoadError::Recorded {
                    namespaces: namespaces.collect::<Vec<_>>().join(", "),
                    failed: trial.failed,
                    inputs: trial.inputs,
                    object,
                    failure,
                })
            }
            _ => Ok((trial.inputs > 0).then_some(trial)),
        }
    }
}
