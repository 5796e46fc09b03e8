//! Which nodes may leave?

use std::time::Duration;

use crate::bindings::scale_down_nodes::exports::flyball::policy::scale_down_nodes as wire;
use crate::given::{Given, NoConfig, NoState, show_given};
use crate::rows::NO_ROW;
use crate::scale_down_group::{Group, JudgedNode};
use crate::time::milliseconds;
use crate::verdicts::{Reasons, RowReason, read_verdicts, verdict_reason, verdict_until};

/// Which nodes may leave? A verdict depends on its node, on the node's group, on the
/// configuration and the wanted inputs, and on the time only as it says itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleDownNodes<C = NoConfig, S = NoState> {
    pub(crate) input: wire::Input,
    pub(crate) given: Given<C, S>,
}

impl<C, S> ScaleDownNodes<C, S> {
    show_given!();

    /// The nodes to judge, a row each.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = JudgedNode<'_>> + Clone {
        let wire::Input { groups, nodes } = &self.input;
        (0..nodes.group.len()).map(move |row| JudgedNode {
            groups,
            columns: nodes,
            row,
        })
    }

    /// The groups of the nodes.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = Group<'_>> + Clone {
        let columns = &self.input.groups;
        (0..columns.name.len()).map(move |row| Group { columns, row })
    }

    /// The input as the contract has it, columns and all.
    #[must_use]
    pub const fn columns(&self) -> &wire::Input {
        &self.input
    }
}

/// What becomes of a node.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct NodeVerdict {
    verdict: u32,
    score: f64,
    unneeded_ms: i64,
    until_ms: i64,
    reason: Option<RowReason>,
}

impl NodeVerdict {
    /// The policy has no opinion.
    pub const fn no_opinion() -> Self {
        Self::new(wire_verdict::NO_OPINION)
    }

    /// The node may leave.
    pub const fn may_go() -> Self {
        Self::new(wire_verdict::MAY_GO)
    }

    /// The node must stay.
    pub const fn must_stay() -> Self {
        Self::new(wire_verdict::MUST_STAY)
    }

    const fn new(verdict: u32) -> Self {
        Self {
            verdict,
            score: 0.0,
            unneeded_ms: NO_ROW as i64,
            until_ms: NO_ROW as i64,
            reason: None,
        }
    }

    verdict_reason!();
    verdict_until!();

    /// A node with a lower score leaves first. Not a number is no answer.
    pub const fn score(mut self, score: f64) -> Self {
        self.score = score;
        self
    }

    /// How long the node must have been unneeded. The host's own time counts if it is
    /// longer.
    pub fn unneeded_for(mut self, time: Duration) -> Self {
        self.unneeded_ms = milliseconds(time);
        self
    }
}

/// Codes of the column `verdict`.
mod wire_verdict {
    pub(super) const NO_OPINION: u32 = 0;
    pub(super) const MAY_GO: u32 = 1;
    pub(super) const MUST_STAY: u32 = 2;
}

/// A verdict for each node.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct NodeVerdicts {
    verdict: Vec<u32>,
    reason: Vec<i32>,
    score: Vec<f64>,
    unneeded_ms: Vec<i64>,
    until_ms: Vec<i64>,
    reasons: Reasons,
}

impl NodeVerdicts {
    /// Judges each node.
    pub fn each<'a, C, S>(
        input: &'a ScaleDownNodes<C, S>,
        mut judge: impl FnMut(JudgedNode<'a>) -> NodeVerdict,
    ) -> Self {
        let mut all = Self::default();
        for node in input.nodes() {
            let one = judge(node);
            all.verdict.push(one.verdict);
            all.reason.push(all.reasons.row(one.reason));
            all.score.push(one.score);
            all.unneeded_ms.push(one.unneeded_ms);
            all.until_ms.push(one.until_ms);
        }
        all
    }

    read_verdicts!();

    /// Whether the node in that row may leave.
    #[must_use]
    pub fn may_go(&self, row: usize) -> bool {
        self.verdict.get(row) == Some(&wire_verdict::MAY_GO)
    }

    /// Whether the node in that row must stay.
    #[must_use]
    pub fn must_stay(&self, row: usize) -> bool {
        self.verdict.get(row) == Some(&wire_verdict::MUST_STAY)
    }

    /// The score in that row.
    #[must_use]
    pub fn score(&self, row: usize) -> Option<f64> {
        self.score.get(row).copied()
    }

    /// All of one row, for comparison.
    pub(crate) fn row(&self, row: usize) -> String {
        format!(
            "verdict {:?}, code {:?}, score {:?}, unneeded {:?} ms, until {:?}",
            self.verdict.get(row),
            self.code(row),
            self.score.get(row),
            self.unneeded_ms.get(row),
            self.until_ms.get(row)
        )
    }

    pub(crate) fn into_wire(self) -> wire::Verdicts {
        wire::Verdicts {
            verdict: self.verdict,
            reason: self.reason,
            score: self.score,
            unneeded_ms: self.unneeded_ms,
            until_ms: self.until_ms,
            reasons: self.reasons.into_wire(),
        }
    }
}
