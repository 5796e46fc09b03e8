//! Rebuilding a cluster, to drop interned values that are not needed any more.
//!
//! Classes, terms and strings are never removed from a [`Cluster`]. Over days, as pods
//! with new labels and terms are added and removed, they accumulate. A cluster rebuilt
//! from the present objects holds only what those need.

use std::collections::BTreeSet;

use hashbrown::HashMap;

use super::{ClassId, Cluster, NodeId};
use crate::condition::value_of;
use crate::intern::number;
use crate::{Name, Node, Pod};

impl Cluster {
    /// Returns the namespace of a class's pods.
    pub fn namespace(&self, class: ClassId) -> &Name {
        self.symbols.text(self.classes.key(class).namespace)
    }

    /// Returns the value of a label of a class's pods.
    pub fn label(&self, class: ClassId, key: &str) -> Option<&Name> {
        let labels = self.classes.labels(self.classes.key(class).labels);
        let value = value_of(labels, self.symbols.find(key)?)?;
        Some(self.symbols.text(value))
    }

    /// Returns the pod that a class represents.
    pub fn pod(&self, class: ClassId) -> Pod {
        let key = self.classes.key(class);
        let mut pod = Pod {
            namespace: self.symbols.text(key.namespace).clone(),
            requests: self.requests(class),
            ..Pod::default()
        };
        self.classes.restore(class, &self.symbols, &mut pod);
        self.statics.restore(key.statics, &self.symbols, &mut pod);
        self.relations.restore(key.terms, &mut pod);
        pod
    }

    /// Returns the same cluster without the values that only past objects needed, and
    /// the new ids of `classes`. Ids of nodes stay the same. Takes about as long as
    /// building the cluster did; worth it when [`Self::class_count`] is far above the
    /// number of pods.
    pub fn rebuilt(&self, classes: impl IntoIterator<Item = ClassId>) -> (Self, Vec<ClassId>) {
        let classes: Vec<ClassId> = classes.into_iter().collect();
        let mut anew = Self::default();
        for class in self.with_placed(&classes) {
            anew.read_keys(&self.pod(class));
        }
        for (name, labels) in self.journal.namespaces() {
            anew.set_namespace(name, labels);
        }
        for object in self.storage.objects() {
            anew.set_storage(object);
        }
        self.copy_nodes(&mut anew);
        let mut known: HashMap<ClassId, ClassId> = HashMap::new();
        let mut same = |class: ClassId, anew: &mut Self| {
            *known
                .entry(class)
                .or_insert_with(|| anew.class(&self.pod(class)))
        };
        let classes = classes.into_iter();
        let classes: Vec<ClassId> = classes.map(|class| same(class, &mut anew)).collect();
        for node in self.node_ids() {
            for (class, count) in self.placed(node) {
                let class = same(class, &mut anew);
                for _ in 0..count.running {
                    anew.place(class, node, false);
                }
                for _ in 0..count.terminating {
                    anew.place(class, node, true);
                }
            }
        }
        (anew, classes)
    }

    /// Returns these classes and those of all placed pods.
    fn with_placed(&self, classes: &[ClassId]) -> BTreeSet<ClassId> {
        let slots = self.nodes.iter().map(|(_, slot)| slot);
        let placed = slots.flat_map(|slot| slot.pods.iter().map(|placed| placed.class));
        classes.iter().copied().chain(placed).collect()
    }

    /// Adds the nodes to another cluster, without pods, with the same ids.
    fn copy_nodes(&self, anew: &mut Self) {
        for at in 0..self.nodes.slots() {
            let id = NodeId(number(at));
            match self.node(id) {
                Some(node) => anew.add_node(node.clone()),
                // Occupies the id. No node's name has this character.
                None => anew.add_node(Node {
                    name: format!("/{at}").into(),
                    ..Node::default()
                }),
            };
        }
        for id in self.nodes.unused() {
            anew.remove_node(*id);
        }
    }
}
