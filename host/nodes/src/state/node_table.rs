//! Nodes, and the pods that are bound or nominated to them.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_placement::{Name, NodeId};
use hashbrown::HashMap;

use super::chunks::Chunks;
use super::facts::NodeFacts;
use super::{NodeView, zone_of};

/// The nodes of a cluster and those that pods name. Pods change far more often than
/// nodes, so nodes are found by hash, and the order of their names is a second index.
#[derive(Default)]
pub(super) struct NodeTable {
    by_name: HashMap<Arc<str>, u32>,
    ordered: BTreeMap<Arc<str>, u32>,
    entries: Chunks<NodeEntry>,
}

impl NodeTable {
    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    pub(super) fn get(&self, name: &str) -> Option<&NodeEntry> {
        let at = self.by_name.get(name)?;
        self.entries.get(*at)
    }

    pub(super) fn get_mut(&mut self, name: &str) -> Option<&mut NodeEntry> {
        let at = self.by_name.get(name)?;
        self.entries.get_mut(*at)
    }

    /// Index of the entry of a name: the same for as long as the entry is in use.
    pub(super) fn index(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// The entry with an index.
    pub(super) fn at(&self, index: u32) -> Option<&NodeEntry> {
        self.entries.get(index)
    }

    /// The entry of a name, and the copy of the name that all pods share. Adds it if missing.
    pub(super) fn entry(&mut self, name: &Arc<str>) -> (Arc<str>, &mut NodeEntry) {
        let (name, at) = match self.by_name.get_key_value(name) {
            Some((shared, at)) => (Arc::clone(shared), *at),
            None => (Arc::clone(name), self.add(name)),
        };
        (name, self.entries.get_or_default(at))
    }

    fn add(&mut self, name: &Arc<str>) -> u32 {
        let at = self.entries.add(NodeEntry::default());
        self.by_name.insert(Arc::clone(name), at);
        self.ordered.insert(Arc::clone(name), at);
        at
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some(at) = self.by_name.remove(name) {
            self.ordered.remove(name);
            self.entries.remove(at);
        }
    }

    /// Marks all nodes as changed at a drain revision.
    pub(super) fn mark_all(&mut self, revision: u64) {
        for entry in self.entries.iter_mut() {
            entry.changed = revision;
        }
    }

    /// All entries with their names, ordered by name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&Arc<str>, &NodeEntry)> {
        let ordered = self.ordered.iter();
        ordered.filter_map(|(name, at)| Some((name, self.entries.get(*at)?)))
    }
}

/// A node of the cluster, or one that pods name and that does not exist (yet).
#[derive(Default)]
pub(super) struct NodeEntry {
    pub(super) known: Option<KnownNode>,
    /// Slots of the pods bound to it.
    pub(super) pods: Vec<u32>,
    /// Slots of the pending pods that are nominated to it.
    pub(super) nominated: Vec<u32>,
    /// As [`NodeView::changed`].
    pub(super) changed: u64,
    /// As [`NodeView::last_pod_change`].
    pub(super) last_pod_change: Option<Timestamp>,
}

pub(super) struct KnownNode {
    pub(super) id: NodeId,
    pub(super) facts: NodeFacts,
    pub(super) zone: Option<Name>,
}

impl KnownNode {
    pub(super) fn new(id: NodeId, facts: NodeFacts) -> Self {
        let zone = zone_of(&facts.node.labels).cloned();
        Self { id, facts, zone }
    }
}

impl NodeEntry {
    /// Whether neither the node nor a pod that names it exists.
    pub(super) fn is_unused(&self) -> bool {
        self.known.is_none() && self.pods.is_empty() && self.nominated.is_empty()
    }

    pub(super) fn view(&self) -> Option<NodeView<'_>> {
        let known = self.known.as_ref()?;
        Some(NodeView {
            id: known.id,
            facts: &known.facts,
            zone: known.zone.as_ref(),
            changed: self.changed,
            last_pod_change: self.last_pod_change,
        })
    }
}
