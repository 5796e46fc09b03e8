//! Packing: how many new nodes pending pods need. First fit, in decreasing order of the
//! pods' requests, like Cluster Autoscaler's estimate.
//!
//! Identical pods are packed together, as a class and a count. If new nodes differ only
//! in free resources, nodes are columns of free amounts, and a tree over them finds the
//! first with room (`columns`). Otherwise pods are placed on simulated nodes one by
//! one, with all filters (`simulated`): on new nodes and, if a pod on a new node can
//! make room for another by a rule of spread or affinity, on existing nodes.
//!
//! The steps that this takes for the pods of a namespace are limited (`work`).

mod bound;
mod columns;
mod context;
mod destinations;
mod each;
mod node_set;
mod order;
mod rehearsal;
mod simulated;
mod tree;
mod work;

use self::bound::LowerBounds;
use self::columns::ColumnPacker;
use self::context::{PackContext, PartNodes};
pub use self::destinations::{Destinations, LeavingPod, NoPlace};
pub use self::each::pack_each;
pub use self::order::{Order, orders, placing_order};
pub use self::rehearsal::{Rehearsal, Rehearsed};
use self::simulated::Simulation;
pub use self::work::Work;
pub use crate::cluster::Template;
use crate::cluster::{Bonds, CPU, MEMORY, PODS};
use crate::{ClassId, Cluster, NodeId};

/// A number of identical pods to place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// Class of the pods.
    pub class: ClassId,
    /// Number of pods.
    pub count: u32,
}

/// New nodes of one node group.
#[derive(Clone, Copy, Debug)]
pub struct Part<'a> {
    /// Template of the nodes.
    pub template: &'a Template,
    /// Nodes that the group has or has ordered. If a pod fits on new nodes of several
    /// parts, the smallest group grows.
    pub size: u32,
    /// Maximum number of new nodes.
    pub max_nodes: u32,
    /// Whether it only grows for pods that fit on no other part's nodes.
    pub stand_in: bool,
}

/// The new nodes that an estimate may use: of one node group, or of one group in each of
/// several topology domains.
#[derive(Clone, Debug)]
pub struct Growth<'a> {
    /// The node groups.
    pub parts: Vec<Part<'a>>,
    /// Maximum number of new nodes of all parts together.
    pub max_nodes: u32,
}

impl<'a> Growth<'a> {
    /// Returns a growth of at most `max_nodes` nodes of one group.
    #[must_use]
    pub fn of(template: &'a Template, max_nodes: u32) -> Self {
        let part = Part {
            template,
            size: 0,
            max_nodes,
            stand_in: false,
        };
        Self {
            parts: vec![part],
            max_nodes,
        }
    }
}

/// Result of packing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// New nodes with at least one of the pods, at the index of their part.
    pub nodes: Vec<u32>,
    /// Pods that were placed, at the index of their demand.
    pub placed: Vec<u32>,
    /// Pods that were placed on a new node, at the index of their demand.
    pub placed_on_new: Vec<u32>,
    /// The order in which the pods were placed.
    pub order: Order,
}

impl Packed {
    /// Returns the number of pods that were placed.
    #[must_use]
    pub fn pods(&self) -> u32 {
        sum(&self.placed)
    }

    /// Returns the number of new nodes of all parts.
    #[must_use]
    pub fn node_count(&self) -> u32 {
        sum(&self.nodes)
    }

    /// Whether this places more pods, or as many on fewer new nodes.
    fn is_better_than(&self, other: &Self) -> bool {
        let rank = |packed: &Self| (packed.pods(), std::cmp::Reverse(packed.node_count()));
        rank(self) > rank(other)
    }
}

fn sum(counts: &[u32]) -> u32 {
    counts
        .iter()
        .fold(0, |sum, count| sum.saturating_add(*count))
}

/// Packs pods onto new nodes, in any number of steps. The cluster is unchanged afterwards.
///
/// `known` are existing nodes on which all pods that fit have been placed already
/// ([`fill`]). Pods with spread or affinity rules are placed there as well if pods on
/// new nodes make it possible.
pub fn pack(
    cluster: &mut Cluster,
    known: &[NodeId],
    growth: &Growth<'_>,
    demands: &[Demand],
) -> Packed {
    let (growths, work) = (std::slice::from_ref(growth), Work::unlimited());
    let context = context_of(cluster, known, growths, demands, &work);
    pack_on(cluster, &context, growth, demands)
}

/// Returns what all estimates for some growths share.
fn context_of<'a>(
    cluster: &mut Cluster,
    known: &[NodeId],
    growths: &[Growth<'_>],
    demands: &[Demand],
    work: &'a Work,
) -> PackContext<'a> {
    // New nodes may have resources that no node has yet.
    for part in growths.iter().flat_map(|growth| &growth.parts) {
        cluster.add_columns(&part.template.node);
    }
    PackContext::new(cluster, known, demands, false, work)
}

fn pack_on(
    cluster: &mut Cluster,
    context: &PackContext<'_>,
    growth: &Growth<'_>,
    demands: &[Demand],
) -> Packed {
    let mark = cluster.mark();
    let (new, by_size) = PartNodes::new(cluster, context, growth, demands);
    let plain = growth.parts.len() == 1
        && by_size
            .iter()
            .all(|&row| context.requirements[row].bonds == Bonds::default());
    let packed = if plain {
        let max_nodes = growth.max_nodes.min(growth.parts[0].max_nodes);
        let columns = ColumnPacker::new(context, &new.parts[0].free, &by_size);
        columns.pack(demands, &by_size, max_nodes)
    } else {
        let limits: Vec<u32> = growth.parts.iter().map(|part| part.max_nodes).collect();
        let estimate = Estimate {
            context,
            new: &new,
            growth,
            demands,
            by_size: &by_size,
        };
        estimate.best(cluster, &limits)
    };
    cluster.rollback(mark);
    packed
}

/// Places the pods of an estimate again with all its new nodes present from the
/// beginning, as the scheduler will. Adds nodes, within the limits of the growth, for
/// pods that then do not fit, and drops nodes that stay empty. The cluster is unchanged
/// afterwards.
pub fn settle(
    cluster: &mut Cluster,
    known: &[NodeId],
    growth: &Growth<'_>,
    demands: &[Demand],
    found: &Packed,
    work: &Work,
) -> Packed {
    let context = context_of(cluster, known, std::slice::from_ref(growth), demands, work);
    let (new, by_size) = PartNodes::new(cluster, &context, growth, demands);
    let limits: Vec<u32> = growth.parts.iter().map(|part| part.max_nodes).collect();
    let estimate = Estimate {
        context: &context,
        new: &new,
        growth,
        demands,
        by_size: &by_size,
    };
    estimate.settle(cluster, &limits, found)
}

/// Adds all nodes of a growth and places pods on them in the given order. The new nodes
/// with pods, and their pods, stay in the cluster. Returns these nodes.
pub fn pack_and_keep(
    cluster: &mut Cluster,
    known: &[NodeId],
    growth: &Growth<'_>,
    demands: &[Demand],
    order: Order,
    work: &Work,
) -> (Packed, Vec<NodeId>) {
    let context = context_of(cluster, known, std::slice::from_ref(growth), demands, work);
    let (new, by_size) = PartNodes::new(cluster, &context, growth, demands);
    let nodes: Vec<u32> = growth.parts.iter().map(|part| part.max_nodes).collect();
    let mut simulation = Simulation::new(cluster, &context, &new, growth, &nodes);
    simulation.open_all(&nodes);
    let packed = Packed {
        order,
        ..simulation.pack(demands, &order.partition(&by_size, &context))
    };
    let kept = simulation.keep_used();
    (packed, kept)
}

/// Maximum number of times that pods are placed again, each time with the nodes that
/// had a pod the time before.
const MAX_TRIES: usize = 4;

/// New nodes per domain from which on an estimate with fewer domains is not tried.
const NODES_PER_DOMAIN: usize = 8;

/// Number of pods above which an estimate that places all of them is accepted.
const MANY_PODS: u32 = 5000;

/// Inputs of an estimate.
struct Estimate<'a> {
    context: &'a PackContext<'a>,
    new: &'a PartNodes,
    growth: &'a Growth<'a>,
    demands: &'a [Demand],
    by_size: &'a [usize],
}

impl Estimate<'_> {
    /// Returns the best packing on at most so many nodes of each part.
    ///
    /// Pods spread over all domains that the parts could open, unless fewer domains
    /// need fewer nodes: the scheduler only spreads over domains that have nodes.
    fn best(&self, cluster: &mut Cluster, limits: &[u32]) -> Packed {
        let all = self.in_best_order(cluster, limits, true);
        let parts = self.new.parts.iter().zip(limits);
        let opens = parts.filter(|(part, limit)| part.area_is_new && **limit > 0);
        let (parts, opens) = (self.new.parts.len(), opens.count());
        if parts == 1 || opens == 0 || all.node_count() as usize >= NODES_PER_DOMAIN * parts {
            return all;
        }
        let few = self.in_best_order(cluster, limits, false);
        if !few.is_better_than(&all) {
            return all;
        }
        // If a domain was opened late, pods placed before did not spread over it. So
        // they are placed again with these domains open from the beginning.
        let used = few.nodes.iter().zip(limits);
        let used: Vec<u32> = used
            .map(|(nodes, limit)| if *nodes > 0 { *limit } else { 0 })
            .collect();
        let few = self.in_best_order(cluster, &used, true);
        if few.is_better_than(&all) { few } else { all }
    }

    /// Returns the best packing over all orders. With many pods, no further order is
    /// tried once all of them are placed.
    fn in_best_order(&self, cluster: &mut Cluster, limits: &[u32], open: bool) -> Packed {
        let sought: u32 = self
            .by_size
            .iter()
            .map(|&row| self.demands[row].count)
            .sum();
        let rows = self.by_size.iter().copied();
        let bounds = LowerBounds::new(cluster, self.context, self.demands, rows);
        let free = self.new.parts.iter().map(|part| part.free.as_slice());
        let least = bounds.least_nodes(free).max(1);
        let mut best = Packed::default();
        for order in Order::ALL {
            if !order.is_worth_trying(self) {
                continue;
            }
            let packed = self.incremental(cluster, limits, order, open);
            if packed.is_better_than(&best) {
                best = packed;
            }
            let is_best = u64::from(best.node_count()) <= least;
            let is_good = order != Order::ApartFirst && sought > MANY_PODS;
            if best.pods() == sought && (is_best || is_good) {
                break;
            }
        }
        best
    }

    /// Places the pods of an estimate again with all its nodes present from the
    /// beginning, and adds nodes for pods that then do not fit, until the nodes that
    /// have a pod are those that were present.
    fn settle(&self, cluster: &mut Cluster, limits: &[u32], found: &Packed) -> Packed {
        let order = found.order;
        let rows = order.partition(self.by_size, self.context);
        let mut packed = found.clone();
        for _ in 0..MAX_TRIES {
            let again = self.run(cluster, limits, &rows, |simulation| {
                simulation.open_all(&packed.nodes);
            });
            let settled = again.nodes == packed.nodes;
            packed = Packed { order, ..again };
            if settled {
                break;
            }
        }
        packed
    }

    /// Places the pods in an order and adds nodes as they need them. If `open`, first
    /// adds a node in each domain that has none.
    fn incremental(
        &self,
        cluster: &mut Cluster,
        limits: &[u32],
        order: Order,
        open: bool,
    ) -> Packed {
        let rows = order.partition(self.by_size, self.context);
        let packed = self.run(cluster, limits, &rows, |simulation| {
            if open {
                simulation.open_new_areas();
            }
        });
        Packed { order, ..packed }
    }

    fn run(
        &self,
        cluster: &mut Cluster,
        limits: &[u32],
        rows: &[usize],
        prepare: impl FnOnce(&mut Simulation<'_>),
    ) -> Packed {
        let mark = cluster.mark();
        let mut simulation = Simulation::new(cluster, self.context, self.new, self.growth, limits);
        prepare(&mut simulation);
        let packed = simulation.pack(self.demands, rows);
        cluster.rollback(mark);
        packed
    }
}

/// Places pods on existing nodes in the given order; they stay placed. Returns how many
/// were placed, at the index of their demand. Pods that did not fit are tried again as
/// long as pods placed after them may have made room by a rule of spread or affinity.
pub fn fill(cluster: &mut Cluster, nodes: &[NodeId], demands: &[Demand], work: &Work) -> Vec<u32> {
    if !has_room(cluster, nodes, demands) {
        return vec![0; demands.len()];
    }
    let context = PackContext::new(cluster, nodes, demands, true, work);
    let order: Vec<usize> = (0..demands.len()).collect();
    let (new, none) = (
        PartNodes::default(),
        Growth {
            parts: Vec::new(),
            max_nodes: 0,
        },
    );
    Simulation::new(cluster, &context, &new, &none, &[])
        .pack(demands, &order)
        .placed
}

/// Whether any node has room for the least cpu and memory that any of the pods requests.
fn has_room(cluster: &Cluster, nodes: &[NodeId], demands: &[Demand]) -> bool {
    let requests = demands
        .iter()
        .map(|demand| cluster.cpu_and_memory(demand.class));
    let least = requests.reduce(|least, other| (least.0.min(other.0), least.1.min(other.1)));
    let Some((cpu, memory)) = least else {
        return false;
    };
    // The scheduler does not look at a resource that a pod does not request.
    let is_free = |column, amount, node| amount == 0 || amount <= cluster.free_of(column, node);
    nodes.iter().any(|&node| {
        is_free(PODS, 1, node) && is_free(CPU, cpu, node) && is_free(MEMORY, memory, node)
    })
}

/// Adds a new node of a template, with only the pods it carries.
pub fn add_template(cluster: &mut Cluster, template: &Template) -> NodeId {
    cluster.add_new_node(template)
}
