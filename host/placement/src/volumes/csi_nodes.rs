//! CSINodes by name.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::{CsiNode, Name, Node};

/// The CSINodes of a cluster.
#[derive(Default)]
pub(crate) struct CsiNodes {
    by_name: HashMap<Name, Arc<CsiNode>>,
    /// Number of nodes on which each plugin is migrated.
    migrated: BTreeMap<Name, usize>,
}

impl CsiNodes {
    pub(super) fn set(&mut self, node: CsiNode) {
        self.remove(&node.name);
        for plugin in &node.migrated {
            *self.migrated.entry(plugin.clone()).or_default() += 1;
        }
        self.by_name.insert(node.name.clone(), Arc::new(node));
    }

    pub(super) fn remove(&mut self, name: &str) {
        let Some(node) = self.by_name.remove(name) else {
            return;
        };
        for plugin in &node.migrated {
            if let Some(count) = self.migrated.get_mut(plugin) {
                *count -= 1;
                if *count == 0 {
                    self.migrated.remove(plugin);
                }
            }
        }
    }

    /// Returns all CSINodes, in no particular order.
    #[expect(
        clippy::disallowed_methods,
        reason = "what is set in another order answers the same"
    )]
    pub(super) fn iter(&self) -> impl Iterator<Item = &CsiNode> {
        self.by_name.values().map(Arc::as_ref)
    }

    /// Returns the CSINode of a node, or the one that a node which does not exist yet
    /// will have.
    pub(crate) fn of<'a>(&'a self, name: &str, node: &'a Node) -> Option<&'a CsiNode> {
        let known = node.csi.as_ref().or_else(|| self.by_name.get(name));
        known.map(Arc::as_ref)
    }

    /// Returns the CSINode of this name.
    pub(crate) fn get(&self, name: &str) -> Option<&Arc<CsiNode>> {
        self.by_name.get(name)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Returns the plugins that are migrated on most nodes.
    pub(crate) fn usually_migrated(&self) -> impl Iterator<Item = &Name> {
        let half = self.by_name.len() / 2;
        let plugins = self.migrated.iter();
        let plugins = plugins.filter(move |(_, nodes)| **nodes > half);
        plugins.map(|(plugin, _)| plugin)
    }
}
