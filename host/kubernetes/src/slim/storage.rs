//! Claims, volumes and other storage objects in JSON: the fields that scheduling uses.

use flyball_placement as placement;
use flyball_placement::{Name, Requirement, StorageObject};
use serde::Deserialize;

use super::convert::{node_selector_terms, selector};
use super::pod::{LabelSelector, NodeSelector, ObjectMetadata, Quantities};

/// A PersistentVolumeClaim of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct ClaimObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    spec: ClaimSpec,
    status: Phase,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ClaimSpec {
    access_modes: Vec<Name>,
    resources: Requests,
    selector: Option<LabelSelector>,
    storage_class_name: Name,
    volume_attributes_class_name: Name,
    volume_mode: Name,
    volume_name: Name,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Requests {
    requests: Quantities,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct Phase {
    phase: Name,
}

impl From<ClaimObject> for StorageObject {
    fn from(object: ClaimObject) -> Self {
        let ClaimObject {
            metadata,
            spec,
            status,
        } = object;
        let mut owners = metadata.owner_references.iter();
        let owner = owners.find(|owner| owner.controller);
        Self::Claim(placement::Claim {
            owner: owner.map(|owner| owner.uid.clone()),
            class: storage_class(&metadata, spec.storage_class_name),
            volume: spec.volume_name,
            bound: metadata.annotations.bind_completed.is_some(),
            lost: &*status.phase == "Lost",
            terminating: metadata.is_terminating(),
            selected_node: metadata.annotations.selected_node.clone(),
            access_modes: spec.access_modes,
            block: is_block(&spec.volume_mode),
            size: storage(&spec.resources.requests),
            selector: spec.selector.map(selector),
            attributes_class: spec.volume_attributes_class_name,
            namespace: metadata.namespace,
            name: metadata.name,
            uid: metadata.uid,
        })
    }
}

/// A PersistentVolume of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VolumeObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    spec: VolumeSpec,
    status: Phase,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeSpec {
    access_modes: Vec<Name>,
    capacity: Quantities,
    claim_ref: Option<ClaimReference>,
    node_affinity: VolumeNodeAffinity,
    storage_class_name: Name,
    volume_attributes_class_name: Name,
    volume_mode: Name,
    csi: Option<CsiSource>,
    aws_elastic_block_store: Option<IdSource>,
    azure_disk: Option<AzureDiskSource>,
    cinder: Option<IdSource>,
    gce_persistent_disk: Option<PdSource>,
    portworx_volume: Option<IdSource>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ClaimReference {
    namespace: Name,
    name: Name,
    uid: Name,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct VolumeNodeAffinity {
    required: Option<NodeSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct CsiSource {
    driver: Name,
    volume_handle: Name,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct IdSource {
    #[serde(rename = "volumeID")]
    pub(super) volume_id: Name,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct PdSource {
    pd_name: Name,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct AzureDiskSource {
    #[serde(rename = "diskURI")]
    pub(super) disk_uri: Name,
    kind: Option<Name>,
}

impl AzureDiskSource {
    /// Whether it is a managed disk, the only kind that the CSI driver supports.
    pub(super) fn is_managed(&self) -> bool {
        let kind = self.kind.as_deref();
        kind.is_none_or(|kind| kind.eq_ignore_ascii_case("Managed"))
    }
}

impl VolumeSpec {
    fn source(&mut self) -> Option<placement::VolumeSource> {
        let mut unmanaged = false;
        let (driver, handle) = if let Some(csi) = self.csi.take() {
            (csi.driver, csi.volume_handle)
        } else if let Some(ebs) = self.aws_elastic_block_store.take() {
            ("kubernetes.io/aws-ebs".into(), ebs.volume_id)
        } else if let Some(disk) = self.azure_disk.take() {
            unmanaged = !disk.is_managed();
            ("kubernetes.io/azure-disk".into(), disk.disk_uri)
        } else if let Some(cinder) = self.cinder.take() {
            ("kubernetes.io/cinder".into(), cinder.volume_id)
        } else if let Some(disk) = self.gce_persistent_disk.take() {
            ("kubernetes.io/gce-pd".into(), disk.pd_name)
        } else {
            let volume = self.portworx_volume.take()?;
            ("kubernetes.io/portworx-volume".into(), volume.volume_id)
        };
        Some(placement::VolumeSource {
            driver,
            handle,
            unmanaged,
        })
    }
}

impl From<VolumeObject> for StorageObject {
    fn from(object: VolumeObject) -> Self {
        let VolumeObject {
            metadata,
            mut spec,
            status,
        } = object;
        let claim = spec.claim_ref.take().map(|claim| placement::ClaimRef {
            namespace: claim.namespace,
            name: claim.name,
            uid: claim.uid,
        });
        Self::Volume(placement::PersistentVolume {
            source: spec.source(),
            claim,
            class: storage_class(&metadata, spec.storage_class_name),
            available: &*status.phase == "Available",
            terminating: metadata.is_terminating(),
            access_modes: spec.access_modes,
            block: is_block(&spec.volume_mode),
            capacity: storage(&spec.capacity).unwrap_or(0),
            node_affinity: spec.node_affinity.required.map(node_selector_terms),
            attributes_class: spec.volume_attributes_class_name,
            name: metadata.name,
            labels: metadata.labels.into_iter().collect(),
        })
    }
}

/// A StorageClass of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StorageClassObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    provisioner: Name,
    volume_binding_mode: Name,
    allowed_topologies: Vec<TopologyTerm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TopologyTerm {
    match_label_expressions: Vec<TopologyExpression>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TopologyExpression {
    key: Name,
    values: Vec<Name>,
}

impl From<StorageClassObject> for StorageObject {
    fn from(object: StorageClassObject) -> Self {
        let requirement = |expression: TopologyExpression| Requirement {
            key: expression.key,
            operator: placement::Operator::In,
            values: expression.values,
        };
        let term = |term: TopologyTerm| {
            let expressions = term.match_label_expressions.into_iter();
            expressions.map(requirement).collect()
        };
        Self::Class(placement::StorageClass {
            name: object.metadata.name,
            provisioner: object.provisioner,
            late_binding: &*object.volume_binding_mode == "WaitForFirstConsumer",
            allowed_topologies: object.allowed_topologies.into_iter().map(term).collect(),
        })
    }
}

/// A VolumeAttachment of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct VolumeAttachmentObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    spec: VolumeAttachmentSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct VolumeAttachmentSpec {
    attacher: Name,
    node_name: Name,
    source: AttachedSource,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AttachedSource {
    persistent_volume_name: Name,
}

impl From<VolumeAttachmentObject> for StorageObject {
    fn from(object: VolumeAttachmentObject) -> Self {
        Self::Attachment(placement::VolumeAttachment {
            name: object.metadata.name,
            attacher: object.spec.attacher,
            node: object.spec.node_name,
            volume: object.spec.source.persistent_volume_name,
        })
    }
}

/// Returns the storage class that the legacy annotation names, else that of the spec.
fn storage_class(metadata: &ObjectMetadata, of_spec: Name) -> Name {
    metadata
        .annotations
        .storage_class
        .clone()
        .unwrap_or(of_spec)
}

fn is_block(mode: &str) -> bool {
    mode == "Block"
}

/// Returns the bytes of the resource `storage`. `None` if it is missing.
fn storage(quantities: &Quantities) -> Option<i64> {
    quantities.get("storage").map(|size| size.units())
}
