//! Orders of a plan with other numbers of nodes, checked by the same guardrails.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::pack::Template;

use super::candidates::Candidate;
use super::rounds::Rounds;
use crate::guard::guarded;
use crate::limits::ClusterLimits;
use crate::record::{GuardedGroup, NodeGuardStep, Order, Round, RoundGuard};
use crate::templates::GroupTemplate;

/// The orders of a plan, and possible orders of other groups that grow together with the
/// ordered ones.
pub(super) struct PlanOrders<'a> {
    rounds: &'a Rounds<'a>,
    ordered: Vec<OrderedGroup>,
    /// Limits before the first round.
    limits: ClusterLimits,
}

/// A group in a round.
struct OrderedGroup {
    /// Index of the round.
    round: usize,
    /// Row of the group.
    row: usize,
    /// Number of nodes that the round ordered.
    nodes: u32,
}

/// The new orders of a round.
pub(super) struct Reissued {
    /// Index of the round.
    pub(super) round: usize,
    pub(super) guard: RoundGuard,
    pub(super) steps: Vec<NodeGuardStep>,
    /// The orders, each with the row of its group.
    pub(super) orders: Vec<(usize, Order)>,
}

impl<'a> PlanOrders<'a> {
    /// Collects the orders of the rounds. `limits` are those before the first round.
    pub(super) fn new(rounds: &'a Rounds<'a>, limits: ClusterLimits) -> Self {
        let mut all_ordered = Vec::new();
        for chosen in &rounds.chosen {
            let orders = rounds.records[chosen.round].orders.iter();
            let orders: Vec<(usize, u32)> = orders
                .filter_map(|order| {
                    Some((
                        rounds.candidates.row_of(&order.group)?,
                        order.to - order.from,
                    ))
                })
                .collect();
            let is_ordered = |row: &usize| orders.iter().any(|(ordered, _)| ordered == row);
            let others = chosen.rows.iter().filter(|row| !is_ordered(row));
            let others = others.map(|row| (*row, 0));
            let all = orders.iter().copied().chain(others);
            all_ordered.extend(all.map(|(row, nodes)| OrderedGroup {
                round: chosen.round,
                row,
                nodes,
            }));
        }
        Self {
            rounds,
            ordered: all_ordered,
            limits,
        }
    }

    /// The group of each entry.
    pub(super) fn groups(&self) -> impl Iterator<Item = &'a Candidate<'a>> {
        let rounds = self.rounds;
        let ordered = self.ordered.iter();
        ordered.map(move |group| &rounds.candidates.all[group.row])
    }

    /// The template of each entry. `None` if a group has no template.
    pub(super) fn templates(&self) -> Option<Vec<&'a Template>> {
        let templates = self.groups().map(Candidate::template);
        templates
            .map(|template| Some(&template?.template))
            .collect()
    }

    /// The number of nodes of each entry.
    pub(super) fn nodes(&self) -> Vec<u32> {
        self.ordered.iter().map(|group| group.nodes).collect()
    }

    /// Returns the orders of each round with other numbers of nodes. `None` if a
    /// guardrail does not allow them.
    pub(super) fn reissued(&self, nodes: &[u32]) -> Option<Vec<Reissued>> {
        let (mut limits, mut added) = (self.limits, 0);
        let mut targets: BTreeMap<usize, u32> = BTreeMap::new();
        let mut all = Vec::new();
        for (number, round) in self.rounds.records.iter().enumerate() {
            let Some(guard) = &round.guard else {
                continue;
            };
            let wanted = self.of_round(number, nodes);
            let mut guard = self.with_groups(guard, &wanted);
            guard.limits = limits;
            guard.max_per_pass = self.rounds.left_after(added);
            for group in &mut guard.groups {
                let row = self.rounds.candidates.row_of(&group.group)?;
                let before = self.rounds.candidates.all[row].group.target_size;
                group.size.current = targets.get(&row).copied().unwrap_or(before);
            }
            let reissued = self.reissued_round(number, round, guard, &wanted)?;
            for (row, order) in &reissued.orders {
                let template = self.rounds.candidates.all[*row].template();
                let count = order.to - order.from;
                limits.add(template.map(GroupTemplate::size).unwrap_or_default(), count);
                added += count;
                targets.insert(*row, order.to);
            }
            all.push(reissued);
        }
        Some(all)
    }

    /// Number of nodes wanted in a round, by row of the group.
    fn of_round(&self, number: usize, nodes: &[u32]) -> BTreeMap<usize, u32> {
        let groups = self.ordered.iter().zip(nodes);
        let groups = groups.filter(|(group, nodes)| group.round == number && **nodes > 0);
        groups.map(|(group, nodes)| (group.row, *nodes)).collect()
    }

    /// A copy of the guardrails' input with all groups of which nodes are wanted.
    fn with_groups(&self, guard: &RoundGuard, wanted: &BTreeMap<usize, u32>) -> RoundGuard {
        let mut guard = guard.clone();
        for &row in wanted.keys() {
            let group = &self.rounds.candidates.all[row].group;
            if guard.groups.iter().all(|known| known.group != group.name) {
                guard.groups.push(GuardedGroup {
                    group: Arc::clone(&group.name),
                    size: self.rounds.candidates.all[row].size(),
                    nodes: Some(0),
                });
                let more = self.rounds.largest(std::iter::once(row));
                guard.node.cpu_milli = guard.node.cpu_milli.max(more.cpu_milli);
                guard.node.memory = guard.node.memory.max(more.memory);
            }
        }
        guard
    }

    fn reissued_round(
        &self,
        number: usize,
        round: &Round,
        mut guard: RoundGuard,
        wanted: &BTreeMap<usize, u32>,
    ) -> Option<Reissued> {
        let mut steps = round.steps.clone();
        let mut orders = self.guarded(&guard)?;
        if !are_of(&orders, wanted) {
            let (from, to) = (guard.wanted, wanted.values().sum());
            guard.wanted = to;
            for group in &mut guard.groups {
                let nodes = wanted.get(&self.rounds.candidates.row_of(&group.group)?);
                group.nodes = Some(nodes.copied().unwrap_or_default());
            }
            orders = self.guarded(&guard)?;
            let message = format!("with all nodes of the plan there, its pods need {to} of these");
            steps.push(NodeGuardStep {
                guardrail: "Rehearsal".into(),
                from,
                to,
                message,
            });
        }
        are_of(&orders, wanted).then_some(Reissued {
            round: number,
            guard,
            steps,
            orders,
        })
    }

    /// The orders that the guardrails allow, each with the row of its group.
    fn guarded(&self, guard: &RoundGuard) -> Option<Vec<(usize, Order)>> {
        let orders = guarded(guard).1.into_iter();
        orders
            .map(|order| Some((self.rounds.candidates.row_of(&order.group)?, order)))
            .collect()
    }
}

/// Whether these orders have exactly the wanted number of nodes of each group.
fn are_of(orders: &[(usize, Order)], wanted: &BTreeMap<usize, u32>) -> bool {
    let ordered = orders
        .iter()
        .map(|(row, order)| (*row, order.to - order.from));
    ordered.collect::<BTreeMap<_, _>>() == *wanted
}
