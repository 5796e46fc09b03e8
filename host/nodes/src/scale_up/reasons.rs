//! The pods that get an event: because orders help them, or because no group does, with
//! the first filter that fails for each group.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::pack::add_template;
use flyball_placement::{ClassId, Cluster, Misfit, Node, Plugin};

use super::candidates::{Candidate, Candidates};
use super::rounds::ChosenOption;
use super::{HelpedPods, PlanContext, UnhelpedPods};
use crate::demand::{UnplacedPods, list};
use crate::limits::Limit;
use crate::ports::Subject;
use crate::record::{MAX_NAMES, Refusal, Remaining};
use crate::reported::ReportedEvents;
use crate::state::{ClusterState, PodView};
use flyball_decision::text;

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

/// Reason of a group that has room for pods that the plan leaves out.
const PUT_OFF: &str = "put off, since planning for all pods of the namespace takes too long";

/// Pods that no order helps, and why.
pub(super) struct Unhelped {
    /// The pods, by class.
    pub(super) remaining: Vec<Remaining>,
    /// The pods that get an event about the reasons.
    pub(super) pods: Vec<UnhelpedPods>,
    /// Whether events about some of the pods were omitted, because there are too many.
    pub(super) events_omitted: bool,
}

/// Returns the pods that get an event about the orders that help them, at most `room`, and
/// how many more may get one.
pub(super) fn helped_pods(
    state: &ClusterState,
    chosen: &[ChosenOption],
    mut room: usize,
) -> (Vec<HelpedPods>, usize) {
    let mut helped = Vec::with_capacity(chosen.len());
    for chosen in chosen {
        let pods = chosen.helped.iter().take(room);
        let pods = pods.filter_map(|&slot| state.pod_at(slot));
        let pods: Vec<Subject> = pods.map(subject).collect();
        room -= pods.len();
        let round = chosen.round;
        helped.push(HelpedPods { round, pods });
    }
    (helped, room)
}

/// Returns the pods that no order helps, and those of them that get an event about the
/// reasons: at most `room`, and none about what was reported before.
pub(super) fn unhelped(
    reported: &ReportedEvents,
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    unplaced: &[UnplacedPods],
    mut room: usize,
) -> Unhelped {
    let (classes, mut events_omitted) = classes_with_reasons(reported, state, unplaced);
    let refusals = refusals(state, candidates, &classes);
    let (mut remaining, mut all_pods) = (Vec::with_capacity(classes.len()), Vec::new());
    for (unplaced, reasons) in classes.into_iter().zip(refusals) {
        if let Some(message) = event_message(&reasons).map(text::note) {
            let pods = unplaced.waiting().iter();
            let mut pods = pods
                .filter_map(|&slot| state.pod_at(slot))
                .filter(|pod| !reported.has_message(pod.uid, &message));
            let emitted: Vec<Subject> = pods.by_ref().take(room).map(subject).collect();
            events_omitted |= pods.next().is_some();
            room -= emitted.len();
            if !emitted.is_empty() {
                let pods = emitted;
                all_pods.push(UnhelpedPods { message, pods });
            }
        }
        remaining.push(Remaining {
            pods: list(state, unplaced.waiting().iter()),
            reasons,
        });
    }
    Unhelped {
        remaining,
        pods: all_pods,
        events_omitted,
    }
}

/// Returns the classes whose reasons are found, and whether more have pods without an
/// event.
fn classes_with_reasons<'a>(
    reported: &ReportedEvents,
    state: &ClusterState,
    unplaced: &'a [UnplacedPods],
) -> (Vec<&'a UnplacedPods>, bool) {
    let is_unreported = |unplaced: &UnplacedPods| {
        let pods = unplaced.waiting().iter();
        let mut pods = pods.filter_map(|&slot| state.pod_at(slot));
        pods.any(|pod| !reported.has_pod(pod.uid))
    };
    let waiting = unplaced.iter().filter(|unplaced| unplaced.gets_events());
    let (mut classes, known): (Vec<&UnplacedPods>, Vec<&UnplacedPods>) =
        waiting.partition(|&unplaced| is_unreported(unplaced));
    let are_omitted = classes.len() > MAX_CLASSES;
    classes.extend(known);
    classes.truncate(MAX_CLASSES);
    (classes, are_omitted)
}

/// Returns why groups help none of these pods, at the index of each class, ordered by
/// reason.
fn refusals(
    state: &mut ClusterState,
    candidates: &Candidates<'_>,
    classes: &[&UnplacedPods],
) -> Vec<Vec<Refusal>> {
    let mut refusals: Vec<BTreeMap<String, Refusal>> = vec![BTreeMap::new(); classes.len()];
    for candidate in &candidates.all {
        let reasons = reasons_of(state, candidate, classes);
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
    let refusals = refusals.into_iter();
    refusals
        .map(|reasons| reasons.into_values().collect())
        .collect()
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
            .unwrap_or_else(|| reason_not_chosen(candidate, unplaced).to_owned()),
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
fn reason_not_chosen(candidate: &Candidate<'_>, unplaced: &UnplacedPods) -> &'static str {
    let class = unplaced.class;
    if unplaced.put_off {
        PUT_OFF
    } else if candidate.has_several_zones() && candidate.avoids(class) {
        AVOIDED
    } else if candidate.has_several_zones() && candidate.awaits(class) {
        AWAITED
    } else {
        NOT_CHOSEN
    }
}

/// Returns the message of the event about pods that no order helps. `None` if a group was
/// not chosen in this pass: the next one may choose it for them.
fn event_message(reasons: &[Refusal]) -> Option<String> {
    if reasons.iter().any(|refusal| refusal.reason == NOT_CHOSEN) {
        return None;
    }
    let counts = reasons.iter();
    let counts: Vec<String> = counts
        .map(|refusal| format!("{} {}", refusal.count, refusal.reason))
        .collect();
    let counts = counts.join(", ");
    Some(format!("pod didn't trigger scale-up: {counts}"))
}

/// Returns the maximum number of nodes of the cluster if it keeps a group from growing.
pub(super) fn max_nodes_reached(
    context: &PlanContext<'_>,
    candidates: &Candidates<'_>,
) -> Option<u32> {
    let skipped = candidates.all.iter();
    let mut skipped = skipped.filter_map(|candidate| candidate.skipped.as_ref());
    let reached = skipped.any(|skipped| *skipped.code == *Limit::NodesTotal.code());
    let max = context.options.max_nodes_total;
    (reached && max > 0).then_some(max)
}

fn subject(pod: PodView<'_>) -> Subject {
    Subject::Pod {
        key: pod.key.clone(),
        uid: Arc::clone(pod.uid),
    }
}
