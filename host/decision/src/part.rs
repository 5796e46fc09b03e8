//! One policy's part in a decision, for any kind of question.

mod json;

use std::sync::Arc;

use crate::context::Context;
use crate::policy::{Budget, PolicyFailure, PolicyVersion, Usage};
use crate::question::{
    ExpanderQuestion, Question, ReplicaQuestion, ScaleDownMovesQuestion, ScaleDownNodesQuestion,
    ScaleDownPodsQuestion,
};

/// How many replicas should a workload have? A policy's part in that decision.
pub type PolicyRecord = Part<ReplicaQuestion>;

/// Which node group should grow? An expander's part in that choice.
pub type ExpanderRecord = Part<ExpanderQuestion>;

/// What happens to each pod if its node leaves? A policy's part in that.
pub type ScaleDownPodsRecord = Part<ScaleDownPodsQuestion>;

/// Which nodes may leave? A policy's part in that.
pub type ScaleDownNodesRecord = Part<ScaleDownNodesQuestion>;

/// Which moves are worth their price? A policy's part in that.
pub type ScaleDownMovesRecord = Part<ScaleDownMovesQuestion>;

/// One policy's part in a decision: what it was asked beside the common input, and what
/// it answered. In JSON `own` and the answer have the names that the question gives them.
#[derive(Clone, Debug, PartialEq)]
pub struct Part<Q: Question> {
    /// Name of the policy asked for.
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
    /// Limits on its cost.
    pub budget: Option<Budget>,
    /// Its cost.
    pub usage: Usage,
    /// What it answered, or why there is no usable answer.
    pub answer: Result<Q::Answer, PolicyFailure>,
    /// Lines it logged: level and text.
    pub log: Vec<(u32, String)>,
}

impl<Q: Question> Part<Q> {
    /// Returns the part of the policy asked for, whether or not another one answered.
    #[must_use]
    pub fn asked(&self) -> &Self {
        self.failed.as_deref().unwrap_or(self)
    }

    /// Returns whether this is the part of the policy asked for itself, in this version
    /// or the one before: its answer leaves a state behind.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.failed.is_none() || self.previous
    }

    /// Returns the parts of all that were asked: of one that failed, then of the one that
    /// answered in its place.
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        self.failed.as_deref().into_iter().chain([self])
    }

    /// Returns why the policy asked for gave no usable answer, whether or not another one
    /// did.
    #[must_use]
    pub fn failure(&self) -> Option<&PolicyFailure> {
        self.asked().answer.as_ref().err()
    }

    /// Returns the digest of the code that answered.
    #[must_use]
    pub fn digest(&self) -> Option<&Arc<str>> {
        self.version.as_ref().map(|version| &version.digest)
    }

    /// Returns whether the policy asked for answered itself and left its state as it was,
    /// so that it would get the same input if it were asked again at once.
    #[must_use]
    pub fn keeps_state(&self) -> bool {
        let Ok(answer) = &self.answer else {
            return false;
        };
        let state = Q::state(answer);
        self.failed.is_none() && state.is_none_or(|state| *state == *self.context.state)
    }

    /// Returns the failure if it came from outside and is not a function of the input:
    /// the policy's time was up, or it was missing or quarantined. A replay can't repeat
    /// it.
    #[must_use]
    pub fn from_outside(&self) -> Option<&PolicyFailure> {
        self.answer
            .as_ref()
            .err()
            .filter(|failure| failure.is_from_outside())
    }
}
