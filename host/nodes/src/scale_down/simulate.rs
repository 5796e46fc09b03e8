//! Simulated removal of a node: its pods are placed elsewhere, as the scheduler would.

use std::sync::Arc;

use flyball_placement::pack::{Destinations, LeavingPod, Template, add_template};
use flyball_placement::{ClassId, Cluster, Effect, Node, NodeId, Taint};
use hashbrown::HashMap;

use super::candidates::Candidate;
use super::load::Load;
use super::plan::ScaleDownContext;
use super::removals::Replacing;
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

/// Nodes that leave together.
struct Leaving {
    /// Each with the node as it is while its pods move.
    nodes: Vec<(NodeId, Arc<Node>)>,
    /// The pods that need a place, large ones first.
    pods: Vec<ToPlace>,
    /// The same pods, as they are placed.
    moved: Vec<LeavingPod>,
}

/// New nodes of one group, added as pods need them.
pub(super) struct NewNodes<'a> {
    replacing: Replacing<'a>,
    nodes: Vec<NodeId>,
}

impl<'a> NewNodes<'a> {
    pub(super) fn new(replacing: Replacing<'a>) -> Self {
        Self {
            replacing,
            nodes: Vec::new(),
        }
    }

    /// Number of new nodes.
    pub(super) fn count(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    /// Places a pod on the first new node with room. Returns `None` if there is none, and no
    /// further node may come.
    fn place(&mut self, cluster: &mut Cluster, class: ClassId) -> Option<NodeId> {
        let mut nodes = self.nodes.iter().copied();
        let found = nodes.find(|&node| cluster.fits(class, node));
        let node = match found {
            Some(node) => node,
            None if self.count() >= self.replacing.max => return None,
            None => {
                let template: &Template = self.replacing.template;
                let node = add_template(cluster, template);
                self.nodes.push(node);
                cluster.fits(class, node).then_some(node)?
            }
        };
        cluster.place(class, node, false);
        Some(node)
    }
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
    /// removes the node. If a pod finds no place, nothing changes.
    pub(super) fn vacate(
        &mut self,
        state: &mut ClusterState,
        node: &Candidate,
        evicted: &[u32],
        now: Timestamp,
    ) -> Result<(), Arc<Stay>> {
        let pods = self.to_place(state, node, evicted);
        let classes: Vec<(ClassId, bool)> = pods
            .iter()
            .map(|pod| (pod.class, pod.terminating))
            .collect();
        let tainted = || tainted(node, now);
        let places = self
            .destinations
            .vacate(state.cluster_mut(), node.id, tainted, &classes);
        let places = places.map_err(|no_place| self.no_room(state, &pods, no_place.pod))?;
        self.received.remove(&node.id);
        for (pod, place) in pods.iter().zip(places) {
            let name = state
                .cluster()
                .node(place)
                .map(|node| Arc::clone(&node.name));
            self.receive(pod, place, name);
        }
        Ok(())
    }

    /// Removes nodes that leave together, all or none. Pods that find no room on other nodes
    /// are placed on new ones.
    ///
    /// # Errors
    /// The nodes stay, since a pod has no room.
    pub(super) fn vacate_together(
        &mut self,
        state: &mut ClusterState,
        leaving: &[(&Candidate, Vec<u32>)],
        mut new: Option<&mut NewNodes<'_>>,
        context: &ScaleDownContext<'_>,
    ) -> Result<(), Arc<Stay>> {
        let Leaving { nodes, pods, moved } = self.leaving(state, leaving, context);
        let places = self
            .destinations
            .vacate_together(state.cluster_mut(), &nodes, &moved, |cluster, class| {
                new.as_mut()?.place(cluster, class)
            })
            .map_err(|no_place| self.no_room(state, &pods, no_place.pod))?;
        for (node, _) in &nodes {
            self.received.remove(node);
        }
        for (pod, place) in pods.iter().zip(places) {
            let is_new = new.as_ref().filter(|new| new.nodes.contains(&place));
            let name = match is_new {
                Some(new) => Some(format!("a new node of {}", new.replacing.group).into()),
                None => state
                    .cluster()
                    .node(place)
                    .map(|node| Arc::clone(&node.name)),
            };
            self.receive(pod, place, name);
        }
        Ok(())
    }

    /// Returns the classes of the pods that find no room on other nodes if these nodes leave
    /// together, once for each pod.
    pub(super) fn without_room(
        &mut self,
        state: &mut ClusterState,
        leaving: &[(&Candidate, Vec<u32>)],
        context: &ScaleDownContext<'_>,
    ) -> Vec<ClassId> {
        let Leaving { nodes, moved, .. } = self.leaving(state, leaving, context);
        let Some(any) = nodes.first().map(|(node, _)| *node) else {
            return Vec::new();
        };
        let mut without = Vec::new();
        let cluster = state.cluster_mut();
        self.destinations
            .fits_together(cluster, &nodes, &moved, |_, class| {
                without.push(class);
                Some(any)
            });
        without
    }

    /// Returns how many new nodes it takes if these nodes leave together. `None` if more than
    /// may come would be needed. Changes nothing.
    pub(super) fn new_nodes(
        &mut self,
        state: &mut ClusterState,
        leaving: &[(&Candidate, Vec<u32>)],
        mut new: NewNodes<'_>,
        context: &ScaleDownContext<'_>,
    ) -> Option<u32> {
        let Leaving { nodes, moved, .. } = self.leaving(state, leaving, context);
        let fits = self.destinations.fits_together(
            state.cluster_mut(),
            &nodes,
            &moved,
            |cluster, class| new.place(cluster, class),
        );
        fits.then(|| new.count())
    }

    /// The nodes as they are while their pods move, and the pods, large ones first.
    fn leaving(
        &self,
        state: &ClusterState,
        leaving: &[(&Candidate, Vec<u32>)],
        context: &ScaleDownContext<'_>,
    ) -> Leaving {
        let mut pods: Vec<(f64, NodeId, ToPlace)> = Vec::new();
        let first = leaving.first().map(|(node, _)| *node);
        for (node, evicted) in leaving {
            for pod in self.to_place(state, node, evicted) {
                let share = first.map_or(0.0, |first| share_of(state, first, &pod));
                pods.push((share, node.id, pod));
            }
        }
        pods.sort_by(|(a, ..), (b, ..)| b.total_cmp(a));
        let nodes = leaving.iter();
        let nodes = nodes.map(|(node, _)| (node.id, tainted(node, context.now)));
        let moved = pods.iter().map(|(_, node, pod)| LeavingPod {
            class: pod.class,
            node: *node,
            terminating: pod.terminating,
        });
        let moved = moved.collect();
        Leaving {
            nodes: nodes.collect(),
            moved,
            pods: pods.into_iter().map(|(_, _, pod)| pod).collect(),
        }
    }

    /// Notes where a pod has moved to.
    fn receive(&mut self, pod: &ToPlace, place: NodeId, name: Option<Arc<str>>) {
        let received = Received {
            class: pod.class,
            origin: pod.origin,
        };
        self.received.entry(place).or_default().push(received);
        if let (Some(slot), Some(name)) = (pod.origin.slot(), name) {
            self.places.insert(slot, name);
        }
    }

    /// Why a node stays one of whose pods finds no other place.
    fn no_room(&self, state: &ClusterState, pods: &[ToPlace], at: usize) -> Arc<Stay> {
        let origin = pods.get(at).map(|pod| pod.origin);
        let stay = match origin {
            Some(Origin::Moved(slot)) => {
                let pod = state.pod_at(slot);
                pod.map(|pod| Stay {
                    message: unjudged(state, pods[at].class),
                    ..Stay::of_pod(reasons::NO_PLACE, pod.key)
                })
            }
            Some(Origin::Load(at)) => self.loads.get(at).map(|load| load.stay(state)),
            None => None,
        };
        Arc::new(stay.unwrap_or_else(|| Stay::of(reasons::NO_PLACE)))
    }

    /// The pods that need a place when a node goes: large ones first, as in packing, equal
    /// ones by name.
    fn to_place(&self, state: &ClusterState, node: &Candidate, evicted: &[u32]) -> Vec<ToPlace> {
        let own = evicted.iter().filter_map(|&slot| {
            let pod = state.pod_at(slot)?;
            (!pod.facts.has_ended()).then(|| ToPlace {
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
        let share = |pod: &ToPlace| share_of(state, node, pod);
        pods.sort_by(|a, b| share(b).total_cmp(&share(a)));
        pods
    }
}

/// A node as the scheduler sees it while its pods move.
fn tainted(node: &Candidate, now: Timestamp) -> Arc<Node> {
    let mut tainted = (*node.object).clone();
    tainted.taints.push(Taint {
        key: TO_BE_DELETED.into(),
        value: (now.0 / 1000).to_string().into(),
        effect: Effect::NoSchedule,
    });
    Arc::new(tainted)
}

/// What can't be judged of a pod, if that is why it finds no place.
fn unjudged(state: &ClusterState, class: ClassId) -> String {
    let what = state.cluster().unjudged(class);
    what.map_or_else(String::new, |what| {
        format!("it finds no other place: {what}")
    })
}

/// What a pod requests, as a part of a node's cpu and memory.
fn share_of(state: &ClusterState, node: &Candidate, pod: &ToPlace) -> f64 {
    let (cpu, memory) = state.cluster().cpu_and_memory(pod.class);
    let allocatable = &node.object.allocatable;
    part_of(cpu, allocatable.cpu) + part_of(memory, allocatable.memory)
}

/// An amount as a part of what a node has.
pub(super) fn part_of(amount: i64, of: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "only compared")]
    let (amount, of) = (amount as f64, of.max(1) as f64);
    amount / of
}
