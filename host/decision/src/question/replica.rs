//! How many replicas should a workload have?

use std::mem::swap;
use std::sync::Arc;

use super::{Question, RecordedQuestion};
use crate::context::Context;
use crate::policy::{Policy, PolicyFailure, PolicyOutcome, interface, kind};
use crate::replica::{ReplicaDecision, ReplicaInput, Samples};

/// How many replicas should a workload have?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReplicaQuestion {}

impl Question for ReplicaQuestion {
    type Input = ReplicaInput;
    /// The policy's earlier recommendations.
    type Own = Samples;
    type Answer = ReplicaDecision;

    const KIND: &'static str = kind::REPLICA;
    const INTERFACE: &'static str = interface::REPLICA;
    const NOUN: &'static str = "policy";
    const HELD: &'static str = "the target is held";
    const OWN_FIELD: &'static str = "recommendations";
    const ANSWER_TAG: &'static str = "decision";

    fn ask(
        policy: &dyn Policy,
        context: &Context,
        input: &mut ReplicaInput,
        own: &mut Samples,
    ) -> PolicyOutcome<ReplicaDecision> {
        // Columns are large: the common input is lent instead of copied.
        swap(&mut input.recommendations, own);
        let outcome = policy.decide(context, input);
        swap(&mut input.recommendations, own);
        PolicyOutcome {
            answer: outcome.answer.and_then(validated),
            ..outcome
        }
    }

    fn state(answer: &ReplicaDecision) -> Option<&str> {
        answer.state.as_deref()
    }

    fn object(input: &ReplicaInput) -> (Arc<str>, String) {
        let target = &input.target;
        (target.namespace.as_str().into(), target.to_string())
    }

    fn recorded(input: &ReplicaInput, own: &Samples) -> RecordedQuestion {
        RecordedQuestion::Replica(ReplicaInput {
            recommendations: own.clone(),
            ..input.clone()
        })
    }

    const OTHERS: &'static str = "the object's other policies";
}

/// Refuses an absurd number of replicas.
fn validated(answer: ReplicaDecision) -> Result<ReplicaDecision, PolicyFailure> {
    let absurd = |replicas: &i64| !(0..=i64::from(i32::MAX)).contains(replicas);
    match answer.replicas.filter(absurd) {
        Some(replicas) => Err(PolicyFailure::InvalidAnswer(format!(
            "{replicas} is no number of replicas: 0 to {} are",
            i32::MAX
        ))),
        None => Ok(answer),
    }
}
