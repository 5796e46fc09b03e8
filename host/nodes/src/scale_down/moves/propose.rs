//! Proposes moves: each removable node, each node by cheaper ones, and sets of nodes by fewer
//! or cheaper ones. Sets are prefixes of the order of candidates, of one group and of all,
//! and bisection finds the longest that can be replaced.

use std::collections::BTreeMap;

use flyball_placement::ClassId;

use super::targets::Target;
use super::{Coming, ProposedMove, min_pod_age_ms};
use crate::scale_down::judge::{JudgedNode, PodAction};
use crate::scale_down::plan::ScaleDownContext;
use crate::scale_down::removals::{Replacing, SimulatedRemovals};
use flyball_decision::scale_down::MAX_MOVES;

/// Largest number of simulations for proposals in a pass.
const MAX_SIMULATIONS: u32 = 2000;

/// How many targets are tried for a set of nodes, the cheapest first.
const MAX_TARGETS: usize = 8;

/// The proposals of one pass.
pub(super) struct Proposals<'p, 'a> {
    context: &'p ScaleDownContext<'p>,
    removals: &'p mut SimulatedRemovals<'a>,
    nodes: &'p [JudgedNode],
    targets: &'p [Target],
    /// Simulations that are left.
    left: u32,
    replacements: Vec<ProposedMove>,
}

/// What can take the place of a set of nodes.
enum Found {
    /// Cheaper nodes.
    Cheaper(ProposedMove),
    /// Other nodes have room for all pods.
    NothingNeeded,
    /// Nothing, or the set can't leave.
    Nothing,
}

impl<'p, 'a> Proposals<'p, 'a> {
    pub(super) fn new(
        context: &'p ScaleDownContext<'p>,
        removals: &'p mut SimulatedRemovals<'a>,
        nodes: &'p [JudgedNode],
        targets: &'p [Target],
    ) -> Self {
        Self {
            context,
            removals,
            nodes,
            targets,
            left: MAX_SIMULATIONS,
            replacements: Vec::new(),
        }
    }

    /// Returns all moves: first the removals, then at most [`MAX_MOVES`] replacements.
    pub(super) fn all(mut self, removable: &[usize]) -> Vec<ProposedMove> {
        let removals = removable.iter().map(|&at| self.removal(at));
        let mut moves: Vec<ProposedMove> = removals.collect();
        let replaceable = self.replaceable();
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for &at in &replaceable {
            let group = self.nodes[at].node.group;
            groups.entry(group).or_default().push(at);
        }
        // Sets first: they are few, and save most.
        if groups.len() > 1 {
            self.prefixes(&replaceable);
        }
        for nodes in groups.values() {
            self.prefixes(nodes);
        }
        for &at in &replaceable {
            if let Found::Cheaper(found) = self.replace(&[at]) {
                self.replacements.push(found);
            }
        }
        self.replacements.truncate(MAX_MOVES);
        moves.append(&mut self.replacements);
        moves
    }

    /// Indices of nodes that may be replaced: those with pods that may go, whose price is
    /// known, as far as the bounds of their groups allow.
    fn replaceable(&self) -> Vec<usize> {
        let own = self.context.options.scale_down.own_node.as_deref();
        let groups = &self.context.census.groups;
        let mut left: BTreeMap<usize, u32> = BTreeMap::new();
        let nodes = self.nodes.iter().enumerate();
        let replaceable = nodes.filter(|(_, node)| {
            let group = &groups[node.node.group].group;
            let mut pods = node.pods.iter();
            let may_leave = node.stay.is_none()
                && !node.is_empty()
                && !pods.any(|pod| pod.action == PodAction::Wait)
                && node.node.price.is_some()
                && !group.scale_down.zero_or_max
                && Some(&*node.node.name) != own;
            if !may_leave {
                return false;
            }
            let spare = group.target_size.saturating_sub(group.min_size);
            let left = left.entry(node.node.group).or_insert(spare);
            let is_spare = *left > 0;
            *left = left.saturating_sub(1);
            is_spare
        });
        replaceable.map(|(at, _)| at).collect()
    }

    /// Proposes prefixes of these nodes, at least two nodes long.
    fn prefixes(&mut self, nodes: &[usize]) {
        let (mut low, mut high) = (2, nodes.len());
        while low <= high {
            let length = low + (high - low) / 2;
            match self.replace(&nodes[..length]) {
                Found::Cheaper(found) => {
                    self.replacements.push(found);
                    low = length + 1;
                }
                Found::NothingNeeded => low = length + 1,
                Found::Nothing => high = length - 1,
            }
        }
    }

    fn removal(&self, at: usize) -> ProposedMove {
        let node = &self.nodes[at];
        ProposedMove {
            leaving: vec![at],
            coming: None,
            price_before: node.node.price,
            price_after: Some(0.0),
            exhausted_budgets: self.removals.exhausted_budgets(&[node]),
        }
    }

    /// Finds the cheapest nodes that can take the place of a set of nodes.
    fn replace(&mut self, set: &[usize]) -> Found {
        let nodes: Vec<&JudgedNode> = set.iter().map(|&at| &self.nodes[at]).collect();
        let prices = nodes.iter().map(|node| node.node.price);
        let Some(before) = prices.sum::<Option<f64>>() else {
            return Found::Nothing;
        };
        if !self.may_simulate() {
            return Found::Nothing;
        }
        let min_age = min_pod_age_ms(self.context);
        let Ok(without_room) = self.removals.without_room(&nodes, min_age) else {
            return Found::Nothing;
        };
        if without_room.is_empty() {
            return Found::NothingNeeded;
        }
        let mut best: Option<(f64, Coming)> = None;
        for (price, target) in self.cheapest(&nodes, &without_room, before) {
            let limit = best.as_ref().map_or(before, |(price, _)| *price);
            if price >= limit || !self.may_simulate() {
                break;
            }
            if let Some(count) = self.count(&nodes, target, limit) {
                let price = self.targets[target].price * f64::from(count);
                best = Some((price, Coming { target, count }));
            }
        }
        let Some((after, coming)) = best else {
            return Found::Nothing;
        };
        Found::Cheaper(ProposedMove {
            leaving: set.to_vec(),
            coming: Some(coming),
            price_before: Some(before),
            price_after: Some(after),
            exhausted_budgets: self.removals.exhausted_budgets(&nodes),
        })
    }

    fn may_simulate(&mut self) -> bool {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }

    /// Targets by the least price that they could do it for, if that is below `before`.
    fn cheapest(
        &self,
        nodes: &[&JudgedNode],
        without_room: &[ClassId],
        before: f64,
    ) -> Vec<(f64, usize)> {
        let cluster = self.removals.state.cluster();
        let mut sum = [0_i64; 3];
        for &class in without_room {
            let (cpu, memory) = cluster.cpu_and_memory(class);
            for (sum, amount) in sum.iter_mut().zip([cpu, memory, 1]) {
                *sum = sum.saturating_add(amount);
            }
        }
        let prices = nodes.iter().filter_map(|node| node.node.price);
        let dearest = prices.fold(0.0, f64::max);
        let all_spot = nodes.iter().all(|node| node.node.spot == Some(true));
        let spot_by_spot = self.context.options.scale_down.replace_spot_by_spot;
        let mut found: Vec<(f64, usize)> = Vec::new();
        for (at, target) in self.targets.iter().enumerate() {
            let is_spot_by_spot = all_spot && target.group.spot == Some(true) && !spot_by_spot;
            // Where keeping one of the nodes does as well, plain removals find that.
            let is_no_better =
                target.price >= dearest || nodes.iter().any(|node| node.node.group == target.row);
            if is_spot_by_spot || is_no_better {
                continue;
            }
            let count = target
                .least_nodes(sum)
                .filter(|&count| count <= target.room);
            let price = count.map(|count| target.price * f64::from(count));
            if let Some(price) = price.filter(|price| *price < before) {
                found.push((price, at));
            }
        }
        found.sort_by(|a, b| a.0.total_cmp(&b.0));
        found.truncate(MAX_TARGETS);
        found
    }

    /// How many nodes of a target it takes, if their price is below the limit, whatever zone
    /// they come in.
    fn count(&mut self, nodes: &[&JudgedNode], target: usize, limit: f64) -> Option<u32> {
        let target = &self.targets[target];
        let mut max = target.room;
        if target.price > 0.0 {
            // Below the limit, which is finite: prices are.
            let affordable = (limit / target.price).ceil() - 1.0;
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a conversion from f64 saturates"
            )]
            let affordable = affordable as u32;
            max = max.min(affordable);
        }
        let counts = target.templates.iter().map(|template| {
            let replacing = Replacing {
                template: &template.template,
                group: &target.group.name,
                max,
            };
            self.removals.new_nodes(nodes, replacing)
        });
        let counts: Option<Vec<u32>> = counts.collect();
        counts?.into_iter().max().filter(|count| *count > 0)
    }
}
