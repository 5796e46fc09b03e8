//! Classes and shapes of pods.
//!
//! Pods of one class are equal in everything that a scheduler could read, including all
//! labels. Classes whose pods no filter can distinguish have one shape: a label is part
//! of a shape only if some selector uses its key. When a key is used for the first
//! time, classes get new shapes; the classes stay.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::{HashMap, HashSet};
use smallvec::SmallVec;

use super::bonds::Bonds;
use super::nodes::{CPU, EPHEMERAL, MEMORY, Nodes};
use super::pod_limits::exceeded;
use crate::condition::LabelSet;
use crate::intern::{Symbol, Symbols, Table, number};
use crate::resources::bounded;
use crate::{HostPort, Pod, PodVolumes, Protocol, Resources, SpreadConstraint, Unjudged};

/// Id of a class: pods that are equal in everything that a scheduler could read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClassId(pub(super) u32);

impl ClassId {
    /// Returns its position among the cluster's classes, for tables by class.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Requests of a pod: columns with amounts other than zero.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Request(SmallVec<[(u32, i64); 4]>);

impl Request {
    fn new(resources: &Resources, nodes: &mut Nodes) -> Self {
        let mut amounts = SmallVec::new();
        let mut push = |column: usize, amount: i64| {
            if amount != 0 {
                amounts.push((number(column), bounded(amount)));
            }
        };
        push(CPU, resources.cpu);
        push(MEMORY, resources.memory);
        push(EPHEMERAL, resources.ephemeral_storage);
        for (name, amount) in &resources.extended {
            push(nodes.column(name), *amount);
        }
        Self(amounts)
    }

    pub(super) fn amounts(&self) -> impl Iterator<Item = (usize, i64)> {
        self.0
            .iter()
            .map(|(column, amount)| (*column as usize, *amount))
    }
}

/// A host port. Without an address, it is a port of all addresses, and comes before those of
/// single addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Port {
    port: u16,
    protocol: Protocol,
    ip: Option<Symbol>,
}

impl Port {
    fn new(port: &HostPort, symbols: &mut Symbols) -> Self {
        let all = port.ip.is_empty() || &*port.ip == "0.0.0.0";
        Self {
            ip: (!all).then(|| symbols.intern(&port.ip)),
            protocol: port.protocol,
            port: port.port,
        }
    }

    fn restored(self, symbols: &Symbols) -> HostPort {
        HostPort {
            ip: self
                .ip
                .map_or_else(Default::default, |ip| symbols.text(ip).clone()),
            protocol: self.protocol,
            port: self.port,
        }
    }

    /// Whether a pod on the node has a port that conflicts with this one.
    pub(super) fn is_taken(self, taken: &BTreeMap<Self, u32>) -> bool {
        let of_all = Self { ip: None, ..self };
        if self.ip.is_some() {
            return taken.contains_key(&self) || taken.contains_key(&of_all);
        }
        let next = taken.range(of_all..).next();
        next.is_some_and(|(port, _)| Self { ip: None, ..*port } == of_all)
    }
}

/// Identifies a class, or a shape. In a shape, `labels` only has the relevant labels.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) namespace: Symbol,
    pub(super) labels: u32,
    pub(super) request: u32,
    pub(super) statics: u32,
    pub(super) terms: u32,
    pub(super) spread: u32,
    pub(super) ports: u32,
    pub(super) volumes: u32,
    pub(super) priority: i32,
    pub(super) gated: bool,
    pub(super) unjudged: SmallVec<[Unjudged; 2]>,
    /// The limit on the lists of a pod that it is beyond.
    pub(super) beyond: Option<Unjudged>,
}

/// The parts of a key that other tables intern.
pub(super) struct Parts {
    pub(super) namespace: Symbol,
    pub(super) statics: u32,
    pub(super) terms: u32,
}

#[derive(Default)]
pub(super) struct Classes {
    requests: Table<Request>,
    ports: Table<SmallVec<[Port; 2]>>,
    spreads: Table<Vec<SpreadConstraint>>,
    volumes: Table<Option<Arc<PodVolumes>>>,
    labels: Table<LabelSet>,
    /// The set of the relevant labels of each label set.
    relevant_sets: Vec<u32>,
    relevant_keys: HashSet<Symbol>,
    /// The label sets that have a key, by each key that is not relevant.
    sets_of_key: HashMap<Symbol, Vec<u32>>,
    classes: Table<Key>,
    /// By class.
    shape_of: Vec<u32>,
    /// By class. They never change, like the class's terms and constraints.
    bonds: Vec<Bonds>,
    shapes: Table<Key>,
    /// First class of each shape; any other for a shape without classes.
    first: Vec<ClassId>,
}

impl Classes {
    /// Interns the class of a pod. A new class has no shape yet.
    pub(super) fn class(
        &mut self,
        pod: &Pod,
        parts: Parts,
        symbols: &mut Symbols,
        nodes: &mut Nodes,
    ) -> ClassId {
        let ports = pod.host_ports.iter();
        let ports = ports.map(|port| Port::new(port, symbols)).collect();
        let key = Key {
            namespace: parts.namespace,
            labels: self.label_set(pod, symbols),
            request: self.requests.intern(Request::new(&pod.requests, nodes)),
            statics: parts.statics,
            terms: parts.terms,
            spread: self.spreads.intern_as(
                pod.spread.as_slice(),
                |known: &Vec<SpreadConstraint>| known.as_slice(),
                || pod.spread.clone(),
            ),
            ports: self.ports.intern(ports),
            volumes: self.volumes.intern(pod.volumes.clone()),
            priority: pod.priority,
            gated: pod.gated,
            unjudged: pod.unjudged.as_slice().into(),
            beyond: exceeded(pod),
        };
        ClassId(self.classes.intern(key))
    }

    fn label_set(&mut self, pod: &Pod, symbols: &mut Symbols) -> u32 {
        let labels = pod.labels.iter();
        let mut set: SmallVec<[_; 12]> = labels
            .map(|(key, value)| (symbols.intern(key), symbols.intern(value)))
            .collect();
        set.sort_unstable();
        let id = self
            .labels
            .intern_as(&set[..], |known: &LabelSet| &**known, || set[..].into());
        self.relevant_set(id);
        id
    }

    /// Returns the set of the relevant labels of a set.
    fn relevant_set(&mut self, id: u32) -> u32 {
        if let Some(relevant) = self.relevant_sets.get(id as usize) {
            return *relevant;
        }
        for (key, _) in self.labels.get(id) {
            if !self.relevant_keys.contains(key) {
                self.sets_of_key.entry(*key).or_default().push(id);
            }
        }
        let relevant = self.find_relevant_set(id);
        // The result may be a new set, which has relevant labels only.
        while self.relevant_sets.len() < self.labels.len() {
            self.relevant_sets.push(number(self.relevant_sets.len()));
        }
        self.relevant_sets[id as usize] = relevant;
        relevant
    }

    fn find_relevant_set(&mut self, id: u32) -> u32 {
        let labels = self.labels.get(id).iter();
        let read = labels.filter(|(key, _)| self.relevant_keys.contains(key));
        let read: SmallVec<[_; 12]> = read.copied().collect();
        self.labels
            .intern_as(&read[..], |known: &LabelSet| &**known, || read[..].into())
    }

    /// Makes label keys relevant. Returns the classes that have one of the new keys and
    /// need a new shape.
    pub(super) fn add_relevant_keys(
        &mut self,
        keys: impl IntoIterator<Item = Symbol>,
    ) -> Vec<ClassId> {
        let mut touched: Vec<u32> = Vec::new();
        for key in keys {
            if self.relevant_keys.insert(key) {
                touched.extend(self.sets_of_key.remove(&key).into_iter().flatten());
            }
        }
        if touched.is_empty() {
            return Vec::new();
        }
        touched.sort_unstable();
        touched.dedup();
        for &id in &touched {
            let relevant = self.find_relevant_set(id);
            self.relevant_sets[id as usize] = relevant;
        }
        while self.relevant_sets.len() < self.labels.len() {
            self.relevant_sets.push(number(self.relevant_sets.len()));
        }
        let is_touched = |class: &ClassId| touched.binary_search(&self.key(*class).labels).is_ok();
        let classes = (0..number(self.shape_of.len())).map(ClassId);
        classes.filter(is_touched).collect()
    }

    /// Sets the shape of a class. Returns the shape and whether it is new.
    pub(super) fn assign_shape(&mut self, class: ClassId) -> (u32, bool) {
        let mut key = self.classes.get(class.0).clone();
        key.labels = self.relevant_sets[key.labels as usize];
        let known = self.shapes.len();
        let shape = self.shapes.intern(key);
        if self.shapes.len() > known {
            self.first.push(class);
        }
        match self.shape_of.get_mut(class.0 as usize) {
            Some(known) => *known = shape,
            None => self.shape_of.push(shape),
        }
        // All classes of the shape may have left it.
        if self.shape_of(self.first[shape as usize]) != shape {
            self.first[shape as usize] = class;
        }
        (shape, self.shapes.len() > known)
    }

    /// Finds the first class of shapes that classes have left.
    pub(super) fn find_first(&mut self, left: impl Iterator<Item = u32>) {
        let has_left = |shape: &u32| self.shape_of(self.first[*shape as usize]) != *shape;
        let mut left: HashSet<u32> = left.filter(has_left).collect();
        if left.is_empty() {
            return;
        }
        for (class, shape) in self.shape_of.iter().enumerate() {
            if left.remove(shape) {
                self.first[*shape as usize] = ClassId(number(class));
            }
        }
    }

    /// Whether a class has a shape.
    pub(super) fn has_shape(&self, class: ClassId) -> bool {
        (class.0 as usize) < self.shape_of.len()
    }

    /// Sets the bonds of the class that was added last.
    pub(super) fn push_bonds(&mut self, bonds: Bonds) {
        self.bonds.push(bonds);
    }

    pub(super) fn bonds(&self, class: ClassId) -> Bonds {
        self.bonds[class.0 as usize]
    }

    pub(super) fn shape_of(&self, class: ClassId) -> u32 {
        self.shape_of[class.0 as usize]
    }

    pub(super) fn representative_of(&self, shape: u32) -> ClassId {
        self.first[shape as usize]
    }

    /// Sets the fields of a pod that are interned here, except namespace and requests.
    pub(super) fn restore(&self, class: ClassId, symbols: &Symbols, pod: &mut Pod) {
        let key = self.key(class);
        let text = |symbol| symbols.text(symbol).clone();
        let labels = self.labels(key.labels).iter();
        pod.labels = labels
            .map(|(key, value)| (text(*key), text(*value)))
            .collect();
        let ports = self.ports(class).iter();
        pod.host_ports = ports.map(|port| port.restored(symbols)).collect();
        pod.spread = self.spread(key.spread).to_vec();
        pod.volumes = self.volumes.get(key.volumes).clone();
        pod.priority = key.priority;
        pod.gated = key.gated;
        pod.unjudged = key.unjudged.to_vec();
    }

    pub(super) fn key(&self, class: ClassId) -> &Key {
        self.classes.get(class.0)
    }

    /// Returns the key of a shape.
    pub(super) fn shape(&self, shape: u32) -> &Key {
        self.shapes.get(shape)
    }

    pub(super) fn request(&self, class: ClassId) -> &Request {
        self.requests.get(self.key(class).request)
    }

    pub(super) fn ports(&self, class: ClassId) -> &[Port] {
        self.ports.get(self.key(class).ports)
    }

    pub(super) fn volumes(&self, class: ClassId) -> Option<&PodVolumes> {
        self.volumes.get(self.key(class).volumes).as_deref()
    }

    pub(super) fn spread(&self, id: u32) -> &[SpreadConstraint] {
        self.spreads.get(id)
    }

    pub(super) fn labels(&self, id: u32) -> &[(Symbol, Symbol)] {
        self.labels.get(id)
    }

    pub(super) fn len(&self) -> usize {
        self.shape_of.len()
    }
}
