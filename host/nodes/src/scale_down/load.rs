//! Load that is on its way: pods that will need room on nodes that stay. They are placed
//! before the first candidate is simulated.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::ClassId;

use super::plan::ScaleDownContext;
use super::simulate::Simulation;
use super::tracker::ScaleDownTracker;
use crate::state::{ClusterState, PodView};

/// Places the pods of leaving nodes, the pending pods, and the evicted pods that were not
/// created again. Pods without a place are left out: they are a matter of scale-up.
pub(super) fn place_load(
    context: &ScaleDownContext<'_>,
    state: &mut ClusterState,
    tracker: &ScaleDownTracker,
    simulation: &mut Simulation,
) {
    let cutoff = context.options.expendable_pods_priority_cutoff;
    let mut load: Vec<(i32, ClassId)> = Vec::new();
    let mut add = |pod: &PodView<'_>| {
        if pod.priority >= cutoff && !pod.of_daemon_set() {
            load.push((pod.priority, pod.class));
        }
    };
    // Pods of reviewed nodes are moved with their nodes.
    let drained = context.census.drained.iter();
    for name in drained.filter(|name| !tracker.is_reviewed(name)) {
        let pods = state.pods_on(name).filter(|pod| pod.stays());
        let recreated = pods.filter(|pod| !pod.facts.mirror && pod.facts.owner.is_some());
        recreated.for_each(|pod| add(&pod));
    }
    for (_, pods) in state.unschedulable() {
        pods.for_each(|pod| add(&pod));
    }
    for node in state.nominated_nodes() {
        let pods = state.nominated_to(&node.facts.node.name);
        pods.for_each(|pod| add(&pod));
    }
    load.extend(not_recreated(state, tracker, cutoff));
    load.sort_by_key(|&(priority, class)| (std::cmp::Reverse(priority), class));
    for (_, class) in load {
        simulation.place(state, class);
    }
}

/// Evicted pods whose owners still want more pods than they have. Pods of owners that are
/// not known count in any case.
fn not_recreated(
    state: &mut ClusterState,
    tracker: &ScaleDownTracker,
    cutoff: i32,
) -> Vec<(i32, ClassId)> {
    let mut missing: BTreeMap<&Arc<str>, i64> = BTreeMap::new();
    let mut pods = Vec::new();
    for evicted in &tracker.evicted {
        if evicted.pod.priority < cutoff {
            continue;
        }
        let known = evicted.owner.as_ref().and_then(|uid| {
            let owner = state.owner(uid)?;
            let wanted = i64::from(owner.desired.unwrap_or(1));
            Some((uid, wanted - i64::from(state.pods_of_owner(uid))))
        });
        if let Some((uid, lacking)) = known {
            let left = missing.entry(uid).or_insert(lacking);
            if *left <= 0 {
                continue;
            }
            *left -= 1;
        }
        pods.push(&evicted.pod);
    }
    let cluster = state.cluster_mut();
    let pods = pods.into_iter();
    pods.map(|pod| (pod.priority, cluster.class(pod))).collect()
}
