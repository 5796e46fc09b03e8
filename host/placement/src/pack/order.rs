//! Orders in which demands are packed.

use super::context::PackContext;
use super::{Demand, Estimate, Growth, Template};
use crate::cluster::Bonds;
use crate::{ClassId, Cluster, Misfit, NodeId, Plugin, Reason};

/// Returns the order in which pods are placed on existing nodes, as indexes of demands.
/// Each demand comes with its pods' priority. Pods are ordered by priority, like in the
/// scheduler; then those that keep apart by host come first, which need many nodes with
/// a little room each; then the largest, which might not fit after small ones.
#[must_use]
pub fn placing_order(cluster: &Cluster, demands: &[(Demand, i32)]) -> Vec<usize> {
    let alone: Vec<Demand> = demands.iter().map(|(demand, _)| *demand).collect();
    let mut rows = Order::ApartFirst.rows(cluster, &alone, &by_share_of_requests(cluster, &alone));
    rows.sort_by_key(|row| std::cmp::Reverse(demands[*row].1));
    rows
}

/// Returns the indexes of all demands in each [`Order`], where size is the share in the
/// sum of all requests.
#[must_use]
pub fn orders(cluster: &Cluster, demands: &[Demand]) -> Vec<Vec<usize>> {
    let by_size = by_share_of_requests(cluster, demands);
    Order::ALL
        .map(|order| order.rows(cluster, demands, &by_size))
        .to_vec()
}

/// Returns the indexes of the demands, largest pods first. Size is a pod's share in the
/// cpu that all pods request plus its share in the memory.
fn by_share_of_requests(cluster: &Cluster, demands: &[Demand]) -> Vec<usize> {
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

/// Returns the indexes of the demands that may fit and whose namespaces may take further
/// steps, those with the largest share of a new node first. `first` is a new node of each part.
pub(super) fn by_size(
    cluster: &Cluster,
    context: &PackContext<'_>,
    growth: &Growth<'_>,
    first: &[NodeId],
    demands: &[Demand],
) -> Vec<usize> {
    let sized = |(row, demand): (usize, &Demand)| {
        let requirements = &context.requirements[row];
        if demand.count == 0 || !context.may_estimate(requirements) {
            return None;
        }
        let mut parts = growth.parts.iter().zip(first);
        let part = parts.find(|(_, node)| {
            context.may_check(requirements) && may_fit(cluster, demand.class, **node)
        });
        // It may fit on existing nodes once pods on new ones make it possible.
        let elsewhere = || {
            let parts = growth.parts.first();
            parts.filter(|_| context.may_take(requirements))
        };
        let part = part.map(|(part, _)| part).or_else(elsewhere)?;
        Some((row, share_of_node(cluster, demand.class, part.template)))
    };
    largest_first(demands.iter().enumerate().filter_map(sized))
}

/// Sorts rows by descending size. Rows of the same size stay in their order.
pub(super) fn largest_first(sizes: impl Iterator<Item = (usize, f64)>) -> Vec<usize> {
    let mut order: Vec<(f64, usize)> = sizes.map(|(row, size)| (size, row)).collect();
    order.sort_unstable_by(|(a, row_a), (b, row_b)| b.total_cmp(a).then(row_a.cmp(row_b)));
    order.into_iter().map(|(_, row)| row).collect()
}

/// Returns a pod's share of a new node's cpu plus its share of the memory.
fn share_of_node(cluster: &Cluster, class: ClassId, template: &Template) -> f64 {
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
pub(super) fn may_fit(cluster: &Cluster, class: ClassId, node: NodeId) -> bool {
    let misfit = cluster.check(class, node).err();
    misfit.is_none_or(|misfit| pods_may_lift(cluster, class, &misfit))
}

/// Whether a class fits an existing node, or may once other pods are there. A volume that
/// is attached to the node, but that no pod there mounts, counts twice for a pod: the first
/// pod that mounts it makes room for others that do.
pub(super) fn may_fit_existing(cluster: &Cluster, class: ClassId, node: NodeId) -> bool {
    let misfit = cluster.check(class, node).err();
    misfit.is_none_or(|misfit| {
        misfit.is_of(Plugin::NodeVolumeLimits) || pods_may_lift(cluster, class, &misfit)
    })
}

/// Whether pods that are placed later may remove what a filter rejects.
fn pods_may_lift(cluster: &Cluster, class: ClassId, misfit: &Misfit) -> bool {
    let Misfit::Rejected {
        plugin, reasons, ..
    } = misfit
    else {
        return false;
    };
    let bonds = cluster.bonds(class);
    match plugin {
        Plugin::InterPodAffinity => bonds.affinity,
        // The label that a node lacks is not brought by pods.
        Plugin::PodTopologySpread => bonds.spread && !reasons.contains(&Reason::SpreadLabel),
        _ => false,
    }
}

/// An order of packing. Within each rank, the largest pods are placed first.
///
/// Pods that keep apart each need a node of their own and may find no room after
/// others. If pods are bound to a zone, others should use the nodes that these need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Pods that keep apart by host first, then those with rules over larger domains.
    ApartFirst,
    /// By size only.
    #[default]
    BySize,
    /// Pods with rules over domains larger than a host first.
    DomainsFirst,
}

impl Order {
    /// All orders, the most promising first.
    pub const ALL: [Self; 3] = [Self::ApartFirst, Self::BySize, Self::DomainsFirst];

    /// Whether this order may differ from the order by size.
    pub(super) fn is_worth_trying(self, estimate: &Estimate<'_>) -> bool {
        let rows = estimate.by_size.iter();
        let mut ranks = rows.map(|row| {
            let requirements = &estimate.context.requirements[*row];
            self.rank(requirements.bonds, || requirements.keeps_apart)
        });
        let first = ranks.next();
        self == Self::BySize || ranks.any(|rank| Some(rank) != first)
    }

    /// Returns the rank of pods. Pods of a lower rank are placed first.
    fn rank(self, bonds: Bonds, keeps_apart: impl FnOnce() -> bool) -> u8 {
        match self {
            Self::ApartFirst if keeps_apart() => 0,
            Self::ApartFirst | Self::DomainsFirst if bonds.over_domains => 1,
            _ => 2,
        }
    }

    /// Sorts rows into this order. `by_size` has the largest first.
    pub(super) fn partition(self, by_size: &[usize], context: &PackContext<'_>) -> Vec<usize> {
        let mut rows = by_size.to_vec();
        rows.sort_by_key(|row| {
            let requirements = &context.requirements[*row];
            self.rank(requirements.bonds, || requirements.keeps_apart)
        });
        rows
    }

    /// Sorts the rows of all demands into this order. `by_size` has the largest first.
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
