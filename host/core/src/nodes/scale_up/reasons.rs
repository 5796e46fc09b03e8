//! Why the pods that are left fit nowhere: for each group the first rule that fails.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::ClassId;
use flyball_placement::pack::add_template;

use super::groups::Candidates;
use super::{MAX_POD_EVENTS, Plan, Scene};
use crate::nodes::demand::{Wanted, list};
use crate::nodes::limits::Limit;
use crate::nodes::ports::{NodeEvent, Subject};
use crate::nodes::record::{Refusal, Remaining};
use crate::nodes::state::ClusterState;
use crate::status::Event;

/// Most classes of pods whose reasons are found.
const MAX_CLASSES: usize = 50;

/// A group would take the pods, and none of its nodes was ordered for them.
const NOT_CHOSEN: &str = "not chosen in this pass";

/// Tells why pods are left over, in the plan and in events.
pub(super) fn tell(
    scene: &Scene<'_>,
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    wanted: &[Wanted],
    plan: &mut Plan,
) {
    let told: Vec<&Wanted> = wanted
        .iter()
        .filter(|wanted| wanted.is_told())
        .take(MAX_CLASSES)
        .collect();
    let mut refusals: Vec<Vec<Refusal>> = vec![Vec::new(); told.len()];
    for candidate in &candidates.0 {
        let reasons = refused(state, candidate, &told);
        for (refusals, reason) in refusals.iter_mut().zip(reasons) {
            refusals.push(Refusal {
                group: Arc::clone(&candidate.group.name),
                reason,
            });
        }
    }
    for (wanted, groups) in told.iter().zip(refusals) {
        tell_pods(state, wanted, &groups, plan);
        plan.remaining.push(Remaining {
            pods: list(state, wanted.waiting().iter()),
            groups,
        });
    }
    tell_limit(scene, candidates, plan);
}

/// Why a group takes none of some pods.
fn refused(
    state: &mut ClusterState,
    candidate: &super::groups::Candidate<'_>,
    wanted: &[&Wanted],
) -> Vec<String> {
    let (Some(template), skipped) = (&candidate.template, &candidate.skipped) else {
        let reason = candidate
            .skipped
            .as_ref()
            .map(|skipped| skipped.reason.clone());
        return vec![reason.unwrap_or_default(); wanted.len()];
    };
    let cluster = state.cluster_mut();
    let mark = cluster.mark();
    let node = add_template(cluster, &template.template);
    let reason = |class: ClassId| match cluster.check(class, node) {
        Err(misfit) => misfit.reasons().into_iter().next().unwrap_or_default(),
        Ok(()) => skipped
            .as_ref()
            .map_or_else(|| NOT_CHOSEN.to_owned(), |skipped| skipped.reason.clone()),
    };
    let reasons = wanted.iter().map(|wanted| reason(wanted.class)).collect();
    cluster.rollback(mark);
    reasons
}

fn tell_pods(state: &ClusterState, wanted: &Wanted, groups: &[Refusal], plan: &mut Plan) {
    if groups.iter().any(|refusal| refusal.reason == NOT_CHOSEN) {
        // Their turn comes in the next pass.
        return;
    }
    let mut counted: BTreeMap<&str, u32> = BTreeMap::new();
    for refusal in groups {
        *counted.entry(&refusal.reason).or_default() += 1;
    }
    let reasons: Vec<String> = counted
        .into_iter()
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect();
    let message = format!("pod didn't trigger scale-up: {}", reasons.join(", "));
    let room = MAX_POD_EVENTS.saturating_sub(plan.events.len());
    let pods = wanted.waiting().iter().take(room);
    let pods = pods.filter_map(|&slot| state.pod_at(slot));
    plan.events.extend(pods.map(|pod| NodeEvent {
        about: Subject::Pod {
            key: pod.key.clone(),
            uid: Arc::clone(pod.uid),
        },
        event: Event {
            warning: false,
            reason: "NotTriggerScaleUp".to_owned(),
            message: message.clone(),
        },
    }));
}

fn tell_limit(scene: &Scene<'_>, candidates: &Candidates<'_>, plan: &mut Plan) {
    let reached = candidates
        .0
        .iter()
        .filter_map(|candidate| candidate.skipped.as_ref());
    let reached = reached
        .into_iter()
        .any(|skipped| skipped.reason == Limit::NodesTotal.reason());
    if reached && scene.options.max_nodes_total > 0 {
        let max = scene.options.max_nodes_total;
        let message = format!("Max total nodes in cluster reached: {max}");
        plan.events
            .push(super::event(true, "MaxNodesTotalReached", message));
    }
}
