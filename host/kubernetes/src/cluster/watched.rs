//! The watched kinds of the nodes half, and how their objects are added to the state.

use std::sync::Arc;

use flyball_nodes::queued_state::QueuedObject;
use flyball_nodes::state::ClusterState;
use flyball_placement::{
    Claim, CsiDriver, CsiNode, Name, PersistentVolume, StorageCapacity, StorageClass,
    StorageObject, VolumeAttachment,
};
use kube::runtime::watcher::Event;

use super::{ListedKeys, WatchedState};
use crate::slim::{
    ClaimObject, CsiDriverObject, CsiNodeObject, DaemonSetObject, NamespaceObject, NodeObject,
    ObjectMetadata, StorageCapacityObject, StorageClassObject, VolumeAttachmentObject,
    VolumeObject,
};
use crate::watch::{Change, KnownIds, Slim, SlimKind, namespaced_id};

/// A kind whose objects the state keeps.
pub(super) trait StateKind: SlimKind {
    fn apply(self, state: &mut ClusterState);

    fn delete(state: &mut ClusterState, id: &str);
}

/// Returns what applies the events of a watch to the state.
pub(super) fn apply_changes<T: StateKind>(
    state: &Arc<WatchedState>,
) -> impl FnMut(Event<Slim<T>>) + Send + use<T> {
    let mut known = KnownIds::default();
    let state = Arc::clone(state);
    move |event| {
        known.changes(event, |change: Change<T>| match change {
            Change::Apply(object) => {
                let key = key::<T>(&T::id(object.metadata()));
                state.queued.apply(key, move |state| object.apply(state));
            }
            Change::Delete(id) => {
                let key = key::<T>(&id);
                state.queued.delete(key, move |state| T::delete(state, &id));
            }
        });
    }
}

/// Returns what applies the events of the watch of nodes to the state, with the annotations
/// that policies want.
pub(super) fn apply_node_changes(
    state: &Arc<WatchedState>,
) -> impl FnMut(Event<Slim<NodeObject>>) + Send + use<> {
    let mut known = KnownIds::default();
    let mut listed = ListedKeys::new(state.annotations.nodes.subscribe());
    let state = Arc::clone(state);
    move |event| {
        let (keys, wanted) = (listed.note(&event), listed.wanted());
        known.changes(event, |change: Change<NodeObject>| match change {
            Change::Apply(object) => {
                let key = key::<NodeObject>(&NodeObject::id(object.metadata()));
                let facts = object.into_facts_with(&wanted);
                state
                    .queued
                    .apply(key, move |state| state.apply_node(facts));
            }
            Change::Delete(id) => {
                let key = key::<NodeObject>(&id);
                state
                    .queued
                    .delete(key, move |state| state.delete_node(&id));
            }
        });
        if let Some(keys) = keys {
            let set = |state: &mut ClusterState| state.set_node_annotations_listed(keys);
            let list = QueuedObject {
                kind: "list of nodes",
                id: Name::default(),
            };
            state.queued.apply(list, set);
        }
    }
}

/// Returns the key of an object in the queue of changes.
fn key<T: SlimKind>(id: &Name) -> QueuedObject {
    QueuedObject {
        kind: T::KIND,
        id: Arc::clone(id),
    }
}

impl SlimKind for NodeObject {
    const GROUP: &str = "";
    const KIND: &str = "Node";
    const PLURAL: &str = "nodes";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(metadata: &ObjectMetadata) -> Name {
        metadata.name.clone()
    }
}

impl SlimKind for NamespaceObject {
    const GROUP: &str = "";
    const KIND: &str = "Namespace";
    const PLURAL: &str = "namespaces";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(metadata: &ObjectMetadata) -> Name {
        metadata.name.clone()
    }
}

impl StateKind for NamespaceObject {
    fn apply(self, state: &mut ClusterState) {
        let name = self.metadata.name.clone();
        state.apply_namespace(&name, &self.into_labels());
    }

    fn delete(state: &mut ClusterState, id: &str) {
        state.delete_namespace(id);
    }
}

impl SlimKind for DaemonSetObject {
    const GROUP: &str = "apps";
    const KIND: &str = "DaemonSet";
    const PLURAL: &str = "daemonsets";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(metadata: &ObjectMetadata) -> Name {
        metadata.uid.clone()
    }
}

impl StateKind for DaemonSetObject {
    fn apply(self, state: &mut ClusterState) {
        state.apply_daemon_set(self.into_facts());
    }

    fn delete(state: &mut ClusterState, id: &str) {
        state.delete_daemon_set(id);
    }
}

/// Implements a kind of storage. Arguments: the slim object, the API group, the kind,
/// its plural, and the placement type that identifies a deleted object.
macro_rules! storage {
    ($object:ident, $group:literal, $kind:literal, $plural:literal, $variant:ident, $known:ident
     $(, $namespace:ident)?) => {
        impl SlimKind for $object {
            const GROUP: &str = $group;
            const KIND: &str = $kind;
            const PLURAL: &str = $plural;

            fn metadata(&self) -> &ObjectMetadata {
                &self.metadata
            }

            fn id(metadata: &ObjectMetadata) -> Name {
                namespaced_id(&metadata.namespace, &metadata.name)
            }
        }

        impl StateKind for $object {
            fn apply(self, state: &mut ClusterState) {
                state.apply_storage(self.into());
            }

            fn delete(state: &mut ClusterState, id: &str) {
                let (_namespace, name) = id.split_once('/').unwrap_or(("", id));
                state.delete_storage(&StorageObject::$variant($known {
                    name: name.into(),
                    $($namespace: _namespace.into(),)?
                    ..$known::default()
                }));
            }
        }
    };
}

storage!(
    ClaimObject,
    "",
    "PersistentVolumeClaim",
    "persistentvolumeclaims",
    Claim,
    Claim,
    namespace
);
storage!(
    VolumeObject,
    "",
    "PersistentVolume",
    "persistentvolumes",
    Volume,
    PersistentVolume
);
storage!(
    StorageClassObject,
    "storage.k8s.io",
    "StorageClass",
    "storageclasses",
    Class,
    StorageClass
);
storage!(
    CsiDriverObject,
    "storage.k8s.io",
    "CSIDriver",
    "csidrivers",
    Driver,
    CsiDriver
);
storage!(
    CsiNodeObject,
    "storage.k8s.io",
    "CSINode",
    "csinodes",
    Node,
    CsiNode
);
storage!(
    StorageCapacityObject,
    "storage.k8s.io",
    "CSIStorageCapacity",
    "csistoragecapacities",
    Capacity,
    StorageCapacity,
    namespace
);
storage!(
    VolumeAttachmentObject,
    "storage.k8s.io",
    "VolumeAttachment",
    "volumeattachments",
    Attachment,
    VolumeAttachment
);
