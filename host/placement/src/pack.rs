//! How many nodes like a template would pending pods need: first fit, in
//! decreasing order of what the pods ask for, as Cluster Autoscaler estimates it.
//!
//! Pods are numbers of alike ones. Where nothing but resources can tell one new
//! node from another, nodes are columns of what is free, and a tree over them finds
//! the first with room (`columns`); else pods are placed on simulated nodes one
//! by one, and every filter is asked (`simulated`).

mod columns;
mod each;
mod order;
mod simulated;
mod tree;

use std::sync::Arc;

use self::columns::Columns;
pub use self::each::pack_each;
use self::simulated::Simulation;
use crate::cluster::Bonds;
use crate::{ClassId, Cluster, Node, NodeId};

/// Alike pods that want a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// What they ask for.
    pub class: ClassId,
    /// How many.
    pub count: u32,
}

/// What a new node would be like.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The node. Each new one has a name of its own that begins with this one's.
    pub node: Arc<Node>,
    /// Pods that every new node carries from the beginning (of DaemonSets, static
    /// ones).
    pub carried: Vec<ClassId>,
}

/// Where pods would go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Packed {
    /// New nodes that hold at least one of the pods.
    pub nodes: u32,
    /// Pods that found a place, at the index of their demand.
    pub placed: Vec<u32>,
    /// It was found by placing pods first that want a node without their like, not by
    /// their size alone.
    pub lonely_first: bool,
}

impl Packed {
    /// How many pods found a place.
    #[must_use]
    pub fn pods(&self) -> u32 {
        self.placed
            .iter()
            .fold(0, |sum, count| sum.saturating_add(*count))
    }
}

/// Packs pods onto at most `max_nodes` new nodes. The cluster is as before
/// afterwards.
pub fn pack(
    cluster: &mut Cluster,
    template: &Template,
    demands: &[Demand],
    max_nodes: u32,
) -> Packed {
    let mark = cluster.mark();
    let first = add_template(cluster, template);
    let by_size = order::by_size(cluster, template, first, demands);
    let plain = by_size
        .iter()
        .all(|&row| cluster.bonds(demands[row].class) == Bonds::default());
    let packed = if plain {
        Columns::new(cluster, first, demands, &by_size).pack(demands, &by_size, max_nodes)
    } else {
        simulate(cluster, template, first, demands, &by_size, max_nodes)
    };
    cluster.rollback(mark);
    packed
}

/// Packs pods onto at most `max_nodes` new nodes, in the order in which an estimate was
/// found ([`Packed::lonely_first`]). The new nodes and the pods on them stay in the
/// cluster: these nodes. Empty ones do not.
pub fn pack_and_keep(
    cluster: &mut Cluster,
    template: &Template,
    demands: &[Demand],
    max_nodes: u32,
    lonely_first: bool,
) -> (Packed, Vec<NodeId>) {
    let first = add_template(cluster, template);
    let by_size = order::by_size(cluster, template, first, demands);
    let lonely = lonely_first.then(|| order::lonely_first(cluster, demands, &by_size));
    let order = lonely.flatten().map_or(by_size, |lonely| lonely.order);
    let mut simulation = Simulation::new(cluster, template, first, max_nodes);
    let packed = Packed {
        lonely_first,
        ..simulation.pack(demands, &order)
    };
    let nodes = simulation.keep_used();
    (packed, nodes)
}

/// Tries pods that want a node without their like first, if there are any: large
/// ones leave no room for them otherwise, and each takes a node of its own. Then, if
/// fewer nodes may do, by size alone.
fn simulate(
    cluster: &mut Cluster,
    template: &Template,
    first: NodeId,
    demands: &[Demand],
    by_size: &[usize],
    max_nodes: u32,
) -> Packed {
    let lonely = order::lonely_first(cluster, demands, by_size);
    let mut run = |order: &[usize]| {
        let mark = cluster.mark();
        let packed = Simulation::new(cluster, template, first, max_nodes).pack(demands, order);
        cluster.rollback(mark);
        packed
    };
    let Some(lonely) = lonely else {
        return run(by_size);
    };
    let packed = Packed {
        lonely_first: true,
        ..run(&lonely.order)
    };
    if u64::from(packed.nodes) == lonely.least_nodes {
        return packed;
    }
    let other = run(by_size);
    let better = (other.pods(), std::cmp::Reverse(other.nodes))
        > (packed.pods(), std::cmp::Reverse(packed.nodes));
    if better { other } else { packed }
}

/// Places pods on nodes that are there, on the first with room in the order given,
/// and leaves them there: how many found a place, at the index of their demand.
pub fn fill(cluster: &mut Cluster, nodes: &[NodeId], demands: &[Demand]) -> Vec<u32> {
    columns::fill(cluster, nodes, demands)
}

/// A new node of a template, empty but for the pods it carries.
pub fn add_template(cluster: &mut Cluster, template: &Template) -> NodeId {
    simulated::add_node(cluster, template)
}
