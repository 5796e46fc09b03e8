//! The scheduler: binds waiting pods to nodes. It filters and scores as kube-scheduler
//! does. A pod that fits nowhere is marked unschedulable and waits until something has
//! changed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::state::{ClusterState, NodeFacts, Owner, PodFacts, PodPhase};
use flyball_placement::{ClassId, NodeId, Pod};

use super::daemons::Daemons;

/// Key of a pod: its workload, and its number there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PodKey {
    /// Index of the workload.
    pub workload: usize,
    /// Number of the pod.
    pub id: u64,
}

/// The pods of a workload, as input of the scheduler.
#[derive(Clone, Debug)]
pub struct Shape {
    /// Requests and constraints of each pod.
    pub pod: Pod,
    /// Unique id of their controller.
    pub owner: Arc<str>,
}

/// Order of the waiting pods: by priority, then by age.
type QueueKey = (Reverse<i32>, Timestamp, PodKey);

/// Waiting and bound pods, and the nodes.
pub struct Scheduler {
    state: ClusterState,
    /// By workload.
    shapes: Vec<Shape>,
    daemons: Daemons,
    pods: BTreeMap<PodKey, PodFacts>,
    waiting: BTreeSet<QueueKey>,
    on_node: BTreeMap<Arc<str>, BTreeSet<PodKey>>,
    /// Something has changed so that a waiting pod may fit.
    may_schedule: bool,
}

impl Scheduler {
    /// Creates a scheduler without nodes and pods.
    pub fn new(shapes: Vec<Shape>, daemons: Daemons) -> Self {
        let mut state = ClusterState::new();
        daemons.add_to(&mut state);
        Self {
            state,
            shapes,
            daemons,
            pods: BTreeMap::new(),
            waiting: BTreeSet::new(),
            on_node: BTreeMap::new(),
            may_schedule: false,
        }
    }

    /// Returns nodes and pods as input of the loop that orders nodes.
    pub fn state(&mut self) -> &mut ClusterState {
        &mut self.state
    }

    /// Adds or updates a node.
    pub fn set_node(&mut self, now: Timestamp, facts: NodeFacts) {
        let (name, ready) = (Arc::clone(&facts.node.name), facts.ready);
        self.state.apply_node(facts);
        if ready {
            self.daemons.join(&mut self.state, &name, now);
        }
        self.on_node.entry(name).or_default();
        self.may_schedule = true;
    }

    /// Returns when a node joined.
    pub fn node_created(&self, name: &str) -> Option<Timestamp> {
        let mut nodes = self.state.nodes();
        let node = nodes.find(|node| *node.facts.node.name == *name)?;
        Some(node.facts.created)
    }

    /// Removes a node. Returns its pods, which are lost with it.
    pub fn remove_node(&mut self, name: &str) -> BTreeSet<PodKey> {
        let lost = self.on_node.remove(name).unwrap_or_default();
        for key in &lost {
            if let Some(facts) = self.pods.remove(key) {
                self.state.delete_pod(&facts.uid);
            }
        }
        self.daemons.leave(&mut self.state, name);
        self.state.delete_node(name);
        self.may_schedule = true;
        lost
    }

    /// Adds a pod that waits for a node.
    pub fn add_pod(&mut self, key: PodKey, name: Arc<str>, created: Timestamp) {
        let shape = &self.shapes[key.workload];
        let facts = PodFacts {
            uid: format!("{}-{}", shape.owner, key.id).into(),
            key: ObjectKey {
                namespace: Arc::clone(&shape.pod.namespace),
                name,
            },
            created,
            owner: Some(Arc::new(Owner {
                uid: Arc::clone(&shape.owner),
                kind: "ReplicaSet".into(),
                name: Arc::clone(&shape.owner),
            })),
            ..PodFacts::default()
        };
        self.waiting.insert(self.queue_key(key, &facts));
        self.apply(key, facts);
        self.may_schedule = true;
    }

    /// Marks a pod as deleted: it keeps its resources, but no longer waits.
    pub fn delete_pod(&mut self, key: PodKey, at: Timestamp) {
        if let Some(facts) = self.pods.get(&key) {
            self.waiting.remove(&self.queue_key(key, facts));
            let deletion = Some(at);
            let facts = PodFacts {
                deletion,
                ..facts.clone()
            };
            self.apply(key, facts);
            self.may_schedule = true;
        }
    }

    /// Removes a pod.
    pub fn remove_pod(&mut self, key: PodKey) {
        let Some(facts) = self.pods.remove(&key) else {
            return;
        };
        self.waiting.remove(&self.queue_key(key, &facts));
        let node = facts.node.and_then(|node| self.on_node.get_mut(&node));
        if let Some(pods) = node {
            pods.remove(&key);
        }
        self.state.delete_pod(&facts.uid);
        self.may_schedule = true;
    }

    /// Returns the number of pods that wait for a node.
    pub fn waiting(&self) -> u32 {
        u32::try_from(self.waiting.len()).unwrap_or(u32::MAX)
    }

    /// Binds pods that fit, if something has changed since the last call.
    pub fn schedule(&mut self) -> Vec<(PodKey, Arc<str>)> {
        if !std::mem::take(&mut self.may_schedule) {
            return Vec::new();
        }
        let mut bindings = Vec::new();
        // All pods of a class fit, or none.
        let mut unschedulable_classes = BTreeSet::new();
        for queue_key in self.waiting.clone() {
            let key = queue_key.2;
            let facts = self.pods.get(&key);
            let Some(pod) = facts.and_then(|facts| self.state.pod(&facts.uid)) else {
                continue;
            };
            let class = pod.class;
            let node = match unschedulable_classes.contains(&class) {
                true => None,
                false => self.best(class),
            };
            if let Some(node) = node {
                bindings.extend(self.bind(queue_key, node));
            } else {
                unschedulable_classes.insert(class);
                self.mark_unschedulable(key);
            }
        }
        // A new pod may satisfy another pod's affinity.
        self.may_schedule = !bindings.is_empty() && !unschedulable_classes.is_empty();
        bindings
    }

    /// Returns the node with the highest score among those that fit; of several the first
    /// by name.
    fn best(&self, class: ClassId) -> Option<NodeId> {
        let cluster = self.state.cluster();
        let nodes = self.state.nodes().map(|node| node.id);
        let fitting = nodes.filter(|&node| cluster.fits(class, node));
        let mut best: Option<(i64, NodeId)> = None;
        for node in fitting {
            let score = cluster.score(class, node);
            if best.is_none_or(|(highest, _)| score > highest) {
                best = Some((score, node));
            }
        }
        best.map(|(_, node)| node)
    }

    fn bind(&mut self, queue_key: QueueKey, node: NodeId) -> Option<(PodKey, Arc<str>)> {
        let key = queue_key.2;
        let node = Arc::clone(&self.state.cluster().node(node)?.name);
        let facts = PodFacts {
            node: Some(Arc::clone(&node)),
            phase: PodPhase::Running,
            unschedulable: false,
            ..self.pods.get(&key)?.clone()
        };
        self.waiting.remove(&queue_key);
        self.on_node
            .entry(Arc::clone(&node))
            .or_default()
            .insert(key);
        self.apply(key, facts);
        Some((key, node))
    }

    fn mark_unschedulable(&mut self, key: PodKey) {
        let facts = self.pods.get(&key).filter(|facts| !facts.unschedulable);
        if let Some(facts) = facts {
            let unschedulable = true;
            let facts = PodFacts {
                unschedulable,
                ..facts.clone()
            };
            self.apply(key, facts);
        }
    }

    fn apply(&mut self, key: PodKey, facts: PodFacts) {
        let shape = &self.shapes[key.workload];
        self.state.apply_pod(facts.clone(), &shape.pod);
        self.pods.insert(key, facts);
    }

    fn queue_key(&self, key: PodKey, facts: &PodFacts) -> QueueKey {
        let priority = self.shapes[key.workload].pod.priority;
        (Reverse(priority), facts.created, key)
    }
}
