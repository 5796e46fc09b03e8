//! Room that the scheduler keeps on nodes for pods it has nominated to them, until those
//! that it preempts are gone.
//!
//! As in the scheduler (`RunFilterPluginsWithNominatedPods`), such a pod counts as placed
//! for pods of its own priority and below, and pods of a higher one go before it. Unlike
//! there, a pod that wants a nominated one near need not wait until that one runs: what
//! is sought here is where pods will be.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use flyball_placement::{ClassId, Cluster, NodeId};

use super::state::{ClusterState, PodView};

/// Nodes on their way that have joined, by name: their numbers in the simulation.
pub(super) type JoinedNodes = BTreeMap<Arc<str>, NodeId>;

/// A pod that is nominated to a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct NominatedPod {
    pub(super) class: ClassId,
    pub(super) priority: i32,
    /// Its slot in the state.
    pub(super) slot: u32,
    node: NodeId,
    /// There was room for it before pods that wait were placed. If not, it comes from
    /// pods that are about to go, and nobody can take it before they are gone.
    had_room: bool,
}

/// Nominated pods, those of the highest priority first.
#[derive(Debug, Default)]
pub(super) struct NominatedPods(VecDeque<NominatedPod>);

impl NominatedPods {
    /// The pods that are nominated to nodes which stay. `joined`: nodes that were replaced
    /// by what they will be like, with the pods of DaemonSets.
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
        // Of the same priority, whoever waits longest.
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

    /// The highest priority among those that were not placed yet.
    pub(super) fn next_priority(&self) -> Option<i32> {
        self.0.front().map(|pod| pod.priority)
    }

    /// Places those that pods of a priority don't go before, and returns the others of
    /// them: pods that went before have taken their room.
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

/// Finds out which of them had room, each beside those before it.
fn find_room(cluster: &mut Cluster, pods: &mut [NominatedPod]) {
    let mark = cluster.mark();
    for pod in pods {
        pod.had_room = cluster.fits(pod.class, pod.node);
        cluster.place(pod.class, pod.node, false);
    }
    cluster.rollback(mark);
}
