//! Events about pods: what was ordered for them, or why the pods that are left fit
//! nowhere, with the first rule that fails for each group.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::pack::add_template;
use flyball_placement::{ClassId, Cluster, Misfit, Node, Plugin};

use super::groups::{Candidate, Candidates};
use super::rounds::Chosen;
use super::{MAX_POD_EVENTS, Plan, Scene, pod_event, triggered};
use crate::nodes::demand::{Wanted, list};
use crate::nodes::limits::Limit;
use crate::nodes::record::{MAX_NAMES, Refusal, Remaining};
use crate::nodes::state::ClusterState;
use crate::nodes::told::{NOT_TRIGGERED, Told};

/// Most classes of pods whose reasons are found in one plan: those first of which some
/// pod was told nothing yet.
const MAX_CLASSES: usize = 50;

/// A group would take the pods, and none of its nodes was ordered for them.
const NOT_CHOSEN: &str = "not chosen in this pass";

/// A node of the group is on its way that may help the pods: in which zone it comes is for
/// the cloud to choose.
const AWAITED: &str = "waiting for the zone of the node on its way";

/// The last node of the group for the pods came in a zone that does not help them.
const AVOIDED: &str = "in backoff after a node came in another zone";

/// Tells which pods are helped by what was ordered, in the plan and in events.
pub(super) fn tell_helped(state: &ClusterState, chosen: &[Chosen], plan: &mut Plan) {
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

/// Tells why pods are left over, in the plan and in events, without what was told.
pub(super) fn tell(
    scene: &Scene<'_>,
    told: &Told,
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    wanted: &[Wanted],
    plan: &mut Plan,
) {
    let is_news = |wanted: &Wanted| {
        let pods = wanted.waiting().iter();
        let mut pods = pods.filter_map(|&slot| state.pod_at(slot));
        pods.any(|pod| !told.knows(pod.uid))
    };
    let waiting = wanted.iter().filter(|wanted| wanted.is_told());
    let (mut classes, known): (Vec<&Wanted>, Vec<&Wanted>) =
        waiting.partition(|&wanted| is_news(wanted));
    plan.untold = classes.len() > MAX_CLASSES;
    classes.extend(known);
    classes.truncate(MAX_CLASSES);
    let mut refusals: Vec<BTreeMap<String, Refusal>> = vec![BTreeMap::new(); classes.len()];
    for candidate in &candidates.all {
        let reasons = refused(state, candidate, &classes);
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
    for (wanted, reasons) in classes.into_iter().zip(refusals) {
        let reasons: Vec<Refusal> = reasons.into_values().collect();
        tell_pods(told, state, wanted, &reasons, plan);
        plan.remaining.push(Remaining {
            pods: list(state, wanted.waiting().iter()),
            reasons,
        });
    }
    tell_limit(scene, candidates, plan);
}

/// Why a group takes none of some pods.
fn refused(state: &mut ClusterState, candidate: &Candidate<'_>, wanted: &[&Wanted]) -> Vec<String> {
    let skipped = candidate.skipped.as_ref();
    let skipped = skipped.map(|skipped| skipped.reason.clone());
    let cluster = state.cluster_mut();
    let mut reasons: Vec<Option<String>> = vec![None; wanted.len()];
    let mut fits = vec![false; wanted.len()];
    for template in candidate.templates() {
        let mark = cluster.mark();
        let node = add_template(cluster, &template.template);
        for (row, wanted) in wanted.iter().enumerate() {
            match cluster.check(wanted.class, node) {
                Err(misfit) => {
                    let reason = reason(cluster, &misfit, wanted.class, &template.template.node);
                    reasons[row].get_or_insert(reason);
                }
                Ok(()) => fits[row] = true,
            }
        }
        cluster.rollback(mark);
    }
    let rows = wanted.iter().zip(fits).zip(reasons);
    rows.map(|((wanted, fits), reason)| match reason {
        Some(reason) if !fits => reason,
        _ => skipped
            .clone()
            .unwrap_or_else(|| unasked(candidate, wanted.class).to_owned()),
    })
    .collect()
}

/// Returns the message of the first filter that fails. It says if the pod has more
/// volumes than any such node can attach.
fn reason(cluster: &Cluster, misfit: &Misfit, class: ClassId, node: &Node) -> String {
    let reason = misfit.reasons().into_iter().next().unwrap_or_default();
    let of_limits = misfit.is_of(Plugin::NodeVolumeLimits).then_some(());
    match of_limits.and_then(|()| cluster.volumes_beyond_limit(class, node)) {
        Some(beyond) => format!("{reason}: {beyond}"),
        None => reason,
    }
}

/// Why no node was ordered of a group that may grow and takes the pods, in some zone at
/// least.
fn unasked(candidate: &Candidate<'_>, class: ClassId) -> &'static str {
    if candidate.is_uncertain() && candidate.avoids(class) {
        AVOIDED
    } else if candidate.is_uncertain() && candidate.awaits(class) {
        AWAITED
    } else {
        NOT_CHOSEN
    }
}

fn tell_pods(
    told: &Told,
    state: &ClusterState,
    wanted: &Wanted,
    reasons: &[Refusal],
    plan: &mut Plan,
) {
    if reasons.iter().any(|refusal| refusal.reason == NOT_CHOSEN) {
        // Their turn comes in the next pass.
        return;
    }
    let counts = reasons.iter();
    let counts: Vec<String> = counts
        .map(|refusal| format!("{} {}", refusal.count, refusal.reason))
        .collect();
    let message = format!("pod didn't trigger scale-up: {}", counts.join(", "));
    let pods = wanted.waiting().iter();
    let mut pods = pods
        .filter_map(|&slot| state.pod_at(slot))
        .filter(|pod| !told.says(pod.uid, &message));
    let room = MAX_POD_EVENTS.saturating_sub(plan.events.len());
    let told_now = pods.by_ref().take(room);
    plan.events
        .extend(told_now.map(|pod| pod_event(pod, NOT_TRIGGERED, &message)));
    plan.untold |= pods.next().is_some();
}

fn tell_limit(scene: &Scene<'_>, candidates: &Candidates<'_>, plan: &mut Plan) {
    let skipped = candidates.all.iter();
    let mut skipped = skipped.filter_map(|candidate| candidate.skipped.as_ref());
    let reached = skipped.any(|skipped| *skipped.code == *Limit::NodesTotal.code());
    if reached && scene.options.max_nodes_total > 0 {
        let max = scene.options.max_nodes_total;
        let message = format!("Max total nodes in cluster reached: {max}");
        plan.events
            .push(super::event(true, "MaxNodesTotalReached", message));
    }
}
