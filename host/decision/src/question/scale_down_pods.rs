//! What happens to each pod if its node leaves?

use std::sync::Arc;

use super::verdicts::{self, Rows};
use super::{Question, RecordedQuestion};
use crate::context::Context;
use crate::policy::{NODE_GROUPS, Policy, PolicyFailure, PolicyOutcome, interface, kind};
use crate::scale_down::{PodVerdicts, ScaleDownPodsInput};

/// What happens to each pod if its node leaves? The input is one chunk, of the pods that
/// have to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleDownPodsQuestion {}

impl Question for ScaleDownPodsQuestion {
    type Input = ScaleDownPodsInput;
    type Own = ();
    type Answer = PodVerdicts;

    const KIND: &'static str = kind::SCALE_DOWN;
    const INTERFACE: &'static str = interface::SCALE_DOWN_PODS;
    const NOUN: &'static str = "scale-down policy";
    const HELD: &'static str = "the nodes of these pods stay";
    const OWN_FIELD: &'static str = "own";
    const ANSWER_TAG: &'static str = "verdicts";
    const OTHERS: &'static str = "the other scale-down policies";

    fn ask(
        policy: &dyn Policy,
        context: &Context,
        input: &mut ScaleDownPodsInput,
        (): &mut (),
    ) -> PolicyOutcome<PodVerdicts> {
        let outcome = policy.judge_pods(context, input);
        let pods = input.pods.len();
        PolicyOutcome {
            answer: outcome.answer.and_then(|answer| validated(answer, pods)),
            ..outcome
        }
    }

    fn state(_: &PodVerdicts) -> Option<&str> {
        None
    }

    fn object(_: &ScaleDownPodsInput) -> (Arc<str>, String) {
        (Arc::default(), NODE_GROUPS.to_owned())
    }

    fn recorded(input: &ScaleDownPodsInput, (): &()) -> RecordedQuestion {
        RecordedQuestion::ScaleDownPods(input.clone())
    }
}

fn validated(answer: PodVerdicts, pods: usize) -> Result<PodVerdicts, PolicyFailure> {
    let rows = Rows {
        noun: "pod",
        count: pods,
    };
    rows.each("verdicts", answer.verdict.len())?;
    rows.reasons(&answer.reason, &answer.reasons)?;
    rows.each_or_none("untilMs", answer.until_ms.len())?;
    rows.each_or_none("cost", answer.cost.len())?;
    let is_cost = |cost: &f64| cost.is_finite() && *cost >= 0.0;
    match answer.cost.iter().position(|cost| !is_cost(cost)) {
        Some(row) => Err(verdicts::invalid(format!(
            "the cost of pod {row} is {}: it must be finite and not negative",
            answer.cost[row]
        ))),
        None => Ok(answer),
    }
}
