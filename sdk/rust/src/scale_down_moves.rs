//! Which moves are worth their price?

use std::time::Duration;

use serde::Serialize;

use crate::bindings::scale_down_moves::exports::flyball::policy::scale_down_moves as wire;
use crate::given::{Given, NoConfig, NoState, show_given};
use crate::reason::Refusal;
use crate::rows::{cell, figure};
use crate::scale_down_group::{Group, JudgedNode};
use crate::time::{Time, milliseconds};
use crate::verdicts::{Reasons, RowReason, read_verdicts, verdict_reason};

/// Which moves are worth their price? The host has found places for all pods of each.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleDownMoves<C = NoConfig, S = NoState> {
    pub(crate) input: wire::Input,
    pub(crate) given: Given<C, S>,
}

impl<C, S> ScaleDownMoves<C, S> {
    show_given!();

    /// The moves to judge, a row each.
    pub fn moves(&self) -> impl ExactSizeIterator<Item = JudgedMove<'_>> + Clone {
        let input = &self.input;
        (0..input.moves.leaving_end.len()).map(move |row| JudgedMove { input, row })
    }

    /// The input as the contract has it, columns and all.
    #[must_use]
    pub const fn columns(&self) -> &wire::Input {
        &self.input
    }
}

/// A move: nodes that leave, and nodes that come in their place, if any.
#[derive(Clone, Copy, Debug)]
pub struct JudgedMove<'a> {
    input: &'a wire::Input,
    row: usize,
}

impl<'a> JudgedMove<'a> {
    /// Its row.
    #[must_use]
    pub const fn row(self) -> usize {
        self.row
    }

    /// The nodes that leave.
    pub fn leaving(self) -> impl ExactSizeIterator<Item = JudgedNode<'a>> {
        let moves = &self.input.moves;
        let rows = between(&moves.leaving_end, self.row, &moves.leaving_node);
        let input = self.input;
        rows.iter().map(|&row| JudgedNode {
            groups: &input.groups,
            columns: &input.nodes,
            row: row as usize,
        })
    }

    /// The groups whose nodes come, and how many of each.
    pub fn coming(self) -> impl ExactSizeIterator<Item = (Group<'a>, u32)> {
        let moves = &self.input.moves;
        let groups = between(&moves.coming_end, self.row, &moves.coming_group);
        let counts = between(&moves.coming_end, self.row, &moves.coming_count);
        let columns = &self.input.groups;
        groups.iter().zip(counts).map(|(&row, &count)| {
            let row = row as usize;
            (Group { columns, row }, count)
        })
    }

    /// Pods that move.
    #[must_use]
    pub fn pods(self) -> u32 {
        cell(&self.input.moves.pod_count, self.row)
    }

    /// What it costs to move them.
    #[must_use]
    pub fn cost(self) -> f64 {
        cell(&self.input.moves.cost, self.row)
    }

    /// When the youngest of them was created. `None` if no pod moves.
    #[must_use]
    pub fn youngest_pod(self) -> Option<Time> {
        Time::from_mark(*self.input.moves.youngest_pod_ms.get(self.row)?)
    }

    /// The highest priority of them; 0 if no pod moves.
    #[must_use]
    pub fn highest_priority(self) -> i32 {
        cell(&self.input.moves.highest_priority, self.row)
    }

    /// PodDisruptionBudgets that allow no further disruption after the move.
    #[must_use]
    pub fn exhausted_budgets(self) -> u32 {
        cell(&self.input.moves.exhausted_budgets, self.row)
    }

    /// Price of the nodes that leave, for an hour, if the host knows it.
    #[must_use]
    pub fn price_before(self) -> Option<f64> {
        figure(&self.input.moves.price_before, self.row)
    }

    /// Price of the nodes that come, for an hour, if the host knows it; 0 if none comes.
    #[must_use]
    pub fn price_after(self) -> Option<f64> {
        figure(&self.input.moves.price_after, self.row)
    }
}

/// Returns the entries of a row, given where those of each row end.
fn between<'a>(ends: &[u32], row: usize, entries: &'a [u32]) -> &'a [u32] {
    let end = |row: usize| ends.get(row).map_or(0, |end| *end as usize);
    let start = row.checked_sub(1).map_or(0, end);
    entries.get(start..end(row)).unwrap_or_default()
}

/// Codes of the column `verdict`.
mod wire_verdict {
    pub(super) const NO_OPINION: u32 = 0;
    pub(super) const TAKE: u32 = 1;
    pub(super) const LEAVE: u32 = 2;
}

/// What becomes of a move.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct MoveVerdict {
    verdict: u32,
    score: f64,
    reason: Option<RowReason>,
}

impl MoveVerdict {
    /// The policy has no opinion.
    pub const fn no_opinion() -> Self {
        Self::new(wire_verdict::NO_OPINION)
    }

    /// The move is taken.
    pub const fn take() -> Self {
        Self::new(wire_verdict::TAKE)
    }

    /// The move is left.
    pub const fn leave() -> Self {
        Self::new(wire_verdict::LEAVE)
    }

    const fn new(verdict: u32) -> Self {
        Self {
            verdict,
            score: 0.0,
            reason: None,
        }
    }

    verdict_reason!();

    /// A move with a lower score is tried first. Not a number is no answer.
    pub const fn score(mut self, score: f64) -> Self {
        self.score = score;
        self
    }
}

/// A verdict for each move.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct MoveVerdicts {
    verdict: Vec<u32>,
    reason: Vec<i32>,
    score: Vec<f64>,
    reasons: Reasons,
    state: Option<Result<String, String>>,
    again_after_ms: Option<u64>,
}

impl MoveVerdicts {
    /// Judges each move.
    pub fn each<'a, C, S>(
        input: &'a ScaleDownMoves<C, S>,
        mut judge: impl FnMut(JudgedMove<'a>) -> MoveVerdict,
    ) -> Self {
        let mut all = Self::default();
        for one in input.moves() {
            let one = judge(one);
            all.verdict.push(one.verdict);
            all.reason.push(all.reasons.row(one.reason));
            all.score.push(one.score);
        }
        all
    }

    /// The state handed to the next decision: at most 768 bytes of JSON. Without it the
    /// state stays as it was.
    pub fn with_state<S: Serialize>(mut self, state: &S) -> Self {
        self.state = Some(serde_json::to_string(state).map_err(|error| error.to_string()));
        self
    }

    /// Asks to be asked again after this time, even if nothing changes.
    pub fn again_after(mut self, time: Duration) -> Self {
        self.again_after_ms = u64::try_from(milliseconds(time)).ok();
        self
    }

    read_verdicts!();

    /// Whether the move in that row is taken.
    #[must_use]
    pub fn takes(&self, row: usize) -> bool {
        self.verdict.get(row) == Some(&wire_verdict::TAKE)
    }

    /// The score in that row.
    #[must_use]
    pub fn score(&self, row: usize) -> Option<f64> {
        self.score.get(row).copied()
    }

    /// The new state as JSON. `None` leaves it as it was.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_ref()?.as_deref().ok()
    }

    pub(crate) fn into_wire(self) -> Result<wire::Verdicts, Refusal> {
        let unwritable = |error| Refusal::new("InvalidState", format!("state is no JSON: {error}"));
        Ok(wire::Verdicts {
            verdict: self.verdict,
            reason: self.reason,
            score: self.score,
            reasons: self.reasons.into_wire(),
            state: self.state.transpose().map_err(unwritable)?,
            again_after_ms: self.again_after_ms,
        })
    }
}
