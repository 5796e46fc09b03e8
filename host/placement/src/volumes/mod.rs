//! Volumes: what pods mount, what the cluster holds of claims and volumes, and the
//! filters that read both (VolumeRestrictions, NodeVolumeLimits, VolumeBinding,
//! VolumeZone).
//!
//! Volumes of plugins that moved from the tree to CSI drivers are the drivers' on nodes
//! whose CSINode says so (`translate`).

mod binding;
mod csi_nodes;
mod filters;
mod limits;
mod store;
mod translate;

use serde::{Deserialize, Serialize};

pub(crate) use self::filters::Mounting;
pub use self::limits::BeyondLimit;
pub(crate) use self::store::{NodeLabels, Storage};

use crate::{LabelSelector, Labels, Name, NodeSelectorTerm, Requirement};

/// The volumes of a pod that can decide where it runs. Pods with different volumes
/// are of different classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct PodVolumes {
    /// Claims, in the order of the pod's volumes.
    pub claims: Vec<PodClaim>,
    /// Disks named in the pod itself.
    pub disks: Vec<Disk>,
}

/// A claim that a pod mounts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodClaim {
    /// Name of the claim, in the pod's namespace.
    pub name: Name,
    /// The pod that must own the claim, if it is of a generic ephemeral volume.
    #[serde(default)]
    pub owner: Option<Owner>,
}

/// A pod that owns a claim.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Owner {
    /// Name of the pod.
    pub name: Name,
    /// metadata.uid of the pod.
    pub uid: Name,
}

/// A disk that a pod names itself, and that is attached to the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Disk {
    /// awsElasticBlockStore: its volumeID.
    Ebs(Name),
    /// gcePersistentDisk: its pdName, and whether it is mounted read-only.
    Gce(Name, bool),
    /// iscsi: its iqn, and whether it is mounted read-only.
    Iscsi(Name, bool),
    /// azureDisk, cinder or portworxVolume: name of the plugin, such as
    /// `kubernetes.io/cinder`, and its name of the disk. All pods of a node can mount it.
    Attached(Name, Name),
    /// rbd.
    Rbd {
        /// Monitors, of which one in common makes it the same disk.
        monitors: Vec<Name>,
        /// Pool and image.
        image: (Name, Name),
        /// Whether it is mounted read-only.
        read_only: bool,
    },
}

/// Something of the cluster's storage, as [`crate::Cluster::set_storage`] takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StorageObject {
    /// A PersistentVolumeClaim.
    Claim(Claim),
    /// A PersistentVolume.
    Volume(PersistentVolume),
    /// A StorageClass.
    Class(StorageClass),
    /// A CSIDriver.
    Driver(CsiDriver),
    /// A CSIStorageCapacity.
    Capacity(StorageCapacity),
    /// A CSINode.
    Node(CsiNode),
    /// A VolumeAttachment.
    Attachment(VolumeAttachment),
}

/// A PersistentVolumeClaim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Claim {
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// metadata.uid.
    pub uid: Name,
    /// metadata.uid of its controlling owner.
    pub owner: Option<Name>,
    /// Name of its storage class; empty: none.
    pub class: Name,
    /// Name of its volume; empty: none yet.
    pub volume: Name,
    /// Whether the binding is completed (by its annotation), on both sides.
    pub bound: bool,
    /// Whether its volume is gone (phase Lost).
    pub lost: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Node that the scheduler has chosen for its volume to be made on.
    pub selected_node: Option<Name>,
    /// Access modes.
    pub access_modes: Vec<Name>,
    /// Whether it asks for a raw device (volumeMode Block).
    pub block: bool,
    /// Bytes asked for. `None` if the claim does not say.
    pub size: Option<i64>,
    /// Selects volumes by their labels.
    pub selector: Option<LabelSelector>,
    /// Name of its VolumeAttributesClass; empty: none.
    pub attributes_class: Name,
}

/// A PersistentVolume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistentVolume {
    /// Name.
    pub name: Name,
    /// Labels.
    pub labels: Labels,
    /// Name of its storage class; empty: none.
    pub class: Name,
    /// The claim it is for.
    pub claim: Option<ClaimRef>,
    /// Whether it may be bound (phase Available).
    pub available: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Access modes.
    pub access_modes: Vec<Name>,
    /// Whether it is a raw device (volumeMode Block).
    pub block: bool,
    /// Bytes.
    pub capacity: i64,
    /// Required node affinity: one of the terms must match.
    pub node_affinity: Option<Vec<NodeSelectorTerm>>,
    /// Where its data is, if a driver attaches it.
    pub source: Option<VolumeSource>,
    /// Name of its VolumeAttributesClass; empty: none.
    pub attributes_class: Name,
}

/// The claim that a volume is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRef {
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// metadata.uid; empty: any claim of that name.
    pub uid: Name,
}

/// What attaches a volume, and what it knows it by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSource {
    /// Name of a CSI driver, or of a plugin that was in the tree, such as
    /// `kubernetes.io/aws-ebs`.
    pub driver: Name,
    /// The driver's name of the volume; of a plugin that was in the tree, as the volume
    /// has it.
    pub handle: Name,
    /// A disk that no driver takes over, such as one of Azure that isn't a managed one.
    pub unmanaged: bool,
}

/// A StorageClass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageClass {
    /// Name.
    pub name: Name,
    /// What makes its volumes.
    pub provisioner: Name,
    /// Whether volumes are bound only when a pod is scheduled
    /// (WaitForFirstConsumer).
    pub late_binding: bool,
    /// Where volumes can be made: one of the terms must match. Empty if they can be made
    /// anywhere.
    pub allowed_topologies: Vec<Vec<Requirement>>,
}

/// A CSIDriver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiDriver {
    /// Name.
    pub name: Name,
    /// Whether it says by CSIStorageCapacity objects how much there is.
    pub storage_capacity: bool,
}

/// A CSIStorageCapacity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageCapacity {
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// Name of the storage class.
    pub class: Name,
    /// Nodes that can reach it. `None` if no node can.
    pub topology: Option<LabelSelector>,
    /// Bytes of the largest volume that could be made. `None` if not known.
    pub largest: Option<i64>,
}

/// A CSINode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiNode {
    /// Name of the node.
    pub name: Name,
    /// The drivers that have registered there.
    pub drivers: Vec<CsiNodeDriver>,
    /// Plugins of the tree whose volumes CSI drivers attach there.
    pub migrated: Vec<Name>,
}

/// A driver in a CSINode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiNodeDriver {
    /// Name.
    pub name: Name,
    /// How many volumes it can attach to the node. `None` if the number is not limited.
    pub limit: Option<i64>,
    /// Labels of the node by which the driver says where its volumes can be reached.
    pub topology_keys: Vec<Name>,
}

/// A VolumeAttachment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeAttachment {
    /// Name.
    pub name: Name,
    /// Name of the driver.
    pub attacher: Name,
    /// Name of the node.
    pub node: Name,
    /// Name of the PersistentVolume; empty: none.
    pub volume: Name,
}
