//! The filter NodeVolumeLimits: limits on the number of volumes attached to a node.

use hashbrown::{HashMap, HashSet};

use super::translate::{EBS, GCE, ebs_handle, inline_gce_handle, migrated_to};
use super::{Mounting, Storage};
use crate::{Claim, CsiNode, Disk, Name};

/// A volume, identified by driver and handle.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Attached {
    driver: Name,
    handle: Handle,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Handle {
    Known(Name),
    /// Namespace and name of the claim, if the volume is not provisioned yet.
    Promised(Name, Name),
}

/// More volumes of a driver in one pod than a node can attach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BeyondLimit {
    /// Name of the CSI driver.
    pub driver: Name,
    /// Number of volumes of the driver that the pod mounts.
    pub volumes: usize,
    /// Number of volumes of the driver that a node can attach.
    pub limit: i64,
}

impl std::fmt::Display for BeyondLimit {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            driver,
            volumes,
            limit,
        } = self;
        write!(
            to,
            "the pod mounts {volumes} volumes of {driver}, and a node attaches {limit}"
        )
    }
}

impl Storage {
    /// Whether the pod's volumes exceed a node's limits, together with those attached
    /// there.
    pub(super) fn exceeds_limits<'a>(
        &self,
        pod: Mounting<'_>,
        node: &str,
        csi: &CsiNode,
        running: impl Iterator<Item = Mounting<'a>>,
    ) -> bool {
        if csi.drivers.iter().all(|driver| driver.limit.is_none()) {
            return false;
        }
        let mut new = self.attachable(pod, csi);
        if new.is_empty() {
            return false;
        }
        let mut attached: HashSet<Attached> = running
            .flat_map(|other| self.attachable(other, csi))
            .collect();
        new.retain(|volume| !attached.contains(volume));
        attached.extend(self.attached(node));
        let mut counts: HashMap<&Name, (i64, i64)> = HashMap::new();
        for volume in &attached {
            counts.entry(&volume.driver).or_default().0 += 1;
        }
        for volume in &new {
            counts.entry(&volume.driver).or_default().1 += 1;
        }
        csi.drivers.iter().any(|driver| {
            let (before, more) = counts.get(&driver.name).copied().unwrap_or_default();
            more > 0 && driver.limit.is_some_and(|limit| before + more > limit)
        })
    }

    /// Returns the first driver, by name, of which the pod alone mounts more volumes
    /// than a node can attach.
    #[expect(clippy::disallowed_methods, reason = "a count has no order")]
    pub(crate) fn beyond_limit(&self, pod: Mounting<'_>, csi: &CsiNode) -> Option<BeyondLimit> {
        let volumes = self.attachable(pod, csi);
        let beyond = csi.drivers.iter().filter_map(|driver| {
            let of_driver = volumes.iter().filter(|one| one.driver == driver.name);
            let volumes = of_driver.count();
            let limit = driver.limit?;
            i64::try_from(volumes)
                .is_ok_and(|volumes| volumes > limit)
                .then(|| BeyondLimit {
                    driver: driver.name.clone(),
                    volumes,
                    limit,
                })
        });
        beyond.min_by(|a, b| a.driver.cmp(&b.driver))
    }

    /// Returns the pod's volumes that CSI drivers attach.
    fn attachable(&self, pod: Mounting<'_>, csi: &CsiNode) -> HashSet<Attached> {
        let claims = pod.volumes.claims.iter();
        let of_claims = claims.filter_map(|claim| {
            let known = self.claim(pod.namespace, &claim.name)?;
            self.of_claim(&known.claim, csi)
        });
        let disks = pod.volumes.disks.iter();
        let of_disks = disks.filter_map(|disk| {
            let (plugin, handle) = match disk {
                Disk::Ebs(id) => (EBS, ebs_handle(id)?),
                Disk::Gce(name, _) => (GCE, inline_gce_handle(name)),
                Disk::Attached(plugin, name) => (plugin.as_ref(), name.clone()),
                Disk::Iscsi(..) | Disk::Rbd { .. } => return None,
            };
            attached(plugin, Handle::Known(handle), csi)
        });
        of_claims.chain(of_disks).collect()
    }

    fn of_claim(&self, claim: &Claim, csi: &CsiNode) -> Option<Attached> {
        if let Some(known) = self.volume(&claim.volume) {
            let (driver, handle) = known.attached_on(csi)?;
            let handle = Handle::Known(handle);
            return Some(Attached { driver, handle });
        }
        let class = &self.class(&claim.class)?.class;
        let handle = Handle::Promised(claim.namespace.clone(), claim.name.clone());
        attached(&class.provisioner, handle, csi)
    }

    /// Returns the volumes that VolumeAttachments list for a node.
    fn attached(&self, node: &str) -> impl Iterator<Item = Attached> {
        self.attachments(node).filter_map(|attachment| {
            let source = self.volume(&attachment.volume)?.volume.source.as_ref()?;
            let counts = !attachment.attacher.is_empty() && migrated_to(&source.driver).is_none();
            counts.then(|| Attached {
                driver: attachment.attacher.clone(),
                handle: Handle::Known(source.handle.clone()),
            })
        })
    }
}

/// Returns a volume of a CSI driver, or of a plugin that is migrated to one on the
/// node. `None` if the plugin is not migrated there.
fn attached(driver: &str, handle: Handle, csi: &CsiNode) -> Option<Attached> {
    let driver = match migrated_to(driver) {
        None => driver,
        Some(successor) => {
            let mut migrated = csi.migrated.iter();
            migrated
                .any(|plugin| plugin.as_ref() == driver)
                .then_some(successor)?
        }
    };
    Some(Attached {
        driver: driver.into(),
        handle,
    })
}
