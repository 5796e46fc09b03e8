//! Sets of nodes, searched for the first that fits a pod.

use super::tree::{Amounts, Tree};
use crate::NodeId;

/// A sequence of nodes and their free resources.
#[derive(Clone)]
pub(super) struct NodeSet {
    pub(super) nodes: Vec<NodeId>,
    tree: Tree,
    /// Sum of the free amounts on all of them, by column.
    free: Vec<i64>,
    /// Index at which [`Self::next`] continues.
    turn: usize,
}

impl NodeSet {
    /// Creates a set. `free` has the free amounts of each node, `width` columns per
    /// node.
    pub(super) fn new(nodes: Vec<NodeId>, width: usize, free: &[i64]) -> Self {
        let mut sums = vec![0_i64; width];
        for row in free.chunks_exact(width.max(1)) {
            for (sum, free) in sums.iter_mut().zip(row) {
                *sum = sum.saturating_add((*free).max(0));
            }
        }
        Self {
            tree: Tree::of(nodes.len(), width, free),
            nodes,
            free: sums,
            turn: 0,
        }
    }

    /// Adds a node at the end.
    pub(super) fn push(&mut self, node: NodeId, free: &[i64]) {
        self.nodes.push(node);
        self.tree.push(free);
        for (sum, free) in self.free.iter_mut().zip(free) {
            *sum = sum.saturating_add((*free).max(0));
        }
    }

    /// Removes the last node. `free` are its free amounts.
    pub(super) fn pop(&mut self, free: &[i64]) -> Option<NodeId> {
        self.tree.pop();
        for (sum, free) in self.free.iter_mut().zip(free) {
            *sum = sum.saturating_sub((*free).max(0));
        }
        self.nodes.pop()
    }

    /// Subtracts amounts from a node's free resources.
    pub(super) fn take(&mut self, at: usize, amounts: &Amounts) {
        self.tree.take(at, amounts, 1);
        for &(column, amount) in amounts {
            self.free[column] -= amount;
        }
    }

    /// Returns the index of the first node from `from` on that has room and `fits`.
    /// Sets `from` to the first index that may still fit. Calls `visit` for each look at a
    /// tree node.
    pub(super) fn first(
        &self,
        amounts: &Amounts,
        from: &mut usize,
        fits: impl Fn(NodeId) -> bool,
        visit: impl Fn(),
    ) -> Option<usize> {
        let fits = |at: usize| fits(self.nodes[at]);
        let found = self.tree.first_with_visits(*from, amounts, fits, visit);
        *from = found.unwrap_or(self.nodes.len());
        found
    }

    /// Like [`Self::first`], but starts after the node that was found last, so that
    /// pods are distributed over the nodes.
    pub(super) fn next(
        &mut self,
        amounts: &Amounts,
        from: &mut usize,
        fits: impl Fn(NodeId) -> bool,
        visit: impl Fn(),
    ) -> Option<usize> {
        let start = self.turn.max(*from);
        let find = |from| {
            let fits = |at: usize| fits(self.nodes[at]);
            self.tree.first_with_visits(from, amounts, fits, &visit)
        };
        let mut found = find(start);
        if found.is_none() && start > *from {
            found = find(*from);
        }
        match found {
            Some(at) => self.turn = at + 1,
            None => *from = self.nodes.len(),
        }
        found
    }

    /// Returns how many pods of these amounts would fit if the nodes were one node.
    pub(super) fn times(&self, amounts: &Amounts) -> u64 {
        let asked = amounts.iter().filter(|(_, amount)| *amount > 0);
        let times = asked.map(|&(column, amount)| self.free[column].max(0) / amount);
        u64::try_from(times.min().unwrap_or_default()).unwrap_or_default()
    }
}
