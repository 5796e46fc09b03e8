//! Guardrails for orders, which no expander can lift: limits of the pass, of the cluster
//! and of each group, and the split over similar groups.

use super::balance::{GroupSize, balance};
use super::record::{NodeGuardStep, Order, RoundGuard};
use flyball_decision::text::{self, NOTE_BYTES};

/// Returns what each guardrail changed of a chosen option, and the resulting orders.
#[must_use]
pub fn guarded(guard: &RoundGuard) -> (Vec<NodeGuardStep>, Vec<Order>) {
    let mut steps = Vec::new();
    let mut nodes = guard.wanted;
    let mut limit = |name: &str, to: u32, message: String, nodes: &mut u32| {
        if to < *nodes {
            steps.push(NodeGuardStep {
                guardrail: name.into(),
                from: *nodes,
                to,
                message,
            });
            *nodes = to;
        }
    };
    if let Some(max) = guard.max_per_pass {
        let message = format!("this pass may add {max} more nodes");
        limit("MaxNodesPerScaleUp", max, message, &mut nodes);
    }
    let (allowed, by) = guard.limits.allowed(guard.node, nodes);
    if let Some(by) = by {
        let message = format!("{}: {} allows {allowed} more", by.reason(), by.flag());
        limit(by.code(), allowed, message, &mut nodes);
    }
    let sizes: Vec<GroupSize> = guard.groups.iter().map(|group| group.size).collect();
    let targets = split(guard, &sizes, nodes);
    let added: u32 = targets
        .iter()
        .zip(&sizes)
        .map(|(to, size)| to - size.current)
        .sum();
    let message = format!("the groups have room for {added} more");
    limit("MaxSize", added, message, &mut nodes);
    let orders = guard.groups.iter().zip(targets);
    let orders = orders.filter(|(group, to)| *to > group.size.current);
    let orders: Vec<_> = orders
        .map(|(group, to)| Order {
            group: group.group.clone(),
            from: group.size.current,
            to,
            max: group.size.max,
        })
        .collect();
    let fixed = guard.groups.iter().any(|group| group.nodes.is_some());
    if fixed {
        return (steps, orders);
    }
    if orders.len() > 1
        || orders.first().map(|o| &o.group) != guard.groups.first().map(|g| &g.group)
            && !orders.is_empty()
    {
        let names = guard.groups.iter().map(|group| &*group.group);
        let names = text::list(names, guard.groups.len(), ", ", NOTE_BYTES);
        steps.push(NodeGuardStep {
            guardrail: "BalanceSimilarNodeGroups".into(),
            from: nodes,
            to: nodes,
            message: format!("split over similar groups: {names}"),
        });
    }
    (steps, orders)
}

/// Returns the new size of each group. If the option names nodes for each group, the
/// groups with most are cut until the sum is allowed. Otherwise the nodes are balanced.
fn split(guard: &RoundGuard, sizes: &[GroupSize], nodes: u32) -> Vec<u32> {
    let asked: Option<Vec<u32>> = guard.groups.iter().map(|group| group.nodes).collect();
    let Some(mut asked) = asked else {
        return balance(sizes, nodes);
    };
    for (asked, size) in asked.iter_mut().zip(sizes) {
        *asked = (*asked).min(size.max.saturating_sub(size.current));
    }
    let all: u32 = asked
        .iter()
        .fold(0, |sum, asked| sum.saturating_add(*asked));
    for _ in nodes..all {
        if let Some(most) = asked.iter_mut().rev().max() {
            *most -= 1;
        }
    }
    let targets = asked.iter().zip(sizes);
    targets.map(|(asked, size)| size.current + asked).collect()
}
