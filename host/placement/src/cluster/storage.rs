//! What the cluster knows of storage.

use std::sync::Arc;

use super::{ClassId, Cluster};
use crate::volumes::Mounting;
use crate::{BeyondLimit, CsiNode, Name, Node, StorageObject};

impl Cluster {
    /// Takes a claim, a volume or something else of storage in, in place of what was
    /// known under its name. Marks don't note it: what pods mount isn't simulated.
    pub fn set_storage(&mut self, object: StorageObject) {
        self.storage.set(object, &mut self.symbols);
    }

    /// Takes out what is known under the object's kind and name.
    pub fn remove_storage(&mut self, object: &StorageObject) {
        self.storage.remove(object);
    }

    /// The CSINode of a name, if it is known.
    pub fn csi_node(&self, name: &str) -> Option<&Arc<CsiNode>> {
        self.storage.csi().get(name)
    }

    /// Whether any CSINode is known.
    pub fn has_csi_nodes(&self) -> bool {
        !self.storage.csi().is_empty()
    }

    /// The plugins that left the tree and whose volumes drivers attach on most nodes.
    pub fn usually_migrated(&self) -> impl Iterator<Item = &Name> {
        self.storage.csi().usually_migrated()
    }

    /// Whether a pod of a class by itself mounts more volumes than a node attaches.
    pub fn volumes_beyond_limit(&self, class: ClassId, node: &Node) -> Option<BeyondLimit> {
        let csi = self.storage.csi().of(&node.name, node)?;
        self.storage.beyond_limit(self.mounting(class)?, csi)
    }

    /// What the pods of a class mount, if anything.
    pub(super) fn mounting(&self, class: ClassId) -> Option<Mounting<'_>> {
        let symbol = self.classes.key(class).namespace;
        let volumes = self.classes.volumes(class)?;
        Some(Mounting {
            namespace: self.symbols.text(symbol),
            symbol,
            volumes,
        })
    }
}
