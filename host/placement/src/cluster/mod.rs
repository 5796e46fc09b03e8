//! The cluster as the scheduler sees it, kept up to date change by change.

mod bonds;
mod check;
mod classes;
pub(crate) mod condition;
mod counter;
mod counting;
mod diagnosis;
mod domains;
mod index;
mod journal;
mod new_nodes;
mod nodes;
mod predicate;
mod rebuild;
mod relations;
mod score;
mod situation;
mod statics;
mod storage;

use std::sync::Arc;

pub use self::bonds::Bonds;
pub(crate) use self::bonds::{Area, HOSTNAME, HostKey};
pub use self::classes::ClassId;
pub use self::diagnosis::Diagnosis;
pub use self::journal::Mark;
pub use self::nodes::NodeId;
pub(crate) use self::situation::Reads;

use self::classes::{Classes, Parts};
use self::condition::label_set;
use self::counting::World;
use self::journal::{Change, Journal};
use self::new_nodes::NewNodes;
use self::nodes::{Nodes, Slot};
use self::predicate::PodTerm;
use self::relations::{Relations, Topological, widened};
use self::statics::Statics;
use crate::intern::{Symbol, Symbols};
use crate::volumes::Storage;
use crate::{AffinityTerm, Labels, Name, Node, Pod, Resources};

/// Pods of a class on a node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Pods that aren't being deleted.
    pub running: u32,
    /// Pods that are being deleted: they still take their resources and ports, and count
    /// for affinity, but not for topology spread.
    pub terminating: u32,
}

/// Nodes, namespaces and placed pods, and what the filters need to know of them.
///
/// Pods are numbers of alike ones: the owner asks for the [`ClassId`] of each pod
/// once, keeps it, and says where pods are placed. Pods that succeeded or failed,
/// and pods without a node, are not to be placed.
#[derive(Default)]
pub struct Cluster {
    symbols: Symbols,
    nodes: Nodes,
    statics: Statics,
    classes: Classes,
    relations: Relations,
    storage: Storage,
    journal: Journal,
    new_nodes: NewNodes,
}

impl Cluster {
    /// Takes a node in, without pods. A node of this name that is there already is
    /// replaced, as by [`Self::set_node`].
    pub fn add_node(&mut self, node: impl Into<Arc<Node>>) -> NodeId {
        let node = Node::with_own_labels(node);
        let name = self.symbols.intern(&node.name);
        if let Some(id) = self.nodes.find(name) {
            self.set_node(id, node);
            return id;
        }
        let labels = label_set(&node.labels, &mut self.symbols);
        let id = self.nodes.insert(node, name, labels);
        self.find_kind(id);
        self.attach(id);
        self.journal.push(Change::Added(id));
        id
    }

    /// Replaces a node's object, its pods staying. The name can't change: another
    /// name in the object is ignored. Nothing happens if there is no such node.
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
        self.nodes.replace(id, node, labels);
        self.find_kind(id);
        self.attach(id);
        self.journal.push(Change::Replaced(id, known));
    }

    /// Takes a node out; its pods are not placed any more. Nothing happens if there
    /// is no such node.
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

    /// Takes a node in again that was removed, without pods.
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

    /// A node's object: for a new node of a template, the template's.
    pub fn node(&self, id: NodeId) -> Option<&Arc<Node>> {
        self.nodes.get(id).map(|slot| &slot.node)
    }

    /// The node of a name.
    pub fn find_node(&self, name: &str) -> Option<NodeId> {
        self.nodes.find(self.symbols.find(name)?)
    }

    /// All nodes, ordered by number.
    pub fn node_ids(&self) -> impl Iterator<Item = NodeId> {
        self.nodes.iter().map(|(id, _)| id)
    }

    /// How many nodes there are.
    pub fn node_count(&self) -> usize {
        self.nodes.len()
    }

    /// The free resources of a node. Negative if it is overcommitted, zero if there is no
    /// such node.
    pub fn free(&self, id: NodeId) -> Resources {
        self.nodes.free(id)
    }

    /// Takes a namespace in, or gives it other labels.
    pub fn set_namespace(&mut self, name: &Name, labels: &Labels) {
        self.change_namespace(name, Some(labels.clone()));
    }

    /// Takes a namespace out: selectors of namespaces don't select it any more.
    pub fn remove_namespace(&mut self, name: &str) {
        self.change_namespace(&name.into(), None);
    }

    fn change_namespace(&mut self, name: &Name, labels: Option<Labels>) {
        let symbol = self.symbols.intern(name);
        let set = labels
            .as_ref()
            .map(|labels| label_set(labels, &mut self.symbols));
        let before = self.journal.set_namespace(name, labels);
        let (relations, world) = self.world();
        relations.counting.set_namespace(symbol, set, &world);
        self.journal.push(Change::Namespace(name.clone(), before));
    }

    /// The class of a pod. The same pod is always of the same class, and a class
    /// stays what it is.
    pub fn class(&mut self, pod: &Pod) -> ClassId {
        let namespace = self.symbols.intern(&pod.namespace);
        let (statics, reads_nodes) = self.statics.intern(pod, &mut self.symbols);
        if reads_nodes {
            self.find_kinds();
        }
        let (terms, new) = self.relations.find_terms(pod, namespace);
        if new {
            self.add_terms(pod, namespace);
        }
        let parts = Parts {
            namespace,
            statics,
            terms,
        };
        let class = self
            .classes
            .class(pod, parts, &mut self.symbols, &mut self.nodes);
        if !self.classes.has_shape(class) {
            let selectors = pod
                .spread
                .iter()
                .map(|constraint| constraint.selector.as_ref());
            let terms: Vec<PodTerm> = selectors
                .map(|selector| PodTerm::of_spread(selector, namespace, &mut self.symbols))
                .collect();
            self.read(terms.iter().flat_map(PodTerm::keys));
            self.give_shape(class);
            self.classes.push_bonds(self.find_bonds(class));
        }
        class
    }

    /// The class that stands for all classes whose pods no filter can tell apart
    /// from this one's: group pods by it. It may be another one once
    /// [`Self::class`] was asked for a pod whose selectors read a label that none
    /// read before.
    pub fn representative(&self, class: ClassId) -> ClassId {
        self.classes.first_of(self.classes.shape_of(class))
    }

    /// How many classes there are.
    pub fn class_count(&self) -> usize {
        self.classes.len()
    }

    /// How many texts are known, of names and labels that are there or once were.
    pub fn text_count(&self) -> usize {
        self.symbols.len()
    }

    /// How many kinds of nodes are known: nodes that no pod can tell apart are of one.
    pub fn kind_count(&self) -> usize {
        self.statics.kind_count()
    }

    fn add_terms(&mut self, pod: &Pod, namespace: Symbol) {
        let symbols = &mut self.symbols;
        let mut of = |terms: &[AffinityTerm]| -> Vec<Topological> {
            let each = terms.iter().map(|term| {
                let key = symbols.intern(&term.topology_key);
                (PodTerm::of_affinity(term, namespace, symbols), key)
            });
            each.collect()
        };
        let (affinity, anti) = (of(&pod.affinity), of(&pod.anti_affinity));
        let widened: Vec<AffinityTerm> = pod.anti_affinity.iter().filter_map(widened).collect();
        let widened = of(&widened);
        let terms = affinity.iter().chain(&anti);
        self.read(terms.flat_map(|(term, _)| term.keys()));
        let (relations, mut world) = self.world();
        relations.add_terms(&affinity, &anti, &widened, &mut world);
    }

    /// Begins to read labels of pods: classes get new shapes where it matters.
    fn read(&mut self, keys: impl Iterator<Item = Symbol>) {
        for class in self.classes.read(keys) {
            let from = self.classes.shape_of(class);
            let to = self.give_shape(class);
            self.relations.counting.reshape(class, from, to);
        }
    }

    fn give_shape(&mut self, class: ClassId) -> u32 {
        let (shape, new) = self.classes.give_shape(class);
        if new {
            let (relations, mut world) = self.world();
            relations.add_shape(shape, &mut world);
        }
        shape
    }

    fn world(&mut self) -> (&mut Relations, World<'_>) {
        let world = World {
            nodes: &self.nodes,
            classes: &self.classes,
            statics: &self.statics,
            symbols: &mut self.symbols,
        };
        (&mut self.relations, world)
    }

    /// Places a pod of a class on a node, whether or not it fits. Nothing happens
    /// (and false is returned) if there is no such node.
    pub fn place(&mut self, class: ClassId, node: NodeId, terminating: bool) -> bool {
        self.shift(class, node, terminating, true)
    }

    /// Takes a pod of a class from a node. Nothing happens (and false is returned)
    /// if none is placed there.
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

    /// The pods placed on a node, ordered by class.
    pub fn placed(&self, id: NodeId) -> impl Iterator<Item = (ClassId, Count)> {
        let slots = self.nodes.get(id).into_iter();
        slots.flat_map(|slot| slot.pods.iter().map(|placed| (placed.class, placed.count)))
    }

    /// Takes a node and its pods into what is counted. The node has its kind.
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

    /// Takes a node and its pods out of what is counted.
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
        self.relations.counting.domains.detach(id);
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

    fn find_kinds(&mut self) {
        self.new_nodes.forget_templates();
        let ids: Vec<NodeId> = self.node_ids().collect();
        for id in ids {
            self.find_kind(id);
        }
    }
}
