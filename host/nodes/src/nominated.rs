//! Nominated pods: the scheduler reserves room for them on their nodes until the pods
//! that they preempt are gone.
//!
//! As in the scheduler (`RunFilterPluginsWithNominatedPods`), a nominated pod counts as
//! placed for pods of its own priority and below, and pods of a higher priority go first.
//! Unlike there, a pod with affinity to a nominated one need not wait until that runs,
//! since a plan is about where pods will be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flyball_placement::{ClassId, Cluster, NodeId};

use super::state::{ClusterState, PodView};

/// Upcoming nodes that have joined: their ids in the simulation, by name.
pub(super) type JoinedNodes = BTreeMap<Arc<str>, NodeId>;

/// A pod that is nominated to a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct NominatedPod {
    pub(super) class: ClassId,
    pub(super) priority: i32,
    /// Its slot in the state.
    pub(super) slot: u32,
    node: NodeId,
    /// Whether there was room for it before pending pods were placed. If not, pods that
    /// are about to go will free the room, and no other pod can take it before.
    had_room: bool,
}

/// Nominated pods, those of the highest priority first.
#[derive(Debug, Default)]
pub(super) struct NominatedPods(VecDeque<NominatedPod>);

impl NominatedPods {
    /// Collects the pods that are nominated to nodes which are not being drained.
    /// `joined` are nodes that were replaced by templates, which carry the pods of
    /// DaemonSets.
    pub(super) fn new(
        state: &mut ClusterState,
        drained: &[Arc<str>],
        joined: &JoinedNodes,
    ) -> Self {
        let mut pods: Vec<NominatedPod> = Vec::new();
        for node in state.nominated_nodes() {
            let name = &node.facts.node.name;
            if drained.contains(name) {
                continue;
            }
            let replaced = joined.get(name);
            let is_carried = |pod: &PodView<'_>| replaced.is_some() && pod.of_daemon_set();
            let nominated = state.nominated_to(name).filter(|pod| !is_carried(pod));
            pods.extend(nominated.map(|pod| NominatedPod {
                class: pod.class,
                priority: pod.priority,
                slot: pod.slot,
                node: replaced.copied().unwrap_or(node.id),
                had_room: false,
            }));
        }
        // Among equal priorities, the oldest first.
        pods.sort_by_key(|pod| {
            let created = state.pod_at(pod.slot).map(|pod| pod.facts.created);
            (std::cmp::Reverse(pod.priority), created, pod.slot)
        });
        if !pods.is_empty() {
            find_room(state.cluster_mut(), &mut pods);
        }
        Self(pods.into())
    }

    /// Whether no pod is nominated.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The highest priority among the pods that are not placed yet.
    pub(super) fn next_priority(&self) -> Option<i32> {
        self.0.front().map(|pod| pod.priority)
    }

    /// Places the nominated pods of this priority and above. Returns those that were not
    /// placed, because pods of a higher priority have taken their room.
    pub(super) fn place(&mut self, cluster: &mut Cluster, priority: i32) -> Vec<NominatedPod> {
        let mut displaced = Vec::new();
        while let Some(pod) = self.0.pop_front_if(|pod| pod.priority >= priority) {
            if pod.had_room && !cluster.fits(pod.class, pod.node) {
                displaced.push(pod);
            } else {
                cluster.place(pod.class, pod.node, false);
            }
        }
        displaced
    }
}

/// Sets `had_room` of each pod, with the pods before it placed.
fn find_room(cluster: &mut Cluster, pods: &mut [NominatedPod]) {
    let mark = cluster.mark();
    for pod in pods {
        pod.had_room = cluster.fits(pod.class, pod.node);
        cluster.place(pod.class, pod.node, false);
    }
    cluster.rollback(mark);
}
