//! The properties by which pods can distinguish nodes of different templates.

use std::collections::BTreeSet;

use super::bonds::{HOSTNAME, HostKey};
use super::{ClassId, Cluster, NodeId};
use crate::condition::LabelSet;
use crate::intern::{Symbol, number};

/// Counters, views and topology keys on which the placement of pods of some classes
/// depends, ordered by id.
#[derive(Debug, Default)]
pub(crate) struct Dependencies {
    counters: IdSet,
    views: IdSet,
    /// Topology keys.
    keys: IdSet,
    /// Namespaces whose unjudged pods matter; `None` if those of all do.
    namespaces: BTreeSet<Option<Symbol>>,
    volumes: bool,
}

/// A set of ids.
#[derive(Debug, Default)]
struct IdSet {
    /// By id, whether it is in the set.
    there: Vec<bool>,
    /// Number of ids in the set.
    count: usize,
}

impl IdSet {
    fn add(&mut self, number: u32) {
        let at = number as usize;
        if self.there.len() <= at {
            self.there.resize(at + 1, false);
        }
        let is_known = std::mem::replace(&mut self.there[at], true);
        self.count += usize::from(!is_known);
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        let numbers = self.there.iter().enumerate();
        let there = numbers.filter(|(_, there)| **there);
        there.map(|(at, _)| number(at))
    }
}

impl Dependencies {
    pub(super) fn counter(&mut self, counter: u32) {
        self.counters.add(counter);
    }

    /// Number of counters.
    pub(crate) fn counter_count(&self) -> usize {
        self.counters.count
    }

    pub(super) fn unjudged_of(&mut self, namespace: Option<Symbol>) {
        self.namespaces.insert(namespace);
    }

    pub(super) fn spread(&mut self, key: u32, view: u32) {
        self.keys.add(key);
        self.views.add(view);
    }
}

impl Cluster {
    /// Returns what the placement of pods of these classes depends on.
    pub(super) fn dependencies(&self, classes: impl Iterator<Item = ClassId>) -> Dependencies {
        let mut dependencies = Dependencies::default();
        for class in classes {
            self.add_dependencies(class, &mut dependencies);
        }
        dependencies
    }

    /// Adds what the placement of pods of a class depends on.
    pub(crate) fn add_dependencies(&self, class: ClassId, dependencies: &mut Dependencies) {
        let shape = self.classes.shape_of(class);
        self.relations.add_dependencies(shape, dependencies);
        dependencies.volumes |= self.classes.volumes(class).is_some();
    }

    /// Returns the topology keys of `dependencies`, ordered.
    pub(super) fn topology_keys_of(&self, dependencies: &Dependencies) -> Vec<u32> {
        let counters = dependencies.counters.iter();
        let counted = counters.map(|counter| self.relations.counting.key_of(counter));
        let mut keys: Vec<u32> = counted.chain(dependencies.keys.iter()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// Returns the properties of a node without pods that matter to the classes of
    /// `dependencies`, except its name and free resources. Nodes for which they are
    /// equal fit the same pods of these classes. If the pods have volumes, all labels
    /// may matter as well.
    ///
    /// The properties are the node's kind; for each counter not over hosts, the count
    /// in the node's domain; for each namespace and topology key not of hosts, the unjudged
    /// pods in the node's domain; for each topology key, whether the node has it; for each
    /// view, whether it includes the node and how many domains it has; and for pods
    /// with volumes, the content of the node's CSINode.
    pub(crate) fn node_signature(&mut self, node: NodeId, dependencies: &Dependencies) -> Vec<u32> {
        let mut signature: Vec<u32> = self.nameless_kind(node).into_iter().collect();
        let host = self.host_key().map(|HostKey(key)| key);
        let counting = &self.relations.counting;
        let domains = &counting.domains;
        let counters = dependencies.counters.iter();
        let counters = counters.filter(|counter| Some(counting.key_of(*counter)) != host);
        let counted = counters.map(|counter| counting.pods_near(counter, node));
        signature.extend(counted.map(|pods| pods.unwrap_or(u32::MAX)));
        let unjudged = counting.unjudged();
        if unjudged.are_placed(None) {
            let mut keys = self.topology_keys_of(dependencies);
            keys.retain(|key| Some(*key) != host);
            let namespaces = dependencies.namespaces.iter().copied();
            for namespace in namespaces.filter(|namespace| unjudged.are_placed(*namespace)) {
                let near = |key: &u32| unjudged.near(domains, namespace, *key, node);
                signature.extend(keys.iter().map(near));
            }
        }
        let keys = dependencies.keys.iter();
        signature.extend(keys.map(|key| u32::from(domains.of(key, node).is_some())));
        for view in dependencies.views.iter() {
            signature.push(u32::from(domains.counts(view, node)));
            signature.push(number(domains.domains_in(view)));
        }
        if dependencies.volumes {
            self.read_csi(node, &mut signature);
        }
        signature
    }

    /// Appends the volume limits of the node's CSI drivers and its migrated plugins.
    fn read_csi(&mut self, node: NodeId, signature: &mut Vec<u32>) {
        let csi = self.nodes.get(node);
        let Some(csi) = csi.and_then(|slot| {
            let name = self.symbols.text(slot.name);
            self.storage.csi().of(name, &slot.node)
        }) else {
            return;
        };
        let mut number_of = |text| self.symbols.intern(text).number();
        let mut drivers: Vec<(u32, i64)> = csi
            .drivers
            .iter()
            .filter_map(|driver| Some((number_of(&driver.name), driver.limit?)))
            .collect();
        drivers.sort_unstable();
        let mut plugins: Vec<u32> = csi.migrated.iter().map(number_of).collect();
        plugins.sort_unstable();
        signature.push(number(drivers.len()));
        for (driver, limit) in drivers {
            signature.extend([driver, u32::try_from(limit).unwrap_or(u32::MAX)]);
        }
        signature.extend(plugins);
    }

    /// Returns the kind that a node would have without the labels that have its name as
    /// value. Pods that select nodes by these labels can't select a node that does not
    /// exist yet.
    fn nameless_kind(&mut self, node: NodeId) -> Option<u32> {
        let slot = self.nodes.get(node)?;
        let own = slot.node.own_labels.iter().map(AsRef::as_ref);
        let own = own.chain([HOSTNAME]);
        let own = own.filter_map(|key| self.symbols.find(key));
        let own: Vec<_> = own.filter(|key| self.statics.uses_label(*key)).collect();
        if own.is_empty() {
            return self.nodes.kind.get(node.at()).copied();
        }
        let labels = slot.labels.iter().filter(|(key, _)| !own.contains(key));
        let labels: LabelSet = labels.copied().collect();
        let (taints, unschedulable) = (&slot.node.taints, slot.node.unschedulable);
        Some(self.statics.kind(&labels, taints, unschedulable))
    }
}
