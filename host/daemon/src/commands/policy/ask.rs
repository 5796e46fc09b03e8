//! Asks a policy of any kind.

use flyball_decision::context::Reason;
use flyball_decision::expander::ExpanderRanking;
use flyball_decision::policy::{Policy as _, PolicyOutcome};
use flyball_decision::question::{
    Question as _, ScaleDownMovesQuestion, ScaleDownNodesQuestion, ScaleDownPodsQuestion,
};
use flyball_decision::replica::ReplicaDecision;
use flyball_decision::scale_down::{MoveVerdicts, NodeVerdicts, PodVerdicts};
use flyball_sandbox::CompiledPolicy;
use serde::Serialize;

use super::input::{DecisionInput, Input};

/// An answer, by kind of policy.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Of a replica policy.
    Decision(ReplicaDecision),
    /// Of an expander.
    Ranking(ExpanderRanking),
    /// About pods.
    Pods(PodVerdicts),
    /// About nodes.
    Nodes(NodeVerdicts),
    /// About moves.
    Moves(MoveVerdicts),
}

impl Answer {
    /// Returns the reason of the answer; of verdicts by row, the first one. `None` if
    /// there is none.
    pub fn reason(&self) -> Option<&Reason> {
        match self {
            Self::Decision(decision) => Some(&decision.reason),
            Self::Ranking(ranking) => Some(&ranking.reason),
            Self::Pods(verdicts) => verdicts.reasons.first(),
            Self::Nodes(verdicts) => verdicts.reasons.first(),
            Self::Moves(verdicts) => verdicts.reasons.first(),
        }
    }
}

/// Asks the policy the input's question.
pub fn ask(policy: &CompiledPolicy, input: &DecisionInput) -> PolicyOutcome<Answer> {
    let context = &*input.marks.granted(&input.context, policy.description());
    match &input.input {
        Input::Replica(input) => policy.decide(context, input).map(Answer::Decision),
        Input::Expander(input) => policy.rank(context, input).map(Answer::Ranking),
        // Questions about many rows check more than the sandbox does.
        Input::ScaleDownPods(input) => {
            ScaleDownPodsQuestion::ask(policy, context, &mut input.clone(), &mut ())
                .map(Answer::Pods)
        }
        Input::ScaleDownNodes(input) => {
            ScaleDownNodesQuestion::ask(policy, context, &mut input.clone(), &mut ())
                .map(Answer::Nodes)
        }
        Input::ScaleDownMoves(input) => {
            ScaleDownMovesQuestion::ask(policy, context, &mut input.clone(), &mut ())
                .map(Answer::Moves)
        }
    }
}
