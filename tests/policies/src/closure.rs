//! A policy that is a closure.

use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, ExpanderRanking};
use flyball_decision::policy::{
    Budget, Description, ExpanderPolicy, Policy, PolicyFailure, PolicyOutcome, PolicyVersion,
    ReplicaPolicy, RolledBack, Usage, WantedInput,
};
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};

/// A replica policy from a closure, made by [`policy`].
pub type TestPolicy = Closure<ReplicaInput, ReplicaDecision>;

/// An expander from a closure, made by [`expander`] or [`ranker`].
pub type TestExpander = Closure<ExpanderInput, ExpanderRanking>;

type Answer<I, A> = dyn Fn(&Context, &I) -> Result<A, PolicyFailure> + Send + Sync;

/// One version of a policy that answers an input of type `I` by a closure.
#[derive(Clone)]
pub struct Closure<I, A> {
    version: Arc<PolicyVersion>,
    description: Description,
    answer: Arc<Answer<I, A>>,
    predecessors: Vec<Self>,
    rolled_back: Option<RolledBack>,
}

/// Returns a replica policy of that name.
pub fn policy(
    name: &str,
    decide: impl Fn(&Context, &ReplicaInput) -> Result<ReplicaDecision, PolicyFailure>
    + Send
    + Sync
    + 'static,
) -> TestPolicy {
    Closure::new(name, Arc::new(decide))
}

/// Returns an expander of that name. The closure returns the rows of the best options.
pub fn expander(
    name: &str,
    choose: impl Fn(&ExpanderInput) -> Result<Vec<u32>, PolicyFailure> + Send + Sync + 'static,
) -> TestExpander {
    let ranking = |best| ExpanderRanking {
        best,
        ..ExpanderRanking::default()
    };
    ranker(name, move |_, input| choose(input).map(ranking))
}

/// Returns an expander of that name that reads its context and returns a whole ranking.
pub fn ranker(
    name: &str,
    rank: impl Fn(&Context, &ExpanderInput) -> Result<ExpanderRanking, PolicyFailure>
    + Send
    + Sync
    + 'static,
) -> TestExpander {
    Closure::new(name, Arc::new(rank))
}

impl<I, A> Closure<I, A> {
    fn new(name: &str, answer: Arc<Answer<I, A>>) -> Self {
        Self {
            version: Arc::new(PolicyVersion {
                name: name.into(),
                digest: format!("sha256:{name}").into(),
                contract: "0.1.0".into(),
                version: "1.0.0".into(),
                state_version: 1,
            }),
            description: Description::default(),
            answer,
            predecessors: Vec::new(),
            rolled_back: None,
        }
    }

    /// Sets the version of its state, which is 1 by default.
    #[must_use]
    pub fn state_version(mut self, state_version: u32) -> Self {
        Arc::make_mut(&mut self.version).state_version = state_version;
        self
    }

    /// Makes it another version, with this digest.
    #[must_use]
    pub fn digest(mut self, digest: &str) -> Self {
        let version = Arc::make_mut(&mut self.version);
        version.digest = format!("sha256:{digest}").into();
        version.version = digest.into();
        self
    }

    /// Makes it a version that follows these, the latest first.
    #[must_use]
    pub fn after(mut self, predecessors: impl IntoIterator<Item = Self>) -> Self {
        self.predecessors = predecessors.into_iter().collect();
        self
    }

    /// Makes it a version that decides again after a rollback of `newer`.
    #[must_use]
    pub fn in_place_of(mut self, newer: &Self, reason: &str) -> Self {
        self.rolled_back = Some(RolledBack {
            from: Arc::clone(&newer.version),
            reason: reason.to_owned(),
        });
        self
    }

    /// Adds an input that it wants beyond the standard ones.
    #[must_use]
    pub fn wants(mut self, kind: &str, arguments: &[(&str, &str)]) -> Self {
        let owned = |&(key, value): &(&str, &str)| (key.to_owned(), value.to_owned());
        self.description.wants.push(WantedInput {
            kind: kind.to_owned(),
            arguments: arguments.iter().map(owned).collect(),
        });
        self
    }

    fn ask(&self, context: &Context, input: &I) -> PolicyOutcome<A> {
        PolicyOutcome {
            usage: Usage::default(),
            answer: (self.answer)(context, input),
            log: Vec::new(),
        }
    }
}

impl TestPolicy {
    /// Returns it as an engine does.
    #[must_use]
    pub fn resolve(&self) -> Arc<dyn ReplicaPolicy> {
        Arc::new(self.clone())
    }
}

impl TestExpander {
    /// Returns it as an engine does.
    #[must_use]
    pub fn resolve(&self) -> Arc<dyn ExpanderPolicy> {
        Arc::new(self.clone())
    }
}

impl<I, A> Policy for Closure<I, A> {
    fn version(&self) -> &Arc<PolicyVersion> {
        &self.version
    }

    fn description(&self) -> &Description {
        &self.description
    }

    fn budget(&self) -> Budget {
        Budget {
            fuel_base: 0,
            fuel_per_row: 0,
            memory_bytes: 0,
            time_ms: 0,
        }
    }

    fn rolled_back(&self) -> Option<&RolledBack> {
        self.rolled_back.as_ref()
    }
}

impl ReplicaPolicy for TestPolicy {
    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        self.ask(context, input)
    }

    fn predecessors(&self) -> Vec<Arc<dyn ReplicaPolicy>> {
        self.predecessors.iter().map(Self::resolve).collect()
    }
}

impl ExpanderPolicy for TestExpander {
    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        self.ask(context, input)
    }

    fn predecessors(&self) -> Vec<Arc<dyn ExpanderPolicy>> {
        self.predecessors.iter().map(Self::resolve).collect()
    }
}
