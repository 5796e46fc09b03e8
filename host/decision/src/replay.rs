//! Replay: decides records again from their input, through policies and guardrails, and
//! compares the verdicts to the byte.

use std::sync::Arc;

use crate::ask::StateBudget;
use crate::part::Part;
use crate::policy::{Budget, Policy, PolicyFailure, PolicyVersion};
use crate::question::Question;

/// Result of replaying a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replay<V> {
    /// The verdict is the same, to the byte of its JSON.
    Same,
    /// The verdict differs.
    Differs {
        /// As recorded.
        was: V,
        /// As decided now. If a record has several choices, up to and including the first
        /// that differs: those after it depend on it, and are not decided again.
        now: V,
    },
    /// No policy was asked (the scale could not be read, scaling is disabled, no pod
    /// waited), so that there is nothing to decide again.
    NothingAsked,
    /// A policy of the record is not available.
    PolicyUnavailable {
        /// Its name.
        name: Arc<str>,
        /// `sha256:…` of the component that answered.
        digest: Arc<str>,
    },
    /// Something from outside ended a policy ([`PolicyFailure::is_from_outside`]), which
    /// no replay can repeat: its answer is taken from the record.
    TakenAsGiven {
        /// The policy's name.
        name: Arc<str>,
        /// What ended it.
        failure: PolicyFailure,
        /// The verdict as decided now, if it differs.
        differs: Option<V>,
    },
}

/// A record of a decision for which policies were asked.
pub trait Decided {
    /// What a replay compares.
    type Verdict: Clone + PartialEq;

    /// Returns the recorded verdict.
    fn verdict(&self) -> Self::Verdict;

    /// Decides again. Returns `None` if there is nothing to decide.
    ///
    /// # Errors
    /// A policy of the record is not available.
    fn decide_again(&self, again: &mut Again<'_>) -> Result<Option<Self::Verdict>, Unavailable>;
}

/// A policy that was asked, by its record.
#[derive(Clone, Copy, Debug)]
pub struct AskedPolicy<'a> {
    /// Kind of policy ([`kind`](crate::policy::kind)).
    pub kind: &'static str,
    /// Interface of the contract that asks the question
    /// ([`interface`](crate::policy::interface)).
    pub interface: &'static str,
    /// Name of the policy asked for.
    pub name: &'a Arc<str>,
    /// The version that answered. `None` if there was no such policy.
    pub version: Option<&'a Arc<PolicyVersion>>,
    /// Limits on its cost.
    pub budget: Option<Budget>,
}

impl<'a> AskedPolicy<'a> {
    fn of<Q: Question>(part: &'a Part<Q>) -> Self {
        Self {
            kind: Q::KIND,
            interface: Q::INTERFACE,
            name: &part.name,
            version: part.version.as_ref(),
            budget: part.budget,
        }
    }
}

/// Finds the policy that answers in place of a recorded one.
type Resolve<'a> = dyn Fn(AskedPolicy<'_>) -> Option<Arc<dyn Policy>> + 'a;

/// Decides `record` again. `resolve` finds the policy that answers in place of a recorded
/// one: the same digest, or another one to try.
pub fn replay<R: Decided>(
    record: &R,
    resolve: impl Fn(AskedPolicy<'_>) -> Option<Arc<dyn Policy>>,
) -> Replay<R::Verdict> {
    let mut again = Again {
        resolve: &resolve,
        given: None,
    };
    let now = match record.decide_again(&mut again) {
        Ok(Some(now)) => now,
        Ok(None) => return Replay::NothingAsked,
        Err(Unavailable { name, digest }) => return Replay::PolicyUnavailable { name, digest },
    };
    let was = record.verdict();
    let same = now == was;
    match again.given {
        Some((name, failure)) => Replay::TakenAsGiven {
            name,
            failure,
            differs: (!same).then_some(now),
        },
        None if same => Replay::Same,
        None => Replay::Differs { was, now },
    }
}

/// A policy of a record that is not available.
#[derive(Clone, Debug)]
pub struct Unavailable {
    name: Arc<str>,
    digest: Arc<str>,
}

/// The policies of a record, asked again.
pub struct Again<'a> {
    resolve: &'a Resolve<'a>,
    /// Whose answer is taken from the record, and why.
    given: Option<(Arc<str>, PolicyFailure)>,
}

/// Arguments for asking the policy of a recorded part again.
pub struct Asking<'a, Q: Question> {
    /// What all policies of the decision have in common.
    pub input: &'a mut Q::Input,
    /// What this policy alone is asked.
    pub own: &'a Q::Own,
    /// Budget for states, and this policy's place in it. `None` in records from before
    /// states were limited.
    pub budget: Option<(&'a StateBudget, usize)>,
}

impl Again<'_> {
    /// Returns a policy's part, or that of the version before or of its fallback if it
    /// fails again.
    pub fn part<Q: Question>(
        &mut self,
        part: &Part<Q>,
        mut asking: Asking<'_, Q>,
    ) -> Result<Part<Q>, Unavailable> {
        let Some(failed) = &part.failed else {
            return self.ask(part, &mut asking);
        };
        let failed = self.ask(failed, &mut asking)?;
        if failed.answer.is_ok() {
            return Ok(failed);
        }
        if !part.previous {
            // A fallback keeps no state.
            asking.budget = None;
        }
        let instead = self.ask(part, &mut asking)?;
        if instead.digest() == failed.digest() {
            // As in the loop, no policy is its own fallback.
            return Ok(failed);
        }
        Ok(Part {
            failed: Some(Box::new(failed)),
            ..instead
        })
    }

    /// Asks one version. If something from outside kept it from answering, it is not
    /// asked again, since it might answer now; another version that is tried in its place
    /// is.
    fn ask<Q: Question>(
        &mut self,
        part: &Part<Q>,
        asking: &mut Asking<'_, Q>,
    ) -> Result<Part<Q>, Unavailable> {
        let outside = part.from_outside();
        let resolved = (self.resolve)(AskedPolicy::of(part)).filter(|resolved| {
            outside.is_none() || part.digest() != Some(&resolved.version().digest)
        });
        match (resolved, outside) {
            (Some(resolved), _) => Ok(ask_again(part, &*resolved, asking)),
            (None, Some(failure)) => {
                self.given = Some((Arc::clone(&part.name), failure.clone()));
                Ok(part.clone())
            }
            (None, None) => Err(Unavailable {
                name: Arc::clone(&part.name),
                digest: part.digest().cloned().unwrap_or_default(),
            }),
        }
    }
}

fn ask_again<Q: Question>(
    part: &Part<Q>,
    resolved: &dyn Policy,
    asking: &mut Asking<'_, Q>,
) -> Part<Q> {
    let mut own = asking.own.clone();
    let outcome = Q::ask(resolved, &part.context, asking.input, &mut own);
    let admitted = |answer| match asking.budget {
        Some((budget, place)) => budget.admitted::<Q>(place, &part.context, answer),
        None => Ok(answer),
    };
    Part {
        version: Some(Arc::clone(resolved.version())),
        own,
        usage: outcome.usage,
        answer: outcome.answer.and_then(admitted),
        log: outcome.log,
        ..part.clone()
    }
}
