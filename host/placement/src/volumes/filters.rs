//! The volume filters, in the scheduler's order.

use super::Storage;
use super::store::NodeLabels;
use crate::intern::Symbol;
use crate::{Disk, Misfit, Name, Node, Plugin, PodVolumes, Reason, Stage};

const READ_WRITE_ONCE_POD: &str = "ReadWriteOncePod";

/// Labels that name a node's zone and region.
const ZONE_LABELS: [&str; 4] = [
    "failure-domain.beta.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/region",
    "topology.kubernetes.io/zone",
    "topology.kubernetes.io/region",
];

/// The volumes and the namespace of a pod.
#[derive(Clone, Copy)]
pub(crate) struct Mounting<'a> {
    pub(crate) namespace: &'a Name,
    pub(crate) symbol: Symbol,
    pub(crate) volumes: &'a PodVolumes,
}

impl Storage {
    /// Returns why the pod can't run on any node. `None` if there is no such reason.
    pub(crate) fn rejection(&self, pod: Mounting<'_>) -> Option<Misfit> {
        let refuse = |plugin, text: String| {
            let reason = Reason::Volume(text.into());
            Some(Misfit::rejected(plugin, Stage::PreFilter, reason))
        };
        let claims = || pod.volumes.claims.iter();
        let missing = |name: &Name| self.claim(pod.namespace, name).is_none();
        if let Some(claim) = claims().find(|claim| claim.owner.is_none() && missing(&claim.name)) {
            let text = format!("persistentvolumeclaim {:?} not found", claim.name);
            return refuse(Plugin::VolumeRestrictions, text);
        }
        if let Some(text) = self.unusable_claim(pod) {
            return refuse(Plugin::VolumeBinding, text);
        }
        if self.has_unbound_immediate(pod) {
            let text = "pod has unbound immediate PersistentVolumeClaims".to_owned();
            return refuse(Plugin::VolumeBinding, text);
        }
        let mut named = claims().filter(|claim| claim.owner.is_none());
        let lost = named.find_map(|claim| {
            let volume = &self.claim(pod.namespace, &claim.name)?.claim.volume;
            (!volume.is_empty() && self.volume(volume).is_none()).then_some(volume)
        });
        let volume = lost?;
        let text = format!("persistentvolume {volume:?} not found");
        refuse(Plugin::VolumeZone, text)
    }

    /// Returns the first filter that rejects a node. `running` are the pods there.
    pub(crate) fn misfit<'a>(
        &self,
        pod: Mounting<'_>,
        name: &Name,
        node: &Node,
        labels: NodeLabels<'_>,
        running: impl Iterator<Item = Mounting<'a>> + Clone,
    ) -> Option<Misfit> {
        let refuse = |plugin, texts: Vec<&'static str>| {
            let reasons = texts.into_iter();
            let reasons = reasons.map(|text| Reason::Volume(text.into()));
            Some(Misfit::Rejected {
                plugin,
                stage: Stage::Filter,
                reasons: reasons.collect(),
            })
        };
        if disks_conflict(pod.volumes, running.clone()) {
            let text = "node(s) had no available disk";
            return refuse(Plugin::VolumeRestrictions, vec![text]);
        }
        if self.claim_is_taken(pod) {
            let text = "node(s) unavailable due to PersistentVolumeClaim with \
                        ReadWriteOncePod access mode already in-use by another pod";
            return refuse(Plugin::VolumeRestrictions, vec![text]);
        }
        let csi = self.csi().of(name, node);
        if csi.is_some_and(|csi| self.exceeds_limits(pod, name, csi, running)) {
            let text = "node(s) exceed max volume count";
            return refuse(Plugin::NodeVolumeLimits, vec![text]);
        }
        let binding = self.binding_conflicts(pod, name, labels, csi);
        if !binding.is_empty() {
            return refuse(Plugin::VolumeBinding, binding);
        }
        if self.is_in_another_zone(pod, node) {
            let text = "node(s) had no available volume zone";
            return refuse(Plugin::VolumeZone, vec![text]);
        }
        None
    }

    /// Whether a ReadWriteOncePod claim is mounted by another pod.
    fn claim_is_taken(&self, pod: Mounting<'_>) -> bool {
        let mut named = pod.volumes.claims.iter().filter(|one| one.owner.is_none());
        named.any(|claim| {
            let known = self.claim(pod.namespace, &claim.name);
            let alone = known.is_some_and(|known| {
                let mut modes = known.claim.access_modes.iter();
                modes.any(|mode| mode.as_ref() == READ_WRITE_ONCE_POD)
            });
            alone && self.is_mounted(pod.symbol, &claim.name)
        })
    }

    /// Whether a volume's labels name zones or regions other than the node's.
    fn is_in_another_zone(&self, pod: Mounting<'_>, node: &Node) -> bool {
        let zoned = ZONE_LABELS
            .iter()
            .any(|label| node.labels.get(label).is_some());
        let mut named = pod.volumes.claims.iter().filter(|one| one.owner.is_none());
        zoned
            && named.any(|claim| {
                let claim = self.claim(pod.namespace, &claim.name);
                let volume = claim.and_then(|known| self.volume(&known.claim.volume));
                volume.is_some_and(|known| {
                    let mut labels = ZONE_LABELS.iter();
                    labels.any(|label| {
                        let zones = known.volume.labels.get(label);
                        zones.is_some_and(|zones| !is_in_zones(node, label, zones))
                    })
                })
            })
    }
}

/// Whether a node's label is one of the zones of a volume's label, such as `a__b`. The
/// volume's beta label also matches the node's GA label.
fn is_in_zones(node: &Node, label: &str, zones: &str) -> bool {
    let newer = label.replace("failure-domain.beta", "topology");
    let of_node = node.labels.get(label).or_else(|| node.labels.get(&newer));
    let mut each = zones.split("__").map(str::trim);
    // A list with an empty zone is invalid and ignored.
    each.clone().any(str::is_empty)
        || of_node.is_some_and(|of_node| each.any(|zone| zone == of_node.as_ref()))
}

fn disks_conflict<'a>(
    volumes: &PodVolumes,
    mut running: impl Iterator<Item = Mounting<'a>>,
) -> bool {
    !volumes.disks.is_empty()
        && running.any(|other| {
            let mut theirs = other.volumes.disks.iter();
            theirs.any(|theirs| volumes.disks.iter().any(|ours| ours.conflicts_with(theirs)))
        })
}

impl Disk {
    /// Whether pods on one node can't mount both disks.
    fn conflicts_with(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Ebs(one), Self::Ebs(other)) => one == other,
            (Self::Gce(one, read_only), Self::Gce(other, other_read_only))
            | (Self::Iscsi(one, read_only), Self::Iscsi(other, other_read_only)) => {
                one == other && !(*read_only && *other_read_only)
            }
            (
                Self::Rbd {
                    monitors,
                    image,
                    read_only,
                },
                Self::Rbd {
                    monitors: other_monitors,
                    image: other_image,
                    read_only: other_read_only,
                },
            ) => {
                image == other_image
                    && !(*read_only && *other_read_only)
                    && monitors.iter().any(|one| other_monitors.contains(one))
            }
            _ => false,
        }
    }
}
