//! New nodes of templates.
//!
//! A plan adds thousands of new nodes in one simulation after the other, and takes them
//! back each time. So a new node shares the object of its template. It has a number, and
//! only its name and the labels with its name are its own; both are made from the number.

use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::condition::{LabelSet, label_set};
use super::journal::Change;
use super::{Cluster, HOSTNAME, NodeId};
use crate::Node;
use crate::intern::{Symbol, number};
use crate::pack::Template;

/// Numbers and templates of new nodes.
#[derive(Default)]
pub(super) struct NewNodes {
    /// The name of each number that was ever given.
    names: Vec<Symbol>,
    /// Numbers that no node has now, the one that is given next at the end.
    free: Vec<u32>,
    /// By the address of the node.
    templates: HashMap<usize, Known>,
}

/// What the new nodes of a template have in common.
struct Known {
    /// Keeps the address in use.
    _node: Arc<Node>,
    labels: LabelSet,
    /// Positions of the labels that have the node's name.
    own: SmallVec<[usize; 2]>,
    kind: u32,
}

/// What is particular about the slot of a new node.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewNode {
    pub(super) number: u32,
    /// The kind of all new nodes of its template: no pod can tell their names apart.
    pub(super) kind: u32,
}

/// What the name of each new node begins with. No name of a node in a cluster has this
/// character.
const NAME: &str = "new/";

impl NewNodes {
    /// Notes that a number can be given again.
    pub(super) fn release(&mut self, number: u32) {
        self.free.push(number);
    }

    /// Notes that a node which was removed is there again.
    pub(super) fn take_again(&mut self, number: u32) {
        // Changes are taken back in reverse order: the number is the last one.
        if let Some(at) = self.free.iter().rposition(|free| *free == number) {
            self.free.remove(at);
        }
    }

    /// Forgets what is known of templates, not the numbers.
    pub(super) fn forget_templates(&mut self) {
        self.templates.clear();
    }
}

impl Cluster {
    /// Adds a new node of a template, empty but for the pods it carries.
    pub(crate) fn add_new_node(&mut self, template: &Template) -> NodeId {
        let number = self.next_number();
        let name = self.new_nodes.names[number as usize];
        let known = self.known(&template.node);
        let (mut labels, kind) = (known.labels.clone(), known.kind);
        for at in &known.own {
            labels[*at].1 = name;
        }
        let id = self.nodes.insert(Arc::clone(&template.node), name, labels);
        self.nodes.set_new(id, NewNode { number, kind });
        self.attach(id);
        self.journal.push(Change::Added(id));
        for &class in &template.carried {
            self.place(class, id, false);
        }
        id
    }

    /// A number for a new node. Numbers recur from one simulation to the next: the cluster
    /// remembers all names it has ever seen.
    fn next_number(&mut self) -> u32 {
        let new = &mut self.new_nodes;
        new.free.pop().unwrap_or_else(|| {
            let next = number(new.names.len());
            let name = format!("{NAME}{next}").into();
            new.names.push(self.symbols.intern(&name));
            next
        })
    }

    fn known(&mut self, template: &Arc<Node>) -> &Known {
        let address = Arc::as_ptr(template).addr();
        let (symbols, statics) = (&mut self.symbols, &mut self.statics);
        let known = self.new_nodes.templates.entry(address);
        known.or_insert_with(|| {
            let mut node = Node::clone(template);
            let own = node.own_labels.iter().cloned();
            let own: Vec<_> = own.chain([HOSTNAME.into()]).collect();
            for key in &own {
                node.labels.set(key.clone(), NAME.into());
            }
            let labels = label_set(&node.labels, symbols);
            let own: Vec<Symbol> = own.iter().map(|key| symbols.intern(key)).collect();
            let is_own = |at: &usize| own.contains(&labels[*at].0);
            let (taints, unschedulable) = (&node.taints, node.unschedulable);
            Known {
                own: (0..labels.len()).filter(is_own).collect(),
                kind: statics.kind(&labels, taints, unschedulable),
                labels,
                _node: Arc::clone(template),
            }
        })
    }
}
