//! Queries about a class, for packing.

use std::collections::BTreeMap;

use smallvec::SmallVec;

use super::nodes::{CPU, EPHEMERAL, EXTENDED, MEMORY, NOWHERE, PODS};
use super::relations::Rules;
use super::{ClassId, Cluster, NodeId};
use crate::{Name, Resources};

/// Label whose value is the node's name, by which nodes of a template differ.
pub(crate) const HOSTNAME: &str = "kubernetes.io/hostname";

/// Requirements of a pod, besides resources, that depend on where other pods run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bonds {
    /// Required pod affinity.
    pub affinity: bool,
    /// Required pod anti-affinity.
    pub anti_affinity: bool,
    /// Topology spread constraints.
    pub spread: bool,
    /// A topology spread constraint is over hosts.
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
    /// Returns the requirements of a class's pods that depend on where other pods run.
    pub fn bonds(&self, class: ClassId) -> Bonds {
        self.classes.bonds(class)
    }

    /// Number of counters of pods that a check of a class's pods may read.
    pub(crate) fn counters_read(&self, class: ClassId) -> usize {
        let shape = self.classes.shape_of(class);
        let terms = self.relations.terms_of(shape);
        let profile = self.relations.counting.profile(shape);
        let spread = self.classes.spread(self.classes.key(class).spread);
        let excluding = profile.excluding.iter();
        let excluding = excluding.map(|counter| 1 + profile.exempting(*counter).len());
        let own = terms.affinity.len() + terms.anti_affinity.len() + spread.len();
        own + excluding.sum::<usize>() + profile.blocking.len()
    }

    /// Number of counters that count a class's pods.
    pub(crate) fn counters_changed(&self, class: ClassId) -> usize {
        let shape = self.classes.shape_of(class);
        let profile = self.relations.counting.profile(shape);
        profile.counted.len() + profile.spread.len()
    }

    /// Whether the terms and constraints of a class's pods select only pods of their own
    /// namespace.
    pub(crate) fn selects_only_own(&self, class: ClassId) -> bool {
        let terms = self.relations.terms_of(self.classes.shape_of(class));
        terms.only_namespace.is_some()
    }

    /// Returns what the rules of a class's pods about other pods are made of.
    pub(crate) fn rules(&self, class: ClassId) -> Rules {
        let shape = self.classes.shape_of(class);
        self.relations.rules(shape, self.classes.shape(shape))
    }

    /// Number of views of the nodes over which spread constraints count.
    pub(crate) fn view_count(&self) -> usize {
        self.relations.counting.domains.view_count()
    }

    /// Returns the number of a class's shape: no filter can distinguish pods of classes with
    /// the same number.
    pub(crate) fn shape(&self, class: ClassId) -> u32 {
        self.classes.shape_of(class)
    }

    /// Determines the bonds of a class. Its shape must be set.
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
            over_domains: self.relations.topology_keys(shape).any(|key| !is_host(key)),
            host_ports: !self.classes.ports(class).is_empty(),
            volumes: self.classes.volumes(class).is_some(),
        }
    }

    /// Whether a pod of a class requests an extended resource, such as GPUs.
    pub fn requests_extended(&self, class: ClassId) -> bool {
        let mut amounts = self.classes.request(class).amounts();
        amounts.any(|(column, _)| column >= EXTENDED)
    }

    /// Returns the cpu and memory that a pod of a class requests.
    pub fn cpu_and_memory(&self, class: ClassId) -> (i64, i64) {
        let amounts = self.classes.request(class).amounts();
        // Extended resources are last, and may be many.
        let amounts = amounts.take_while(|(column, _)| *column < EXTENDED);
        amounts.fold((0, 0), |(cpu, memory), (column, amount)| match column {
            CPU => (amount, memory),
            MEMORY => (cpu, amount),
            _ => (cpu, memory),
        })
    }

    /// Returns the requests of a pod of a class.
    pub fn requests(&self, class: ClassId) -> Resources {
        self.requests_of_all(std::iter::once((class, 1)))
    }

    /// Returns the sum of the requests of pods, given as a count per class.
    pub fn requests_of_all(&self, pods: impl Iterator<Item = (ClassId, u32)>) -> Resources {
        let mut requests = Resources::default();
        let mut extended: BTreeMap<usize, i64> = BTreeMap::new();
        for (class, count) in pods.filter(|(_, count)| *count > 0) {
            for (column, amount) in self.classes.request(class).amounts() {
                let sum = match column {
                    CPU => &mut requests.cpu,
                    MEMORY => &mut requests.memory,
                    EPHEMERAL => &mut requests.ephemeral_storage,
                    _ => extended.entry(column).or_default(),
                };
                *sum = sum.saturating_add(amount.saturating_mul(count.into()));
            }
        }
        let extended = extended.into_iter().filter(|(_, amount)| *amount != 0);
        let named = extended.map(|(column, amount)| (self.nodes.column_name(column), amount));
        requests.extended = named.collect();
        requests.extended.sort();
        requests
    }

    /// Returns the resources that a pod of a class takes from a node, by column: first
    /// 1 of `pods`, then its requests without zeros. All that no node has is one column.
    pub(crate) fn asked(&self, class: ClassId) -> impl Iterator<Item = (usize, i64)> {
        let request = self.classes.request(class);
        let held = request.amounts();
        let held = held.filter(move |(column, _)| self.nodes.has_column(*column));
        let mut all = request.amounts();
        let is_nowhere = all.any(|(column, amount)| amount > 0 && !self.nodes.has_column(column));
        let nowhere = is_nowhere.then_some((NOWHERE, 1));
        std::iter::once((PODS, 1)).chain(held).chain(nowhere)
    }

    /// Returns the free amount in a column on a node: negative if the node is
    /// overcommitted.
    pub(crate) fn free_of(&self, resource: usize, node: NodeId) -> i64 {
        self.nodes.free_of(resource, node)
    }

    /// Whether the pods in a domain larger than a host, such as a zone, keep a class's
    /// pods from a node. All nodes with the same labels, except for the name, then
    /// reject them too, until pods are added or removed. `host` is [`Self::host_key`].
    pub(crate) fn domain_rejects(
        &self,
        class: ClassId,
        node: NodeId,
        host: Option<HostKey>,
    ) -> bool {
        let host = host.map(|HostKey(key)| key);
        let shape = self.classes.shape_of(class);
        let own = self.unique_keys(node);
        let elsewhere = |key| Some(key) != host && !own.contains(&key);
        self.relations.misfit_over(shape, node, elsewhere).is_some()
    }

    /// Returns the topology keys, other than that of hosts, whose value no other node
    /// has, among those that pods use.
    fn unique_keys(&self, node: NodeId) -> Vec<u32> {
        let domains = &self.relations.counting.domains;
        let slot = self.nodes.get(node).into_iter();
        let keys = slot.flat_map(|slot| &slot.node.own_labels);
        keys.filter_map(|key| domains.find_key(self.symbols.find(key)?))
            .collect()
    }

    /// Whether pods of a class keep apart from each other by host, because of
    /// anti-affinity or spread over hosts.
    pub(crate) fn keeps_apart(&self, class: ClassId, bonds: Bonds) -> bool {
        let excludes = || self.host_exclusions(class).next().is_some();
        bonds.spread_over_hosts || (bonds.anti_affinity && excludes())
    }

    /// Returns the ids of the host-level anti-affinity terms that select the class's
    /// own pods. A node fits one pod per such term.
    pub(crate) fn host_exclusions(&self, class: ClassId) -> impl Iterator<Item = u32> {
        let host = self.host_key().into_iter();
        let shape = self.classes.shape_of(class);
        host.flat_map(move |HostKey(key)| self.relations.exclusive(shape, key))
    }

    /// Returns the topology keys, other than that of hosts, of the spread constraints
    /// and pod (anti-)affinity terms of these classes: each once, ordered.
    pub fn topology_keys(&self, classes: impl Iterator<Item = ClassId>) -> Vec<Name> {
        let host = self.host_key().map(|HostKey(key)| key);
        let rules = |class: &ClassId| self.bonds(*class).has_rules();
        let mut names: Vec<Name> = classes
            .filter(rules)
            .flat_map(|class| self.relations.topology_keys(self.classes.shape_of(class)))
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

    /// Returns the ids of the topology keys, other than that of hosts, on which the
    /// placement of pods of these classes depends.
    pub(crate) fn domain_keys(&self, classes: impl Iterator<Item = ClassId>) -> Vec<u32> {
        let host = self.host_key().map(|HostKey(key)| key);
        let mut keys = self.topology_keys_of(&self.dependencies(classes));
        keys.retain(|key| Some(*key) != host);
        keys
    }

    /// Returns a node's domain of each of these keys. `None` for a key if the node
    /// lacks the label or no other node has its value.
    pub(crate) fn domains_of(&self, node: NodeId, keys: &[u32]) -> Area {
        let domains = &self.relations.counting.domains;
        let own = self.unique_keys(node);
        let shared = |key: &u32| domains.of(*key, node).filter(|_| !own.contains(key));
        keys.iter().map(shared).collect()
    }

    /// Returns the domains of a key that have a node, ordered.
    pub(crate) fn domains_with_nodes(&self, key: u32) -> Vec<u32> {
        let domains = &self.relations.counting.domains;
        let nodes = self.node_ids();
        let mut found: Vec<u32> = nodes.filter_map(|node| domains.of(key, node)).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether the anti-affinity of some pods selects a class's pods.
    #[must_use]
    pub fn is_unwanted(&self, class: ClassId) -> bool {
        self.relations.is_unwanted(self.classes.shape_of(class))
    }

    /// Returns the smallest pod count of any host, summed over the class's spread
    /// constraints over hosts. While it is unchanged, hosts that a constraint rejected
    /// still reject pods of the class.
    pub(crate) fn host_floor(&self, class: ClassId, host: Option<HostKey>) -> u64 {
        let shape = self.classes.shape_of(class);
        host.map_or(0, |HostKey(key)| self.relations.spread_floor(shape, key))
    }

    /// Returns the id of the topology key of hosts. `None` if no pod uses it.
    pub(crate) fn host_key(&self) -> Option<HostKey> {
        let symbol = self.symbols.find(HOSTNAME)?;
        let key = self.relations.counting.domains.find_key(symbol);
        key.map(HostKey)
    }
}

/// Id of the topology key of hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct HostKey(pub(super) u32);

/// A node's domain of each of some topology keys.
pub(crate) type Area = SmallVec<[Option<u32>; 2]>;
