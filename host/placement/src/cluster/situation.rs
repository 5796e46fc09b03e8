//! What can tell nodes of different templates apart.

use super::bonds::{HOSTNAME, HostKey};
use super::condition::LabelSet;
use super::{ClassId, Cluster, NodeId};
use crate::intern::number;

/// What of the cluster, beside nodes themselves, decides where pods of some classes may
/// go: in the order of their numbers.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    counters: Numbers,
    views: Numbers,
    /// Topology keys.
    keys: Numbers,
}

/// A set of numbers.
#[derive(Debug, Default)]
struct Numbers(Vec<bool>);

impl Numbers {
    fn add(&mut self, number: u32) {
        let at = number as usize;
        if self.0.len() <= at {
            self.0.resize(at + 1, false);
        }
        self.0[at] = true;
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        let numbers = self.0.iter().enumerate();
        let there = numbers.filter(|(_, there)| **there);
        there.map(|(at, _)| number(at))
    }
}

impl Reads {
    pub(super) fn counter(&mut self, counter: u32) {
        self.counters.add(counter);
    }

    pub(super) fn spread(&mut self, key: u32, view: u32) {
        self.keys.add(key);
        self.views.add(view);
    }
}

impl Cluster {
    /// What decides where pods of these classes may go.
    pub(crate) fn reads(&self, classes: impl Iterator<Item = ClassId>) -> Reads {
        let mut reads = Reads::default();
        for class in classes {
            let shape = self.classes.shape_of(class);
            self.relations.read_by(shape, &mut reads);
        }
        reads
    }

    /// The topology keys of what is read, ordered.
    pub(super) fn topology_keys_of(&self, reads: &Reads) -> Vec<u32> {
        let counters = reads.counters.iter();
        let counted = counters.map(|counter| self.relations.counting.key_of(counter));
        let mut keys: Vec<u32> = counted.chain(reads.keys.iter()).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }

    /// What can tell nodes without pods apart, beside their name and what is free on
    /// them: nodes for which it is the same take the same pods of the classes in
    /// question, unless these have volumes.
    ///
    /// That is the kind of the node, and what is counted around it but on the node
    /// itself: for each counter the pods in the node's domain, for each topology key
    /// whether the node has it, and for each view whether it counts the node, and how
    /// many domains it has.
    pub(crate) fn situation(&mut self, node: NodeId, reads: &Reads) -> Vec<u32> {
        let mut situation: Vec<u32> = self.nameless_kind(node).into_iter().collect();
        let host = self.host_key().map(|HostKey(key)| key);
        let counting = &self.relations.counting;
        let domains = &counting.domains;
        let counters = reads.counters.iter();
        let counters = counters.filter(|counter| Some(counting.key_of(*counter)) != host);
        let counted = counters.map(|counter| counting.pods_near(counter, node));
        situation.extend(counted.map(|pods| pods.unwrap_or(u32::MAX)));
        let keys = reads.keys.iter();
        situation.extend(keys.map(|key| u32::from(domains.of(key, node).is_some())));
        for view in reads.views.iter() {
            situation.push(u32::from(domains.counts(view, node)));
            situation.push(number(domains.domains_in(view)));
        }
        situation
    }

    /// The kind that a node would be of without the label that has its name. Pods may
    /// read that one, but those that select nodes by it know none that is yet to come.
    fn nameless_kind(&mut self, node: NodeId) -> Option<u32> {
        let host = self.symbols.find(HOSTNAME);
        let host = host.filter(|host| self.statics.reads(*host));
        let Some(host) = host else {
            return self.nodes.kind.get(node.at()).copied();
        };
        let slot = self.nodes.get(node)?;
        let labels = slot.labels.iter().filter(|(key, _)| *key != host);
        let labels: LabelSet = labels.copied().collect();
        let (taints, unschedulable) = (&slot.node.taints, slot.node.unschedulable);
        Some(self.statics.kind(&labels, taints, unschedulable))
    }
}
