//! Packing where only resources matter.

use smallvec::SmallVec;

use super::ground::{Asking, Ground};
use super::tree::{Tree, times};
use super::{Demand, Order, Packed};
use crate::cluster::{CPU, MEMORY};
use crate::{ClassId, Cluster, NodeId};

/// With more demands than this, pods are tried on the newest node first: nearly all
/// others are full, and to look for a hole among them for every pod takes longest.
/// Still no node is added while another has room.
const MANY: usize = 1000;

/// New nodes as columns.
pub(super) struct Columns<'a> {
    newest_first: bool,
    template: Vec<i64>,
    /// What each demand asks for, at its index.
    asking: &'a [Asking],
}

impl<'a> Columns<'a> {
    /// `free`: what is free on a new node.
    pub(super) fn new(ground: &'a Ground, free: &[i64], order: &[usize]) -> Self {
        Self {
            newest_first: order.len() > MANY,
            template: free.to_vec(),
            asking: &ground.asking,
        }
    }

    pub(super) fn pack(&self, demands: &[Demand], order: &[usize], max_nodes: u32) -> Packed {
        let mut tree = Tree::new(self.template.len());
        let mut placed = vec![0; demands.len()];
        for &row in order {
            let left = self.on_known(&mut tree, row, demands[row].count);
            let left = self.on_new(&mut tree, row, left, max_nodes);
            placed[row] = demands[row].count - left;
        }
        Packed {
            nodes: vec![u32::try_from(tree.len()).unwrap_or(u32::MAX)],
            placed_on_new: placed.clone(),
            placed,
            order: Order::BySize,
        }
    }

    fn on_known(&self, tree: &mut Tree, row: usize, mut left: u32) -> u32 {
        let amounts = &self.asking[row].amounts;
        if self.newest_first
            && let Some(newest) = tree.len().checked_sub(1)
        {
            let count = tree.times(newest, amounts).min(left);
            tree.take(newest, amounts, count.into());
            left -= count;
        }
        let mut from = 0;
        while left > 0
            && let Some(leaf) = tree.first(from, amounts, |_| true)
        {
            let count = tree.times(leaf, amounts).min(left);
            tree.take(leaf, amounts, count.into());
            left -= count;
            from = leaf + 1;
        }
        left
    }

    fn on_new(&self, tree: &mut Tree, row: usize, mut left: u32, max_nodes: u32) -> u32 {
        let amounts = &self.asking[row].amounts;
        let each = times(&self.template, amounts);
        if each == 0 {
            return left;
        }
        let mut full = self.template.clone();
        for &(resource, amount) in amounts {
            full[resource] -= amount * i64::from(each);
        }
        while left > 0 && tree.len() < max_nodes as usize {
            tree.push(&full);
            if left < each {
                let spare = i64::from(each - left);
                tree.take(tree.len() - 1, amounts, -spare);
            }
            left = left.saturating_sub(each);
        }
        left
    }
}

/// What pods ask for, by column; zeros left out.
pub(super) type Asked = SmallVec<[(usize, i64); 4]>;

/// The resources that some pod asks for, as columns: a number the cluster has for
/// each.
#[derive(Default)]
pub(super) struct Names(Vec<usize>);

impl Names {
    /// What a class asks for, by column.
    pub(super) fn amounts(&mut self, cluster: &Cluster, class: ClassId) -> Asked {
        let asked = cluster.asked(class);
        asked
            .map(|(resource, amount)| (self.column(resource), amount))
            .collect()
    }

    fn column(&mut self, resource: usize) -> usize {
        let known = self.0.iter().position(|known| *known == resource);
        known.unwrap_or_else(|| {
            self.0.push(resource);
            self.0.len() - 1
        })
    }

    /// The free amounts on a node, by column.
    pub(super) fn row(&self, cluster: &Cluster, node: NodeId) -> Vec<i64> {
        let mut row = Vec::with_capacity(self.0.len());
        self.extend_row(cluster, node, &mut row);
        row
    }

    /// Appends what is free on a node to a row.
    pub(super) fn extend_row(&self, cluster: &Cluster, node: NodeId, row: &mut Vec<i64>) {
        let resources = self.0.iter();
        row.extend(resources.map(|resource| cluster.free_of(*resource, node)));
    }

    /// Whether a column is cpu or memory.
    pub(super) fn is_basic(&self, column: usize) -> bool {
        [CPU, MEMORY].contains(&self.0[column])
    }

    /// How many columns there are.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
