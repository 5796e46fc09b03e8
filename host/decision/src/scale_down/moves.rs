//! Which moves are worth their price?

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{GroupColumns, NodeColumns};
use crate::context::Reason;

/// Codes of [`MoveVerdicts::verdict`].
pub mod move_verdict {
    /// The policy has no opinion.
    pub const NO_OPINION: u32 = 0;
    /// The move is taken.
    pub const TAKE: u32 = 1;
    /// The move is left.
    pub const LEAVE: u32 = 2;
}

/// Moves that the host has simulated, a row each: nodes that leave, and nodes that come in
/// their place, if any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MoveColumns {
    /// End of the move's entries in `leaving_node`. They begin where those of the move
    /// before end.
    pub leaving_end: Vec<u32>,
    /// Rows of the nodes that leave, at least one for each move.
    pub leaving_node: Vec<u32>,
    /// End of the move's entries in `coming_group` and `coming_count`. A plain removal has
    /// none.
    pub coming_end: Vec<u32>,
    /// Rows of the groups whose nodes come.
    pub coming_group: Vec<u32>,
    /// Nodes that come of each.
    pub coming_count: Vec<u32>,
    /// Pods that move.
    pub pod_count: Vec<u32>,
    /// Cost of moving them: the sum of what the policies said about each.
    pub cost: Vec<f64>,
    /// When the youngest of these pods was created, in milliseconds since the Unix epoch,
    /// or -1 if there is none.
    pub youngest_pod_ms: Vec<i64>,
    /// Highest priority of these pods; 0 if there is none.
    pub highest_priority: Vec<i32>,
    /// PodDisruptionBudgets that allow no further disruption after the move.
    pub exhausted_budgets: Vec<u32>,
    /// Price of the nodes that leave, for an hour. `None` if one is not known.
    pub price_before: Vec<Option<f64>>,
    /// Price of the nodes that come, for an hour: 0 of a plain removal. `None` if one is
    /// not known.
    pub price_after: Vec<Option<f64>>,
}

count_rows!(MoveColumns by leaving_end);

impl MoveColumns {
    /// Returns the rows of the nodes that leave in a move.
    #[must_use]
    pub fn leaving(&self, row: usize) -> &[u32] {
        between(&self.leaving_end, row, &self.leaving_node)
    }

    /// Returns the rows of the groups whose nodes come in a move, and how many of each.
    pub fn coming(&self, row: usize) -> impl Iterator<Item = (u32, u32)> {
        let groups = between(&self.coming_end, row, &self.coming_group);
        let counts = between(&self.coming_end, row, &self.coming_count);
        groups.iter().copied().zip(counts.iter().copied())
    }
}

/// Returns the entries of a row, given where those of each row end.
fn between<'a>(ends: &[u32], row: usize, entries: &'a [u32]) -> &'a [u32] {
    let end = |row: usize| ends.get(row).map_or(0, |end| *end as usize);
    let start = row.checked_sub(1).map_or(0, end);
    entries.get(start..end(row)).unwrap_or_default()
}

/// Input of `scale-down-moves`, other than its [`crate::context::Context`]: at most
/// [`MAX_MOVES`](super::MAX_MOVES) moves.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ScaleDownMovesInput {
    /// The groups of the nodes that leave and come.
    pub groups: Arc<GroupColumns>,
    /// The nodes that leave.
    pub nodes: Arc<NodeColumns>,
    /// The moves to judge.
    pub moves: Arc<MoveColumns>,
}

/// Verdicts about moves as they came out of the sandbox, which is input from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MoveVerdicts {
    /// For each move: a code of [`move_verdict`]. A code that the host does not know counts
    /// as the strictest, [`LEAVE`](move_verdict::LEAVE).
    pub verdict: Vec<u32>,
    /// For each move: a row of `reasons`, or -1 for none. Empty if none has a reason.
    pub reason: Vec<i32>,
    /// For each move: a score; a move with a lower one is tried first, and equal ones keep
    /// the host's order. Empty: 0 for each.
    pub score: Vec<f64>,
    /// The reasons that rows name, at most [`MAX_REASONS`](super::MAX_REASONS).
    pub reasons: Vec<Reason>,
    /// New state. `None` leaves it as it was.
    pub state: Option<String>,
    /// When to ask again, in milliseconds from now.
    pub again_after_ms: Option<u64>,
}
