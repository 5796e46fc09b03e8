//! Orders for a chosen option, after the guardrails.

use std::sync::Arc;

use flyball_placement::pack::Packed;

use super::{Ordered, Rounds};
use crate::guard::guarded;
use crate::limits::NodeSize;
use crate::record::{GuardedGroup, Order, Round, RoundGuard};
use crate::scale_up::expansion_option::ExpansionOption;
use crate::templates::GroupTemplate;

impl Rounds<'_> {
    /// The groups over which the nodes of an option of one group may be split: those
    /// similar to it that have room for the same pods. (Similar groups may differ in
    /// zones and taints.)
    fn split_over(&self, chosen: &ExpansionOption, options: &[ExpansionOption]) -> Vec<usize> {
        if chosen.zones_by_class.is_some() {
            return vec![chosen.first()];
        }
        let takes_the_same = |row: usize| {
            let is_alone = |option: &&ExpansionOption| {
                option.parts.len() == 1 && option.zones_by_class.is_none()
            };
            let mut alone = options.iter().filter(is_alone);
            let option = alone.find(|option| option.first() == row);
            option.is_some_and(|option| takes_all_of(&option.packed, &chosen.packed))
        };
        let mut family = self.candidates.with_similar(chosen.first());
        family.retain(|&row| row == chosen.first() || takes_the_same(row));
        family
    }

    /// Applies the guardrails to a chosen option. Adds the orders to the round and counts
    /// them, and returns them.
    pub(super) fn order(
        &mut self,
        chosen: &ExpansionOption,
        options: &[ExpansionOption],
        round: &mut Round,
    ) -> Vec<Ordered> {
        let several = chosen.parts.len() > 1;
        let groups: Vec<(usize, Option<u32>)> = if several {
            let parts = chosen.parts.iter();
            parts.map(|(row, nodes)| (*row, Some(*nodes))).collect()
        } else {
            let rows = self.split_over(chosen, options).into_iter();
            rows.map(|row| (row, None)).collect()
        };
        for (row, nodes) in &chosen.parts {
            let name = &self.candidates.all[*row].group.name;
            self.log.push(format!("Best option to resize: {name}"));
            self.log
                .push(format!("Estimated {nodes} nodes needed in {name}"));
        }
        let guard = RoundGuard {
            wanted: chosen.packed.node_count(),
            node: self.largest(groups.iter().map(|(row, _)| *row)),
            limits: self.limits,
            max_per_pass: self.left_of_pass(),
            groups: groups
                .iter()
                .map(|&(row, nodes)| GuardedGroup {
                    group: Arc::clone(&self.candidates.all[row].group.name),
                    size: self.candidates.all[row].size(),
                    nodes,
                })
                .collect(),
        };
        let (steps, orders) = guarded(&guard);
        let mut ordered = Vec::with_capacity(orders.len());
        for order in &orders {
            if let Some(row) = self.candidates.row_of(&order.group) {
                self.count(row, order);
                ordered.push((row, order.to - order.from));
            }
        }
        if orders.is_empty() {
            let message = steps
                .last()
                .map_or_else(String::new, |step| step.message.clone());
            for (row, _) in &chosen.parts {
                let candidate = &mut self.candidates.all[*row];
                let message = format!("{}: {message}", candidate.group.name);
                candidate.skip("Limited", "not ready for scale-up", message);
            }
        }
        self.candidates.limit(&self.limits);
        (round.guard, round.steps, round.orders) = (Some(guard), steps, orders);
        ordered
    }

    /// Counts an order into the group's target and into the limits.
    pub(in crate::scale_up) fn count(&mut self, row: usize, order: &Order) {
        let candidate = &mut self.candidates.all[row];
        let nodes = order.to - order.from;
        candidate.target = order.to;
        self.added += nodes;
        let size = candidate.template().map(GroupTemplate::size);
        self.limits.add(size.unwrap_or_default(), nodes);
        if order.to >= order.max {
            let message = format!("{}: at its largest size {}", order.group, order.max);
            candidate.skip("MaxSize", "max node group size reached", message);
        }
    }

    /// The most that a node of any of these groups adds to the cluster.
    pub(in crate::scale_up) fn largest(&self, rows: impl Iterator<Item = usize>) -> NodeSize {
        let templates = rows.filter_map(|row| self.candidates.all[row].template());
        templates
            .map(GroupTemplate::size)
            .fold(NodeSize::default(), |largest, size| NodeSize {
                cpu_milli: largest.cpu_milli.max(size.cpu_milli),
                memory: largest.memory.max(size.memory),
            })
    }
}

/// Whether an estimate places pods of every class of which another one does.
fn takes_all_of(packed: &Arc<Packed>, other: &Arc<Packed>) -> bool {
    let mut both = packed.placed.iter().zip(&other.placed);
    Arc::ptr_eq(packed, other) || both.all(|(&own, &other)| own > 0 || other == 0)
}
