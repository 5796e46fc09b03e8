//! Packing on simulated nodes, every filter asked for every pod.

use std::sync::Arc;

use super::{Demand, Packed, Template};
use crate::cluster::Bonds;
use crate::{ClassId, Cluster, Misfit, Node, NodeId, Plugin};

/// Label that has the node's name.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// New nodes of a template in a cluster.
pub(super) struct Simulation<'a> {
    pub(super) cluster: &'a mut Cluster,
    template: &'a Template,
    max_nodes: u32,
    /// A new node, empty but for what each one carries.
    pub(super) first: NodeId,
    /// The new nodes, and whether each holds a pod.
    nodes: Vec<(NodeId, bool)>,
    /// Where the search for pods that are bound to others goes on.
    cursor: usize,
}

/// Why no more pods of a class are placed.
enum End {
    /// The class is done, or fits no further node.
    Class,
    /// There may be no further node.
    Limit,
}

impl<'a> Simulation<'a> {
    pub(super) fn new(cluster: &'a mut Cluster, template: &'a Template, max_nodes: u32) -> Self {
        let first = add_node(cluster, template);
        Self {
            cluster,
            template,
            max_nodes,
            first,
            nodes: Vec::new(),
            cursor: 0,
        }
    }

    /// Rows of the demands that may fit a new node, those that ask for the largest
    /// part of it first.
    pub(super) fn order(&self, demands: &[Demand]) -> Vec<usize> {
        let allocatable = &self.template.node.allocatable;
        let part = |of: i64, whole: i64| {
            if whole > 0 {
                of as f64 / whole as f64
            } else {
                0.0
            }
        };
        let mut order: Vec<(usize, f64)> = Vec::with_capacity(demands.len());
        for (row, demand) in demands.iter().enumerate() {
            if demand.count > 0 && self.may_fit(demand.class) {
                let requests = self.cluster.requests(demand.class);
                let score =
                    part(requests.cpu, allocatable.cpu) + part(requests.memory, allocatable.memory);
                order.push((row, score));
            }
        }
        order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
        order.into_iter().map(|(row, _)| row).collect()
    }

    /// Whether a class fits a new node, or may once other pods are there.
    fn may_fit(&self, class: ClassId) -> bool {
        match self.cluster.check(class, self.first) {
            Ok(()) => true,
            Err(Misfit::Unjudged(_)) => false,
            Err(Misfit::Rejected { plugin, .. }) => {
                let bonds = self.cluster.bonds(class);
                match plugin {
                    Plugin::InterPodAffinity => bonds.affinity,
                    Plugin::PodTopologySpread => bonds.spread,
                    _ => false,
                }
            }
        }
    }

    pub(super) fn pack(&mut self, demands: &[Demand], order: &[usize]) -> Packed {
        let mut placed = vec![0; demands.len()];
        // The first node counts from when it is needed on.
        self.cluster.remove_node(self.first);
        let mut open = true;
        for &row in order {
            let Demand { class, count } = demands[row];
            let bonds = self.cluster.bonds(class);
            let mut left = self.on_known(class, bonds, count);
            if open && left > 0 {
                open = matches!(self.on_new(class, bonds, &mut left), End::Class);
            }
            placed[row] = count - left;
        }
        let nodes = self.nodes.iter().filter(|(_, used)| *used).count();
        Packed {
            nodes: u32::try_from(nodes).unwrap_or(u32::MAX),
            placed,
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
    fn on_known(&mut self, class: ClassId, bonds: Bonds, mut left: u32) -> u32 {
        if bonds.affinity || bonds.spread {
            while left > 0 && self.on_next(class, None) {
                left -= 1;
            }
            return left;
        }
        for at in 0..self.nodes.len() {
            while left > 0 && self.cluster.fits(class, self.nodes[at].0) {
                self.place(class, at);
                left -= 1;
            }
        }
        left
    }

    /// Places a pod on the next node that fits, after the one that was last.
    fn on_next(&mut self, class: ClassId, but: Option<usize>) -> bool {
        let count = self.nodes.len();
        let found = (0..count)
            .map(|step| (self.cursor + step) % count)
            .find(|&at| Some(at) != but && self.cluster.fits(class, self.nodes[at].0));
        let Some(at) = found else {
            return false;
        };
        self.cursor = (at + 1) % count;
        self.place(class, at);
        true
    }

    /// Places pods on the last node, and on further ones.
    fn on_new(&mut self, class: ClassId, bonds: Bonds, left: &mut u32) -> End {
        while *left > 0 {
            if let Some(last) = self.nodes.len().checked_sub(1) {
                let (node, used) = self.nodes[last];
                if self.on_last(class, bonds, node, last) {
                    *left -= 1;
                    continue;
                }
                if !used {
                    return End::Class;
                }
            }
            if self.nodes.len() >= self.max_nodes as usize {
                return End::Limit;
            }
            let node = add_node(self.cluster, self.template);
            self.nodes.push((node, false));
            if !self.cluster.fits(class, node) {
                return End::Class;
            }
            self.place(class, self.nodes.len() - 1);
            *left -= 1;
        }
        End::Class
    }

    /// Places a pod on the last node; one that spreads over hosts and can't go
    /// there because of it, on another.
    fn on_last(&mut self, class: ClassId, bonds: Bonds, node: NodeId, last: usize) -> bool {
        match self.cluster.check(class, node) {
            Ok(()) => {
                self.place(class, last);
                true
            }
            Err(Misfit::Rejected {
                plugin: Plugin::PodTopologySpread,
                ..
            }) if bonds.spread_over_hosts => self.on_next(class, Some(last)),
            Err(_) => false,
        }
    }

    fn place(&mut self, class: ClassId, at: usize) {
        let (node, used) = &mut self.nodes[at];
        self.cluster.place(class, *node, false);
        *used = true;
    }
}

/// A new node of a template.
pub(super) fn add_node(cluster: &mut Cluster, template: &Template) -> NodeId {
    let mut number = cluster.node_count();
    let mut name = format!("{}-{number}", template.node.name);
    while cluster.find_node(&name).is_some() {
        number += 1;
        name = format!("{}-{number}", template.node.name);
    }
    let mut node = Node::clone(&template.node);
    node.name = name.into();
    node.labels.set(HOSTNAME.into(), Arc::clone(&node.name));
    let id = cluster.add_node(node);
    for &class in &template.carried {
        cluster.place(class, id, false);
    }
    id
}
