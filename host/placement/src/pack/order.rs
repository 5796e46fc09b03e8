//! In which order demands are packed.

use std::collections::HashMap;

use super::ground::Ground;
use super::{Demand, Growth, Template};
use crate::{ClassId, Cluster, Misfit, NodeId, Plugin};

/// Rows of the demands that may find a place, those that ask for the largest part of a
/// new node first. `first`: a new node of each part.
pub(super) fn by_size(
    cluster: &Cluster,
    ground: &Ground,
    growth: &Growth<'_>,
    first: &[NodeId],
    demands: &[Demand],
) -> Vec<usize> {
    let mut order: Vec<(usize, f64)> = Vec::with_capacity(demands.len());
    for (row, demand) in demands.iter().enumerate() {
        let mut parts = growth.parts.iter().zip(first);
        let part = parts.find(|(_, node)| may_fit(cluster, demand.class, **node));
        // Nodes that are there may take it once pods on new ones permit it.
        let elsewhere = || {
            let coupled = ground.asking[row].is_coupled() && !ground.areas.is_empty();
            growth.parts.first().filter(|_| coupled)
        };
        let part = part.map(|(part, _)| part).or_else(elsewhere);
        if let Some(part) = part.filter(|_| demand.count > 0) {
            order.push((row, part_of_node(cluster, demand.class, part.template)));
        }
    }
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    order.into_iter().map(|(row, _)| row).collect()
}

/// What a pod asks for of a new node: parts of its cpu and memory, added up.
fn part_of_node(cluster: &Cluster, class: ClassId, template: &Template) -> f64 {
    let part = |of: i64, whole: i64| {
        if whole > 0 {
            of as f64 / whole as f64
        } else {
            0.0
        }
    };
    let (requests, allocatable) = (cluster.requests(class), &template.node.allocatable);
    part(requests.cpu, allocatable.cpu) + part(requests.memory, allocatable.memory)
}

/// Whether a class fits a new node, or may once other pods are there.
fn may_fit(cluster: &Cluster, class: ClassId, first: NodeId) -> bool {
    match cluster.check(class, first) {
        Ok(()) => true,
        Err(Misfit::Unjudged(_)) => false,
        Err(Misfit::Rejected { plugin, .. }) => {
            let bonds = cluster.bonds(class);
            match plugin {
                Plugin::InterPodAffinity => bonds.affinity,
                Plugin::PodTopologySpread => bonds.spread,
                _ => false,
            }
        }
    }
}

/// An order that begins with the pods that exclude each other from a host.
pub(super) struct ExclusiveFirst {
    pub(super) order: Vec<usize>,
    /// Fewer nodes can't do for these pods.
    pub(super) least_nodes: u64,
}

/// The order, or `None` if there are no such pods.
pub(super) fn exclusive_first(
    cluster: &Cluster,
    demands: &[Demand],
    by_size: &[usize],
) -> Option<ExclusiveFirst> {
    let is_exclusive = |row: &usize| {
        let mut exclusions = cluster.host_exclusions(demands[*row].class);
        exclusions.next().is_some()
    };
    let (exclusive, others): (Vec<usize>, Vec<usize>) =
        by_size.iter().copied().partition(is_exclusive);
    if exclusive.is_empty() {
        return None;
    }
    let demanded = exclusive.iter().map(|&row| demands[row]);
    Some(ExclusiveFirst {
        least_nodes: exclusive_pods(cluster, demanded),
        order: [exclusive, others].concat(),
    })
}

/// The most pods of which a node takes one.
#[expect(clippy::disallowed_methods, reason = "a maximum has no order")]
pub(super) fn exclusive_pods(cluster: &Cluster, demands: impl Iterator<Item = Demand>) -> u64 {
    let mut pods: HashMap<u32, u64> = HashMap::new();
    for demand in demands {
        for what in cluster.host_exclusions(demand.class) {
            *pods.entry(what).or_default() += u64::from(demand.count);
        }
    }
    pods.into_values().max().unwrap_or_default()
}
