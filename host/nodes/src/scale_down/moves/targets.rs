//! Targets: node groups whose nodes may come in the place of others.

use std::sync::Arc;

use crate::cloud::NodeGroup;
use crate::limits::ClusterLimits;
use crate::scale_down::plan::ScaleDownContext;
use crate::state::ClusterState;
use crate::templates::{GroupTemplate, templates_of};

/// A node group whose nodes may come in the place of others.
pub(in crate::scale_down) struct Target {
    /// Index of the group in the census.
    pub(in crate::scale_down) row: usize,
    pub(in crate::scale_down) group: Arc<NodeGroup>,
    /// Templates of a new node, one for each zone that it may be in.
    pub(in crate::scale_down) templates: Vec<GroupTemplate>,
    /// Price of a node, for an hour.
    pub(in crate::scale_down) price: f64,
    /// Number of nodes that may come.
    pub(in crate::scale_down) room: u32,
    /// What a new node has left for pods: cpu, memory and number of pods.
    pub(super) free: [i64; 3],
}

/// Returns the groups that may grow for a replacement: their price is known, and the bounds,
/// backoffs and limits of scale-up let them.
pub(super) fn targets(context: &ScaleDownContext<'_>, state: &mut ClusterState) -> Vec<Target> {
    let mut limits = ClusterLimits::new(context.options, state.size());
    for census in &context.census.groups {
        if census.not_joined() > 0 {
            let templates = templates_of(state, census, context.options);
            let size = templates.first().map(GroupTemplate::size);
            limits.add(size.unwrap_or_default(), census.not_joined());
        }
    }
    let mut targets = Vec::new();
    for (row, census) in context.census.groups.iter().enumerate() {
        let group = &census.group;
        let Some(price) = group
            .price
            .filter(|price| price.is_finite() && *price >= 0.0)
        else {
            continue;
        };
        let room = group.max_size.saturating_sub(group.target_size);
        let is_closed = group.min_size > group.max_size
            || room == 0
            || group.scale_down.zero_or_max
            || context.backoffs.of(context.now, &group.name).is_some();
        if is_closed {
            continue;
        }
        let templates = templates_of(state, census, context.options);
        let Some(first) = templates.first() else {
            continue;
        };
        let (allowed, _) = limits.allowed(first.size(), room);
        if allowed == 0 {
            continue;
        }
        let allocatable = &first.template.node.allocatable;
        let carried = i64::try_from(first.template.carried.len()).unwrap_or(i64::MAX);
        targets.push(Target {
            row,
            group: Arc::clone(group),
            price,
            room: allowed,
            free: [
                allocatable.cpu.saturating_sub(first.requested.cpu),
                allocatable.memory.saturating_sub(first.requested.memory),
                allocatable.pods.saturating_sub(carried),
            ],
            templates,
        });
    }
    targets
}

impl Target {
    /// Smallest number of nodes with room for these amounts. `None` if no number is enough.
    pub(super) fn least_nodes(&self, amounts: [i64; 3]) -> Option<u32> {
        let mut least = 1;
        for (amount, free) in amounts.into_iter().zip(self.free) {
            if amount <= 0 {
                continue;
            }
            if free <= 0 {
                return None;
            }
            // Rounded up. Both are positive.
            let nodes = (amount - 1) / free + 1;
            least = least.max(u32::try_from(nodes).unwrap_or(u32::MAX));
        }
        Some(least)
    }
}
