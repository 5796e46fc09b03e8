//! One policy's part in a decision, whatever it was asked.

mod json;

use std::sync::Arc;

use crate::policy::{Budget, PolicyFailure, PolicyVersion, Usage};
use crate::question::Question;
use crate::replica::Context;

/// One policy's part in a decision: what it was asked beside the common input, and what
/// it answered. In JSON `own` and the answer have the names that the question gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<Q: Question> {
    /// The name asked for.
    pub name: Arc<str>,
    /// The version that answered. `None` if there was no such policy.
    pub version: Option<Arc<PolicyVersion>>,
    /// The part of the policy asked for, if it gave no usable answer and this is
    /// the part of the version before or of the fallback.
    pub failed: Option<Box<Part<Q>>>,
    /// Whether this is the part of the version before.
    pub previous: bool,
    /// Time, seed, configuration, state and granted inputs.
    pub context: Context,
    /// What this policy alone was asked: a replica policy's own earlier recommendations,
    /// the rows of the options that an expander is asked about.
    pub own: Q::Own,
    /// What it was allowed to cost.
    pub budget: Option<Budget>,
    /// What it did cost.
    pub usage: Usage,
    /// What it answered, or why there is no usable answer.
    pub answer: Result<Q::Answer, PolicyFailure>,
    /// Lines it logged: level and text.
    pub log: Vec<(u32, String)>,
}

impl<Q: Question> Part<Q> {
    /// The part of the policy asked for, whether or not another one answered.
    #[must_use]
    pub fn asked(&self) -> &Self {
        self.failed.as_deref().unwrap_or(self)
    }

    /// Whether this is the part of the policy asked for itself, in this version or the
    /// one before: what it answers leaves a state behind.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.failed.is_none() || self.previous
    }

    /// The parts of all that were asked: of one that failed, then of the one
    /// that answered in its place.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        self.failed.as_deref().into_iter().chain([self])
    }

    /// Why the policy asked for gave no usable answer, whether or not
    /// another one did.
    #[must_use]
    pub fn failure(&self) -> Option<&PolicyFailure> {
        self.asked().answer.as_ref().err()
    }

    /// The digest of the code that answered.
    #[must_use]
    pub fn digest(&self) -> Option<&Arc<str>> {
        self.version.as_ref().map(|version| &version.digest)
    }

    /// Whether the policy asked for answered itself and leaves its state as it was: asked
    /// again at once, it would find what it found now.
    #[must_use]
    pub fn keeps_state(&self) -> bool {
        let Ok(answer) = &self.answer else {
            return false;
        };
        let state = Q::state(answer);
        self.failed.is_none() && state.is_none_or(|state| *state == *self.context.state)
    }

    /// The failure, if it came from outside and is no function of the input: the policy's
    /// time was up, or it was missing or quarantined. A replay can't repeat it.
    #[must_use]
    pub fn from_outside(&self) -> Option<&PolicyFailure> {
        self.answer
            .as_ref()
            .err()
            .filter(|failure| failure.is_from_outside())
    }
}
