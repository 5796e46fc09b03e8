//! New nodes of templates.
//!
//! A plan adds thousands of new nodes in each of many simulations and removes them
//! again. So a new node shares the object of its template. Only its name and the labels
//! that have the name as value are its own; both are derived from its number.

use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::journal::Change;
use super::{ClassId, Cluster, HOSTNAME, NodeId};
use crate::Node;
use crate::condition::{LabelSet, label_set};
use crate::intern::{Symbol, number};

/// Describes the new nodes of a node group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// The node's object. Each new node gets a name of its own.
    pub node: Arc<Node>,
    /// Pods that every new node runs from the beginning (DaemonSet pods and static
    /// pods).
    pub carried: Vec<ClassId>,
}

/// Numbers and templates of new nodes.
#[derive(Default)]
pub(super) struct NewNodes {
    /// The name of each number that was ever assigned.
    names: Vec<Symbol>,
    /// Numbers that no node has. The last one is assigned next.
    free: Vec<u32>,
    /// By the address of the node.
    templates: HashMap<usize, TemplateEntry>,
}

/// Data that the new nodes of a template share.
struct TemplateEntry {
    /// Keeps the address, by which the entry is found, in use.
    _node: Arc<Node>,
    labels: LabelSet,
    /// Positions of the labels that have the node's name as value.
    own: SmallVec<[usize; 2]>,
    kind: u32,
}

/// The part of a slot that only new nodes have.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewNode {
    pub(super) number: u32,
    /// Kind of all new nodes of its template. They have one kind because no pod can
    /// distinguish their names.
    pub(super) kind: u32,
}

/// Prefix of the names of new nodes. No name of a node in a cluster contains its `/`.
const NAME: &str = "new/";

impl NewNodes {
    /// Makes a number available again.
    pub(super) fn release(&mut self, number: u32) {
        self.free.push(number);
    }

    /// Marks the number of a removed node as used again.
    pub(super) fn take_again(&mut self, number: u32) {
        // Changes are undone in reverse order, so the number is the last one.
        if let Some(at) = self.free.iter().rposition(|free| *free == number) {
            self.free.remove(at);
        }
    }

    /// Removes the entries of templates. Numbers stay.
    pub(super) fn forget_templates(&mut self) {
        self.templates.clear();
    }
}

impl Cluster {
    /// Adds a new node of a template, with only the pods it carries.
    pub(crate) fn add_new_node(&mut self, template: &Template) -> NodeId {
        let number = self.next_number();
        let name = self.new_nodes.names[number as usize];
        let entry = self.template_entry(&template.node);
        let (mut labels, kind) = (entry.labels.clone(), entry.kind);
        for at in &entry.own {
            labels[*at].1 = name;
        }
        self.add_columns(&template.node);
        let id = self.nodes.insert(Arc::clone(&template.node), name, labels);
        self.nodes.set_new(id, NewNode { number, kind });
        self.attach(id);
        self.journal.push(Change::Added(id));
        for &class in &template.carried {
            self.place(class, id, false);
        }
        id
    }

    /// Returns a number for a new node. Numbers are reused from one simulation to the
    /// next, since the cluster never removes interned names.
    fn next_number(&mut self) -> u32 {
        let new = &mut self.new_nodes;
        new.free.pop().unwrap_or_else(|| {
            let next = number(new.names.len());
            let name = format!("{NAME}{next}").into();
            new.names.push(self.symbols.intern(&name));
            next
        })
    }

    fn template_entry(&mut self, template: &Arc<Node>) -> &TemplateEntry {
        let address = Arc::as_ptr(template).addr();
        let (symbols, statics) = (&mut self.symbols, &mut self.statics);
        let nodes = &mut self.nodes;
        let known = self.new_nodes.templates.entry(address);
        known.or_insert_with(|| {
            let mut node = Node::clone(template);
            let own = node.own_labels.iter().cloned();
            let own: Vec<_> = own.chain([HOSTNAME.into()]).collect();
            for key in &own {
                node.labels.set(key.clone(), NAME.into());
            }
            let labels = label_set(&node.labels, symbols);
            nodes.note_labels(&labels);
            let own: Vec<Symbol> = own.iter().map(|key| symbols.intern(key)).collect();
            let is_own = |at: &usize| own.contains(&labels[*at].0);
            let (taints, unschedulable) = (&node.taints, node.unschedulable);
            TemplateEntry {
                own: (0..labels.len()).filter(is_own).collect(),
                kind: statics.kind(&labels, taints, unschedulable),
                labels,
                _node: Arc::clone(template),
            }
        })
    }
}
