//! Volumes of pods in JSON: the fields that scheduling uses.

use std::sync::Arc;

use flyball_placement::{Disk, Name, Owner, PodClaim, PodVolumes};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::pod::ObjectMetadata;
use super::storage::{AzureDiskSource, IdSource};

/// A volume of a pod. Most volumes, such as `kube-api-access-*`, are dropped.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Volume {
    name: Name,
    persistent_volume_claim: Option<NamedClaim>,
    ephemeral: Option<IgnoredAny>,
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

/// Returns the volumes of a pod that placement needs. `None` if it needs none of them.
pub(super) fn pod_volumes(
    volumes: Vec<Volume>,
    metadata: &ObjectMetadata,
) -> Option<Arc<PodVolumes>> {
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
