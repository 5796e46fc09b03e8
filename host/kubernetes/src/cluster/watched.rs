//! The kinds that are watched, and how an object of each gets into the state.

use std::borrow::Cow;
use std::fmt::Debug;

use flyball_core::nodes::state::ClusterState;
use flyball_placement::{
    Claim, CsiDriver, CsiNode, Name, PersistentVolume, StorageCapacity, StorageClass,
    StorageObject, VolumeAttachment,
};
use k8s_openapi::ClusterResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::slim::{
    ClaimObject, CsiDriverObject, CsiNodeObject, DaemonSetObject, NamespaceObject, NodeObject,
    ObjectMetadata, PodObject, StorageCapacityObject, StorageClassObject, VolumeAttachmentObject,
    VolumeObject,
};

/// A kind that is watched.
pub(super) trait Watched: DeserializeOwned + Clone + Debug + Send + Sync + 'static {
    const GROUP: &str;
    const KIND: &str;
    const PLURAL: &str;

    fn metadata(&self) -> &ObjectMetadata;

    /// What tells objects of the kind apart.
    fn id(&self) -> Name;

    fn apply(self, state: &mut ClusterState);

    fn delete(state: &mut ClusterState, id: &str);
}

impl Watched for PodObject {
    const GROUP: &str = "";
    const KIND: &str = "Pod";
    const PLURAL: &str = "pods";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(&self) -> Name {
        self.metadata.uid.clone()
    }

    fn apply(self, state: &mut ClusterState) {
        let (facts, pod) = self.into_facts();
        state.apply_pod(facts, &pod);
    }

    fn delete(state: &mut ClusterState, id: &str) {
        state.delete_pod(id);
    }
}

impl Watched for NodeObject {
    const GROUP: &str = "";
    const KIND: &str = "Node";
    const PLURAL: &str = "nodes";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(&self) -> Name {
        self.metadata.name.clone()
    }

    fn apply(self, state: &mut ClusterState) {
        state.apply_node(self.into_facts());
    }

    fn delete(state: &mut ClusterState, id: &str) {
        state.delete_node(id);
    }
}

impl Watched for NamespaceObject {
    const GROUP: &str = "";
    const KIND: &str = "Namespace";
    const PLURAL: &str = "namespaces";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(&self) -> Name {
        self.metadata.name.clone()
    }

    fn apply(self, state: &mut ClusterState) {
        let name = self.metadata.name.clone();
        state.apply_namespace(&name, &self.into_labels());
    }

    fn delete(state: &mut ClusterState, id: &str) {
        state.delete_namespace(id);
    }
}

impl Watched for DaemonSetObject {
    const GROUP: &str = "apps";
    const KIND: &str = "DaemonSet";
    const PLURAL: &str = "daemonsets";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(&self) -> Name {
        self.metadata.uid.clone()
    }

    fn apply(self, state: &mut ClusterState) {
        state.apply_daemon_set(self.into_facts());
    }

    fn delete(state: &mut ClusterState, id: &str) {
        state.delete_daemon_set(id);
    }
}

/// A kind of storage: its group, its name in the singular and the plural, and what
/// stands for an object that is gone.
macro_rules! storage {
    ($object:ident, $group:literal, $kind:literal, $plural:literal, $variant:ident, $known:ident
     $(, $namespace:ident)?) => {
        impl Watched for $object {
            const GROUP: &str = $group;
            const KIND: &str = $kind;
            const PLURAL: &str = $plural;

            fn metadata(&self) -> &ObjectMetadata {
                &self.metadata
            }

            fn id(&self) -> Name {
                let ObjectMetadata {
                    namespace, name, ..
                } = &self.metadata;
                format!("{namespace}/{name}").into()
            }

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

/// An object as a watch takes it: the watch goes by the metadata of the API.
#[derive(Clone, Debug)]
pub(super) struct Slim<T> {
    metadata: ObjectMeta,
    pub(super) object: T,
}

impl<'de, T: Watched> Deserialize<'de> for Slim<T> {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = T::deserialize(deserializer)?;
        let metadata = object.metadata();
        Ok(Self {
            metadata: ObjectMeta {
                name: Some(metadata.name.to_string()),
                namespace: Some(metadata.namespace.to_string()).filter(|name| !name.is_empty()),
                resource_version: metadata.resource_version.clone(),
                ..ObjectMeta::default()
            },
            object,
        })
    }
}

/// All objects of a kind are watched, in whatever namespace: the scope does not
/// matter.
impl<T: Watched> Resource for Slim<T> {
    type DynamicType = ();
    type Scope = ClusterResourceScope;

    fn kind((): &()) -> Cow<'_, str> {
        T::KIND.into()
    }

    fn group((): &()) -> Cow<'_, str> {
        T::GROUP.into()
    }

    fn version((): &()) -> Cow<'_, str> {
        "v1".into()
    }

    fn plural((): &()) -> Cow<'_, str> {
        T::PLURAL.into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}
