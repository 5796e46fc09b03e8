//! Packing where only resources matter.

use super::tree::{Tree, times};
use super::{Demand, Packed};
use crate::{ClassId, Cluster, Name, NodeId, Resources};

/// With more demands than this, pods are tried on the newest node first: nearly all
/// others are full, and to look for a hole among them for every pod takes longest.
/// Still no node is added while another has room.
const MANY: usize = 1000;

/// New nodes as columns.
pub(super) struct Columns {
    newest_first: bool,
    template: Vec<i64>,
    /// What each demand asks for, at its index; empty where it is not in the order.
    amounts: Vec<Vec<(usize, i64)>>,
}

impl Columns {
    /// The columns that the demands of the order ask for, of a first new node.
    pub(super) fn new(
        cluster: &Cluster,
        first: &NodeId,
        demands: &[Demand],
        order: &[usize],
    ) -> Self {
        let mut names = Names::default();
        let mut amounts = vec![Vec::new(); demands.len()];
        for &row in order {
            amounts[row] = names.amounts(cluster, demands[row].class);
        }
        Self {
            newest_first: order.len() > MANY,
            template: names.row(&cluster.free(*first)),
            amounts,
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
            nodes: u32::try_from(tree.len()).unwrap_or(u32::MAX),
            placed,
        }
    }

    fn on_known(&self, tree: &mut Tree, row: usize, mut left: u32) -> u32 {
        let amounts = &self.amounts[row];
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
        let amounts = &self.amounts[row];
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

/// Resources in the order of the columns; pods are the first.
#[derive(Default)]
pub(super) struct Names(Vec<Name>);

impl Names {
    /// What a class asks for, by column.
    pub(super) fn amounts(&mut self, cluster: &Cluster, class: ClassId) -> Vec<(usize, i64)> {
        let requests = cluster.requests(class);
        let mut amounts = vec![(self.column("pods"), 1)];
        let known = [
            ("cpu", requests.cpu),
            ("memory", requests.memory),
            ("ephemeral-storage", requests.ephemeral_storage),
        ];
        let extended = requests.extended.iter();
        let extended = extended.map(|(name, amount)| (&**name, *amount));
        for (name, amount) in known.into_iter().chain(extended) {
            if amount != 0 {
                amounts.push((self.column(name), amount));
            }
        }
        amounts
    }

    fn column(&mut self, name: &str) -> usize {
        let known = self.0.iter().position(|known| &**known == name);
        known.unwrap_or_else(|| {
            self.0.push(name.into());
            self.0.len() - 1
        })
    }

    /// Amounts of resources, by column.
    pub(super) fn row(&self, resources: &Resources) -> Vec<i64> {
        self.0.iter().map(|name| resources.get(name)).collect()
    }
}

/// Places pods on nodes that are there.
pub(super) fn fill(cluster: &mut Cluster, nodes: &[NodeId], demands: &[Demand]) -> Vec<u32> {
    let mut names = Names::default();
    let amounts: Vec<_> = demands
        .iter()
        .map(|demand| names.amounts(cluster, demand.class))
        .collect();
    let mut tree = Tree::new(names.0.len().max(1));
    for &node in nodes {
        let mut row = names.row(&cluster.free(node));
        row.resize(names.0.len().max(1), 0);
        tree.push(&row);
    }
    let mut placed = vec![0; demands.len()];
    for (row, demand) in demands.iter().enumerate() {
        let bonds = cluster.bonds(demand.class);
        let mut from = 0;
        while placed[row] < demand.count {
            let fits = |leaf: usize| cluster.fits(demand.class, nodes[leaf]);
            let Some(leaf) = tree.first(from, &amounts[row], fits) else {
                break;
            };
            cluster.place(demand.class, nodes[leaf], false);
            tree.take(leaf, &amounts[row], 1);
            placed[row] += 1;
            // What one pod means for the next: other nodes may take it now.
            from = if bonds.affinity || bonds.spread {
                0
            } else {
                leaf
            };
        }
    }
    placed
}
