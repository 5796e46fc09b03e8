//! The scheduler: binds waiting pods to nodes. It filters and scores as kube-scheduler
//! does. A pod that fits nowhere is marked unschedulable and waits until something has
//! changed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::state::{
    ClusterState, DrainFacts, NodeFacts, Owner, OwnerFacts, OwnerKind, PodFacts,
};
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
    /// Beginning of their uids, and uid of their controller.
    pub uid: Arc<str>,
    /// Kind of their controller. `None` if they have none.
    pub kind: Option<OwnerKind>,
    /// Their controller. `None` if they have none.
    pub owner: Option<Arc<Owner>>,
    /// Whether annotations make them count as a DaemonSet's.
    pub like_daemon_set: bool,
    /// What scale-down reads of them.
    pub drain: Arc<DrainFacts>,
}

/// The numbers of a workload's pods that controllers count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WorkloadCounts {
    /// spec.replicas.
    pub desired: i32,
    /// Number of pods, those that ended or terminate included.
    pub pods: usize,
    /// Number of Ready pods that do not terminate.
    pub ready: usize,
}

/// Weight of kube-scheduler's plugin TaintToleration; those of the two plugins in
/// `Cluster::score` are 1.
const TAINT_WEIGHT: i64 = 3;

/// Best score of a plugin.
const BEST: i64 = 100;

/// Order of the waiting pods: by priority, then by age.
type QueueKey = (Reverse<i32>, Timestamp, PodKey);

/// Waiting and bound pods, and the nodes.
pub struct Scheduler {
    state: ClusterState,
    /// By workload.
    shapes: Vec<Shape>,
    daemons: Daemons,
    pods: BTreeMap<PodKey, PodFacts>,
    by_name: BTreeMap<ObjectKey, PodKey>,
    /// Pods that take the place of ones that drains took away, until they are bound.
    replacements: BTreeSet<PodKey>,
    /// Number of these that fitted on no node when they were created.
    unplaced: u64,
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
            by_name: BTreeMap::new(),
            replacements: BTreeSet::new(),
            unplaced: 0,
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

    /// Returns a node.
    pub fn node(&self, name: &str) -> Option<&NodeFacts> {
        Some(self.state.node(name)?.facts)
    }

    /// Removes a node. Returns its pods, which are lost with it.
    pub fn remove_node(&mut self, name: &str) -> BTreeMap<PodKey, PodFacts> {
        let lost = self.remove_pods(name);
        self.on_node.remove(name);
        self.state.delete_node(name);
        lost
    }

    /// Removes the pods of a node whose instance is gone. Returns those of workloads.
    pub fn remove_pods(&mut self, node: &str) -> BTreeMap<PodKey, PodFacts> {
        let on_node = self.on_node.get_mut(node).map(std::mem::take);
        let mut lost = BTreeMap::new();
        for key in on_node.into_iter().flatten() {
            if let Some(facts) = self.forget(key) {
                self.state.delete_pod(&facts.uid);
                lost.insert(key, facts);
            }
        }
        self.daemons.leave(&mut self.state, node);
        self.may_schedule = true;
        lost
    }

    /// Adds a pod that waits for a node. `replaces`: it takes the place of one that a
    /// drain took away.
    pub fn add_pod(&mut self, key: PodKey, name: Arc<str>, created: Timestamp, replaces: bool) {
        let shape = &self.shapes[key.workload];
        let facts = PodFacts {
            uid: format!("{}-{}", shape.uid, key.id).into(),
            key: ObjectKey {
                namespace: Arc::clone(&shape.pod.namespace),
                name,
            },
            created,
            owner: shape.owner.clone(),
            like_daemon_set: shape.like_daemon_set,
            drain: Arc::clone(&shape.drain),
            ..PodFacts::default()
        };
        self.by_name.insert(facts.key.clone(), key);
        if replaces {
            self.replacements.insert(key);
        }
        self.waiting.insert(self.queue_key(key, &facts));
        self.apply(key, facts);
        self.may_schedule = true;
    }

    /// Returns a pod of a workload.
    pub fn pod(&self, key: PodKey) -> Option<&PodFacts> {
        self.pods.get(&key)
    }

    /// Returns the pod of a workload by its name.
    pub fn find_pod(&self, name: &ObjectKey) -> Option<(PodKey, &PodFacts)> {
        let key = self.by_name.get(name)?;
        Some((*key, self.pods.get(key)?))
    }

    /// Returns the pod of a DaemonSet by its name.
    pub fn find_daemon(&self, name: &ObjectKey) -> Option<&PodFacts> {
        self.daemons.find(name)
    }

    /// Changes a pod that has started, become Ready or ended.
    pub fn change_pod(&mut self, key: PodKey, change: impl FnOnce(&mut PodFacts)) {
        if let Some(mut facts) = self.pods.get(&key).cloned() {
            change(&mut facts);
            self.may_schedule |= facts.has_ended();
            self.apply(key, facts);
        }
    }

    /// Updates the controller of a workload's pods.
    pub fn set_owner(&mut self, workload: usize, counts: &WorkloadCounts) {
        let shape = &self.shapes[workload];
        let (Some(kind), Some(owner)) = (shape.kind, &shape.owner) else {
            return;
        };
        self.state.apply_owner(OwnerFacts {
            uid: Arc::clone(&owner.uid),
            kind,
            key: ObjectKey {
                namespace: Arc::clone(&shape.pod.namespace),
                name: Arc::clone(&owner.name),
            },
            desired: Some(counts.desired),
            ready: i32::try_from(counts.ready).unwrap_or(i32::MAX),
            deleting: false,
        });
    }

    /// Returns how many pods that took the place of ones that drains took away fitted on
    /// no node when they were created.
    pub fn unplaced(&self) -> u64 {
        self.unplaced
    }

    /// Returns the DaemonSets' pods, and the state that they are in.
    pub fn daemons(&mut self) -> (&mut Daemons, &mut ClusterState) {
        (&mut self.daemons, &mut self.state)
    }

    /// Marks a pod as deleted, with its metadata.deletionTimestamp: it keeps its
    /// resources, but no longer waits.
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
        let Some(facts) = self.forget(key) else {
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

    fn forget(&mut self, key: PodKey) -> Option<PodFacts> {
        let facts = self.pods.remove(&key)?;
        self.replacements.remove(&key);
        if self.by_name.get(&facts.key) == Some(&key) {
            self.by_name.remove(&facts.key);
        }
        Some(facts)
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
        let fitting: Vec<(NodeId, usize)> = fitting
            .map(|node| (node, cluster.untolerated_soft_taints(class, node)))
            .collect();
        let most = fitting.iter().map(|(_, taints)| *taints).max();
        let most = i64::try_from(most.unwrap_or_default()).unwrap_or(i64::MAX);
        let mut best: Option<(i64, NodeId)> = None;
        for (node, taints) in fitting {
            let taints = i64::try_from(taints).unwrap_or(i64::MAX);
            // All nodes score the same if none has such a taint.
            let penalty = if most > 0 { BEST * taints / most } else { 0 };
            let score = cluster.score(class, node) - TAINT_WEIGHT * penalty;
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
            unschedulable: false,
            ..self.pods.get(&key)?.clone()
        };
        self.waiting.remove(&queue_key);
        self.replacements.remove(&key);
        self.on_node
            .entry(Arc::clone(&node))
            .or_default()
            .insert(key);
        self.apply(key, facts);
        Some((key, node))
    }

    fn mark_unschedulable(&mut self, key: PodKey) {
        self.unplaced += u64::from(self.replacements.remove(&key));
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
