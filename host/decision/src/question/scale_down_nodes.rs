//! Which nodes may leave?

use std::sync::Arc;

use super::verdicts::Rows;
use super::{Question, RecordedQuestion};
use crate::context::Context;
use crate::policy::{NODE_GROUPS, Policy, PolicyFailure, PolicyOutcome, interface, kind};
use crate::scale_down::{NodeVerdicts, ScaleDownNodesInput};

/// Which nodes may leave? The input is one chunk, of the nodes that have to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleDownNodesQuestion {}

impl Question for ScaleDownNodesQuestion {
    type Input = ScaleDownNodesInput;
    type Own = ();
    type Answer = NodeVerdicts;

    const KIND: &'static str = kind::SCALE_DOWN;
    const INTERFACE: &'static str = interface::SCALE_DOWN_NODES;
    const NOUN: &'static str = "scale-down policy";
    const HELD: &'static str = "these nodes stay";
    const OWN_FIELD: &'static str = "own";
    const ANSWER_TAG: &'static str = "verdicts";
    const OTHERS: &'static str = "the other scale-down policies";

    fn ask(
        policy: &dyn Policy,
        context: &Context,
        input: &mut ScaleDownNodesInput,
        (): &mut (),
    ) -> PolicyOutcome<NodeVerdicts> {
        let outcome = policy.judge_nodes(context, input);
        let nodes = input.nodes.len();
        PolicyOutcome {
            answer: outcome.answer.and_then(|answer| validated(answer, nodes)),
            ..outcome
        }
    }

    fn state(_: &NodeVerdicts) -> Option<&str> {
        None
    }

    fn object(_: &ScaleDownNodesInput) -> (Arc<str>, String) {
        (Arc::default(), NODE_GROUPS.to_owned())
    }

    fn recorded(input: &ScaleDownNodesInput, (): &()) -> RecordedQuestion {
        RecordedQuestion::ScaleDownNodes(input.clone())
    }
}

fn validated(answer: NodeVerdicts, nodes: usize) -> Result<NodeVerdicts, PolicyFailure> {
    let rows = Rows {
        noun: "node",
        count: nodes,
    };
    rows.each("verdicts", answer.verdict.len())?;
    rows.reasons(&answer.reason, &answer.reasons)?;
    rows.scores(&answer.score)?;
    rows.each_or_none("unneededMs", answer.unneeded_ms.len())?;
    rows.each_or_none("untilMs", answer.until_ms.len())?;
    Ok(answer)
}
