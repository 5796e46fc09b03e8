//! The volumes of pods, and the cluster's storage objects: the fields that the scheduler
//! reads.

use serde::{Deserialize, Serialize};

use crate::{LabelSelector, Labels, Name, NodeSelectorTerm, Requirement};

/// The volumes of a pod that restrict where it can run. Pods with different volumes are
/// of different classes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct PodVolumes {
    /// Claims, in the order of the pod's volumes.
    pub claims: Vec<PodClaim>,
    /// Disks that the pod's spec names.
    pub disks: Vec<Disk>,
}

/// A claim that a pod mounts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct PodClaim {
    /// Name of the claim, in the pod's namespace.
    pub name: Name,
    /// The pod that must own the claim. Set for claims of generic ephemeral volumes.
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

/// A disk that a pod's spec names and that is attached to the node.
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
        /// Monitors. Disks with a common monitor can be the same.
        monitors: Vec<Name>,
        /// Pool and image.
        image: (Name, Name),
        /// Whether it is mounted read-only.
        read_only: bool,
    },
}

/// A storage object, for [`crate::Cluster::set_storage`].
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
    /// Name of its storage class. Empty if none.
    pub class: Name,
    /// Name of its volume. Empty if it has none yet.
    pub volume: Name,
    /// Whether the binding is completed (by its annotation), on both sides.
    pub bound: bool,
    /// Whether its volume is gone (phase Lost).
    pub lost: bool,
    /// Whether it is being deleted.
    pub terminating: bool,
    /// Node for which the scheduler has its volume provisioned.
    pub selected_node: Option<Name>,
    /// Access modes.
    pub access_modes: Vec<Name>,
    /// Whether it requests a raw device (volumeMode Block).
    pub block: bool,
    /// Requested bytes. `None` if the claim requests no size.
    pub size: Option<i64>,
    /// Selects volumes by their labels.
    pub selector: Option<LabelSelector>,
    /// Name of its VolumeAttributesClass. Empty if none.
    pub attributes_class: Name,
}

/// A PersistentVolume.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PersistentVolume {
    /// Name.
    pub name: Name,
    /// Labels.
    pub labels: Labels,
    /// Name of its storage class. Empty if none.
    pub class: Name,
    /// The claim that it is bound to or reserved for.
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
    /// Driver and handle, if a driver attaches it.
    pub source: Option<VolumeSource>,
    /// Name of its VolumeAttributesClass. Empty if none.
    pub attributes_class: Name,
}

/// The claim that a volume is bound to or reserved for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimRef {
    /// Namespace.
    pub namespace: Name,
    /// Name.
    pub name: Name,
    /// metadata.uid. Empty matches any claim of that name.
    pub uid: Name,
}

/// The driver that attaches a volume, and its name of the volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumeSource {
    /// Name of a CSI driver, or of an in-tree plugin such as `kubernetes.io/aws-ebs`.
    pub driver: Name,
    /// The driver's name of the volume. For an in-tree plugin, the name in the
    /// PersistentVolume.
    pub handle: Name,
    /// Whether it can't be translated into a volume of a CSI driver, like an unmanaged
    /// disk of Azure.
    pub unmanaged: bool,
}

/// A StorageClass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageClass {
    /// Name.
    pub name: Name,
    /// Provisioner of its volumes.
    pub provisioner: Name,
    /// Whether volumes are bound only when a pod is scheduled
    /// (WaitForFirstConsumer).
    pub late_binding: bool,
    /// Topologies in which volumes can be provisioned: one of the terms must match.
    /// Empty if they can be provisioned anywhere.
    pub allowed_topologies: Vec<Vec<Requirement>>,
}

/// A CSIDriver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiDriver {
    /// Name.
    pub name: Name,
    /// Whether it publishes CSIStorageCapacity objects.
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
    /// Selects the nodes that can access the storage. `None` if no node can.
    pub topology: Option<LabelSelector>,
    /// Bytes of the largest volume that can be provisioned. `None` if not known.
    pub largest: Option<i64>,
}

/// A CSINode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiNode {
    /// Name of the node.
    pub name: Name,
    /// The drivers registered on the node.
    pub drivers: Vec<CsiNodeDriver>,
    /// In-tree plugins that are migrated to CSI drivers on the node.
    pub migrated: Vec<Name>,
}

/// A driver in a CSINode.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CsiNodeDriver {
    /// Name.
    pub name: Name,
    /// Maximum number of volumes attached to the node. `None` if the number is not
    /// limited.
    pub limit: Option<i64>,
    /// Keys of the node labels that define the driver's topology.
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
    /// Name of the PersistentVolume. Empty if none.
    pub volume: Name,
}
