//! What a packer asks about a class.

use smallvec::SmallVec;

use super::nodes::{CPU, EPHEMERAL, MEMORY, PODS};
use super::{ClassId, Cluster, NodeId};
use crate::{Name, Resources};

/// Label that has a node's name: the one by which nodes of a template differ.
pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";

/// What makes a pod's place depend on where other pods are, beside resources.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bonds {
    /// Required pod affinity.
    pub affinity: bool,
    /// Required pod anti-affinity.
    pub anti_affinity: bool,
    /// Topology spread constraints.
    pub spread: bool,
    /// One of them is over hosts.
    pub spread_over_hosts: bool,
    /// A term of required pod affinity is over hosts.
    pub affinity_over_hosts: bool,
    /// A term or constraint of any of these kinds is over larger domains than hosts.
    pub over_domains: bool,
    /// Ports of the node.
    pub host_ports: bool,
    /// Volumes.
    pub volumes: bool,
}

impl Bonds {
    /// Whether there are rules about other pods.
    pub(crate) fn has_rules(self) -> bool {
        self.affinity || self.anti_affinity || self.spread
    }
}

impl Cluster {
    /// What makes the place of a class's pods depend on where others are.
    pub fn bonds(&self, class: ClassId) -> Bonds {
        self.classes.bonds(class)
    }

    /// The bonds of a class that has its shape.
    pub(super) fn find_bonds(&self, class: ClassId) -> Bonds {
        let key = self.classes.key(class);
        let shape = self.classes.shape_of(class);
        let host = self.host_key();
        let is_host = |key| Some(HostKey(key)) == host;
        let spread = self.classes.spread(key.spread);
        let (affinity, anti_affinity) = self.relations.has_terms(key.terms);
        Bonds {
            affinity,
            affinity_over_hosts: self.relations.affinity_keys(key.terms).any(is_host),
            anti_affinity,
            spread: !spread.is_empty(),
            spread_over_hosts: spread
                .iter()
                .any(|constraint| &*constraint.topology_key == HOSTNAME),
            over_domains: self.relations.own_keys(shape).any(|key| !is_host(key)),
            host_ports: !self.classes.ports(class).is_empty(),
            volumes: self.classes.volumes(class).is_some(),
        }
    }

    /// The cpu and memory that a pod of a class requests.
    pub(crate) fn cpu_and_memory(&self, class: ClassId) -> (i64, i64) {
        let amounts = self.classes.request(class).amounts();
        amounts.fold((0, 0), |(cpu, memory), (column, amount)| match column {
            CPU => (amount, memory),
            MEMORY => (cpu, amount),
            _ => (cpu, memory),
        })
    }

    /// What a pod of a class requests.
    pub fn requests(&self, class: ClassId) -> Resources {
        self.requests_of_all(std::iter::once((class, 1)))
    }

    /// What pods request together: so many of each class.
    pub fn requests_of_all(&self, pods: impl Iterator<Item = (ClassId, u32)>) -> Resources {
        let mut sums = SmallVec::<[i64; 8]>::new();
        for (class, count) in pods.filter(|(_, count)| *count > 0) {
            for (column, amount) in self.classes.request(class).amounts() {
                if sums.len() <= column {
                    sums.resize(column + 1, 0);
                }
                sums[column] = sums[column].saturating_add(amount.saturating_mul(count.into()));
            }
        }
        let mut requests = Resources::default();
        for (column, amount) in sums.into_iter().enumerate() {
            match column {
                CPU => requests.cpu = amount,
                MEMORY => requests.memory = amount,
                EPHEMERAL => requests.ephemeral_storage = amount,
                _ if amount == 0 => {}
                _ => requests
                    .extended
                    .push((self.nodes.column_name(column), amount)),
            }
        }
        requests.extended.sort();
        requests
    }

    /// What a pod of a class takes of a node, by number of the resource: itself as a
    /// pod first, zeros left out.
    pub(crate) fn asked(&self, class: ClassId) -> impl Iterator<Item = (usize, i64)> {
        std::iter::once((PODS, 1)).chain(self.classes.request(class).amounts())
    }

    /// The free amount on a node of the resource with that number. Negative if the node
    /// is overcommitted.
    pub(crate) fn free_of(&self, resource: usize, node: NodeId) -> i64 {
        self.nodes.free_of(resource, node)
    }

    /// Whether a class's pods are turned away from a whole domain that a node is in,
    /// a zone say, because of the pods there: nodes with the same labels, but for the
    /// name, turn them away as well, until other pods come or go. `host`:
    /// [`Self::host_key`].
    pub(crate) fn is_shut(&self, class: ClassId, node: NodeId, host: Option<HostKey>) -> bool {
        let host = host.map(|HostKey(key)| key);
        let shape = self.classes.shape_of(class);
        let own = self.own_keys(node);
        let elsewhere = |key| Some(key) != host && !own.contains(&key);
        self.relations
            .objection_over(shape, node, elsewhere)
            .is_some()
    }

    /// The topology keys beside that of hosts whose value no other node shares, of those
    /// that pods go by.
    fn own_keys(&self, node: NodeId) -> Vec<u32> {
        let domains = &self.relations.counting.domains;
        let slot = self.nodes.get(node).into_iter();
        let keys = slot.flat_map(|slot| &slot.node.own_labels);
        keys.filter_map(|key| domains.find_key(self.symbols.find(key)?))
            .collect()
    }

    /// Whether pods of a class keep apart from their like by host: by anti-affinity, or
    /// spread over hosts.
    pub(crate) fn keeps_apart(&self, class: ClassId, bonds: Bonds) -> bool {
        let excludes = || self.host_exclusions(class).next().is_some();
        bonds.spread_over_hosts || (bonds.anti_affinity && excludes())
    }

    /// Numbers of the host-level exclusions of a class: a node takes one pod of all those
    /// that share an exclusion.
    pub(crate) fn host_exclusions(&self, class: ClassId) -> impl Iterator<Item = u32> {
        let host = self.host_key().into_iter();
        let shape = self.classes.shape_of(class);
        host.flat_map(move |HostKey(key)| self.relations.exclusive(shape, key))
    }

    /// The label keys, other than the host's, over whose domains pods of these classes
    /// spread, or want others near or far: each once, ordered.
    pub fn topology_keys(&self, classes: impl Iterator<Item = ClassId>) -> Vec<Name> {
        let host = self.host_key().map(|HostKey(key)| key);
        let rules = |class: &ClassId| self.bonds(*class).has_rules();
        let mut names: Vec<Name> = classes
            .filter(rules)
            .flat_map(|class| self.relations.own_keys(self.classes.shape_of(class)))
            .filter(|key| Some(*key) != host)
            .map(|key| {
                let symbol = self.relations.counting.domains.label_of(key);
                self.symbols.text(symbol).clone()
            })
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Numbers of the topology keys, other than the host's, that decide where pods of
    /// these classes may go.
    pub(crate) fn domain_keys(&self, classes: impl Iterator<Item = ClassId>) -> Vec<u32> {
        let host = self.host_key().map(|HostKey(key)| key);
        let mut keys = self.topology_keys_of(&self.reads(classes));
        keys.retain(|key| Some(*key) != host);
        keys
    }

    /// The domain of each of these keys that a node is in, `None` where it has no such
    /// label, or one whose value no other node shares.
    pub(crate) fn domains_of(&self, node: NodeId, keys: &[u32]) -> Area {
        let domains = &self.relations.counting.domains;
        let own = self.own_keys(node);
        let shared = |key: &u32| domains.of(*key, node).filter(|_| !own.contains(key));
        keys.iter().map(shared).collect()
    }

    /// The domains of a key that have a node, ordered.
    pub(crate) fn domains_with_nodes(&self, key: u32) -> Vec<u32> {
        let domains = &self.relations.counting.domains;
        let nodes = self.node_ids();
        let mut found: Vec<u32> = nodes.filter_map(|node| domains.of(key, node)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether some pods want none of a class's near.
    #[must_use]
    pub fn is_unwanted(&self, class: ClassId) -> bool {
        let shape = self.classes.shape_of(class);
        !self.relations.counting.unwanted(shape).is_empty()
    }

    /// The fewest pods on any host that the class's spread constraints over hosts count,
    /// added up over the constraints. While it stays the same, no host that a constraint
    /// refused takes a pod of the class.
    pub(crate) fn host_floor(&self, class: ClassId, host: Option<HostKey>) -> u64 {
        let shape = self.classes.shape_of(class);
        host.map_or(0, |HostKey(key)| self.relations.spread_floor(shape, key))
    }

    /// The number of the topology key of hosts. Returns `None` if no pod goes by it.
    pub(crate) fn host_key(&self) -> Option<HostKey> {
        let symbol = self.symbols.find(HOSTNAME)?;
        let key = self.relations.counting.domains.find_key(symbol);
        key.map(HostKey)
    }
}

/// Number of the topology key of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostKey(pub(super) u32);

/// Where a node is: its domain of each of some topology keys.
pub(crate) type Area = SmallVec<[Option<u32>; 2]>;
