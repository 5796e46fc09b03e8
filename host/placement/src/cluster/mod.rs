//! The scheduler's view of the cluster, updated change by change.

mod bonds;
mod check;
mod classes;
mod connections;
mod counter;
mod counting;
mod diagnosis;
mod domains;
mod index;
mod interning;
mod journal;
mod new_nodes;
mod node_signature;
mod nodes;
mod places;
mod pod_limits;
mod predicate;
mod profiles;
mod rebuild;
mod relations;
mod relevant_labels;
mod score;
mod static_filters;
mod steps;
mod storage;
mod terms;
mod unjudged_pods;

use std::sync::Arc;

pub use self::bonds::Bonds;
pub(crate) use self::bonds::{Area, HOSTNAME, HostKey};
pub use self::classes::ClassId;
pub use self::diagnosis::Diagnosis;
pub use self::journal::Mark;
pub use self::new_nodes::Template;
pub(crate) use self::node_signature::Dependencies;
pub use self::nodes::NodeId;
pub(crate) use self::nodes::{CPU, MEMORY, PODS};

use self::classes::Classes;
use self::counting::CounterInputs;
use self::journal::{Change, Journal};
use self::new_nodes::NewNodes;
use self::nodes::{Nodes, Slot};
use self::relations::Relations;
use self::static_filters::StaticFilters;
use crate::condition::label_set;
use crate::intern::Symbols;
use crate::volumes::Storage;
use crate::{Labels, Name, Node, Pod, Resources};

/// Number of pods of a class on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Pods that aren't being deleted.
    pub running: u32,
    /// Pods that are being deleted. They still use resources and ports and count for
    /// affinity, but not for topology spread.
    pub terminating: u32,
}

/// Nodes, namespaces and placed pods, with the counts that the filters need.
///
/// Identical pods are counted, not stored: the caller asks for the [`ClassId`] of each
/// pod once, keeps it, and passes it to [`Self::place`]. It must not place pods that
/// succeeded or failed, or that have no node.
#[derive(Default)]
pub struct Cluster {
    symbols: Symbols,
    nodes: Nodes,
    statics: StaticFilters,
    classes: Classes,
    relations: Relations,
    storage: Storage,
    journal: Journal,
    new_nodes: NewNodes,
    /// The last pod whose class was asked for twice in a row. Pods of one owner often come
    /// one after the other.
    repeated_pod: Option<(Pod, ClassId)>,
    last_class: Option<ClassId>,
    /// Number of times that a class got another shape.
    reshaped: usize,
}

impl Cluster {
    /// Adds a node without pods. If a node of this name exists, it is replaced as by
    /// [`Self::set_node`].
    pub fn add_node(&mut self, node: impl Into<Arc<Node>>) -> NodeId {
        let node = Node::with_own_labels(node);
        let name = self.symbols.intern(&node.name);
        if let Some(id) = self.nodes.find(name) {
            self.set_node(id, node);
            return id;
        }
        let labels = label_set(&node.labels, &mut self.symbols);
        self.nodes.note_labels(&labels);
        self.add_columns(&node);
        let id = self.nodes.insert(node, name, labels);
        self.find_kind(id);
        self.attach(id);
        self.journal.push(Change::Added(id));
        id
    }

    /// Replaces a node's object and keeps its pods. The name can't change: another name
    /// in the object is ignored. Does nothing if there is no such node.
    pub fn set_node(&mut self, id: NodeId, node: impl Into<Arc<Node>>) {
        let Some(known) = self.nodes.get(id).map(|slot| slot.node.clone()) else {
            return;
        };
        let node = Node::with_own_labels(node);
        if *known == *node {
            return;
        }
        self.detach(id);
        let labels = label_set(&node.labels, &mut self.symbols);
        self.nodes.note_labels(&labels);
        self.add_columns(&node);
        self.nodes.replace(id, node, labels);
        self.find_kind(id);
        self.attach(id);
        self.journal.push(Change::Replaced(id, known));
    }

    /// Removes a node and its pods. Does nothing if there is no such node.
    pub fn remove_node(&mut self, id: NodeId) {
        let Some(slot) = self.nodes.get(id) else {
            return;
        };
        for placed in slot.pods.clone() {
            for _ in 0..placed.count.running {
                self.unplace(placed.class, id, false);
            }
            for _ in 0..placed.count.terminating {
                self.unplace(placed.class, id, true);
            }
        }
        self.detach(id);
        if let Some(slot) = self.nodes.remove(id) {
            if let Some(new) = slot.new {
                self.new_nodes.release(new.number);
            }
            self.journal.push(Change::Removed(Box::new(slot)));
        }
    }

    /// Adds a removed node again, without pods.
    fn put_back(&mut self, slot: Slot) {
        let id = self.nodes.insert(slot.node, slot.name, slot.labels);
        match slot.new {
            Some(new) => {
                self.new_nodes.take_again(new.number);
                self.nodes.set_new(id, new);
            }
            None => self.find_kind(id),
        }
        self.attach(id);
    }

    /// Returns a node's object. For a new node of a template, this is the template's
    /// object.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(id).map(|slot| &slot.node)
    }

    /// Returns the node of this name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.find(self.symbols.find(name)?)
    }

    /// All nodes, ordered by number.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().map(|(id, _)| id)
    }

    /// Number of nodes.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// Returns the free amounts of the resources that a node has: negative if it is
    /// overcommitted, zero if there is no such node.
    pub fn free(&self, id: NodeId) -> Resources {
        self.nodes.free(id)
    }

    /// Adds a namespace or replaces its labels.
    pub fn set_namespace(&mut self, name: &Name, labels: &Labels) {
        self.change_namespace(name, Some(labels.clone()));
    }

    /// Removes a namespace: namespace selectors don't select it any more.
    pub fn remove_namespace(&mut self, name: &str) {
        self.change_namespace(&name.into(), None);
    }

    /// Returns the labels of a namespace. `None` if there is no such namespace.
    pub fn namespace_labels(&self, name: &str) -> Option<&Labels> {
        self.journal.namespace(name)
    }

    fn change_namespace(&mut self, name: &Name, labels: Option<Labels>) {
        let symbol = self.symbols.intern(name);
        let set = labels
            .as_ref()
            .map(|labels| label_set(labels, &mut self.symbols));
        let before = self.journal.set_namespace(name, labels);
        let (relations, inputs) = self.counter_inputs();
        relations.counting.set_namespace(symbol, set, &inputs);
        self.journal.push(Change::Namespace(name.clone(), before));
    }

    /// Returns the class of a pod. Equal pods have the same class, and a class never
    /// changes.
    pub fn class(&mut self, pod: &Pod) -> ClassId {
        if let Some((repeated, class)) = &self.repeated_pod
            && repeated == pod
        {
            return *class;
        }
        let class = self.find_class(pod);
        if self.last_class.replace(class) == Some(class) {
            self.repeated_pod = Some((pod.clone(), class));
        }
        class
    }

    /// Returns the representative of all classes whose pods no filter can distinguish
    /// from this one's, for grouping pods. It may change when [`Self::class`] is called
    /// with a pod whose selectors use a label key for the first time.
    pub fn representative(&self, class: ClassId) -> ClassId {
        self.classes.representative_of(self.classes.shape_of(class))
    }

    /// Number of classes.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// Number of interned strings: names and labels, present and past.
    pub fn text_count(&self) -> usize {
        self.symbols.len() + self.nodes.name_count()
    }

    /// Number of resources of which an amount is kept for each node: the four that every
    /// node has, and the extended ones that some node or template has or had. Those that
    /// only pods request are not counted.
    pub fn resource_count(&self) -> usize {
        self.nodes.column_count()
    }

    /// Number of node kinds. Nodes that no pod can distinguish are of one kind.
    pub fn kind_count(&self) -> usize {
        self.statics.kind_count()
    }

    /// Number of steps that it took to find the classes of all pods: comparisons of terms
    /// with pods, and pods and nodes that were looked at again. It depends on the pods and
    /// nodes, and on their order, alone.
    pub fn step_count(&self) -> usize {
        self.relations.counting.steps.all()
    }

    /// Number of times that a class got another shape because a label was read for the first
    /// time. The shapes before are kept, and the steps count. None in a rebuilt cluster.
    pub fn reshaped_count(&self) -> usize {
        self.reshaped
    }

    /// Whether pods are not judged because of the number of their connections or of these
    /// steps, including those of past pods.
    pub fn has_too_many_connections(&self) -> bool {
        self.relations.counting.were_refused()
    }

    fn counter_inputs(&mut self) -> (&mut Relations, CounterInputs<'_>) {
        let inputs = CounterInputs {
            nodes: &self.nodes,
            classes: &self.classes,
            statics: &self.statics,
            symbols: &mut self.symbols,
        };
        (&mut self.relations, inputs)
    }

    /// Places a pod of a class on a node, whether or not it fits. Returns false and
    /// does nothing if there is no such node.
    pub fn place(&mut self, class: ClassId, node: NodeId, terminating: bool) -> bool {
        self.shift(class, node, terminating, true)
    }

    /// Removes a pod of a class from a node. Returns false and does nothing if none is
    /// placed there.
    pub fn unplace(&mut self, class: ClassId, node: NodeId, terminating: bool) -> bool {
        self.shift(class, node, terminating, false)
    }

    fn shift(&mut self, class: ClassId, node: NodeId, terminating: bool, up: bool) -> bool {
        let Some(slot) = self.nodes.get_mut(node) else {
            return false;
        };
        if !slot.shift(class, terminating, up) {
            return false;
        }
        slot.take_ports(self.classes.ports(class), up);
        let pods = if up { 1 } else { -1 };
        self.nodes.take(node, self.classes.request(class), pods);
        if let Some(volumes) = self.classes.volumes(class) {
            let namespace = self.classes.key(class).namespace;
            self.storage.shift(namespace, volumes, up);
        }
        let shape = self.classes.shape_of(class);
        self.relations
            .counting
            .shift(class, shape, node, terminating, up);
        self.journal.push(Change::Shifted {
            class,
            node,
            terminating,
            up,
        });
        true
    }

    /// Returns the pods placed on a node, ordered by class.
    pub fn placed(&self, id: NodeId) -> impl Iterator<Item = (ClassId, Count)> {
        let slots = self.nodes.get(id).into_iter();
        slots.flat_map(|slot| slot.pods.iter().map(|placed| (placed.class, placed.count)))
    }

    /// Adds a node and its pods to the counters. The node's kind must be set.
    fn attach(&mut self, id: NodeId) {
        let Some(slot) = self.nodes.get(id) else {
            return;
        };
        self.relations
            .counting
            .domains
            .attach(id, slot, &self.statics, &self.symbols);
        for placed in &slot.pods {
            let shape = self.classes.shape_of(placed.class);
            self.relations
                .counting
                .shift_all(shape, id, placed.count, true);
        }
    }

    /// Subtracts a node and its pods from the counters.
    fn detach(&mut self, id: NodeId) {
        let Some(slot) = self.nodes.get(id) else {
            return;
        };
        for placed in &slot.pods {
            let shape = self.classes.shape_of(placed.class);
            self.relations
                .counting
                .shift_all(shape, id, placed.count, false);
        }
        self.relations.counting.domains.detach(id, slot);
    }

    /// Adds columns for the resources of a node that is about to be added.
    pub(crate) fn add_columns(&mut self, node: &Node) {
        let classes = &self.classes;
        self.nodes
            .add_columns(&node.allocatable, |class| classes.request(class));
    }

    fn find_kind(&mut self, id: NodeId) {
        if let Some(slot) = self.nodes.get(id) {
            let node = &slot.node;
            let kind = self
                .statics
                .kind(&slot.labels, &node.taints, node.unschedulable);
            self.nodes.kind[id.at()] = kind;
        }
    }
}
