//! Nodes: their free resources, in columns, and their pods.

use std::sync::Arc;

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::classes::{Port, Request};
use super::new_nodes::NewNode;
use super::{ClassId, Count};
use crate::condition::LabelSet;
use crate::intern::{Symbol, number};
use crate::resources::bounded;
use crate::{Name, Node, Resources};

/// Id of a node of a [`super::Cluster`]. The id of a removed node may be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NodeId(pub(super) u32);

impl NodeId {
    /// Index in the columns.
    pub(super) fn at(self) -> usize {
        self.0 as usize
    }
}

/// Columns of the resources other than extended ones.
pub(crate) const CPU: usize = 0;
pub(crate) const MEMORY: usize = 1;
pub(super) const EPHEMERAL: usize = 2;
pub(crate) const PODS: usize = 3;
/// First column of extended resources.
pub(super) const EXTENDED: usize = 4;

/// Pods of a class on a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) class: ClassId,
    pub(super) count: Count,
}

/// A node's data outside the columns.
#[derive(Clone)]
pub(super) struct Slot {
    pub(super) node: Arc<Node>,
    pub(super) name: Symbol,
    pub(super) labels: LabelSet,
    /// Ordered by class.
    pub(super) pods: SmallVec<[Placed; 6]>,
    ports: Vec<(Port, u32)>,
    /// Set for a new node, which shares its template's object.
    pub(super) new: Option<NewNode>,
}

pub(super) struct Nodes {
    by_name: HashMap<Symbol, NodeId>,
    slots: Vec<Option<Slot>>,
    unused: Vec<NodeId>,
    extended: Vec<Name>,
    free: Vec<Vec<i64>>,
    allocatable: Vec<Vec<i64>>,
    /// Kind of each node.
    pub(super) kind: Vec<u32>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            by_name: HashMap::default(),
            slots: Vec::new(),
            unused: Vec::new(),
            extended: Vec::new(),
            free: vec![Vec::new(); EXTENDED],
            allocatable: vec![Vec::new(); EXTENDED],
            kind: Vec::new(),
        }
    }
}

impl Nodes {
    pub(super) fn find(&self, name: Symbol) -> Option<NodeId> {
        self.by_name.get(&name).copied()
    }

    pub(super) fn get(&self, id: NodeId) -> Option<&Slot> {
        self.slots.get(id.at())?.as_ref()
    }

    pub(super) fn get_mut(&mut self, id: NodeId) -> Option<&mut Slot> {
        self.slots.get_mut(id.at())?.as_mut()
    }

    /// All nodes, ordered by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NodeId, &Slot)> {
        let slots = self.slots.iter().enumerate();
        slots.filter_map(|(at, slot)| Some((NodeId(number(at)), slot.as_ref()?)))
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Number of node ids that were ever assigned.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Ids that no node has. The last one is assigned next.
    pub(super) fn unused(&self) -> &[NodeId] {
        &self.unused
    }

    /// Adds a node without pods.
    pub(super) fn insert(&mut self, node: Arc<Node>, name: Symbol, labels: LabelSet) -> NodeId {
        let id = self.unused.pop().unwrap_or_else(|| {
            let id = NodeId(number(self.slots.len()));
            self.slots.push(None);
            self.kind.push(0);
            for column in self.free.iter_mut().chain(&mut self.allocatable) {
                column.push(0);
            }
            id
        });
        let slot = Slot {
            node: Arc::clone(&node),
            name,
            labels,
            pods: SmallVec::new(),
            ports: Vec::new(),
            new: None,
        };
        self.set_allocatable(id, &node.allocatable);
        self.slots[id.at()] = Some(slot);
        self.by_name.insert(name, id);
        id
    }

    /// Marks a node as a new node of a template.
    pub(super) fn set_new(&mut self, id: NodeId, new: NewNode) {
        self.kind[id.at()] = new.kind;
        if let Some(slot) = self.get_mut(id) {
            slot.new = Some(new);
        }
    }

    /// Replaces a node's object and keeps its pods.
    pub(super) fn replace(&mut self, id: NodeId, node: Arc<Node>, labels: LabelSet) {
        self.set_allocatable(id, &node.allocatable);
        if let Some(slot) = self.get_mut(id) {
            slot.node = node;
            slot.labels = labels;
        }
    }

    /// Removes a node that has no pods.
    pub(super) fn remove(&mut self, id: NodeId) -> Option<Slot> {
        let slot = self.slots.get_mut(id.at()).and_then(Option::take)?;
        self.by_name.remove(&slot.name);
        self.set_allocatable(id, &Resources::default());
        self.unused.push(id);
        Some(slot)
    }

    /// Sets a node's allocatable resources. The usage of its pods stays.
    fn set_allocatable(&mut self, id: NodeId, resources: &Resources) {
        for (name, _) in &resources.extended {
            self.column(name);
        }
        for column in 0..self.allocatable.len() {
            let amount = bounded(match column {
                CPU => resources.cpu,
                MEMORY => resources.memory,
                EPHEMERAL => resources.ephemeral_storage,
                PODS => resources.pods,
                _ => resources.get(&self.extended[column - EXTENDED]),
            });
            let known = std::mem::replace(&mut self.allocatable[column][id.at()], amount);
            let free = &mut self.free[column][id.at()];
            *free = free.wrapping_add(amount).wrapping_sub(known);
        }
    }

    /// Returns the column of an extended resource. Adds it if it is new.
    pub(super) fn column(&mut self, name: &Name) -> usize {
        let known = self.extended.iter().position(|known| known == name);
        known.map_or_else(
            || {
                self.extended.push(name.clone());
                self.free.push(vec![0; self.slots.len()]);
                self.allocatable.push(vec![0; self.slots.len()]);
                self.free.len() - 1
            },
            |at| at + EXTENDED,
        )
    }

    /// Returns the Kubernetes name of a column's resource.
    pub(super) fn column_name(&self, column: usize) -> Name {
        match column {
            CPU => "cpu".into(),
            MEMORY => "memory".into(),
            EPHEMERAL => "ephemeral-storage".into(),
            PODS => "pods".into(),
            _ => self.extended[column - EXTENDED].clone(),
        }
    }

    pub(super) fn free_of(&self, column: usize, id: NodeId) -> i64 {
        self.free[column].get(id.at()).copied().unwrap_or(0)
    }

    pub(super) fn allocatable_of(&self, column: usize, id: NodeId) -> i64 {
        self.allocatable[column].get(id.at()).copied().unwrap_or(0)
    }

    /// Returns the free resources of a node: negative if it is overcommitted.
    pub(super) fn free(&self, id: NodeId) -> Resources {
        let extended = self.extended.iter().enumerate();
        let mut extended: Vec<(Name, i64)> = extended
            .map(|(at, name)| (name.clone(), self.free_of(at + EXTENDED, id)))
            .filter(|(_, amount)| *amount != 0)
            .collect();
        extended.sort();
        Resources {
            cpu: self.free_of(CPU, id),
            memory: self.free_of(MEMORY, id),
            ephemeral_storage: self.free_of(EPHEMERAL, id),
            pods: self.free_of(PODS, id),
            extended,
        }
    }

    /// Subtracts the requests of pods from the free resources, or adds them if `pods`
    /// is negative.
    pub(super) fn take(&mut self, id: NodeId, request: &Request, pods: i64) {
        let mut take = |column: usize, amount: i64| {
            let free = &mut self.free[column][id.at()];
            *free = free.wrapping_sub(amount.wrapping_mul(pods));
        };
        for (column, amount) in request.amounts() {
            take(column, amount);
        }
        take(PODS, 1);
    }

    /// Whether the requested resources are free.
    pub(super) fn has_room_for(&self, id: NodeId, request: &Request) -> bool {
        self.free_of(PODS, id) >= 1
            && request
                .amounts()
                .all(|(column, amount)| amount == 0 || amount <= self.free_of(column, id))
    }
}

impl Slot {
    /// Adds a pod of a class, or removes one if not `up`. Returns false if there was
    /// none to remove.
    pub(super) fn shift(&mut self, class: ClassId, terminating: bool, up: bool) -> bool {
        let at = match self
            .pods
            .binary_search_by_key(&class, |placed| placed.class)
        {
            Ok(at) => at,
            Err(at) if up => {
                let count = Count::default();
                self.pods.insert(at, Placed { class, count });
                at
            }
            Err(_) => return false,
        };
        let count = &mut self.pods[at].count;
        let which = if terminating {
            &mut count.terminating
        } else {
            &mut count.running
        };
        let Some(after) = (if up {
            which.checked_add(1)
        } else {
            which.checked_sub(1)
        }) else {
            return false;
        };
        *which = after;
        if *count == Count::default() {
            self.pods.remove(at);
        }
        true
    }

    pub(super) fn take_ports(&mut self, ports: &[Port], up: bool) {
        for port in ports {
            let known = self.ports.iter().position(|(known, _)| known == port);
            match (known, up) {
                (Some(at), true) => self.ports[at].1 += 1,
                (None, true) => self.ports.push((*port, 1)),
                (Some(at), false) => {
                    self.ports[at].1 -= 1;
                    if self.ports[at].1 == 0 {
                        self.ports.swap_remove(at);
                    }
                }
                (None, false) => {}
            }
        }
    }

    /// Whether one of the ports is taken.
    pub(super) fn ports_taken(&self, ports: &[Port]) -> bool {
        ports.iter().any(|port| {
            self.ports
                .iter()
                .any(|(taken, _)| taken.conflicts_with(*port))
        })
    }
}
