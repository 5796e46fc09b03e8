//! State of the cluster for the nodes half: nodes, placed pods and pending pods, kept up
//! to date object by object.
//!
//! Pods are compact entries beside the incremental [`Cluster`], and alike pods share a
//! class with their requirements. All that a pass reads is updated when objects change,
//! so that a pass derives nothing anew.

mod annotations;
mod bind;
mod budgets;
mod chunks;
mod common_labels;
mod compact;
mod drain_facts;
mod facts;
mod node_table;
mod owners;
mod pod_table;
mod revisions;
mod watched_drains;

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_placement::{ClassId, Cluster, Labels, Name, NodeId, Pod, StorageObject};
use hashbrown::HashMap;

pub use self::annotations::{AnnotationKeys, WantedAnnotations};
use self::budgets::BudgetTable;
pub use self::budgets::{BudgetFacts, BudgetId, MAX_NAMED_BUDGETS, PodBudgets};
pub use self::common_labels::CommonLabels;
pub(crate) use self::common_labels::{LOCATION_LABELS, ZONE_LABELS, zone_of};
use self::compact::CompactedSize;
pub use self::drain_facts::{DrainFacts, LocalVolumes, RestartPolicy, SafeToEvict};
pub use self::facts::{DaemonSetFacts, GonePod, NodeFacts, Owner, PodFacts, PodPhase, node_size};
use self::node_table::{KnownNode, NodeTable};
use self::owners::OwnerTable;
pub use self::owners::{OwnerFacts, OwnerKind};
pub use self::pod_table::PodView;
use self::pod_table::{PodChange, PodTable};
use self::watched_drains::WatchedDrains;
use super::limits::{ClusterSize, NodeSize};

/// Nodes, placed pods and pending pods.
#[derive(Default)]
pub struct ClusterState {
    cluster: Cluster,
    pods: PodTable,
    nodes: NodeTable,
    /// Index of the node's entry, by provider id.
    by_provider: HashMap<Arc<str>, u32>,
    daemon_sets: BTreeMap<Arc<str>, (DaemonSetFacts, ClassId)>,
    owners: OwnerTable,
    budgets: BudgetTable,
    size: ClusterSize,
    common: CommonLabels,
    revision: u64,
    drain_revision: u64,
    class_generation: u64,
    watched_drains: WatchedDrains,
    compacted: CompactedSize,
    listed_annotations: WantedAnnotations,
    /// Drain revision at which the labels of a namespace changed last.
    namespace_changes: BTreeMap<Arc<str>, u64>,
}

/// A node as the planner reads it.
#[derive(Clone, Copy)]
pub struct NodeView<'a> {
    /// Its id in the [`Cluster`].
    pub id: NodeId,
    /// Its fields.
    pub facts: &'a NodeFacts,
    /// Its zone, by its labels.
    pub zone: Option<&'a Name>,
    /// [`ClusterState::drain_revision`] at which the node, a pod bound or nominated to it,
    /// or an owner of a pod bound to it changed last. Budgets are not included:
    /// [`ClusterState::changed_since`] is.
    pub changed: u64,
    /// The latest time at which a pod came or went that is neither a mirror pod nor one
    /// of a DaemonSet: metadata.creationTimestamp of pods bound to it, and
    /// metadata.deletionTimestamp of pods that are gone. May be in the future, for a pod
    /// that ended before its grace period did. `None` if there was no such pod. A new
    /// process knows the present pods only.
    pub last_pod_change: Option<Timestamp>,
}

impl ClusterState {
    /// Creates the state of an empty cluster.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or updates a pod.
    pub fn apply_pod(&mut self, facts: PodFacts, pod: &Pod) {
        let class = self.cluster.class(pod);
        let before = self.pods.find(&facts.uid);
        if let Some(slot) = before {
            match self.pods.compare(slot, &facts, class) {
                PodChange::None => return,
                PodChange::Drain => {
                    self.count_drain_change();
                    self.pods.set_drain(slot, facts);
                    self.mark_node_of(slot);
                    return;
                }
                PodChange::Any => {
                    self.count_change();
                    self.unbind(slot, None);
                }
            }
        } else {
            self.count_change();
        }
        let slot = self.pods.put(before, facts, class, pod.priority);
        self.bind(slot);
        self.budgets
            .add_class(class, &self.cluster, self.drain_revision);
        self.compact();
    }

    /// Removes a pod.
    pub fn delete_pod(&mut self, uid: &str) {
        if let Some(slot) = self.pods.find(uid) {
            self.count_change();
            self.unbind(slot, self.pods.went(slot));
            self.pods.remove(slot);
            self.compact();
        }
    }

    /// Removes a pod of which the last event may say more than the state knows.
    pub fn delete_gone_pod(&mut self, gone: &GonePod) {
        self.delete_pod(&gone.uid);
        self.note_gone_pod(gone);
    }

    /// Adds or updates a node. Places the pods that are bound to it.
    pub fn apply_node(&mut self, facts: NodeFacts) {
        let name = facts.node.name.clone();
        let (_, entry) = self.nodes.entry(&name);
        if let Some(known) = &mut entry.known {
            if known.facts == facts {
                return;
            }
            if known.facts.is_same_for_scale_up(&facts) {
                let node = Arc::clone(&known.facts.node);
                known.facts = NodeFacts { node, ..facts };
                self.drain_revision += 1;
                entry.changed = self.drain_revision;
                return;
            }
            let (before, id) = (known.facts.size(), known.id);
            self.common.count(&known.facts.node, false);
            self.forget_provider(&name);
            self.cluster.set_node(id, Arc::clone(&facts.node));
            self.count(before, false);
            self.add_known(name, KnownNode::new(id, facts));
        } else {
            let id = self.cluster.add_node(Arc::clone(&facts.node));
            for slot in entry.pods.clone() {
                if let Some((class, terminating)) = self.pods.running(slot) {
                    self.cluster.place(class, id, terminating);
                }
            }
            for &slot in &entry.nominated {
                self.pods.dequeue(slot);
            }
            self.add_known(name, KnownNode::new(id, facts));
        }
        self.compact();
    }

    /// Removes a node. Its pods stay bound to it until they are deleted, but count
    /// nowhere.
    pub fn delete_node(&mut self, name: &str) {
        self.forget_provider(name);
        let Some(entry) = self.nodes.get_mut(name) else {
            return;
        };
        let Some(known) = entry.known.take() else {
            return;
        };
        for &slot in &entry.nominated {
            self.pods.enqueue(slot);
        }
        if entry.is_unused() {
            self.nodes.remove(name);
        }
        self.cluster.remove_node(known.id);
        self.common.count(&known.facts.node, false);
        self.count(known.facts.size(), false);
        self.count_change();
    }

    /// Adds a namespace, or updates its labels.
    pub fn apply_namespace(&mut self, name: &Arc<str>, labels: &Labels) {
        let is_same = self.cluster.namespace_labels(name) == Some(labels);
        self.cluster.set_namespace(name, labels);
        self.count_change();
        if !is_same {
            self.note_namespace(name);
        }
    }

    /// Removes a namespace.
    pub fn delete_namespace(&mut self, name: &str) {
        self.cluster.remove_namespace(name);
        self.count_change();
        self.namespace_changes.remove(name);
    }

    /// Adds or updates a DaemonSet.
    pub fn apply_daemon_set(&mut self, facts: DaemonSetFacts) {
        let class = self.cluster.class(&facts.pod);
        let uid = Arc::clone(&facts.uid);
        let before = self.daemon_sets.insert(Arc::clone(&uid), (facts, class));
        self.count_change();
        if before.is_none() {
            self.mark_nodes_of_owner(&uid);
        }
    }

    /// Removes a DaemonSet.
    pub fn delete_daemon_set(&mut self, uid: &str) {
        self.daemon_sets.remove(uid);
        self.count_change();
        self.mark_nodes_of_owner(uid);
    }

    /// Adds or updates a storage object, such as a claim or a volume.
    pub fn apply_storage(&mut self, object: StorageObject) {
        self.cluster.set_storage(object);
        self.count_change();
    }

    /// Removes the storage object with this kind and name.
    pub fn delete_storage(&mut self, object: &StorageObject) {
        self.cluster.remove_storage(object);
        self.count_change();
    }

    /// The scheduler's view of the cluster.
    #[must_use]
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// The scheduler's view of the cluster, for simulations. They must leave it
    /// unchanged.
    pub fn cluster_mut(&mut self) -> &mut Cluster {
        &mut self.cluster
    }

    /// Number of nodes, and their cores and memory.
    #[must_use]
    pub fn size(&self) -> ClusterSize {
        self.size
    }

    /// Labels that the nodes have in common.
    #[must_use]
    pub fn common_labels(&self) -> &CommonLabels {
        &self.common
    }

    /// All nodes, ordered by name.
    pub fn nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        self.nodes.iter().filter_map(|(_, entry)| entry.view())
    }

    /// Missing nodes that pods are bound to, with the number of these pods that have not
    /// ended, ordered by name.
    pub fn absent_nodes(&self) -> impl Iterator<Item = (&Arc<str>, usize)> {
        let absent = self.nodes.iter().filter(|(_, entry)| entry.known.is_none());
        let runs = |slot: &&u32| self.pods.running(**slot).is_some();
        absent
            .map(move |(name, entry)| (name, entry.pods.iter().filter(runs).count()))
            .filter(|(_, pods)| *pods > 0)
    }

    /// A node by its name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<NodeView<'_>> {
        self.nodes.get(name)?.view()
    }

    /// The node of an instance. `None` if it has not joined.
    #[must_use]
    pub fn node_of(&self, provider_id: &str) -> Option<NodeView<'_>> {
        let index = self.by_provider.get(provider_id)?;
        self.nodes.at(*index)?.view()
    }

    /// The DaemonSets and the classes of their pods, ordered by uid.
    pub fn daemon_sets(&self) -> impl Iterator<Item = (&DaemonSetFacts, ClassId)> {
        self.daemon_sets
            .values()
            .map(|(facts, class)| (facts, *class))
    }

    /// A DaemonSet by its uid.
    #[must_use]
    pub fn daemon_set(&self, uid: &str) -> Option<&DaemonSetFacts> {
        self.daemon_sets.get(uid).map(|(facts, _)| facts)
    }

    /// A pod by its slot ([`PodView::slot`]).
    #[must_use]
    pub fn pod_at(&self, slot: u32) -> Option<PodView<'_>> {
        self.pods.view(slot)
    }

    /// Classes of the unschedulable pods, ordered by class, each with its pods in no
    /// order.
    pub fn unschedulable(
        &self,
    ) -> impl Iterator<Item = (ClassId, impl Iterator<Item = PodView<'_>>)> {
        self.pods.unschedulable.iter().map(|(class, slots)| {
            (
                *class,
                slots.iter().filter_map(|&slot| self.pods.view(slot)),
            )
        })
    }

    /// Number of unschedulable pods.
    #[must_use]
    pub fn unschedulable_count(&self) -> usize {
        self.pods.unschedulable.values().map(Vec::len).sum()
    }

    /// Whether a pod has become unschedulable since the last
    /// [`ClusterState::take_new_unschedulable`].
    #[must_use]
    pub fn has_new_unschedulable(&self) -> bool {
        self.pods.new_unschedulable
    }

    /// Whether a pod has become unschedulable since the last call.
    pub fn take_new_unschedulable(&mut self) -> bool {
        std::mem::take(&mut self.pods.new_unschedulable)
    }

    /// The pods bound to a node, in no order.
    pub fn pods_on(&self, node: &str) -> impl Iterator<Item = PodView<'_>> {
        let slots = self.nodes.get(node).map_or(&[][..], |entry| &entry.pods);
        slots.iter().filter_map(|&slot| self.pods.view(slot))
    }

    /// The pending pods that are nominated to a node, in no order.
    pub fn nominated_to(&self, node: &str) -> impl Iterator<Item = PodView<'_>> {
        let slots = self.nodes.get(node);
        let slots = slots.map_or(&[][..], |entry| &entry.nominated);
        slots.iter().filter_map(|&slot| self.pods.view(slot))
    }

    /// The existing nodes that pods are nominated to, ordered by name.
    pub fn nominated_nodes(&self) -> impl Iterator<Item = NodeView<'_>> {
        let entries = self.nodes.iter();
        let entries = entries.filter(|(_, entry)| !entry.nominated.is_empty());
        entries.filter_map(|(_, entry)| entry.view())
    }

    /// Number of pods.
    #[must_use]
    pub fn pod_count(&self) -> usize {
        self.pods.len()
    }

    /// The uids of all pods, in no particular order.
    pub fn pod_uids(&self) -> impl Iterator<Item = &Arc<str>> {
        self.pods.uids()
    }

    /// A pod by its uid.
    #[must_use]
    pub fn pod(&self, uid: &str) -> Option<PodView<'_>> {
        self.pods.view(self.pods.find(uid)?)
    }

    fn add_known(&mut self, name: Arc<str>, known: KnownNode) {
        self.count(known.facts.size(), true);
        self.common.count(&known.facts.node, true);
        self.count_change();
        let provider_id = known.facts.provider_id.clone();
        let (_, entry) = self.nodes.entry(&name);
        entry.known = Some(known);
        entry.changed = self.drain_revision;
        if let (Some(provider_id), Some(index)) = (provider_id, self.nodes.index(&name)) {
            self.by_provider.insert(provider_id, index);
        }
    }

    fn forget_provider(&mut self, name: &str) {
        let Some(index) = self.nodes.index(name) else {
            return;
        };
        let known = self.nodes.at(index).and_then(|entry| entry.known.as_ref());
        if let Some(provider_id) = known.and_then(|known| known.facts.provider_id.as_ref())
            && self.by_provider.get(provider_id) == Some(&index)
        {
            self.by_provider.remove(provider_id);
        }
    }

    fn count(&mut self, node: NodeSize, up: bool) {
        let shift = |figure: &mut u64, by: u64| {
            *figure = if up {
                figure.saturating_add(by)
            } else {
                figure.saturating_sub(by)
            };
        };
        shift(&mut self.size.cpu_milli, node.cpu_milli);
        shift(&mut self.size.memory, node.memory);
        let mut nodes = u64::from(self.size.nodes);
        shift(&mut nodes, 1);
        self.size.nodes = u32::try_from(nodes).unwrap_or(u32::MAX);
    }
}
