//! Rehearsal: what becomes of the pods once all nodes of a plan have come, and whether
//! fewer nodes do, or more nodes help more pods.
//!
//! Each round places pods beside those of the rounds snapshot. The scheduler finds the nodes
//! of all rounds there at once, and pods that earlier rounds placed elsewhere.

use std::collections::BTreeSet;

use flyball_placement::pack::{Demand, Rehearsal, Rehearsed};
use flyball_placement::{Bonds, Cluster, Mark, NodeId};

use super::Plan;
use super::candidates::Candidate;
use super::reissue::{PlanOrders, Reissued};
use super::rounds::{Rounds, demands_of, take};
use crate::nodes::demand::UnplacedPods;
use crate::nodes::limits::ClusterLimits;
use crate::nodes::nominated::NominatedPods;
use crate::nodes::state::ClusterState;

/// Plans for more pods are not rehearsed: it would take long, and many pods on many nodes
/// find a place in any order.
const MAX_PODS: u32 = 500;

/// Pods and nodes that all rehearsals of a plan go through together.
const MAX_EFFORT: usize = 10_000;

/// The start of a plan, for its rehearsal. Empty if the plan is not rehearsed.
pub(super) struct RehearsalStart(Option<Snapshot>);

/// The cluster before any pod was placed in it.
struct Snapshot {
    mark: Mark,
    /// The nodes that are there.
    known: Vec<NodeId>,
    /// The pods.
    unplaced: Vec<UnplacedPods>,
    /// How many pods of each demand the known nodes have room for.
    fit: Vec<u32>,
    limits: ClusterLimits,
}

impl RehearsalStart {
    /// Notes what a plan begins with, if it is worth a rehearsal: the pods go by where others
    /// are, and are few. Where room is kept for nominated pods, the order in which pods are
    /// placed is not for a rehearsal to choose.
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

    /// Notes how many pods found a place on the nodes that are there.
    pub(super) fn note_fit(&mut self, unplaced: &[UnplacedPods]) {
        if let Self(Some(snapshot)) = self {
            let both = snapshot.unplaced.iter().zip(unplaced);
            snapshot.fit = both.map(|(all, left)| all.left - left.left).collect();
        }
    }

    /// Ends it.
    pub(super) fn close(self, state: &mut ClusterState) {
        if let Self(Some(snapshot)) = self {
            state.cluster_mut().keep(snapshot.mark);
        }
    }
}

impl Rounds<'_> {
    /// Places all pods again with all ordered nodes there. Orders fewer nodes if as many pods
    /// find a place then, and more if that helps more pods. Pods count as helped if they
    /// find a place in the end.
    pub(super) fn rehearse(
        &mut self,
        state: &mut ClusterState,
        start: &mut RehearsalStart,
        unplaced: &mut Vec<UnplacedPods>,
        plan: &mut Plan,
    ) {
        let Some(snapshot) = start.0.take() else {
            return;
        };
        let orders = PlanOrders::new(self, plan, snapshot.limits);
        let Some(templates) = orders.templates().filter(|_| self.is_certain(&orders)) else {
            state.cluster_mut().keep(snapshot.mark);
            return;
        };
        let cluster = state.cluster_mut();
        cluster.rollback(snapshot.mark);
        let demands = demands_of(&snapshot.unplaced);
        let excludes = exclude_each_other(cluster, &demands);
        let rehearsal = Rehearsal::new(cluster, &snapshot.known, templates, &demands);
        let mut search = Search::new(cluster, &orders, rehearsal);
        let remaining: u32 = unplaced.iter().map(|unplaced| unplaced.left).sum();
        let stays = excludes && search.best.left_over() > remaining;
        if !stays {
            search.improve();
        }
        let rehearsed = search.keep();
        let reissued = orders.reissued(&rehearsed.nodes).filter(|_| !stays);
        if let Some(reissued) = reissued {
            self.reissue(snapshot.limits, reissued, plan);
            *unplaced = snapshot.unplaced;
            self.share_out(&snapshot.fit, &rehearsed.left, unplaced, plan);
        }
    }

    /// Whether nodes are ordered, and in zones that the cloud does not choose.
    fn is_certain(&self, orders: &PlanOrders<'_>) -> bool {
        let mut coming = self.candidates.all.iter();
        orders.nodes().iter().any(|nodes| *nodes > 0)
            && !orders.groups().any(Candidate::has_several_zones)
            && coming.all(|candidate| candidate.unknown_zone == 0)
    }

    /// Orders what a rehearsal came to in place of what the rounds did.
    fn reissue(&mut self, limits: ClusterLimits, reissued: Vec<Reissued>, plan: &mut Plan) {
        (self.limits, self.added) = (limits, 0);
        let ordered = plan.rounds.iter().flat_map(|round| &round.orders);
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
            let round = &mut plan.rounds[reissued.round];
            round.guard = Some(reissued.guard);
            round.steps = reissued.steps;
            let orders = reissued.orders.into_iter();
            round.orders = orders.map(|(_, order)| order).collect();
        }
        self.candidates.limit(&self.limits);
    }

    /// Shares the pods that found a place out to the rounds: each keeps those that it
    /// helps, and the last one with an order gets the others. `fit`: pods that need no new
    /// node.
    fn share_out(
        &mut self,
        fit: &[u32],
        left: &[u32],
        unplaced: &mut Vec<UnplacedPods>,
        plan: &Plan,
    ) {
        for (unplaced, fit) in unplaced.iter_mut().zip(fit) {
            unplaced.take(*fit);
        }
        let sought = unplaced.iter().zip(left);
        let placed = sought.map(|(unplaced, left)| unplaced.left.saturating_sub(*left));
        let placed: Vec<u32> = placed.collect();
        let mut slots = Vec::new();
        take(unplaced, &placed, &mut slots);
        let mut slots: BTreeSet<u32> = slots.into_iter().collect();
        let has_orders = |round: usize| !plan.rounds[round].orders.is_empty();
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

/// Whether some of the pods want others of them out of their domain, which do not want the
/// same of them: whichever comes first decides where the others may go.
fn exclude_each_other(cluster: &Cluster, demands: &[Demand]) -> bool {
    let mut classes = demands.iter().map(|demand| demand.class);
    classes.any(|class| cluster.is_unwanted(class) && !cluster.bonds(class).anti_affinity)
}

/// A search for numbers of nodes.
struct Search<'a> {
    cluster: &'a mut Cluster,
    orders: &'a PlanOrders<'a>,
    rehearsal: Rehearsal<'a>,
    /// Rehearsals that may follow.
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

    /// Adds nodes and leaves nodes out, until neither is better.
    fn improve(&mut self) {
        while self.add() | self.leave_out() {}
    }

    /// Leaves the best numbers of nodes in the cluster, with the pods on them.
    fn keep(self) -> Rehearsed {
        let nodes = &self.best.nodes;
        self.rehearsal.run_and_keep(self.cluster, nodes)
    }

    /// Adds the node that helps most pods, as long as one helps any. Returns whether one
    /// did.
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

    /// Leaves nodes out that stay empty, then one after the other as long as no more pods
    /// are left over. Returns whether there was one.
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

    /// Takes these numbers if no more pods are left over.
    fn is_enough(&mut self, nodes: Vec<u32>) -> bool {
        let found = self.rehearse(&nodes);
        let found = found.filter(|found| found.left_over() <= self.best.left_over());
        let is_enough = found.is_some();
        self.best = found.unwrap_or_else(|| self.best.clone());
        is_enough
    }

    /// Places the pods with these numbers of nodes. `None` if a guardrail does not let so
    /// many be ordered, or if enough was tried.
    fn rehearse(&mut self, nodes: &[u32]) -> Option<Rehearsed> {
        self.orders.reissued(nodes)?;
        self.tries = self.tries.checked_sub(1)?;
        Some(self.rehearsal.run(self.cluster, nodes))
    }
}
