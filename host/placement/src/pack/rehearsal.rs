//! Rehearsals: which pods fit once the nodes of a plan are ready.

use super::context::PackContext;
use super::order::orders;
use super::{Demand, Template, Work, add_template, fill, sum};
use crate::{Cluster, NodeId};

/// Pending pods, existing nodes and templates of new nodes. The pods can be placed
/// repeatedly, each time with different numbers of new nodes.
pub struct Rehearsal<'a> {
    /// Existing nodes with room for the smallest of the pods.
    known: Vec<NodeId>,
    templates: Vec<&'a Template>,
    demands: &'a [Demand],
    work: &'a Work,
}

/// Result of a rehearsal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rehearsed {
    /// New nodes of each template.
    pub nodes: Vec<u32>,
    /// New nodes of each template that have one of the pods.
    pub used: Vec<u32>,
    /// Pods that did not fit, at the index of their demand.
    pub left: Vec<u32>,
}

impl Rehearsed {
    /// Returns the number of pods that did not fit.
    #[must_use]
    pub fn left_over(&self) -> u32 {
        sum(&self.left)
    }
}

impl<'a> Rehearsal<'a> {
    /// Creates a rehearsal. `templates` are those of the new nodes, in the order in
    /// which the nodes are added.
    #[must_use]
    pub fn new(
        cluster: &Cluster,
        known: &[NodeId],
        templates: Vec<&'a Template>,
        demands: &'a [Demand],
        work: &'a Work,
    ) -> Self {
        let context = PackContext::new(cluster, known, demands, true, work);
        let known = context.areas.iter().flat_map(|(_, nodes)| &nodes.nodes);
        Self {
            known: known.copied().collect(),
            templates,
            demands,
            work,
        }
    }

    /// Returns the number of pods and existing nodes that each run processes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.known.len() + sum_of(self.demands) as usize
    }

    /// Adds so many nodes of each template and places the pods: first on the existing
    /// nodes, then the others on all nodes, in the one of the planner's orders that
    /// leaves the fewest pods without a node. The cluster is unchanged afterwards.
    pub fn run(&self, cluster: &mut Cluster, nodes: &[u32]) -> Rehearsed {
        let mark = cluster.mark();
        let rehearsed = self.run_and_keep(cluster, nodes);
        cluster.rollback(mark);
        rehearsed
    }

    /// Like [`Self::run`], but keeps pods and nodes in the cluster.
    pub fn run_and_keep(&self, cluster: &mut Cluster, nodes: &[u32]) -> Rehearsed {
        let parts = nodes.iter().enumerate();
        let parts = parts.flat_map(|(part, nodes)| (0..*nodes).map(move |_| part));
        let come: Vec<(usize, NodeId)> = parts
            .map(|part| (part, add_template(cluster, self.templates[part])))
            .collect();
        let new = come.iter().map(|(_, node)| *node);
        let all: Vec<NodeId> = self.known.iter().copied().chain(new).collect();
        let mut waiting = self.demands.to_vec();
        for (demand, placed) in
            waiting
                .iter_mut()
                .zip(fill(cluster, &self.known, self.demands, self.work))
        {
            demand.count -= placed;
        }
        let left = fill_in_best_order(cluster, &all, &waiting, self.work);
        let mut used = vec![0; nodes.len()];
        for &(part, node) in &come {
            let pods = cluster
                .placed(node)
                .map(|(_, count)| count.running as usize);
            used[part] += u32::from(pods.sum::<usize>() > self.templates[part].carried.len());
        }
        Rehearsed {
            nodes: nodes.to_vec(),
            used,
            left,
        }
    }
}

/// Places pods in the one of the planner's orders that leaves the fewest without a
/// node. Returns the number of such pods of each demand.
fn fill_in_best_order(
    cluster: &mut Cluster,
    nodes: &[NodeId],
    waiting: &[Demand],
    work: &Work,
) -> Vec<u32> {
    let mut best: Option<(Vec<usize>, u32)> = None;
    for rows in orders(cluster, waiting) {
        let mark = cluster.mark();
        let left = sum(&fill_in_order(cluster, nodes, waiting, &rows, work));
        if left == 0 {
            cluster.keep(mark);
            return vec![0; waiting.len()];
        }
        cluster.rollback(mark);
        if best.as_ref().is_none_or(|(_, fewest)| left < *fewest) {
            best = Some((rows, left));
        }
    }
    let rows = best.map(|(rows, _)| rows).unwrap_or_default();
    fill_in_order(cluster, nodes, waiting, &rows, work)
}

fn fill_in_order(
    cluster: &mut Cluster,
    nodes: &[NodeId],
    waiting: &[Demand],
    rows: &[usize],
    work: &Work,
) -> Vec<u32> {
    let demands: Vec<Demand> = rows.iter().map(|row| waiting[*row]).collect();
    let placed = fill(cluster, nodes, &demands, work);
    let mut left = vec![0; waiting.len()];
    for ((row, demand), placed) in rows.iter().zip(demands).zip(placed) {
        left[*row] = demand.count - placed;
    }
    left
}

fn sum_of(demands: &[Demand]) -> u32 {
    let counts = demands.iter().map(|demand| demand.count);
    counts.fold(0, u32::saturating_add)
}
