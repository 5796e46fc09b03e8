//! Load that is on its way: pods that will need room on nodes that stay. They are placed
//! before the first candidate is simulated.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::ClassId;

use super::plan::ScaleDownContext;
use super::simulate::Simulation;
use super::tracker::ScaleDownTracker;
use crate::reasons::{self, Stay};
use crate::state::{ClusterState, OwnerFacts, OwnerKind, PodView};

/// Pods that need room soon.
#[derive(Clone, Debug)]
pub(super) struct Load {
    priority: i32,
    pub(super) class: ClassId,
    /// How many there are.
    pub(super) count: i64,
    why: LoadKind,
    /// Slot of the pod in the state. `None` if there is no such pod (yet).
    slot: Option<u32>,
    /// Uid of its owner, if the pod is not there.
    owner: Option<Arc<str>>,
}

/// Why a pod needs room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoadKind {
    /// Its node leaves.
    Leaving,
    /// It is pending.
    Pending,
    /// It was evicted, and has not been created again.
    Evicted,
    /// Its owner wants more replicas than there are.
    Missing,
}

impl Load {
    fn of_pod(pod: &PodView<'_>, why: LoadKind) -> Self {
        Self {
            priority: pod.priority,
            class: pod.class,
            count: 1,
            why,
            slot: Some(pod.slot),
            owner: None,
        }
    }

    /// Returns why a node stays whose room the pod needs.
    pub(super) fn stay(&self, state: &ClusterState) -> Stay {
        let why = match self.why {
            LoadKind::Leaving => "leaves a node that is drained",
            LoadKind::Pending => "is pending",
            LoadKind::Evicted => "was evicted and is not there again",
            LoadKind::Missing => "is missing",
        };
        let pod = self.slot.and_then(|slot| state.pod_at(slot));
        let of_pod = pod.as_ref().and_then(|pod| pod.facts.owner.as_deref());
        let of_uid = self.owner.as_ref().and_then(|uid| state.owner(uid));
        let owner: Option<Arc<str>> = match (of_pod, of_uid) {
            (Some(owner), _) => Some(format!("{} {}", owner.kind, owner.name).into()),
            (None, Some(owner)) => Some(in_words(owner).into()),
            (None, None) => None,
        };
        let whose = match (&pod, &owner) {
            (Some(_), Some(owner)) => format!("it is of {owner}, {why}"),
            (Some(_), None) => format!("it {why}"),
            (None, Some(owner)) => format!("a pod of {owner} {why}"),
            (None, None) => {
                let namespace = state.cluster().pod(self.class).namespace;
                format!("a pod in namespace {namespace} {why}")
            }
        };
        Stay {
            pod: pod.map(|pod| pod.key.clone()),
            message: format!("{whose}, and finds room on this node alone"),
            owner,
            ..Stay::of(reasons::NO_PLACE)
        }
    }
}

fn in_words(owner: &OwnerFacts) -> String {
    let OwnerFacts { kind, key, .. } = owner;
    format!("{} {}/{}", kind.as_str(), key.namespace, key.name)
}

/// Places the pods of leaving nodes, the pending pods, the evicted pods that were not
/// created again, and, if the options say so, the replicas that owners lack. Pods without a
/// place are left out: they are a matter of scale-up.
pub(super) fn place_load(
    context: &ScaleDownContext<'_>,
    state: &mut ClusterState,
    tracker: &ScaleDownTracker,
    simulation: &mut Simulation,
) {
    let cutoff = context.options.expendable_pods_priority_cutoff;
    let mut load: Vec<Load> = Vec::new();
    let mut add = |pod: &PodView<'_>, why| {
        if pod.priority >= cutoff && !pod.of_daemon_set() {
            load.push(Load::of_pod(pod, why));
        }
    };
    // Pods of reviewed nodes are moved with their nodes.
    let drained = context.census.drained.iter();
    for name in drained.filter(|name| !tracker.is_reviewed(name)) {
        let pods = state.pods_on(name).filter(|pod| pod.stays());
        let recreated = pods.filter(|pod| !pod.facts.mirror && pod.facts.owner.is_some());
        recreated.for_each(|pod| add(&pod, LoadKind::Leaving));
    }
    for (_, pods) in state.unschedulable() {
        pods.for_each(|pod| add(&pod, LoadKind::Pending));
    }
    for node in state.nominated_nodes() {
        let pods = state.nominated_to(&node.facts.node.name);
        pods.for_each(|pod| add(&pod, LoadKind::Pending));
    }
    let mut lacking = Lacking::default();
    load.extend(not_recreated(state, tracker, &mut lacking));
    if context.options.scale_down.keep_room_for_missing_replicas {
        load.extend(missing_replicas(state, &mut lacking));
    }
    load.retain(|pod| pod.priority >= cutoff);
    load.sort_by_key(|pod| (Reverse(pod.priority), pod.class));
    for pod in load {
        simulation.place(state, pod);
    }
}

/// How many pods owners still lack, by uid, as far as load was counted for them.
#[derive(Default)]
struct Lacking(BTreeMap<Arc<str>, i64>);

impl Lacking {
    /// The pods that an owner lacks, beyond those that were counted as load already.
    fn of(&mut self, state: &ClusterState, owner: &OwnerFacts) -> &mut i64 {
        let uid = &owner.uid;
        self.0.entry(Arc::clone(uid)).or_insert_with(|| {
            let wanted = i64::from(owner.desired.unwrap_or(1));
            wanted - i64::from(state.pods_of_owner(uid))
        })
    }
}

/// Evicted pods whose owners still want more pods than they have. Pods of owners that are
/// not known count in any case.
fn not_recreated(
    state: &mut ClusterState,
    tracker: &ScaleDownTracker,
    lacking: &mut Lacking,
) -> Vec<Load> {
    let mut load = Vec::new();
    for evicted in &tracker.evicted {
        let owner = evicted.owner.as_ref();
        if let Some(facts) = owner.and_then(|uid| state.owner(uid)) {
            let left = lacking.of(state, facts);
            if *left <= 0 {
                continue;
            }
            *left -= 1;
        }
        load.push(Load {
            priority: evicted.pod.priority,
            class: state.cluster_mut().class(&evicted.pod),
            count: 1,
            why: LoadKind::Evicted,
            slot: None,
            owner: owner.cloned(),
        });
    }
    load
}

/// The replicas that owners lack, and those that exist and that the scheduler has not
/// tried yet. They are taken to be like a pod that the owner has: without one, nothing is
/// known of them. Jobs lack nothing: what they want falls as their pods succeed.
fn missing_replicas(state: &ClusterState, lacking: &mut Lacking) -> Vec<Load> {
    let mut load = Vec::new();
    let owners = state.owners();
    for owner in owners.filter(|owner| owner.kind != OwnerKind::Job && !owner.deleting) {
        let untried = state.owned_pods(&owner.uid).filter(|pod| {
            let facts = pod.facts;
            let waits = facts.unschedulable || facts.nominated.is_some();
            facts.node.is_none() && !waits && facts.exists() && !pod.of_daemon_set()
        });
        load.extend(untried.map(|pod| Load::of_pod(&pod, LoadKind::Pending)));
        let count = *lacking.of(state, owner);
        if count <= 0 {
            continue;
        }
        let pods = state.owned_pods(&owner.uid);
        let pods = pods.filter(|pod| !pod.of_daemon_set());
        let example = pods.min_by_key(|pod| (!pod.facts.exists(), &pod.key.name));
        load.extend(example.map(|pod| Load {
            priority: pod.priority,
            class: pod.class,
            count,
            why: LoadKind::Missing,
            slot: None,
            owner: Some(Arc::clone(&owner.uid)),
        }));
    }
    load
}
