//! Simulated removal of a node: its pods are placed elsewhere, as the scheduler would.

use std::sync::Arc;

use flyball_placement::pack::Destinations;
use flyball_placement::{ClassId, Cluster, Effect, NodeId, Taint};

use super::candidates::Candidate;
use super::reasons::{self, Stay};
use crate::readiness::TO_BE_DELETED;
use crate::state::ClusterState;
use flyball_decision::time::Timestamp;

/// The simulation of a pass.
pub(super) struct Simulation {
    /// Nodes that pods may move to.
    pub(super) destinations: Destinations,
}

/// A pod to place.
struct ToPlace {
    /// Index among the evicted pods.
    at: usize,
    class: ClassId,
    terminating: bool,
}

impl Simulation {
    pub(super) fn new(state: &ClusterState, destinations: Vec<NodeId>) -> Self {
        Self {
            destinations: Destinations::new(state.cluster(), destinations),
        }
    }

    /// Moves the evicted pods of a node elsewhere, and removes the node. Returns where each
    /// goes, at its index; `None` for pods below the priority cutoff, for which no room is
    /// sought. If one finds no place, nothing changes.
    pub(super) fn vacate(
        &mut self,
        state: &mut ClusterState,
        node: &Candidate,
        evicted: &[u32],
        cutoff: i32,
        now: Timestamp,
    ) -> Result<Vec<Option<Arc<str>>>, Stay> {
        let mut pods: Vec<ToPlace> = Vec::with_capacity(evicted.len());
        for (at, &slot) in evicted.iter().enumerate() {
            let Some(pod) = state.pod_at(slot) else {
                continue;
            };
            if pod.priority >= cutoff && !pod.facts.has_ended() {
                pods.push(ToPlace {
                    at,
                    class: pod.class,
                    terminating: pod.facts.deletion.is_some(),
                });
            }
        }
        let cluster = state.cluster();
        let allocatable = &node.object.allocatable;
        let share = |pod: &ToPlace| {
            let (cpu, memory) = cluster.cpu_and_memory(pod.class);
            part_of(cpu, allocatable.cpu) + part_of(memory, allocatable.memory)
        };
        // Large pods first, as in packing; equal ones keep the order of their names.
        pods.sort_by(|a, b| share(b).total_cmp(&share(a)));
        let classes: Vec<(ClassId, bool)> = pods
            .iter()
            .map(|pod| (pod.class, pod.terminating))
            .collect();
        let object = Arc::clone(&node.object);
        let tainted = || {
            let mut tainted = (*object).clone();
            tainted.taints.push(Taint {
                key: TO_BE_DELETED.into(),
                value: (now.0 / 1000).to_string().into(),
                effect: Effect::NoSchedule,
            });
            Arc::new(tainted)
        };
        let places = self
            .destinations
            .vacate(state.cluster_mut(), node.id, tainted, &classes);
        match places {
            Ok(places) => {
                let mut moved = vec![None; evicted.len()];
                for (pod, place) in pods.iter().zip(places) {
                    moved[pod.at] = name_of(state.cluster(), place);
                }
                Ok(moved)
            }
            Err(no_place) => {
                let pod = pods.get(no_place.pod);
                let pod = pod.and_then(|pod| state.pod_at(*evicted.get(pod.at)?));
                Err(match pod {
                    Some(pod) => Stay::of_pod(reasons::NO_PLACE, pod.key),
                    None => Stay::of(reasons::NO_PLACE),
                })
            }
        }
    }
}

/// An amount as a part of what a node has.
pub(super) fn part_of(amount: i64, of: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    let (amount, of) = (amount as f64, of.max(1) as f64);
    amount / of
}

fn name_of(cluster: &Cluster, node: NodeId) -> Option<Arc<str>> {
    cluster.node(node).map(|node| Arc::clone(&node.name))
}
