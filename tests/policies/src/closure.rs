//! A policy that is a closure.

use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, ExpanderRanking};
use flyball_decision::policy::{
    Budget, Description, Policy, PolicyFailure, PolicyOutcome, PolicyVersion, RolledBack, Usage,
    WantedInput, interface, kind,
};
use flyball_decision::replica::{ReplicaDecision, ReplicaInput};
use flyball_decision::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, ScaleDownMovesInput, ScaleDownNodesInput,
    ScaleDownPodsInput,
};

type Answer<I, A> = Arc<dyn Fn(&Context, &I) -> Result<A, PolicyFailure> + Send + Sync>;

/// One version of a policy that answers by closures.
#[derive(Clone)]
pub struct TestPolicy {
    version: Arc<PolicyVersion>,
    description: Description,
    decides: Option<Answer<ReplicaInput, ReplicaDecision>>,
    ranks: Option<Answer<ExpanderInput, ExpanderRanking>>,
    judges_pods: Option<Answer<ScaleDownPodsInput, PodVerdicts>>,
    judges_nodes: Option<Answer<ScaleDownNodesInput, NodeVerdicts>>,
    judges_moves: Option<Answer<ScaleDownMovesInput, MoveVerdicts>>,
    predecessors: Vec<Self>,
    rolled_back: Option<RolledBack>,
    fuel: u64,
}

/// Returns a replica policy of that name.
pub fn policy(
    name: &str,
    decide: impl Fn(&Context, &ReplicaInput) -> Result<ReplicaDecision, PolicyFailure>
    + Send
    + Sync
    + 'static,
) -> TestPolicy {
    TestPolicy {
        decides: Some(Arc::new(decide)),
        ..TestPolicy::new(name, kind::REPLICA)
    }
}

/// Returns an expander of that name. The closure returns the rows of the best options.
pub fn expander(
    name: &str,
    choose: impl Fn(&ExpanderInput) -> Result<Vec<u32>, PolicyFailure> + Send + Sync + 'static,
) -> TestPolicy {
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
) -> TestPolicy {
    TestPolicy {
        ranks: Some(Arc::new(rank)),
        ..TestPolicy::new(name, kind::EXPANDER)
    }
}

/// Returns a scale-down policy of that name that answers no question yet: see
/// [`TestPolicy::judging_pods`], [`TestPolicy::judging_nodes`] and
/// [`TestPolicy::judging_moves`].
pub fn scale_down(name: &str) -> TestPolicy {
    TestPolicy::new(name, kind::SCALE_DOWN)
}

impl TestPolicy {
    fn new(name: &str, kind: &str) -> Self {
        Self {
            version: Arc::new(PolicyVersion {
                name: name.into(),
                digest: format!("sha256:{name}").into(),
                contract: "0.1.0".into(),
                version: "1.0.0".into(),
                state_version: 1,
            }),
            description: Description {
                kinds: vec![kind.to_owned()],
                ..Description::default()
            },
            decides: None,
            ranks: None,
            judges_pods: None,
            judges_nodes: None,
            judges_moves: None,
            predecessors: Vec::new(),
            rolled_back: None,
            fuel: 0,
        }
    }

    /// Makes it judge pods.
    #[must_use]
    pub fn judging_pods(
        mut self,
        judge: impl Fn(&Context, &ScaleDownPodsInput) -> Result<PodVerdicts, PolicyFailure>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.judges_pods = Some(Arc::new(judge));
        self
    }

    /// Makes it judge nodes.
    #[must_use]
    pub fn judging_nodes(
        mut self,
        judge: impl Fn(&Context, &ScaleDownNodesInput) -> Result<NodeVerdicts, PolicyFailure>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.judges_nodes = Some(Arc::new(judge));
        self
    }

    /// Makes it judge moves.
    #[must_use]
    pub fn judging_moves(
        mut self,
        judge: impl Fn(&Context, &ScaleDownMovesInput) -> Result<MoveVerdicts, PolicyFailure>
        + Send
        + Sync
        + 'static,
    ) -> Self {
        self.judges_moves = Some(Arc::new(judge));
        self
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

    /// Makes each of its answers take so much fuel.
    #[must_use]
    pub fn fuel(mut self, fuel: u64) -> Self {
        self.fuel = fuel;
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

    /// Returns it as an engine does.
    #[must_use]
    pub fn resolve(&self) -> Arc<dyn Policy> {
        Arc::new(self.clone())
    }

    fn ask<I, A>(
        &self,
        answer: Option<&Answer<I, A>>,
        context: &Context,
        input: &I,
    ) -> PolicyOutcome<A> {
        let missing = || PolicyFailure::Missing(format!("not answered by {}", self.version.name));
        PolicyOutcome {
            usage: Usage {
                fuel: self.fuel,
                ..Usage::default()
            },
            answer: answer.map_or_else(|| Err(missing()), |answer| answer(context, input)),
            log: Vec::new(),
        }
    }
}

impl Policy for TestPolicy {
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

    fn answers(&self, interface: &str) -> bool {
        match interface {
            interface::REPLICA => self.decides.is_some(),
            interface::EXPANDER => self.ranks.is_some(),
            interface::SCALE_DOWN_PODS => self.judges_pods.is_some(),
            interface::SCALE_DOWN_NODES => self.judges_nodes.is_some(),
            interface::SCALE_DOWN_MOVES => self.judges_moves.is_some(),
            _ => false,
        }
    }

    fn rolled_back(&self) -> Option<&RolledBack> {
        self.rolled_back.as_ref()
    }

    fn predecessors(&self) -> Vec<Arc<dyn Policy>> {
        self.predecessors.iter().map(Self::resolve).collect()
    }

    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        self.ask(self.decides.as_ref(), context, input)
    }

    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        self.ask(self.ranks.as_ref(), context, input)
    }

    fn judge_pods(
        &self,
        context: &Context,
        input: &ScaleDownPodsInput,
    ) -> PolicyOutcome<PodVerdicts> {
        self.ask(self.judges_pods.as_ref(), context, input)
    }

    fn judge_nodes(
        &self,
        context: &Context,
        input: &ScaleDownNodesInput,
    ) -> PolicyOutcome<NodeVerdicts> {
        self.ask(self.judges_nodes.as_ref(), context, input)
    }

    fn judge_moves(
        &self,
        context: &Context,
        input: &ScaleDownMovesInput,
    ) -> PolicyOutcome<MoveVerdicts> {
        self.ask(self.judges_moves.as_ref(), context, input)
    }
}
