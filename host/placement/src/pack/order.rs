//! In which order demands are packed.

use std::collections::HashMap;

use super::{Demand, Template};
use crate::{ClassId, Cluster, Misfit, NodeId, Plugin};

/// Rows of the demands that may fit a new node, those that ask for the largest part
/// of it first.
pub(super) fn by_size(
    cluster: &Cluster,
    template: &Template,
    first: NodeId,
    demands: &[Demand],
) -> Vec<usize> {
    let allocatable = &template.node.allocatable;
    let part = |of: i64, whole: i64| {
        if whole > 0 {
            of as f64 / whole as f64
        } else {
            0.0
        }
    };
    let mut order: Vec<(usize, f64)> = Vec::with_capacity(demands.len());
    for (row, demand) in demands.iter().enumerate() {
        if demand.count > 0 && may_fit(cluster, demand.class, first) {
            let requests = cluster.requests(demand.class);
            let score =
                part(requests.cpu, allocatable.cpu) + part(requests.memory, allocatable.memory);
            order.push((row, score));
        }
    }
    order.sort_by(|(_, a), (_, b)| b.total_cmp(a));
    order.into_iter().map(|(row, _)| row).collect()
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

/// An order that begins with the pods that want no like of theirs on their node.
pub(super) struct LonelyFirst {
    pub(super) order: Vec<usize>,
    /// Fewer nodes can't do for these pods.
    pub(super) least_nodes: u64,
}

/// The order, if there are such pods; else none.
pub(super) fn lonely_first(
    cluster: &Cluster,
    demands: &[Demand],
    by_size: &[usize],
) -> Option<LonelyFirst> {
    let is_lonely = |row: &usize| cluster.lonely(demands[*row].class).next().is_some();
    let (lonely, others): (Vec<usize>, Vec<usize>) = by_size.iter().copied().partition(is_lonely);
    if lonely.is_empty() {
        return None;
    }
    let demanded = lonely.iter().map(|&row| demands[row]);
    Some(LonelyFirst {
        least_nodes: lonely_pods(cluster, demanded),
        order: [lonely, others].concat(),
    })
}

/// The most pods of which a node takes one.
#[expect(clippy::disallowed_methods, reason = "a maximum has no order")]
pub(super) fn lonely_pods(cluster: &Cluster, demands: impl Iterator<Item = Demand>) -> u64 {
    let mut pods: HashMap<u32, u64> = HashMap::new();
    for demand in demands {
        for what in cluster.lonely(demand.class) {
            *pods.entry(what).or_default() += u64::from(demand.count);
        }
    }
    pods.into_values().max().unwrap_or_default()
}
