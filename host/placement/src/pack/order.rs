//! In which order demands are packed.

use super::ground::{Asking, Ground};
use super::{Demand, Estimate, Growth, Template};
use crate::{ClassId, Cluster, Misfit, NodeId, Plugin};

/// The order in which pods are placed on nodes that are there: by priority, as the
/// scheduler takes them; then those that keep apart by host, which need many nodes with
/// a little room each; then the large ones, for which the small ones leave no room.
/// Returns rows of the demands, each of which comes with its pods' priority.
#[must_use]
pub fn placing_order(cluster: &Cluster, demands: &[(Demand, i32)]) -> Vec<usize> {
    let alone: Vec<Demand> = demands.iter().map(|(demand, _)| *demand).collect();
    let ground = Ground::new(cluster, &[], &alone, false);
    let mut rows = Order::ApartFirst.rows(&alone, &ground);
    rows.sort_by_key(|row| std::cmp::Reverse(demands[*row].1));
    rows
}

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
            let parts = growth.parts.first();
            parts.filter(|_| ground.may_take(&ground.asking[row]))
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

/// Which pods are placed first; the others come after them, the largest first.
///
/// Others leave no room for pods that keep apart, each of which takes a node of its own;
/// and where pods are bound to a zone, others had better go where these need nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Pods that keep apart by host first, then those that are bound to domains.
    ApartFirst,
    /// Only by size.
    #[default]
    BySize,
    /// Pods that are bound to domains larger than a host first.
    DomainsFirst,
}

impl Order {
    /// The most promising first.
    pub const ALL: [Self; 3] = [Self::ApartFirst, Self::BySize, Self::DomainsFirst];

    /// Whether it may differ from the order by size.
    pub(super) fn is_worth_trying(self, estimate: &Estimate<'_>) -> bool {
        let rows = estimate.by_size.iter();
        let mut ranks = rows.map(|row| self.rank(&estimate.ground.asking[*row]));
        let first = ranks.next();
        self == Self::BySize || ranks.any(|rank| Some(rank) != first)
    }

    /// Pods of a lower rank are placed first.
    fn rank(self, asking: &Asking) -> u8 {
        match self {
            Self::ApartFirst if asking.keeps_apart => 0,
            Self::ApartFirst | Self::DomainsFirst if asking.bonds.over_domains => 1,
            _ => 2,
        }
    }

    /// Rows in this order. `by_size`: rows, the largest first.
    pub(super) fn partition(self, by_size: &[usize], ground: &Ground) -> Vec<usize> {
        let mut rows = by_size.to_vec();
        rows.sort_by_key(|row| self.rank(&ground.asking[*row]));
        rows
    }

    /// Rows of all demands in this order, by size as of what all of them ask for.
    pub(super) fn rows(self, demands: &[Demand], ground: &Ground) -> Vec<usize> {
        self.partition(&ground.by_size(demands), ground)
    }
}

/// All demands in each of the orders, by size as of what all of them ask for.
#[must_use]
pub fn orders(cluster: &Cluster, demands: &[Demand]) -> Vec<Vec<usize>> {
    let ground = Ground::new(cluster, &[], demands, false);
    Order::ALL
        .map(|order| order.rows(demands, &ground))
        .to_vec()
}
