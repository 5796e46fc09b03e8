//! Events about pods: what was ordered for them, or why no group helps them, with the
//! first filter that fails for each group.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::pack::add_template;
use flyball_placement::{ClassId, Cluster, Misfit, Node, Plugin};

use super::candidates::{Candidate, Candidates};
use super::rounds::ChosenOption;
use super::{MAX_POD_EVENTS, Plan, PlanContext, pod_event, triggered};
use crate::demand::{UnplacedPods, list};
use crate::limits::Limit;
use crate::record::{MAX_NAMES, Refusal, Remaining};
use crate::reported::{NOT_TRIGGERED, ReportedEvents};
use crate::state::ClusterState;

/// Maximum number of classes whose reasons are found in one plan. Classes with pods that
/// have no event yet come first.
const MAX_CLASSES: usize = 50;

/// Reason of a group that has room for the pods and was not chosen.
const NOT_CHOSEN: &str = "not chosen in this pass";

/// Reason of a group with an upcoming node that may help the pods, depending on the zone
/// that the cloud chooses.
const AWAITED: &str = "waiting for the zone of the node on its way";

/// Reason of a group whose last node for the pods came in a zone that does not help them.
const AVOIDED: &str = "in backoff after a node came in another zone";

/// Adds the pods that orders help to the plan, and events about them.
pub(super) fn add_helped(state: &ClusterState, chosen: &[ChosenOption], plan: &mut Plan) {
    for chosen in chosen {
        let round = &mut plan.rounds[chosen.round];
        round.helped = list(state, chosen.helped.iter());
        let message = triggered(&round.orders);
        let room = MAX_POD_EVENTS.saturating_sub(plan.events.len());
        let pods = chosen.helped.iter().take(room);
        let pods = pods.filter_map(|&slot| state.pod_at(slot));
        let events = pods.map(|pod| pod_event(pod, "TriggeredScaleUp", &message));
        plan.events.extend(events);
    }
}

/// Adds the pods that no order helps to the plan, and events about the reasons that were
/// not reported before.
pub(super) fn add_remaining(
    context: &PlanContext<'_>,
    reported: &ReportedEvents,
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    unplaced: &[UnplacedPods],
    plan: &mut Plan,
) {
    let is_unreported = |unplaced: &UnplacedPods| {
        let pods = unplaced.waiting().iter();
        let mut pods = pods.filter_map(|&slot| state.pod_at(slot));
        pods.any(|pod| !reported.has_pod(pod.uid))
    };
    let waiting = unplaced.iter().filter(|unplaced| unplaced.gets_events());
    let (mut classes, known): (Vec<&UnplacedPods>, Vec<&UnplacedPods>) =
        waiting.partition(|&unplaced| is_unreported(unplaced));
    plan.events_omitted = classes.len() > MAX_CLASSES;
    classes.extend(known);
    classes.truncate(MAX_CLASSES);
    let mut refusals: Vec<BTreeMap<String, Refusal>> = vec![BTreeMap::new(); classes.len()];
    for candidate in &candidates.all {
        let reasons = reasons_of(state, candidate, &classes);
        for (refusals, reason) in refusals.iter_mut().zip(reasons) {
            let new = |reason: &String| Refusal {
                reason: reason.clone(),
                count: 0,
                groups: Vec::new(),
            };
            let refusal = refusals.entry(reason).or_insert_with_key(new);
            refusal.count += 1;
            if refusal.groups.len() < MAX_NAMES {
                refusal.groups.push(Arc::clone(&candidate.group.name));
            }
        }
    }
    for (unplaced, reasons) in classes.into_iter().zip(refusals) {
        let reasons: Vec<Refusal> = reasons.into_values().collect();
        add_pod_events(reported, state, unplaced, &reasons, plan);
        plan.remaining.push(Remaining {
            pods: list(state, unplaced.waiting().iter()),
            reasons,
        });
    }
    add_limit_event(context, candidates, plan);
}

/// Returns why a group helps none of these pods, at the index of each class.
fn reasons_of(
    state: &mut ClusterState,
    candidate: &Candidate<'_>,
    unplaced: &[&UnplacedPods],
) -> Vec<String> {
    let skipped = candidate.skipped.as_ref();
    let skipped = skipped.map(|skipped| skipped.reason.clone());
    let cluster = state.cluster_mut();
    let mut reasons: Vec<Option<String>> = vec![None; unplaced.len()];
    let mut fits = vec![false; unplaced.len()];
    for template in candidate.templates() {
        let mark = cluster.mark();
        let node = add_template(cluster, &template.template);
        for (row, unplaced) in unplaced.iter().enumerate() {
            match cluster.check(unplaced.class, node) {
                Err(misfit) => {
                    let reason = reason(cluster, &misfit, unplaced.class, &template.template.node);
                    reasons[row].get_or_insert(reason);
                }
                Ok(()) => fits[row] = true,
            }
        }
        cluster.rollback(mark);
    }
    let rows = unplaced.iter().zip(fits).zip(reasons);
    rows.map(|((unplaced, fits), reason)| match reason {
        Some(reason) if !fits => reason,
        _ => skipped
            .clone()
            .unwrap_or_else(|| reason_not_chosen(candidate, unplaced.class).to_owned()),
    })
    .collect()
}

/// Returns the message of the first filter that fails. It also says if the pod has more
/// volumes than any such node can attach.
fn reason(cluster: &Cluster, misfit: &Misfit, class: ClassId, node: &Node) -> String {
    let reason = misfit.reasons().into_iter().next().unwrap_or_default();
    let of_limits = misfit.is_of(Plugin::NodeVolumeLimits).then_some(());
    match of_limits.and_then(|()| cluster.volumes_beyond_limit(class, node)) {
        Some(beyond) => format!("{reason}: {beyond}"),
        None => reason,
    }
}

/// Returns why no node was ordered of a group that may grow and has room for the pods in
/// at least one zone.
fn reason_not_chosen(candidate: &Candidate<'_>, class: ClassId) -> &'static str {
    if candidate.has_several_zones() && candidate.avoids(class) {
        AVOIDED
    } else if candidate.has_several_zones() && candidate.awaits(class) {
        AWAITED
    } else {
        NOT_CHOSEN
    }
}

fn add_pod_events(
    reported: &ReportedEvents,
    state: &ClusterState,
    unplaced: &UnplacedPods,
    reasons: &[Refusal],
    plan: &mut Plan,
) {
    if reasons.iter().any(|refusal| refusal.reason == NOT_CHOSEN) {
        // The next pass may choose that group for them.
        return;
    }
    let counts = reasons.iter();
    let counts: Vec<String> = counts
        .map(|refusal| format!("{} {}", refusal.count, refusal.reason))
        .collect();
    let message = format!("pod didn't trigger scale-up: {}", counts.join(", "));
    let pods = unplaced.waiting().iter();
    let mut pods = pods
        .filter_map(|&slot| state.pod_at(slot))
        .filter(|pod| !reported.has_message(pod.uid, &message));
    let room = MAX_POD_EVENTS.saturating_sub(plan.events.len());
    let emitted = pods.by_ref().take(room);
    plan.events
        .extend(emitted.map(|pod| pod_event(pod, NOT_TRIGGERED, &message)));
    plan.events_omitted |= pods.next().is_some();
}

fn add_limit_event(context: &PlanContext<'_>, candidates: &Candidates<'_>, plan: &mut Plan) {
    let skipped = candidates.all.iter();
    let mut skipped = skipped.filter_map(|candidate| candidate.skipped.as_ref());
    let reached = skipped.any(|skipped| *skipped.code == *Limit::NodesTotal.code());
    if reached && context.options.max_nodes_total > 0 {
        let max = context.options.max_nodes_total;
        let message = format!("Max total nodes in cluster reached: {max}");
        plan.events
            .push(super::event(true, "MaxNodesTotalReached", message));
    }
}
