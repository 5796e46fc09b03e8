//! Nodes: their free resources, in columns, and their pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::classes::{Port, Request};
use super::new_nodes::NewNode;
use super::{ClassId, Count};
use crate::condition::LabelSet;
use crate::intern::{Symbol, Table, number};
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
/// Stands for all extended resources that no node has. Nothing of it is free.
pub(super) const NOWHERE: usize = usize::MAX;

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
    /// Host ports of the pods, each with the number of times that it is taken.
    ports: BTreeMap<Port, u32>,
    /// Set for a new node, which shares its template's object.
    pub(super) new: Option<NewNode>,
}

pub(super) struct Nodes {
    by_name: HashMap<Symbol, NodeId>,
    slots: Vec<Option<Slot>>,
    unused: Vec<NodeId>,
    /// Names of the extended resources that nodes have or pods request, by column.
    extended: Table<Name>,
    /// The columns with amounts. That of an extended resource has amounts once a node has
    /// the resource, and is empty until then: anyone may create pods that request others.
    held: Vec<usize>,
    /// By column and node.
    free: Vec<Vec<i64>>,
    /// By column and node.
    allocatable: Vec<Vec<i64>>,
    /// Kind of each node.
    pub(super) kind: Vec<u32>,
    /// Keys of the labels that some node or template has or had.
    label_keys: HashSet<Symbol>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self {
            by_name: HashMap::default(),
            slots: Vec::new(),
            unused: Vec::new(),
            extended: Table::default(),
            held: (0..EXTENDED).collect(),
            free: vec![Vec::new(); EXTENDED],
            allocatable: vec![Vec::new(); EXTENDED],
            kind: Vec::new(),
            label_keys: HashSet::new(),
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

    /// Notes the keys of the labels of a node or template that is about to be added.
    pub(super) fn note_labels(&mut self, labels: &[(Symbol, Symbol)]) {
        self.label_keys.extend(labels.iter().map(|(key, _)| *key));
    }

    /// Whether some node or template has or had a label with this key. Anyone may create
    /// pods that read other keys: nothing is looked for on the nodes then.
    pub(super) fn have_label(&self, key: Symbol) -> bool {
        self.label_keys.contains(&key)
    }

    /// Number of node ids that were ever assigned.
    pub(super) fn slots(&self) -> usize {
        self.slots.len()
    }

    /// Ids that no node has. The last one is assigned next.
    pub(super) fn unused(&self) -> &[NodeId] {
        &self.unused
    }

    /// Adds a node without pods. Its resources must have columns.
    pub(super) fn insert(&mut self, node: Arc<Node>, name: Symbol, labels: LabelSet) -> NodeId {
        let id = self.unused.pop().unwrap_or_else(|| {
            let id = NodeId(number(self.slots.len()));
            self.slots.push(None);
            self.kind.push(0);
            for &column in &self.held {
                self.free[column].push(0);
                self.allocatable[column].push(0);
            }
            id
        });
        let slot = Slot {
            node: Arc::clone(&node),
            name,
            labels,
            pods: SmallVec::new(),
            ports: BTreeMap::new(),
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

    /// Replaces a node's object and keeps its pods. Its resources must have columns.
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
        for &column in &self.held {
            let amount = bounded(match column {
                CPU => resources.cpu,
                MEMORY => resources.memory,
                EPHEMERAL => resources.ephemeral_storage,
                PODS => resources.pods,
                _ => resources.get(self.extended.get(number(column - EXTENDED))),
            });
            let known = std::mem::replace(&mut self.allocatable[column][id.at()], amount);
            let free = &mut self.free[column][id.at()];
            *free = free.wrapping_add(amount).wrapping_sub(known);
        }
    }

    /// Returns the column of an extended resource.
    pub(super) fn column(&mut self, name: &Name) -> usize {
        EXTENDED + self.extended.intern(name.clone()) as usize
    }

    /// Gives the columns of a node's resources amounts, if they have none yet. Pods that
    /// are placed may use such a resource already.
    pub(super) fn add_columns<'a>(
        &mut self,
        resources: &Resources,
        request_of: impl Fn(ClassId) -> &'a Request,
    ) {
        let known = self.held.len();
        for (name, _) in &resources.extended {
            let column = self.column(name);
            if !self.has_column(column) {
                self.held.push(column);
            }
        }
        let new = &self.held[known..];
        let Some(last) = new.iter().max() else {
            return;
        };
        for columns in [&mut self.free, &mut self.allocatable] {
            columns.resize_with(columns.len().max(last + 1), Vec::new);
            for &column in new {
                columns[column] = vec![0; self.slots.len()];
            }
        }
        for (at, slot) in self.slots.iter().enumerate() {
            for placed in slot.iter().flat_map(|slot| &slot.pods) {
                let pods = i64::from(placed.count.running) + i64::from(placed.count.terminating);
                let amounts = request_of(placed.class).amounts();
                for (column, amount) in amounts.filter(|(column, _)| new.contains(column)) {
                    let free = &mut self.free[column][at];
                    *free = free.wrapping_sub(amount.wrapping_mul(pods));
                }
            }
        }
    }

    /// Whether a column has amounts. If not, nothing of its resource is free anywhere.
    pub(super) fn has_column(&self, column: usize) -> bool {
        self.held.contains(&column)
    }

    /// Number of columns with amounts.
    pub(super) fn column_count(&self) -> usize {
        self.held.len()
    }

    /// Number of names of extended resources, present and past.
    pub(super) fn name_count(&self) -> usize {
        self.extended.len()
    }

    /// Returns the Kubernetes name of a column's resource.
    pub(super) fn column_name(&self, column: usize) -> Name {
        match column {
            CPU => "cpu".into(),
            MEMORY => "memory".into(),
            EPHEMERAL => "ephemeral-storage".into(),
            PODS => "pods".into(),
            _ => self.extended.get(number(column - EXTENDED)).clone(),
        }
    }

    pub(super) fn free_of(&self, column: usize, id: NodeId) -> i64 {
        let column = self.free.get(column);
        let amount = column.and_then(|column| column.get(id.at()));
        amount.copied().unwrap_or(0)
    }

    pub(super) fn allocatable_of(&self, column: usize, id: NodeId) -> i64 {
        self.allocatable[column].get(id.at()).copied().unwrap_or(0)
    }

    /// Returns the free amounts of the resources that a node has: negative if it is
    /// overcommitted.
    pub(super) fn free(&self, id: NodeId) -> Resources {
        let slot = self.get(id).into_iter();
        let own = slot.flat_map(|slot| &slot.node.allocatable.extended);
        let own = own.filter_map(|(name, _)| {
            let column = EXTENDED + self.extended.find(name)? as usize;
            Some((name.clone(), self.free_of(column, id)))
        });
        let extended = own.filter(|(_, amount)| *amount != 0).collect();
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
            let column = self.free.get_mut(column);
            if let Some(free) = column.and_then(|column| column.get_mut(id.at())) {
                *free = free.wrapping_sub(amount.wrapping_mul(pods));
            }
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
    /// Returns the number of pods of a class. `None` if there are none.
    pub(super) fn count(&self, class: ClassId) -> Option<Count> {
        let at = self
            .pods
            .binary_search_by_key(&class, |placed| placed.class);
        at.ok().map(|at| self.pods[at].count)
    }

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
            let count = self.ports.entry(*port).or_default();
            *count = if up {
                *count + 1
            } else {
                count.saturating_sub(1)
            };
            if *count == 0 {
                self.ports.remove(port);
            }
        }
    }

    /// Whether one of the ports is taken.
    pub(super) fn ports_taken(&self, ports: &[Port]) -> bool {
        ports.iter().any(|port| port.is_taken(&self.ports))
    }
}
