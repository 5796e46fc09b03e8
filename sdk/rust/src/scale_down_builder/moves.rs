//! Moves to judge.

use super::tables::{GroupSpec, ScaleDownNodeSpec, granted, groups, nodes};
use crate::bindings::scale_down_moves::exports::flyball::policy::scale_down_moves as wire;
use crate::given::{Given, build_given};
use crate::scale_down_moves::ScaleDownMoves;
use crate::time::Time;

/// Puts a [`ScaleDownMoves`] together. Groups come first, then nodes: moves name them by
/// row.
#[derive(Clone, Debug)]
#[must_use]
pub struct ScaleDownMovesBuilder<C, S>(Parts<C, S>);

#[derive(Clone, Debug)]
struct Parts<C, S> {
    given: Given<C, S>,
    groups: Vec<GroupSpec>,
    nodes: Vec<ScaleDownNodeSpec>,
    moves: Vec<MoveSpec>,
}

impl<C: Default, S: Default> ScaleDownMoves<C, S> {
    /// Starts an input for a native test: no move.
    pub fn build() -> ScaleDownMovesBuilder<C, S> {
        ScaleDownMovesBuilder(Parts {
            given: Given::default(),
            groups: Vec::new(),
            nodes: Vec::new(),
            moves: Vec::new(),
        })
    }
}

/// A move for a builder.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct MoveSpec {
    leaving: Vec<u32>,
    coming: Vec<(u32, u32)>,
    pods: u32,
    cost: f64,
    youngest_pod: Option<Time>,
    highest_priority: i32,
    exhausted_budgets: u32,
    price_before: Option<f64>,
    price_after: Option<f64>,
}

impl MoveSpec {
    /// The nodes in these rows leave, and none comes.
    pub fn removal(leaving: &[u32]) -> Self {
        Self {
            leaving: leaving.to_vec(),
            coming: Vec::new(),
            pods: 0,
            cost: 0.0,
            youngest_pod: None,
            highest_priority: 0,
            exhausted_budgets: 0,
            price_before: None,
            price_after: Some(0.0),
        }
    }

    /// Nodes of the groups in these rows come: so many of each.
    pub fn coming(mut self, groups: &[(u32, u32)]) -> Self {
        self.coming = groups.to_vec();
        self.price_after = None;
        self
    }

    /// Pods that move, what that costs, when the youngest of them was created and their
    /// highest priority.
    pub const fn pods(mut self, count: u32, cost: f64, youngest: Time, priority: i32) -> Self {
        (self.pods, self.cost) = (count, cost);
        (self.youngest_pod, self.highest_priority) = (Some(youngest), priority);
        self
    }

    /// Budgets that allow no further disruption after the move.
    pub const fn exhausted_budgets(mut self, count: u32) -> Self {
        self.exhausted_budgets = count;
        self
    }

    /// Prices for an hour, of the nodes that leave and of those that come.
    pub const fn prices(mut self, before: Option<f64>, after: Option<f64>) -> Self {
        (self.price_before, self.price_after) = (before, after);
        self
    }
}

impl<C, S> Parts<C, S> {
    fn columns(&self) -> wire::Moves {
        let mut columns = wire::Moves {
            leaving_end: Vec::new(),
            leaving_node: Vec::new(),
            coming_end: Vec::new(),
            coming_group: Vec::new(),
            coming_count: Vec::new(),
            pod_count: Vec::new(),
            cost: Vec::new(),
            youngest_pod_ms: Vec::new(),
            highest_priority: Vec::new(),
            exhausted_budgets: Vec::new(),
            price_before: Vec::new(),
            price_after: Vec::new(),
        };
        let end = |entries: usize| u32::try_from(entries).unwrap_or(u32::MAX);
        for spec in &self.moves {
            columns.leaving_node.extend(&spec.leaving);
            columns.leaving_end.push(end(columns.leaving_node.len()));
            for &(group, count) in &spec.coming {
                columns.coming_group.push(group);
                columns.coming_count.push(count);
            }
            columns.coming_end.push(end(columns.coming_group.len()));
            columns.pod_count.push(spec.pods);
            columns.cost.push(spec.cost);
            columns.youngest_pod_ms.push(Time::mark(spec.youngest_pod));
            columns.highest_priority.push(spec.highest_priority);
            columns.exhausted_budgets.push(spec.exhausted_budgets);
            columns
                .price_before
                .push(spec.price_before.unwrap_or(f64::NAN));
            columns
                .price_after
                .push(spec.price_after.unwrap_or(f64::NAN));
        }
        columns
    }
}

impl<C, S> ScaleDownMovesBuilder<C, S> {
    build_given!();

    /// A group, in the next row.
    pub fn group(mut self, group: GroupSpec) -> Self {
        self.0.groups.push(group);
        self
    }

    /// A node, in the next row.
    pub fn node(mut self, node: ScaleDownNodeSpec) -> Self {
        self.0.nodes.push(node);
        self
    }

    /// A move, in the next row.
    pub fn r#move(mut self, one: MoveSpec) -> Self {
        self.0.moves.push(one);
        self
    }

    /// The input.
    #[must_use]
    pub fn done(self) -> ScaleDownMoves<C, S> {
        let Self(mut parts) = self;
        let rows = parts.nodes.iter().map(|node| node.granted.as_slice());
        parts.given.granted = granted(&[rows.collect()]);
        ScaleDownMoves {
            input: wire::Input {
                groups: groups(&parts.groups),
                nodes: nodes(&parts.groups, &parts.nodes),
                moves: parts.columns(),
            },
            given: parts.given,
        }
    }
}
