//! Packing on simulated nodes, every filter asked for every pod.

use std::sync::Arc;

use super::columns::Names;
use super::tree::{Amounts, Tree};
use super::{Demand, Packed, Template};
use crate::cluster::{Bonds, HOSTNAME, HostKey};
use crate::{ClassId, Cluster, Misfit, Node, NodeId, Plugin};

/// New nodes of a template in a cluster.
pub(super) struct Simulation<'a> {
    cluster: &'a mut Cluster,
    template: &'a Template,
    max_nodes: u32,
    first: NodeId,
    /// What is free on it.
    row: Vec<i64>,
    /// The new nodes, and whether each holds a pod.
    nodes: Vec<(NodeId, bool)>,
    /// What is free on them.
    tree: Tree,
    /// Where the search for pods that are bound to others goes on.
    cursor: usize,
    host: Option<HostKey>,
}

/// Alike pods, and what the packer needs to know of them.
struct Batch<'a> {
    class: ClassId,
    bonds: Bonds,
    amounts: &'a Amounts,
}

/// Why no more pods of a class are placed.
enum End {
    /// The class is done, or fits no further node.
    Class,
    /// There may be no further node.
    Limit,
}

impl<'a> Simulation<'a> {
    /// `first`: a new node, empty but for what each one carries.
    pub(super) fn new(
        cluster: &'a mut Cluster,
        template: &'a Template,
        first: NodeId,
        max_nodes: u32,
    ) -> Self {
        Self {
            host: cluster.host_key(),
            cluster,
            template,
            max_nodes,
            first,
            row: Vec::new(),
            nodes: Vec::new(),
            tree: Tree::new(0),
            cursor: 0,
        }
    }

    pub(super) fn pack(&mut self, demands: &[Demand], order: &[usize]) -> Packed {
        let mut names = Names::default();
        let amounts: Vec<_> = demands
            .iter()
            .map(|demand| names.amounts(self.cluster, demand.class))
            .collect();
        self.row = names.row(self.cluster, self.first);
        self.tree = Tree::new(self.row.len());
        let mut placed = vec![0; demands.len()];
        // The first node counts from when it is needed on.
        self.cluster.remove_node(self.first);
        let mut open = true;
        for &row in order {
            let Demand { class, count } = demands[row];
            let batch = Batch {
                class,
                bonds: self.cluster.bonds(class),
                amounts: &amounts[row],
            };
            let mut left = self.on_known(&batch, count);
            if open && left > 0 {
                open = matches!(self.on_new(&batch, &mut left), End::Class);
            }
            placed[row] = count - left;
        }
        let nodes = self.nodes.iter().filter(|(_, used)| *used).count();
        Packed {
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
            placed,
            lonely_first: false,
        }
    }

    /// Takes new nodes without a pod out again: the others.
    pub(super) fn keep_used(&mut self) -> Vec<NodeId> {
        let (used, empty): (Vec<_>, Vec<_>) = self.nodes.iter().partition(|(_, used)| *used);
        for (node, _) in empty {
            self.cluster.remove_node(node);
        }
        used.into_iter().map(|(node, _)| node).collect()
    }

    /// Places pods on the new nodes that there are: how many are left over.
    fn on_known(&mut self, batch: &Batch<'_>, mut left: u32) -> u32 {
        if batch.bonds.affinity || batch.bonds.spread {
            while left > 0 && self.on_next(batch, None) {
                left -= 1;
            }
            return left;
        }
        let mut from = 0;
        while left > 0
            && let Some(at) = self.first_fit(batch, from, None)
        {
            self.place(batch, at);
            left -= 1;
            from = at;
        }
        left
    }

    /// The first of the new nodes that fits, from one on.
    fn first_fit(&self, batch: &Batch<'_>, from: usize, but: Option<usize>) -> Option<usize> {
        let fits = |at| Some(at) != but && self.cluster.fits(batch.class, self.nodes[at].0);
        self.tree.first(from, batch.amounts, fits)
    }

    /// Places a pod on the next node that fits, after the one that was last.
    fn on_next(&mut self, batch: &Batch<'_>, but: Option<usize>) -> bool {
        if self.is_shut(batch) {
            return false;
        }
        let found = self.first_fit(batch, self.cursor, but);
        let Some(at) = found.or_else(|| self.first_fit(batch, 0, but)) else {
            return false;
        };
        self.cursor = (at + 1) % self.nodes.len();
        self.place(batch, at);
        true
    }

    /// Whether none of the new nodes will do because of where they all are.
    fn is_shut(&self, batch: &Batch<'_>) -> bool {
        let Bonds {
            affinity,
            anti_affinity,
            spread,
            ..
        } = batch.bonds;
        let node = self.nodes.last();
        (affinity || anti_affinity || spread)
            && node.is_some_and(|(node, _)| self.cluster.is_shut(batch.class, *node, self.host))
    }

    /// Places pods on the last node, and on further ones.
    fn on_new(&mut self, batch: &Batch<'_>, left: &mut u32) -> End {
        while *left > 0 {
            if let Some(last) = self.nodes.len().checked_sub(1) {
                let (node, used) = self.nodes[last];
                if self.on_last(batch, node, last) {
                    *left -= 1;
                    continue;
                }
                if !used || self.is_shut(batch) {
                    return End::Class;
                }
            }
            if self.nodes.len() >= self.max_nodes as usize {
                return End::Limit;
            }
            let node = add_node(self.cluster, self.template);
            self.nodes.push((node, false));
            self.tree.push(&self.row);
            if !self.cluster.fits(batch.class, node) {
                return End::Class;
            }
            self.place(batch, self.nodes.len() - 1);
            *left -= 1;
        }
        End::Class
    }

    /// Places a pod on the last node; one that spreads over hosts and can't go
    /// there because of it, on another.
    fn on_last(&mut self, batch: &Batch<'_>, node: NodeId, last: usize) -> bool {
        match self.cluster.check(batch.class, node) {
            Ok(()) => {
                self.place(batch, last);
                true
            }
            Err(Misfit::Rejected {
                plugin: Plugin::PodTopologySpread,
                ..
            }) if batch.bonds.spread_over_hosts => self.on_next(batch, Some(last)),
            Err(_) => false,
        }
    }

    fn place(&mut self, batch: &Batch<'_>, at: usize) {
        let (node, used) = &mut self.nodes[at];
        self.cluster.place(batch.class, *node, false);
        self.tree.take(at, batch.amounts, 1);
        *used = true;
    }
}

/// A new node of a template. Names recur from one simulation to the next: the cluster
/// remembers all it has ever seen.
pub(super) fn add_node(cluster: &mut Cluster, template: &Template) -> NodeId {
    let name = loop {
        let name = format!("{}-{}", template.node.name, cluster.next_number());
        if cluster.find_node(&name).is_none() {
            break name;
        }
    };
    let mut node = Node::clone(&template.node);
    node.name = name.into();
    node.labels.set(HOSTNAME.into(), Arc::clone(&node.name));
    let id = cluster.add_node(node);
    for &class in &template.carried {
        cluster.place(class, id, false);
    }
    id
}
