//! Volumes of pods in JSON: the fields that scheduling uses.

use std::fmt;
use std::sync::Arc;

use flyball_placement::{Disk, Name, Owner, PodClaim, PodVolumes};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};

use super::pod::ObjectMetadata;
use super::storage::{AzureDiskSource, IdSource};
use super::text::shared_option;

/// A volume of a pod.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Volume {
    name: Name,
    persistent_volume_claim: Option<NamedClaim>,
    ephemeral: Option<IgnoredAny>,
    empty_dir: Option<EmptyDir>,
    host_path: Option<IgnoredAny>,
    aws_elastic_block_store: Option<IdSource>,
    azure_disk: Option<AzureDiskSource>,
    cinder: Option<IdSource>,
    portworx_volume: Option<IdSource>,
    gce_persistent_disk: Option<Gce>,
    iscsi: Option<Iscsi>,
    rbd: Option<Rbd>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NamedClaim {
    claim_name: Name,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct EmptyDir {
    #[serde(deserialize_with = "shared_option")]
    medium: Option<Name>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Gce {
    pd_name: Name,
    read_only: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Iscsi {
    iqn: Name,
    read_only: bool,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Rbd {
    monitors: Vec<Name>,
    pool: Name,
    image: Name,
    read_only: bool,
}

impl Volume {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is an emptyDir that is not in memory. As in Cluster Autoscaler, huge
    /// pages are not memory.
    pub(super) fn is_empty_dir_on_disk(&self) -> bool {
        let empty_dir = self.empty_dir.as_ref();
        empty_dir.is_some_and(|volume| volume.medium.as_deref() != Some("Memory"))
    }

    /// Whether it is a hostPath volume.
    pub(super) fn is_host_path(&self) -> bool {
        self.host_path.is_some()
    }

    /// Whether placement or scale-down needs it. Most volumes are configuration, such as
    /// `kube-api-access-*`.
    fn is_needed(&self) -> bool {
        self.persistent_volume_claim.is_some()
            || self.ephemeral.is_some()
            || self.aws_elastic_block_store.is_some()
            || self.azure_disk.is_some()
            || self.cinder.is_some()
            || self.portworx_volume.is_some()
            || self.gce_persistent_disk.is_some()
            || self.iscsi.is_some()
            || self.rbd.is_some()
            || self.is_empty_dir_on_disk()
            || self.is_host_path()
    }
}

/// Reads the volumes that placement or scale-down needs.
pub(super) fn needed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Volume>, D::Error> {
    struct Needed;

    impl<'de> Visitor<'de> for Needed {
        type Value = Vec<Volume>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of volumes")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut all: A) -> Result<Vec<Volume>, A::Error> {
            let mut needed = Vec::new();
            while let Some(volume) = all.next_element::<Volume>()? {
                if volume.is_needed() {
                    needed.push(volume);
                }
            }
            Ok(needed)
        }
    }

    deserializer.deserialize_seq(Needed)
}

/// Returns the volumes of a pod that placement needs. `None` if it needs none of them.
pub(super) fn pod_volumes(
    volumes: Vec<Volume>,
    metadata: &ObjectMetadata,
) -> Option<Arc<PodVolumes>> {
    if volumes.is_empty() {
        return None;
    }
    let mut read = PodVolumes::default();
    for volume in volumes {
        if let Some(claim) = volume.persistent_volume_claim {
            read.claims.push(PodClaim {
                name: claim.claim_name,
                owner: None,
            });
        } else if volume.ephemeral.is_some() {
            read.claims.push(PodClaim {
                name: format!("{}-{}", metadata.name, volume.name).into(),
                owner: Some(Owner {
                    name: metadata.name.clone(),
                    uid: metadata.uid.clone(),
                }),
            });
        } else if let Some(ebs) = volume.aws_elastic_block_store {
            read.disks.push(Disk::Ebs(ebs.volume_id));
        } else if let Some(disk) = volume.azure_disk.filter(AzureDiskSource::is_managed) {
            let plugin = "kubernetes.io/azure-disk".into();
            read.disks.push(Disk::Attached(plugin, disk.disk_uri));
        } else if let Some(cinder) = volume.cinder {
            let plugin = "kubernetes.io/cinder".into();
            read.disks.push(Disk::Attached(plugin, cinder.volume_id));
        } else if let Some(portworx) = volume.portworx_volume {
            let plugin = "kubernetes.io/portworx-volume".into();
            read.disks.push(Disk::Attached(plugin, portworx.volume_id));
        } else if let Some(gce) = volume.gce_persistent_disk {
            read.disks.push(Disk::Gce(gce.pd_name, gce.read_only));
        } else if let Some(iscsi) = volume.iscsi {
            read.disks.push(Disk::Iscsi(iscsi.iqn, iscsi.read_only));
        } else if let Some(rbd) = volume.rbd {
            read.disks.push(Disk::Rbd {
                monitors: rbd.monitors,
                image: (rbd.pool, rbd.image),
                read_only: rbd.read_only,
            });
        }
    }
    (read != PodVolumes::default()).then(|| Arc::new(read))
}
