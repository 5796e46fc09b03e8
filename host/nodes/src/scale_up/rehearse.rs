//! Rehearsal of a plan: places all pods with all its nodes present, and checks whether
//! fewer nodes suffice or more nodes help more pods.
//!
//! Each round places pods in addition to those of the rounds before. The scheduler,
//! however, sees the nodes of all rounds at once, and may place pods differently.

use std::collections::BTreeSet;

use flyball_placement::pack::{Demand, Rehearsal, Rehearsed};
use flyball_placement::{Bonds, Cluster, Mark, NodeId};

use super::candidates::Candidate;
use super::reissue::{PlanOrders, Reissued};
use super::rounds::{Rounds, demands_of, take};
use crate::demand::UnplacedPods;
use crate::limits::ClusterLimits;
use crate::nominated::NominatedPods;
use crate::state::ClusterState;

/// Plans for more pods are not rehearsed. It would take long, and many pods on many nodes
/// find a place in any order.
const MAX_PODS: u32 = 500;

/// Bound on the work of all rehearsals of a plan: their number times the pods and nodes
/// of each.
const MAX_EFFORT: usize = 10_000;

/// The start of a plan, kept for its rehearsal. `None` if the plan is not rehearsed.
pub(super) struct RehearsalStart(Option<Snapshot>);

/// The cluster before any pod was placed in it.
struct Snapshot {
    mark: Mark,
    /// Nodes that exist or are upcoming.
    known: Vec<NodeId>,
    /// The pods.
    unplaced: Vec<UnplacedPods>,
    /// Number of pods of each demand that the known nodes have room for.
    fit: Vec<u32>,
    limits: ClusterLimits,
}

impl RehearsalStart {
    /// Takes a snapshot if the plan is worth a rehearsal, which it is if some pods depend
    /// on the places of others, and the pods are few. With nominated pods there is no
    /// rehearsal, since the order in which pods are placed is fixed then.
    pub(super) fn new(
        state: &mut ClusterState,
        unplaced: &[UnplacedPods],
        known: &[NodeId],
        nominated_pods: &NominatedPods,
        limits: ClusterLimits,
    ) -> Self {
        let pods = unplaced.iter().map(|unplaced| unplaced.left);
        let pods = pods.fold(0, u32::saturating_add);
        let cluster = state.cluster_mut();
        let is_coupled =
            |unplaced: &UnplacedPods| cluster.bonds(unplaced.class) != Bonds::default();
        let is_worth =
            nominated_pods.is_empty() && pods <= MAX_PODS && unplaced.iter().any(is_coupled);
        Self(is_worth.then(|| Snapshot {
            mark: cluster.mark(),
            known: known.to_vec(),
            unplaced: unplaced.to_vec(),
            fit: Vec::new(),
            limits,
        }))
    }

    /// Notes how many pods found a place on the known nodes.
    pub(super) fn note_fit(&mut self, unplaced: &[UnplacedPods]) {
        if let Self(Some(snapshot)) = self {
            let both = snapshot.unplaced.iter().zip(unplaced);
            snapshot.fit = both.map(|(all, left)| all.left - left.left).collect();
        }
    }

    /// Closes the snapshot's mark, and keeps the cluster as it is.
    pub(super) fn close(self, state: &mut ClusterState) {
        if let Self(Some(snapshot)) = self {
            state.cluster_mut().keep(snapshot.mark);
        }
    }
}

impl Rounds<'_> {
    /// Places all pods again with all ordered nodes present. Orders fewer nodes if as
    /// many pods find a place then, and more if that helps more pods. The pods that find
    /// a place in the end count as helped.
    pub(super) fn rehearse(
        &mut self,
        state: &mut ClusterState,
        start: &mut RehearsalStart,
        unplaced: &mut Vec<UnplacedPods>,
    ) {
        let Some(snapshot) = start.0.take() else {
            return;
        };
        let orders = PlanOrders::new(self, snapshot.limits);
        let Some(templates) = orders.templates().filter(|_| self.is_certain(&orders)) else {
            state.cluster_mut().keep(snapshot.mark);
            return;
        };
        let cluster = state.cluster_mut();
        cluster.rollback(snapshot.mark);
        let demands = demands_of(&snapshot.unplaced);
        let excludes = exclude_each_other(cluster, &demands);
        let rehearsal = Rehearsal::new(cluster, &snapshot.known, templates, &demands, self.work);
        let mut search = Search::new(cluster, &orders, rehearsal);
        let remaining: u32 = unplaced.iter().map(|unplaced| unplaced.left).sum();
        let stays = excludes && search.best.left_over() > remaining;
        if !stays {
            search.improve();
        }
        let rehearsed = search.keep();
        let reissued = orders.reissued(&rehearsed.nodes).filter(|_| !stays);
        if let Some(reissued) = reissued {
            self.reissue(snapshot.limits, reissued);
            *unplaced = snapshot.unplaced;
            self.share_out(&snapshot.fit, &rehearsed.left, unplaced);
        }
    }

    /// Whether nodes are ordered, and no zone is left for the cloud to choose.
    fn is_certain(&self, orders: &PlanOrders<'_>) -> bool {
        let mut coming = self.candidates.all.iter();
        orders.nodes().iter().any(|nodes| *nodes > 0)
            && !orders.groups().any(Candidate::has_several_zones)
            && coming.all(|candidate| candidate.unknown_zone == 0)
    }

    /// Replaces the orders of the rounds by those of a rehearsal.
    fn reissue(&mut self, limits: ClusterLimits, reissued: Vec<Reissued>) {
        (self.limits, self.added) = (limits, 0);
        let ordered = self.records.iter().flat_map(|round| &round.orders);
        let rows: Vec<usize> = ordered
            .filter_map(|order| self.candidates.row_of(&order.group))
            .collect();
        for row in rows {
            let candidate = &mut self.candidates.all[row];
            candidate.target = candidate.group.target_size;
            candidate.skipped = None;
        }
        for reissued in reissued {
            for (row, order) in &reissued.orders {
                self.count(*row, order);
            }
            let round = &mut self.records[reissued.round];
            round.guard = Some(reissued.guard);
            round.steps = reissued.steps;
            let orders = reissued.orders.into_iter();
            round.orders = orders.map(|(_, order)| order).collect();
        }
        self.candidates.limit(&self.limits);
    }

    /// Assigns the pods that found a place to the rounds. Each round keeps those that it
    /// helped, and the last round with an order gets the others. `fit` are the pods that
    /// need no new node.
    fn share_out(&mut self, fit: &[u32], left: &[u32], unplaced: &mut Vec<UnplacedPods>) {
        for (unplaced, fit) in unplaced.iter_mut().zip(fit) {
            unplaced.take(*fit);
        }
        let sought = unplaced.iter().zip(left);
        let placed = sought.map(|(unplaced, left)| unplaced.left.saturating_sub(*left));
        let placed: Vec<u32> = placed.collect();
        let mut slots = Vec::new();
        take(unplaced, &placed, &mut slots);
        let mut slots: BTreeSet<u32> = slots.into_iter().collect();
        let records = &self.records;
        let has_orders = |round: usize| !records[round].orders.is_empty();
        for chosen in &mut self.chosen {
            let has_orders = has_orders(chosen.round);
            let helped = &mut chosen.helped;
            helped.retain(|slot| has_orders && slots.remove(slot));
        }
        let mut last = self.chosen.iter_mut().rev();
        if let Some(chosen) = last.find(|chosen| has_orders(chosen.round)) {
            chosen.helped.extend(slots);
        }
    }
}

/// Whether some of the pods have an anti-affinity to others that have none themselves.
/// Then the pods that are placed first decide where the others may go.
fn exclude_each_other(cluster: &Cluster, demands: &[Demand]) -> bool {
    let mut classes = demands.iter().map(|demand| demand.class);
    classes.any(|class| cluster.is_unwanted(class) && !cluster.bonds(class).anti_affinity)
}

/// A search for the best numbers of nodes.
struct Search<'a> {
    cluster: &'a mut Cluster,
    orders: &'a PlanOrders<'a>,
    rehearsal: Rehearsal<'a>,
    /// Number of rehearsals that may follow.
    tries: usize,
    best: Rehearsed,
}

impl<'a> Search<'a> {
    fn new(cluster: &'a mut Cluster, orders: &'a PlanOrders<'a>, rehearsal: Rehearsal<'a>) -> Self {
        let best = rehearsal.run(cluster, &orders.nodes());
        Self {
            cluster,
            orders,
            tries: MAX_EFFORT / rehearsal.size().max(1),
            rehearsal,
            best,
        }
    }

    /// Adds and removes nodes until neither improves the result.
    fn improve(&mut self) {
        while self.add() | self.leave_out() {}
    }

    /// Leaves the best result in the cluster: its nodes, with the pods on them.
    fn keep(self) -> Rehearsed {
        let nodes = &self.best.nodes;
        self.rehearsal.run_and_keep(self.cluster, nodes)
    }

    /// Adds the node that helps most pods, as long as one helps any. Returns whether a
    /// node was added.
    fn add(&mut self) -> bool {
        let mut any = false;
        while self.best.left_over() > 0 {
            let nodes = self.best.nodes.clone();
            let one_more = (0..nodes.len()).filter_map(|at| {
                let mut nodes = nodes.clone();
                nodes[at] += 1;
                self.rehearse(&nodes)
            });
            let found = one_more.min_by_key(Rehearsed::left_over);
            let found = found.filter(|found| found.left_over() < self.best.left_over());
            let Some(found) = found else {
                break;
            };
            self.best = found;
            any = true;
        }
        any
    }

    /// Removes nodes that stay empty, then one after the other as long as no more pods
    /// are left over. Returns whether a node was removed.
    fn leave_out(&mut self) -> bool {
        let mut any = self.best.used != self.best.nodes && self.is_enough(self.best.used.clone());
        for at in (0..self.best.nodes.len()).rev() {
            while let Some(fewer) = self.best.nodes[at].checked_sub(1) {
                let mut nodes = self.best.nodes.clone();
                nodes[at] = fewer;
                if !self.is_enough(nodes) {
                    break;
                }
                any = true;
            }
        }
        any
    }

    /// Adopts these numbers if no more pods are left over. Returns whether it did.
    fn is_enough(&mut self, nodes: Vec<u32>) -> bool {
        let found = self.rehearse(&nodes);
        let found = found.filter(|found| found.left_over() <= self.best.left_over());
        let is_enough = found.is_some();
        self.best = found.unwrap_or_else(|| self.best.clone());
        is_enough
    }

    /// Places the pods with these numbers of nodes. Returns `None` if a guardrail does
    /// not allow them, or if no tries are left.
    fn rehearse(&mut self, nodes: &[u32]) -> Option<Rehearsed> {
        self.orders.reissued(nodes)?;
        self.tries = self.tries.checked_sub(1)?;
        Some(self.rehearsal.run(self.cluster, nodes))
    }
}
