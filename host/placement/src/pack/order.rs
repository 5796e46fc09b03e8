//! In which order demands are packed.

use super::ground::Ground;
use super::{Demand, Estimate, Growth, Template};
use crate::cluster::Bonds;
use crate::{ClassId, Cluster, Misfit, NodeId, Plugin};

/// The order in which pods are placed on nodes that are there: by priority, as the
/// scheduler takes them; then those that keep apart by host, which need many nodes with
/// a little room each; then the large ones, for which the small ones leave no room.
/// Returns rows of the demands, each of which comes with its pods' priority.
#[must_use]
pub fn placing_order(cluster: &Cluster, demands: &[(Demand, i32)]) -> Vec<usize> {
    let alone: Vec<Demand> = demands.iter().map(|(demand, _)| *demand).collect();
    let mut rows = Order::ApartFirst.rows(cluster, &alone, &by_part_of_all(cluster, &alone));
    rows.sort_by_key(|row| std::cmp::Reverse(demands[*row].1));
    rows
}

/// All demands in each of the orders, by size as of what all of them ask for.
#[must_use]
pub fn orders(cluster: &Cluster, demands: &[Demand]) -> Vec<Vec<usize>> {
    let by_size = by_part_of_all(cluster, demands);
    Order::ALL
        .map(|order| order.rows(cluster, demands, &by_size))
        .to_vec()
}

/// Rows of the demands, those whose pods ask for most first: parts of the cpu and memory
/// that all of them ask for, added up.
fn by_part_of_all(cluster: &Cluster, demands: &[Demand]) -> Vec<usize> {
    let asked: Vec<(f64, f64)> = demands
        .iter()
        .map(|demand| {
            let (cpu, memory) = cluster.cpu_and_memory(demand.class);
            (cpu as f64, memory as f64)
        })
        .collect();
    let (mut cpu, mut memory) = (0.0, 0.0);
    for (asked, demand) in asked.iter().zip(demands) {
        cpu += asked.0 * f64::from(demand.count);
        memory += asked.1 * f64::from(demand.count);
    }
    let sizes = asked
        .iter()
        .map(|asked| asked.0 / cpu.max(1.0) + asked.1 / memory.max(1.0));
    largest_first(sizes.enumerate())
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
    let sized = |(row, demand): (usize, &Demand)| {
        let mut parts = growth.parts.iter().zip(first);
        let part = parts.find(|(_, node)| may_fit(cluster, demand.class, **node));
        // Nodes that are there may take it once pods on new ones permit it.
        let elsewhere = || {
            let parts = growth.parts.first();
            parts.filter(|_| ground.may_take(&ground.asking[row]))
        };
        let part = part.map(|(part, _)| part).or_else(elsewhere);
        let part = part.filter(|_| demand.count > 0)?;
        Some((row, part_of_node(cluster, demand.class, part.template)))
    };
    largest_first(demands.iter().enumerate().filter_map(sized))
}

/// Rows, those of the largest size first. Rows of the same size stay in their order.
pub(super) fn largest_first(sizes: impl Iterator<Item = (usize, f64)>) -> Vec<usize> {
    let mut order: Vec<(f64, usize)> = sizes.map(|(row, size)| (size, row)).collect();
    order.sort_unstable_by(|(a, row_a), (b, row_b)| b.total_cmp(a).then(row_a.cmp(row_b)));
    order.into_iter().map(|(_, row)| row).collect()
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
    let allocatable = &template.node.allocatable;
    let (cpu, memory) = cluster.cpu_and_memory(class);
    part(cpu, allocatable.cpu) + part(memory, allocatable.memory)
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
        let mut ranks = rows.map(|row| {
            let asking = &estimate.ground.asking[*row];
            self.rank(asking.bonds, || asking.keeps_apart)
        });
        let first = ranks.next();
        self == Self::BySize || ranks.any(|rank| Some(rank) != first)
    }

    /// Pods of a lower rank are placed first.
    fn rank(self, bonds: Bonds, keeps_apart: impl FnOnce() -> bool) -> u8 {
        match self {
            Self::ApartFirst if keeps_apart() => 0,
            Self::ApartFirst | Self::DomainsFirst if bonds.over_domains => 1,
            _ => 2,
        }
    }

    /// Rows in this order. `by_size`: rows, the largest first.
    pub(super) fn partition(self, by_size: &[usize], ground: &Ground) -> Vec<usize> {
        let mut rows = by_size.to_vec();
        rows.sort_by_key(|row| {
            let asking = &ground.asking[*row];
            self.rank(asking.bonds, || asking.keeps_apart)
        });
        rows
    }

    /// Rows of all demands in this order. `by_size`: all rows, the largest first.
    fn rows(self, cluster: &Cluster, demands: &[Demand], by_size: &[usize]) -> Vec<usize> {
        let mut rows = by_size.to_vec();
        rows.sort_by_cached_key(|row| {
            let class = demands[*row].class;
            let bonds = cluster.bonds(class);
            self.rank(bonds, || cluster.keeps_apart(class, bonds))
        });
        rows
    }
}
