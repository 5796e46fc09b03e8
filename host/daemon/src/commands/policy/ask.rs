//! Asks a policy of any kind.

use flyball_decision::context::Reason;
use flyball_decision::expander::ExpanderRanking;
use flyball_decision::policy::{Policy as _, PolicyOutcome};
use flyball_decision::replica::ReplicaDecision;
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
}

impl Answer {
    /// Returns the reason of the answer.
    pub fn reason(&self) -> &Reason {
        match self {
            Self::Decision(decision) => &decision.reason,
            Self::Ranking(ranking) => &ranking.reason,
        }
    }
}

/// Asks the policy the input's question.
pub fn ask(policy: &CompiledPolicy, input: &DecisionInput) -> PolicyOutcome<Answer> {
    match &input.input {
        Input::Replica(replica) => {
            of_kind(policy.decide(&input.context, replica), Answer::Decision)
        }
        Input::Expander(expander) => {
            of_kind(policy.rank(&input.context, expander), Answer::Ranking)
        }
    }
}

fn of_kind<A>(
    outcome: PolicyOutcome<A>,
    answer: impl FnOnce(A) -> Answer,
) -> PolicyOutcome<Answer> {
    PolicyOutcome {
        usage: outcome.usage,
        answer: outcome.answer.map(answer),
        log: outcome.log,
    }
}
