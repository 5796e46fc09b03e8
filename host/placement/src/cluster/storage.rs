//! Storage objects of the cluster.

use std::sync::Arc;

use super::{ClassId, Cluster};
use crate::volumes::Mounting;
use crate::{BeyondLimit, CsiNode, Name, Node, StorageObject};

impl Cluster {
    /// Adds a storage object, or replaces the one of its kind and name. Not undone by a
    /// rollback: storage isn't simulated.
    pub fn set_storage(&mut self, object: StorageObject) {
        self.storage.set(object, &mut self.symbols);
    }

    /// Removes the storage object of this kind and name.
    pub fn remove_storage(&mut self, object: &StorageObject) {
        self.storage.remove(object);
    }

    /// Returns the CSINode of this name.
    pub fn csi_node(&self, name: &str) -> Option<&Arc<CsiNode>> {
        self.storage.csi().get(name)
    }

    /// Whether there is any CSINode.
    pub fn has_csi_nodes(&self) -> bool {
        !self.storage.csi().is_empty()
    }

    /// Returns the in-tree plugins that are migrated to CSI drivers on most nodes.
    pub fn usually_migrated(&self) -> impl Iterator<Item = &Name> {
        self.storage.csi().usually_migrated()
    }

    /// Returns the driver limit that a pod of a class exceeds on its own on a node.
    /// `None` if it exceeds none.
    pub fn volumes_beyond_limit(&self, class: ClassId, node: &Node) -> Option<BeyondLimit> {
        let csi = self.storage.csi().of(&node.name, node)?;
        self.storage.beyond_limit(self.mounting(class)?, csi)
    }

    /// Returns the volumes of the pods of a class. `None` if they have none.
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
