//! Which moves are worth their price?

use std::sync::Arc;

use super::verdicts::Rows;
use super::{Question, RecordedQuestion};
use crate::context::Context;
use crate::policy::{NODE_GROUPS, Policy, PolicyFailure, PolicyOutcome, interface, kind};
use crate::scale_down::{MoveVerdicts, ScaleDownMovesInput};

/// Which moves are worth their price?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScaleDownMovesQuestion {}

impl Question for ScaleDownMovesQuestion {
    type Input = ScaleDownMovesInput;
    type Own = ();
    type Answer = MoveVerdicts;

    const KIND: &'static str = kind::SCALE_DOWN;
    const INTERFACE: &'static str = interface::SCALE_DOWN_MOVES;
    const NOUN: &'static str = "scale-down policy";
    const HELD: &'static str = "no move is made";
    const OWN_FIELD: &'static str = "own";
    const ANSWER_TAG: &'static str = "verdicts";
    const OTHERS: &'static str = "the other scale-down policies";

    fn ask(
        policy: &dyn Policy,
        context: &Context,
        input: &mut ScaleDownMovesInput,
        (): &mut (),
    ) -> PolicyOutcome<MoveVerdicts> {
        let outcome = policy.judge_moves(context, input);
        let moves = input.moves.len();
        PolicyOutcome {
            answer: outcome.answer.and_then(|answer| validated(answer, moves)),
            ..outcome
        }
    }

    fn state(answer: &MoveVerdicts) -> Option<&str> {
        answer.state.as_deref()
    }

    fn object(_: &ScaleDownMovesInput) -> (Arc<str>, String) {
        (Arc::default(), NODE_GROUPS.to_owned())
    }

    fn recorded(input: &ScaleDownMovesInput, (): &()) -> RecordedQuestion {
        RecordedQuestion::ScaleDownMoves(input.clone())
    }
}

fn validated(answer: MoveVerdicts, moves: usize) -> Result<MoveVerdicts, PolicyFailure> {
    let rows = Rows {
        noun: "move",
        count: moves,
    };
    rows.each("verdicts", answer.verdict.len())?;
    rows.reasons(&answer.reason, &answer.reasons)?;
    rows.scores(&answer.score)?;
    Ok(answer)
}
