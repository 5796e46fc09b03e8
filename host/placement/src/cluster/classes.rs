//! Classes and shapes of pods.
//!
//! Pods of one class are equal in everything that a scheduler could read, including all
//! labels. Classes whose pods no filter can distinguish have one shape: a label is part
//! of a shape only if its key is read by some selector that may select the pod. When a
//! key is read for the first time, classes get new shapes; the classes stay.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use smallvec::SmallVec;

use super::bonds::Bonds;
use super::nodes::{CPU, EPHEMERAL, MEMORY, Nodes};
use super::pod_limits::exceeded;
use super::relevant_labels::{ReadKey, RelevantLabels};
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
    relevant: RelevantLabels,
    classes: Table<Key>,
    /// By class, the number of its labels in `relevant`.
    label_sets: Vec<u32>,
    /// By class.
    shape_of: Vec<u32>,
    /// By class. They never change, like the class's terms and constraints.
    bonds: Vec<Bonds>,
    shapes: Table<Key>,
    /// First class of each shape; any other for a shape without classes.
    first: Vec<ClassId>,
    /// Classes of each shape.
    members: Vec<BTreeSet<ClassId>>,
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
        let labels = self.label_set(pod, symbols);
        let key = Key {
            namespace: parts.namespace,
            labels,
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
        let class = ClassId(self.classes.intern(key));
        if class.index() == self.label_sets.len() {
            let set = self.relevant.set(parts.namespace, labels, &mut self.labels);
            self.relevant.add_class(set, class);
            self.label_sets.push(set);
        }
        class
    }

    fn label_set(&mut self, pod: &Pod, symbols: &mut Symbols) -> u32 {
        let labels = pod.labels.iter();
        let mut set: SmallVec<[_; 12]> = labels
            .map(|(key, value)| (symbols.intern(key), symbols.intern(value)))
            .collect();
        set.sort_unstable();
        self.labels
            .intern_as(&set[..], |known: &LabelSet| &**known, || set[..].into())
    }

    /// Whether a key of labels is relevant where it is read.
    pub(super) fn is_read(&self, key: ReadKey) -> bool {
        self.relevant.is_read(key)
    }

    /// Makes label keys relevant. Returns the classes that have one of the new keys and
    /// need a new shape, ordered.
    pub(super) fn add_relevant_keys(
        &mut self,
        keys: impl IntoIterator<Item = ReadKey>,
    ) -> Vec<ClassId> {
        let mut classes: Vec<ClassId> = Vec::new();
        for set in self.relevant.add(keys) {
            self.relevant.update(set, &mut self.labels);
            classes.extend(self.relevant.classes(set));
        }
        classes.retain(|class| self.has_shape(*class));
        classes.sort_unstable();
        classes
    }

    /// Sets the shape of a class. Returns the shape and whether it is new.
    pub(super) fn assign_shape(&mut self, class: ClassId) -> (u32, bool) {
        let mut key = self.classes.get(class.0).clone();
        key.labels = self.relevant.relevant(self.label_sets[class.index()]);
        let known = self.shapes.len();
        let shape = self.shapes.intern(key);
        if self.shapes.len() > known {
            self.first.push(class);
            self.members.push(BTreeSet::new());
        }
        match self.shape_of.get_mut(class.index()) {
            Some(known) => {
                self.members[*known as usize].remove(&class);
                *known = shape;
            }
            None => self.shape_of.push(shape),
        }
        self.members[shape as usize].insert(class);
        // All classes of the shape may have left it.
        if self.shape_of(self.first[shape as usize]) != shape {
            self.first[shape as usize] = class;
        }
        (shape, self.shapes.len() > known)
    }

    /// Finds the first class of shapes that classes have left.
    pub(super) fn find_first(&mut self, left: impl Iterator<Item = u32>) {
        for shape in left {
            let at = shape as usize;
            let has_left = self.shape_of(self.first[at]) != shape;
            if let Some(first) = self.members[at].first().filter(|_| has_left) {
                self.first[at] = *first;
            }
        }
    }

    /// Returns the classes of a shape.
    pub(super) fn members(&self, shape: u32) -> impl Iterator<Item = ClassId> {
        self.members[shape as usize].iter().copied()
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
