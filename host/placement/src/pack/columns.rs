//! Packing by resources only.

use smallvec::SmallVec;

use super::context::{PackContext, PodRequirements};
use super::tree::{Amounts, Tree, is_free, times};
use super::{Demand, Order, Packed};
use crate::{ClassId, Cluster, NodeId};

/// Number of demands above which pods are tried on the newest node first: nearly all
/// others are full, and searching them for each pod would take most of the time. A node
/// is still only added if no other has room.
const MANY_DEMANDS: usize = 1000;

/// Packs pods onto new nodes that are columns of free amounts.
pub(super) struct ColumnPacker<'a> {
    newest_first: bool,
    template: Vec<i64>,
    /// Requests and constraints of each demand, at its index.
    requirements: &'a [PodRequirements],
}

impl<'a> ColumnPacker<'a> {
    /// Creates a packer. `free` has the free amounts on a new node.
    pub(super) fn new(context: &'a PackContext<'_>, free: &[i64], order: &[usize]) -> Self {
        Self {
            newest_first: order.len() > MANY_DEMANDS,
            template: free.to_vec(),
            requirements: &context.requirements,
        }
    }

    pub(super) fn pack(&self, demands: &[Demand], order: &[usize], max_nodes: u32) -> Packed {
        let mut open = OpenNodes::new(self.template.len());
        let mut placed = vec![0; demands.len()];
        for &row in order {
            let amounts = &self.requirements[row].amounts;
            let mut left = demands[row].count;
            if self.newest_first {
                left = open.on_newest(amounts, left);
            }
            left = open.on_older(amounts, left);
            left = open.on_newest(amounts, left);
            if left > 0 {
                left = self.on_new(&mut open, amounts, left, max_nodes);
            }
            placed[row] = demands[row].count - left;
        }
        Packed {
            nodes: vec![open.count()],
            placed_on_new: placed.clone(),
            placed,
            order: Order::BySize,
        }
    }

    fn on_new(
        &self,
        open: &mut OpenNodes,
        amounts: &Amounts,
        mut left: u32,
        max_nodes: u32,
    ) -> u32 {
        let each = times(&self.template, amounts);
        if each == 0 {
            return left;
        }
        let max_full = max_nodes.saturating_sub(open.count());
        let full_nodes = (left / each).min(max_full);
        if full_nodes > 0 {
            let mut full = self.template.clone();
            for &(resource, amount) in amounts {
                full[resource] -= amount * i64::from(each);
            }
            open.add(&full, full_nodes);
            left -= full_nodes * each;
        }
        if left > 0 && open.count() < max_nodes {
            open.add(&self.template, 1);
            left = open.on_newest(amounts, left);
        }
        left
    }
}

/// Nodes added so far.
struct OpenNodes {
    /// Free amounts on all nodes except the newest.
    older: Tree,
    /// Free amounts on the newest node, which is not in the tree because it changes
    /// most.
    newest: Option<Vec<i64>>,
}

impl OpenNodes {
    fn new(resources: usize) -> Self {
        Self {
            older: Tree::new(resources),
            newest: None,
        }
    }

    fn count(&self) -> u32 {
        let count = self.older.len() + usize::from(self.newest.is_some());
        u32::try_from(count).unwrap_or(u32::MAX)
    }

    /// Adds at least one node. All that are added have the same free amounts.
    fn add(&mut self, free: &[i64], count: u32) {
        match &mut self.newest {
            Some(newest) => {
                self.older.push(newest);
                newest.copy_from_slice(free);
            }
            None => self.newest = Some(free.to_vec()),
        }
        self.older.push_times(free, count as usize - 1);
    }

    /// Places pods on the newest node. Returns how many did not fit.
    fn on_newest(&mut self, amounts: &Amounts, left: u32) -> u32 {
        let Some(newest) = self.newest.as_mut().filter(|_| left > 0) else {
            return left;
        };
        let count = match left {
            1 => u32::from(is_free(newest, amounts)),
            _ => times(newest, amounts).min(left),
        };
        for &(resource, amount) in amounts {
            newest[resource] -= amount * i64::from(count);
        }
        left - count
    }

    /// Places pods on the first other nodes with room. Returns how many did not fit.
    fn on_older(&mut self, amounts: &Amounts, mut left: u32) -> u32 {
        let mut from = 0;
        while left > 0
            && let Some(leaf) = self.older.first(from, amounts, |_| true)
        {
            let count = self.older.times(leaf, amounts).min(left);
            self.older.take(leaf, amounts, count.into());
            left -= count;
            from = leaf + 1;
        }
        left
    }
}

/// Requests of a pod, by column, without zeros.
pub(super) type RequestAmounts = SmallVec<[(usize, i64); 4]>;

/// The resources that some pod requests. Each column holds the cluster's column of the
/// resource.
#[derive(Default)]
pub(super) struct ResourceColumns(Vec<usize>);

impl ResourceColumns {
    /// Returns the requests of a class. Adds columns for new resources.
    pub(super) fn amounts(&mut self, cluster: &Cluster, class: ClassId) -> RequestAmounts {
        let mut amounts = RequestAmounts::new();
        for (resource, amount) in cluster.asked(class) {
            amounts.push((self.column(resource), amount));
        }
        amounts
    }

    fn column(&mut self, resource: usize) -> usize {
        let known = self.0.iter().position(|known| *known == resource);
        known.unwrap_or_else(|| {
            self.0.push(resource);
            self.0.len() - 1
        })
    }

    /// Returns the free amounts on a node, by column.
    pub(super) fn row(&self, cluster: &Cluster, node: NodeId) -> Vec<i64> {
        let mut row = Vec::with_capacity(self.0.len());
        self.extend_row(cluster, node, &mut row);
        row
    }

    /// Appends the free amounts on a node to a row.
    pub(super) fn extend_row(&self, cluster: &Cluster, node: NodeId, row: &mut Vec<i64>) {
        let resources = self.0.iter();
        row.extend(resources.map(|resource| cluster.free_of(*resource, node)));
    }

    /// Number of columns.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }
}
