//! How many volumes a node can attach (NodeVolumeLimits).

use hashbrown::{HashMap, HashSet};

use super::{Claim, CsiNode, Disk, Mounting, Storage};
use crate::Name;

/// Plugins that were in the tree, and the drivers that took over.
const MIGRATED: [(&str, &str); 5] = [
    ("kubernetes.io/aws-ebs", "ebs.csi.aws.com"),
    ("kubernetes.io/azure-disk", "disk.csi.azure.com"),
    ("kubernetes.io/cinder", "cinder.csi.openstack.org"),
    ("kubernetes.io/gce-pd", "pd.csi.storage.gke.io"),
    ("kubernetes.io/portworx-volume", "pxd.portworx.com"),
];

/// A volume as its driver knows it.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Attached {
    driver: Name,
    handle: Handle,
}

#[derive(Debug, PartialEq, Eq, Hash)]
enum Handle {
    Known(Name),
    /// Of a volume that is still to be made: its claim.
    Promised(Name, Name),
}

impl Storage {
    /// Whether a node can't attach the pod's volumes beside those it has.
    pub(super) fn exceeds_limits<'a>(
        &self,
        pod: Mounting<'_>,
        node: &str,
        running: impl Iterator<Item = Mounting<'a>>,
    ) -> bool {
        let Some(csi) = self.node(node).filter(|csi| !csi.limits.is_empty()) else {
            return false;
        };
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
        csi.limits.iter().any(|(driver, limit)| {
            let (before, more) = counts.get(driver).copied().unwrap_or_default();
            more > 0 && before + more > *limit
        })
    }

    /// The pod's volumes that a driver attaches.
    fn attachable(&self, pod: Mounting<'_>, csi: &CsiNode) -> HashSet<Attached> {
        let claims = pod.volumes.claims.iter();
        let of_claims = claims.filter_map(|claim| {
            let known = self.claim(pod.namespace, &claim.name)?;
            self.of_claim(&known.claim, csi)
        });
        let disks = pod.volumes.disks.iter();
        let of_disks = disks.filter_map(|disk| {
            let (plugin, handle) = match disk {
                Disk::Ebs(id) => ("kubernetes.io/aws-ebs", id.clone()),
                Disk::Gce(name, _) => ("kubernetes.io/gce-pd", gce_handle(name)),
                Disk::Iscsi(..) | Disk::Rbd { .. } => return None,
            };
            attached(plugin, Handle::Known(handle), csi)
        });
        of_claims.chain(of_disks).collect()
    }

    fn of_claim(&self, claim: &Claim, csi: &CsiNode) -> Option<Attached> {
        if let Some(known) = self.volume(&claim.volume) {
            let source = known.volume.source.as_ref()?;
            return attached(&source.driver, Handle::Known(source.handle.clone()), csi);
        }
        let class = &self.class(&claim.class)?.class;
        let handle = Handle::Promised(claim.namespace.clone(), claim.name.clone());
        attached(&class.provisioner, handle, csi)
    }

    /// What VolumeAttachments say of a node.
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

/// A volume of a driver, or of a plugin whose volumes a driver attaches on the node.
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

/// The driver that took over from a plugin; none if it is no such plugin.
fn migrated_to(plugin: &str) -> Option<&'static str> {
    let found = MIGRATED.iter().find(|(known, _)| *known == plugin);
    found.map(|(_, driver)| *driver)
}

fn gce_handle(name: &str) -> Name {
    format!("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/{name}").into()
}
