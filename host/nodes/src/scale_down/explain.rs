//! Explains a plan of removals: what records and `flyball plan` say about each node.

use std::sync::Arc;

use super::limits::unneeded_time_ms;
use super::moves::take::PlannedReplacement;
use super::plan::{MovedPod, ScaleDownContext, StayingNode, UnneededNode};
use super::tracker::ScaleDownTracker;
use crate::reasons::{self, Stay};
use crate::record::{MovedPodRecord, NeededRecord, ReplacementRecord, UnneededRecord};
use crate::state::{BudgetFacts, ClusterState, PodBudgets};
use flyball_decision::text::{self, MESSAGE_BYTES};
use flyball_decision::time::Timestamp;

/// Returns what a record says about a node that is needed.
#[must_use]
pub fn needed_record(state: &ClusterState, node: &StayingNode) -> NeededRecord {
    NeededRecord {
        node: Arc::clone(&node.name),
        stay: explained(state, &node.name, &node.stay),
    }
}

/// Returns what a record says about an unneeded node. `stay` is why it stays for now.
#[must_use]
pub fn unneeded_record(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    tracker: &ScaleDownTracker,
    node: &UnneededNode,
    stay: Option<&Stay>,
) -> UnneededRecord {
    let since = tracker.timers.since(&node.name).unwrap_or(context.now);
    UnneededRecord {
        node: Arc::clone(&node.name),
        group: Arc::clone(&context.census.groups[node.group].group.name),
        since,
        until: stay.and_then(|stay| waits_until(context, tracker, node, since, stay)),
        stay: stay.map(|stay| explained(state, &node.name, stay)),
        pods: moved_pods(state, &node.pods),
    }
}

/// Returns what a record says about a replacement.
#[must_use]
pub fn replacement_record(one: &PlannedReplacement) -> ReplacementRecord {
    ReplacementRecord {
        leaving: one.key.leaving.clone(),
        group: Arc::clone(&one.key.group),
        count: one.key.count,
        price_before: one.price_before,
        price_after: one.price_after,
        since: one.since,
        ordered: one.is_ordered,
    }
}

/// Returns the names of pods that move, and where each finds room.
#[must_use]
pub fn moved_pods(state: &ClusterState, pods: &[MovedPod]) -> Vec<MovedPodRecord> {
    let pods = pods.iter().filter_map(|pod| {
        Some(MovedPodRecord {
            pod: state.pod_at(pod.slot)?.key.clone(),
            to: pod.to.clone(),
        })
    });
    pods.collect()
}

/// Returns when a node's wait ends, if only time has to pass.
fn waits_until(
    context: &ScaleDownContext<'_>,
    tracker: &ScaleDownTracker,
    node: &UnneededNode,
    since: Timestamp,
    stay: &Stay,
) -> Option<Timestamp> {
    let group = &context.census.groups[node.group].group;
    let is = |reason: reasons::HostReason| *stay.code == *reason.code;
    if is(reasons::NOT_UNNEEDED_LONG_ENOUGH) || is(reasons::NOT_UNREADY_LONG_ENOUGH) {
        return Some(since.plus(unneeded_time_ms(group, context.options, node)));
    }
    if is(reasons::REPLACEMENT_PROPOSED) {
        let stable = context.options.scale_down.replacement_stable_time_ms;
        let since = tracker.replacements.proposed_since(&node.name)?;
        return Some(since.plus(stable));
    }
    let delays = &tracker.delays;
    let until = || delays.until(&group.name, &context.options.scale_down);
    is(reasons::COOLDOWN).then(until)?
}

/// Adds the owner of the pod that keeps a node to the reason, and the budgets if they are
/// why: at most [`MAX_NAMED_BUDGETS`](crate::state::MAX_NAMED_BUDGETS).
#[must_use]
pub fn explained(state: &ClusterState, node: &str, stay: &Stay) -> Stay {
    let mut stay = stay.clone();
    let Some(key) = &stay.pod else {
        return stay;
    };
    let mut pods = state.pods_on(node);
    let Some(pod) = pods.find(|pod| pod.key == key) else {
        return stay;
    };
    let owner = pod.facts.owner.as_ref();
    stay.owner = owner.map(|owner| format!("{} {}", owner.kind, owner.name).into());
    let is_of_budgets = [reasons::NOT_ENOUGH_PDB, reasons::SEVERAL_BUDGETS]
        .iter()
        .any(|reason| *reason.code == **stay.cause());
    if is_of_budgets {
        let PodBudgets { count, named } = state.budgets_of(&pod);
        let named = named.iter().filter_map(|&id| state.budget(id));
        let named: Vec<&BudgetFacts> = named.collect();
        stay.budgets = named.iter().map(|budget| budget.key.clone()).collect();
        if !named.is_empty() {
            let texts = named.into_iter().map(in_words);
            stay.message = text::list(texts, count as usize, " and ", MESSAGE_BYTES);
        }
    }
    stay
}

fn in_words(budget: &BudgetFacts) -> String {
    let BudgetFacts {
        key,
        min_healthy,
        current_healthy,
        ..
    } = budget;
    let allows = match budget.allowed() {
        ..=0 => format!(
            "allows no disruption: {} healthy, and {min_healthy} must be",
            match current_healthy {
                1 => "1 pod is".to_owned(),
                pods => format!("{pods} pods are"),
            }
        ),
        allowed => format!("allows {allowed} at a time, which removals before this one use"),
    };
    format!(
        "PodDisruptionBudget {}/{} {allows}",
        key.namespace, key.name
    )
}
