//! How the answers about moves are combined: one "leave" is enough, at least one must be in
//! favour, and scores are compared in the order of the chain.

use std::sync::Arc;

use super::ProposedMove;
use super::columns::MovesQuestion;
use crate::reasons::{self, Stay};
use crate::scale_down::judge::{Scores, compare_scores, filled};
use flyball_decision::part::Part;
use flyball_decision::question::ScaleDownMovesQuestion;
use flyball_decision::scale_down::{MoveVerdicts, ScaleDownMovesInput, move_verdict, row};
use flyball_decision::text;

/// A move and what the policies say.
pub(super) struct Judgement {
    pub(super) proposed: ProposedMove,
    /// Why it is left. `None` if it is taken.
    left: Option<Arc<Stay>>,
    scores: Scores,
}

impl Judgement {
    /// The node that stays, and why, if this is a plain removal that is left.
    pub(super) fn of_removal(self) -> Option<(usize, Arc<Stay>)> {
        let node = self.proposed.leaving.first().copied();
        let is_removal = self.proposed.coming.is_none();
        Some((node.filter(|_| is_removal)?, self.left?))
    }
}

/// Combines the answers about the moves of one question.
pub(super) fn compose(
    question: MovesQuestion,
    parts: &[Part<ScaleDownMovesQuestion>],
) -> Vec<Judgement> {
    let MovesQuestion {
        input,
        rows: _,
        names,
        moves,
    } = question;
    let moves = moves.into_iter().enumerate();
    let judged = moves.map(|(at, proposed)| {
        let mut judgement = Judgement {
            proposed,
            left: None,
            scores: Scores::new(),
        };
        let mut in_favour = false;
        for part in parts {
            let host = |reason, message: String| Stay {
                policy: Some(Arc::clone(&part.name)),
                message: text::message(message),
                ..Stay::of(reason)
            };
            let left = match &part.answer {
                Err(failure) => Some(host(reasons::POLICY_FAILED, failure.to_string())),
                Ok(answer) => {
                    let score = answer.score.get(at).copied().unwrap_or_default();
                    judgement.scores.push(score);
                    match answer.verdict.get(at).copied().unwrap_or_default() {
                        move_verdict::NO_OPINION => None,
                        move_verdict::TAKE => {
                            in_favour = true;
                            None
                        }
                        move_verdict::LEAVE => Some(left(answer, at, part, &input, &names)),
                        _ => Some(host(reasons::UNKNOWN_VERDICT, String::new())),
                    }
                }
            };
            judgement.left = judgement.left.or(left.map(Arc::new));
        }
        if judgement.left.is_none() && !in_favour {
            judgement.left = Some(Arc::new(Stay::of(reasons::NOBODY_JUDGED)));
        }
        judgement
    });
    judged.collect()
}

/// Separates the moves that are taken, ordered by the scores, from those that are left.
pub(super) fn in_order(judgements: Vec<Judgement>) -> (Vec<Judgement>, Vec<Judgement>) {
    let judgements = judgements.into_iter();
    let (mut taken, left): (Vec<Judgement>, Vec<Judgement>) =
        judgements.partition(|judged| judged.left.is_none());
    taken.sort_by(|a, b| compare_scores(&a.scores, &b.scores));
    (taken, left)
}

fn left(
    answer: &MoveVerdicts,
    at: usize,
    part: &Part<ScaleDownMovesQuestion>,
    input: &ScaleDownMovesInput,
    names: &[Arc<str>],
) -> Stay {
    let reason = answer.reason.get(at).copied().and_then(row);
    let reason = reason.and_then(|row| answer.reasons.get(row));
    let fill = |sentence: &str| {
        text::message(filled(sentence, |table, at| match table {
            "node" => Some(names.get(at)?.to_string()),
            "group" => Some(input.groups.name.get(at)?.to_string()),
            _ => None,
        }))
    };
    Stay {
        code: reason.map_or_else(|| "MoveLeft".into(), |reason| reason.code.as_str().into()),
        message: reason.map_or_else(String::new, |reason| fill(&reason.sentence)),
        policy: Some(Arc::clone(&part.name)),
        ..Stay::of(reasons::NOBODY_JUDGED)
    }
}
