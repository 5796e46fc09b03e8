//! Questions of the kind `scale-down`: about pods, nodes and moves, with a verdict for each
//! row.

use std::sync::Arc;

use super::verdicts::{self, Rows};
use super::{Question, RecordedQuestion};
use crate::context::Context;
use crate::policy::{NODE_GROUPS, Policy, PolicyFailure, PolicyOutcome, interface, kind};
use crate::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, ScaleDownMovesInput, ScaleDownNodesInput,
    ScaleDownPodsInput,
};

/// Implements [`Question`] for a question with a verdict for each row of a table.
macro_rules! question_by_row {
    (
        $(#[$doc:meta])*
        $question:ident asks $judge:ident at $interface:ident:
        each $noun:literal of $table:ident in $input:ident gets $answer:ident,
        recorded as $recorded:ident, checked by $check:ident, held: $held:literal,
        state: $state:expr
    ) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $question {}

        impl Question for $question {
            type Input = $input;
            type Own = ();
            type Answer = $answer;

            const KIND: &'static str = kind::SCALE_DOWN;
            const INTERFACE: &'static str = interface::$interface;
            const NOUN: &'static str = "scale-down policy";
            const HELD: &'static str = $held;
            const OWN_FIELD: &'static str = "own";
            const ANSWER_TAG: &'static str = "verdicts";
            const OTHERS: &'static str = "the other scale-down policies";

            fn ask(
                policy: &dyn Policy,
                context: &Context,
                input: &mut $input,
                (): &mut (),
            ) -> PolicyOutcome<$answer> {
                let outcome = policy.$judge(context, input);
                let rows = Rows {
                    noun: $noun,
                    count: input.$table.len(),
                };
                let checked = |answer: $answer| {
                    rows.each("verdicts", answer.verdict.len())?;
                    rows.reasons(&answer.reason, &answer.reasons)?;
                    $check(&rows, &answer)?;
                    Ok(answer)
                };
                PolicyOutcome {
                    answer: outcome.answer.and_then(checked),
                    ..outcome
                }
            }

            fn state(answer: &$answer) -> Option<&str> {
                let state: fn(&$answer) -> Option<&str> = $state;
                state(answer)
            }

            fn object(_: &$input) -> (Arc<str>, String) {
                (Arc::default(), NODE_GROUPS.to_owned())
            }

            fn recorded(input: &$input, (): &()) -> RecordedQuestion {
                RecordedQuestion::$recorded(input.clone())
            }
        }
    };
}

question_by_row! {
    /// What happens to each pod if its node leaves? The input is one chunk, of the pods that
    /// have to be judged.
    ScaleDownPodsQuestion asks judge_pods at SCALE_DOWN_PODS:
    each "pod" of pods in ScaleDownPodsInput gets PodVerdicts,
    recorded as ScaleDownPods, checked by check_pods, held: "the nodes of these pods stay",
    state: |_| None
}

question_by_row! {
    /// Which nodes may leave? The input is one chunk, of the nodes that have to be judged.
    ScaleDownNodesQuestion asks judge_nodes at SCALE_DOWN_NODES:
    each "node" of nodes in ScaleDownNodesInput gets NodeVerdicts,
    recorded as ScaleDownNodes, checked by check_nodes, held: "these nodes stay",
    state: |_| None
}

question_by_row! {
    /// Which moves are worth their price?
    ScaleDownMovesQuestion asks judge_moves at SCALE_DOWN_MOVES:
    each "move" of moves in ScaleDownMovesInput gets MoveVerdicts,
    recorded as ScaleDownMoves, checked by check_moves, held: "no move is made",
    state: |answer| answer.state.as_deref()
}

fn check_pods(rows: &Rows, answer: &PodVerdicts) -> Result<(), PolicyFailure> {
    rows.each_or_none("untilMs", answer.until_ms.len())?;
    rows.each_or_none("cost", answer.cost.len())?;
    let is_cost = |cost: &f64| cost.is_finite() && *cost >= 0.0;
    match answer.cost.iter().position(|cost| !is_cost(cost)) {
        Some(row) => Err(verdicts::invalid(format!(
            "the cost of pod {row} is {}: it must be finite and not negative",
            answer.cost[row]
        ))),
        None => Ok(()),
    }
}

fn check_nodes(rows: &Rows, answer: &NodeVerdicts) -> Result<(), PolicyFailure> {
    rows.scores(&answer.score)?;
    rows.each_or_none("unneededMs", answer.unneeded_ms.len())?;
    rows.each_or_none("untilMs", answer.until_ms.len())
}

fn check_moves(rows: &Rows, answer: &MoveVerdicts) -> Result<(), PolicyFailure> {
    rows.scores(&answer.score)
}
