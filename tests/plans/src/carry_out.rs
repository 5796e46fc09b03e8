//! Places the pods of a plan on the ordered nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_nodes::census::Census;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::record::{NodeDecisionRecord, Order, Pending, Remaining, Round};
use flyball_nodes::scale_up::Plan;
use flyball_nodes::state::ClusterState;
use flyball_nodes::templates::templates_of;
use flyball_placement::pack::{Demand, Work, add_template, fill, orders, placing_order};
use flyball_placement::{ClassId, NodeId};

/// Maximum number of pod classes for which a plan names the remaining pods.
const MAX_REMAINING: usize = 50;

/// Result of a planner.
#[derive(Clone, Copy)]
pub struct Answer<'a> {
    pending: &'a Pending,
    rounds: &'a [Round],
    remaining: &'a [Remaining],
    orders: &'a [Order],
}

impl<'a> From<&'a Plan> for Answer<'a> {
    fn from(plan: &'a Plan) -> Self {
        Self {
            pending: &plan.pending,
            rounds: &plan.rounds,
            remaining: &plan.remaining,
            orders: &plan.verdict.orders,
        }
    }
}

impl<'a> From<&'a NodeDecisionRecord> for Answer<'a> {
    fn from(record: &'a NodeDecisionRecord) -> Self {
        Self {
            pending: &record.pending,
            rounds: &record.rounds,
            remaining: &record.remaining,
            orders: &record.verdict.orders,
        }
    }
}

impl Answer<'_> {
    /// Number of nodes ordered.
    #[must_use]
    pub fn nodes(&self) -> u32 {
        let orders = self.orders.iter();
        orders.map(|order| order.to - order.from).sum()
    }

    /// Number of pods that the plan says will have a place.
    #[must_use]
    pub fn helped(&self) -> u32 {
        let helped = self.rounds.iter().map(|round| round.helped.count);
        self.pending.fit + helped.sum::<u32>()
    }
}

/// Result of placing the pods on the ordered nodes.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Number of nodes ordered.
    pub nodes: u32,
    /// Number of pods that were placed.
    pub placed: u32,
    /// Number of pods that the plan places.
    pub promised: u32,
    /// Number of pods that were not placed.
    pub left: u32,
    /// Pods that were not placed although the plan places them, as text.
    pub lacking: Vec<String>,
    /// Groups of ordered nodes without pods, a name for each node.
    pub empty: Vec<Arc<str>>,
}

/// Adds the ordered nodes to the cluster, places all waiting pods by the scheduler's
/// filters alone, and reverts both. Pods are placed in the planner's order, each on the
/// first node that accepts it, existing nodes first; those that fit nowhere are tried
/// again as long as others are placed.
///
/// Nodes that were already on their way are not counted.
pub fn carry_out(
    state: &mut ClusterState,
    census: &Census,
    options: &NodeOptions,
    answer: &Answer<'_>,
) -> Outcome {
    let mark = state.cluster_mut().mark();
    let mut nodes: Vec<NodeId> = state.cluster().node_ids().collect();
    let come = come(state, census, options, answer.orders);
    let demands = in_order(state);
    let waiting = place(state, &nodes, &demands);
    nodes.extend(come.iter().map(|come| come.node));
    let left = place_in_best_order(state, &nodes, &waiting);
    let is_empty = |come: &&Come| {
        let placed = state.cluster().placed(come.node);
        placed.map(|(_, count)| count.running).sum::<u32>() == come.carried
    };
    let empty = come.iter().filter(is_empty);
    let empty = empty.map(|come| Arc::clone(&come.group)).collect();
    state.cluster_mut().rollback(mark);
    let sum = |demands: &[Demand]| demands.iter().map(|demand| demand.count).sum::<u32>();
    Outcome {
        nodes: answer.nodes(),
        placed: sum(&demands) - sum(&left),
        promised: answer.helped(),
        left: sum(&left),
        lacking: lacking(state, answer, &demands, &left),
        empty,
    }
}

/// An ordered node that has joined.
struct Come {
    node: NodeId,
    group: Arc<str>,
    /// Pods that run on it from the beginning.
    carried: u32,
}

fn come(
    state: &mut ClusterState,
    census: &Census,
    options: &NodeOptions,
    orders: &[Order],
) -> Vec<Come> {
    let mut all = Vec::new();
    for order in orders {
        let group = census.groups.iter();
        let group = group.filter(|known| known.group.name == order.group);
        let templates: Vec<_> = group
            .filter_map(|group| templates_of(state, group, options).into_iter().next())
            .collect();
        for template in templates {
            let template = &template.template;
            all.extend((order.from..order.to).map(|_| Come {
                node: add_template(state.cluster_mut(), template),
                group: Arc::clone(&order.group),
                carried: u32::try_from(template.carried.len()).unwrap_or(u32::MAX),
            }));
        }
    }
    all
}

/// Returns all waiting pods, grouped by class, in the order in which the planner places
/// them.
fn in_order(state: &ClusterState) -> Vec<Demand> {
    let cluster = state.cluster();
    let mut classes: BTreeMap<ClassId, (u32, i32)> = BTreeMap::new();
    for (class, pods) in state.unschedulable() {
        for pod in pods {
            let alike = classes.entry(cluster.representative(class)).or_default();
            *alike = (alike.0 + 1, alike.1.max(pod.priority));
        }
    }
    let demands: Vec<(Demand, i32)> = classes
        .into_iter()
        .map(|(class, (count, priority))| (Demand { class, count }, priority))
        .collect();
    let order = placing_order(cluster, &demands);
    order.into_iter().map(|row| demands[row].0).collect()
}

/// Places pods in the order of the planner's which leaves the fewest over.
fn place_in_best_order(
    state: &mut ClusterState,
    nodes: &[NodeId],
    waiting: &[Demand],
) -> Vec<Demand> {
    let mut orders = orders(state.cluster(), waiting);
    let mut left_by = |rows: &Vec<usize>| {
        let mark = state.cluster_mut().mark();
        let demands: Vec<Demand> = rows.iter().map(|row| waiting[*row]).collect();
        let left = place(state, nodes, &demands);
        state.cluster_mut().rollback(mark);
        left.iter().map(|demand| demand.count).sum::<u32>()
    };
    orders.sort_by_cached_key(&mut left_by);
    let best = orders.into_iter().next().unwrap_or_default();
    let demands: Vec<Demand> = best.iter().map(|row| waiting[*row]).collect();
    place(state, nodes, &demands)
}

/// Places pods until no more can be placed. Returns those left over, by the indexes of
/// the demands.
fn place(state: &mut ClusterState, nodes: &[NodeId], demands: &[Demand]) -> Vec<Demand> {
    let mut left = demands.to_vec();
    loop {
        let placed = fill(state.cluster_mut(), nodes, &left, &Work::unlimited());
        for (demand, placed) in left.iter_mut().zip(&placed) {
            demand.count -= placed;
        }
        if placed.iter().all(|&count| count == 0) || left.iter().all(|demand| demand.count == 0) {
            return left;
        }
    }
}

/// Returns the pods that are left over although the plan places them.
fn lacking(
    state: &ClusterState,
    answer: &Answer<'_>,
    demands: &[Demand],
    left: &[Demand],
) -> Vec<String> {
    let sum = left.iter().map(|demand| demand.count).sum::<u32>();
    let all = demands.iter().map(|demand| demand.count).sum::<u32>();
    let unplaced = all.saturating_sub(answer.helped());
    let mut lacking = Vec::new();
    if sum > unplaced {
        lacking.push(format!("{sum} of {all} pods are left over, not {unplaced}"));
    }
    if answer.remaining.len() >= MAX_REMAINING {
        return lacking;
    }
    let cluster = state.cluster();
    for demand in left.iter().filter(|demand| demand.count > 0) {
        let alike = state.unschedulable();
        let alike = alike.filter(|(class, _)| cluster.representative(*class) == demand.class);
        let names: Vec<_> = alike
            .flat_map(|(_, pods)| pods.map(|pod| pod.key.clone()))
            .collect();
        let matching = answer.remaining.iter();
        let matching = matching.filter(|remaining| {
            let mut known = remaining.pods.names.iter();
            known.any(|name| names.contains(name))
        });
        let reported = matching.map(|remaining| remaining.pods.count).sum::<u32>();
        if demand.count > reported
            && let Some(first) = names.iter().map(|name| &name.name).min()
        {
            let (count, all) = (demand.count, names.len());
            lacking.push(format!(
                "{count} of {all} pods like {first} are left over, not {reported}"
            ));
        }
    }
    lacking
}
