//! Simulated removal of a node: its pods are placed elsewhere, as the scheduler would.

use std::sync::Arc;

use flyball_placement::pack::Destinations;
use flyball_placement::{ClassId, Effect, NodeId, Taint};
use hashbrown::HashMap;

use super::candidates::Candidate;
use super::load::Load;
use crate::readiness::TO_BE_DELETED;
use crate::reasons::{self, Stay};
use crate::state::ClusterState;
use flyball_decision::time::Timestamp;

/// The simulation of a pass.
pub(super) struct Simulation {
    destinations: Destinations,
    /// Pods that were placed on a node in the simulation. They move on if it goes as well.
    received: HashMap<NodeId, Vec<Received>>,
    /// Where each pod that moves ends up, by its slot.
    places: HashMap<u32, Arc<str>>,
    /// Pods that need room soon.
    loads: Vec<Load>,
}

/// A pod that was placed in the simulation.
#[derive(Clone, Copy, Debug)]
struct Received {
    class: ClassId,
    origin: Origin,
}

/// Where a pod of the simulation comes from.
#[derive(Clone, Copy, Debug)]
enum Origin {
    /// It moves because its node goes: its slot in the state.
    Moved(u32),
    /// It needs room soon: its index among the loads.
    Load(usize),
}

impl Origin {
    /// Its slot in the state, if it moves because its node goes.
    fn slot(self) -> Option<u32> {
        match self {
            Self::Moved(slot) => Some(slot),
            Self::Load(_) => None,
        }
    }
}

/// A pod to place.
struct ToPlace {
    class: ClassId,
    terminating: bool,
    origin: Origin,
}

impl Simulation {
    /// Begins a simulation. `destinations` are the nodes that pods may move to, in the
    /// order in which they are tried.
    pub(super) fn new(state: &ClusterState, destinations: Vec<NodeId>) -> Self {
        Self {
            destinations: Destinations::new(state.cluster(), destinations),
            received: HashMap::new(),
            places: HashMap::new(),
            loads: Vec::new(),
        }
    }

    /// Places so many equal pods that need room soon, until one finds none.
    pub(super) fn place(&mut self, state: &mut ClusterState, load: Load) {
        let Load { class, count, .. } = load;
        let origin = Origin::Load(self.loads.len());
        self.loads.push(load);
        for _ in 0..count {
            let Some(node) = self.destinations.place(state.cluster_mut(), class) else {
                return;
            };
            let received = Received { class, origin };
            self.received.entry(node).or_default().push(received);
        }
    }

    /// Slots of the pods that would have moved to a node before it goes, because their own
    /// nodes go.
    pub(super) fn moved_to(&self, node: NodeId) -> Vec<u32> {
        let received = self.received.get(&node).into_iter().flatten();
        received.filter_map(|pod| pod.origin.slot()).collect()
    }

    /// Whether a pod was placed on a node in the simulation.
    pub(super) fn has_received(&self, node: NodeId) -> bool {
        self.received
            .get(&node)
            .is_some_and(|pods| !pods.is_empty())
    }

    /// Where a moved pod ends up. `None` if no room was sought.
    pub(super) fn place_of(&self, slot: u32) -> Option<Arc<str>> {
        self.places.get(&slot).cloned()
    }

    /// Moves the evicted pods of a node elsewhere, and the pods that it received, and
    /// removes the node. No room is sought for pods below the priority cutoff. If a pod
    /// finds no place, nothing changes.
    pub(super) fn vacate(
        &mut self,
        state: &mut ClusterState,
        node: &Candidate,
        evicted: &[u32],
        cutoff: i32,
        now: Timestamp,
    ) -> Result<(), Box<Stay>> {
        let pods = self.to_place(state, node, evicted, cutoff);
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
                self.received.remove(&node.id);
                for (pod, place) in pods.iter().zip(places) {
                    let received = Received {
                        class: pod.class,
                        origin: pod.origin,
                    };
                    self.received.entry(place).or_default().push(received);
                    let name = state.cluster().node(place);
                    if let (Some(slot), Some(name)) = (pod.origin.slot(), name) {
                        self.places.insert(slot, Arc::clone(&name.name));
                    }
                }
                Ok(())
            }
            Err(no_place) => {
                let origin = pods.get(no_place.pod).map(|pod| pod.origin);
                Err(Box::new(self.without_place(state, origin)))
            }
        }
    }

    /// Why a node stays one of whose pods finds no other place.
    fn without_place(&self, state: &ClusterState, origin: Option<Origin>) -> Stay {
        let stay = match origin {
            Some(Origin::Moved(slot)) => {
                let pod = state.pod_at(slot);
                pod.map(|pod| Stay::of_pod(reasons::NO_PLACE, pod.key))
            }
            Some(Origin::Load(at)) => self.loads.get(at).map(|load| load.stay(state)),
            None => None,
        };
        stay.unwrap_or_else(|| Stay::of(reasons::NO_PLACE))
    }

    /// The pods that need a place when a node goes: large ones first, as in packing, equal
    /// ones by name.
    fn to_place(
        &self,
        state: &ClusterState,
        node: &Candidate,
        evicted: &[u32],
        cutoff: i32,
    ) -> Vec<ToPlace> {
        let own = evicted.iter().filter_map(|&slot| {
            let pod = state.pod_at(slot)?;
            let needs = pod.priority >= cutoff && !pod.facts.has_ended();
            needs.then(|| ToPlace {
                class: pod.class,
                terminating: pod.facts.deletion.is_some(),
                origin: Origin::Moved(slot),
            })
        });
        let received = self.received.get(&node.id).into_iter().flatten();
        let received = received.map(|pod| ToPlace {
            class: pod.class,
            terminating: false,
            origin: pod.origin,
        });
        let mut pods: Vec<ToPlace> = own.chain(received).collect();
        let cluster = state.cluster();
        let allocatable = &node.object.allocatable;
        let share = |pod: &ToPlace| {
            let (cpu, memory) = cluster.cpu_and_memory(pod.class);
            part_of(cpu, allocatable.cpu) + part_of(memory, allocatable.memory)
        };
        pods.sort_by(|a, b| share(b).total_cmp(&share(a)));
        pods
    }
}

/// An amount as a part of what a node has.
pub(super) fn part_of(amount: i64, of: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    let (amount, of) = (amount as f64, of.max(1) as f64);
    amount / of
}
