//! Nodes to judge.

use super::check::check_rows;
use super::tables::{GroupSpec, ScaleDownNodeSpec, granted, groups, nodes};
use crate::bindings::scale_down_nodes::exports::flyball::policy::scale_down_nodes as wire;
use crate::given::Given;
use crate::scale_down_nodes::{NodeVerdicts, ScaleDownNodes};
use crate::time::Time;

/// Puts a [`ScaleDownNodes`] together.
#[derive(Clone, Debug)]
#[must_use]
pub struct ScaleDownNodesBuilder<C, S> {
    given: Given<C, S>,
    groups: Vec<GroupSpec>,
    nodes: Vec<ScaleDownNodeSpec>,
}

impl<C: Default, S: Default> ScaleDownNodes<C, S> {
    /// Starts an input for a native test: no node.
    pub fn build() -> ScaleDownNodesBuilder<C, S> {
        ScaleDownNodesBuilder {
            given: Given::default(),
            groups: Vec::new(),
            nodes: Vec::new(),
        }
    }
}

impl<C, S> ScaleDownNodesBuilder<C, S> {
    /// The configuration.
    pub fn config(mut self, config: C) -> Self {
        self.given.config = config;
        self
    }

    /// When the decision is made.
    pub fn at(mut self, now: Time) -> Self {
        self.given.now = now;
        self
    }

    /// A group.
    pub fn group(mut self, group: GroupSpec) -> Self {
        self.groups.push(group);
        self
    }

    /// A node, in the next row.
    pub fn node(mut self, node: ScaleDownNodeSpec) -> Self {
        self.nodes.push(node);
        self
    }

    /// The input.
    #[must_use]
    pub fn done(mut self) -> ScaleDownNodes<C, S> {
        let rows = self.nodes.iter().map(|node| node.granted.as_slice());
        self.given.granted = granted(&[rows.collect()]);
        ScaleDownNodes {
            input: wire::Input {
                groups: groups(&self.groups),
                nodes: nodes(&self.groups, &self.nodes),
            },
            given: self.given,
        }
    }
}

impl<C: Clone, S: Clone> ScaleDownNodesBuilder<C, S> {
    /// Checks that rows are independent: each node has the same verdict alone, in parts
    /// and in another order.
    ///
    /// # Panics
    /// With the row and its two verdicts, if they differ.
    pub fn check_rows(&self, judge: impl Fn(&ScaleDownNodes<C, S>) -> NodeVerdicts) {
        check_rows(self.nodes.len(), |rows| {
            let nodes = rows.iter().map(|&row| self.nodes[row].clone());
            let part = Self {
                nodes: nodes.collect(),
                ..self.clone()
            };
            let verdicts = judge(&part.done());
            (0..rows.len()).map(|row| verdicts.row(row)).collect()
        });
    }
}
