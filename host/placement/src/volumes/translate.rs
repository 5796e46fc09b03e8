//! Translation of volumes of in-tree plugins into volumes of their CSI drivers.
//!
//! The rules are those of `k8s.io/csi-translation-lib` as of Kubernetes 1.36, for the
//! plugins whose volumes the scheduler translates. It does not translate volumes of
//! vSphere and Azure File (`isCSIMigrationOnForPlugin`).

use std::collections::BTreeSet;

use crate::{Name, NodeSelectorTerm, Operator, PersistentVolume, Requirement};

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const BETA_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
const BETA_REGION: &str = "failure-domain.beta.kubernetes.io/region";

/// Name of the plugin for EBS volumes.
pub(super) const EBS: &str = "kubernetes.io/aws-ebs";
/// Name of the plugin for persistent disks of GCE.
pub(super) const GCE: &str = "kubernetes.io/gce-pd";

/// An in-tree plugin and the CSI driver that replaced it.
struct Plugin {
    name: &'static str,
    driver: &'static str,
    /// Key of the driver's zone label on nodes. `None` if it has no zones.
    zone: Option<&'static str>,
}

const PLUGINS: [Plugin; 5] = [
    Plugin {
        name: EBS,
        driver: "ebs.csi.aws.com",
        zone: Some("topology.ebs.csi.aws.com/zone"),
    },
    Plugin {
        name: "kubernetes.io/azure-disk",
        driver: "disk.csi.azure.com",
        zone: None,
    },
    Plugin {
        name: "kubernetes.io/cinder",
        driver: "cinder.csi.openstack.org",
        zone: Some("topology.cinder.csi.openstack.org/zone"),
    },
    Plugin {
        name: GCE,
        driver: "pd.csi.storage.gke.io",
        zone: Some("topology.gke.io/zone"),
    },
    Plugin {
        name: "kubernetes.io/portworx-volume",
        driver: "pxd.portworx.com",
        zone: None,
    },
];

/// A volume of an in-tree plugin, translated into one of its CSI driver.
pub(super) struct Translated {
    /// The driver's name of the volume.
    pub(super) handle: Name,
    /// Required node affinity, with the driver's labels.
    pub(super) node_affinity: Option<Vec<NodeSelectorTerm>>,
}

/// Returns the driver that replaced an in-tree plugin. `None` if `plugin` is not one.
pub(super) fn migrated_to(plugin: &str) -> Option<&'static str> {
    let found = PLUGINS.iter().find(|known| known.name == plugin);
    found.map(|plugin| plugin.driver)
}

/// Translates an in-tree volume into one of its CSI driver. `None` if it can't be
/// translated, for example because it is one of a CSI driver already.
pub(super) fn translate(volume: &PersistentVolume) -> Option<Translated> {
    let source = volume.source.as_ref().filter(|source| !source.unmanaged)?;
    let plugin = PLUGINS.iter().find(|known| *known.name == *source.driver)?;
    let handle = match plugin.name {
        EBS => ebs_handle(&source.handle)?,
        GCE => gce_handle(volume, &source.handle)?,
        _ => source.handle.clone(),
    };
    let node_affinity = match plugin.zone {
        Some(zone) => node_affinity(volume, zone),
        None => volume.node_affinity.clone(),
    };
    Some(Translated {
        handle,
        node_affinity,
    })
}

/// Returns the id of an EBS volume, which may be written as `aws://ZONE/ID`.
pub(super) fn ebs_handle(text: &Name) -> Option<Name> {
    let Some(path) = text.strip_prefix("aws://") else {
        return Some(text.clone());
    };
    let (_, id) = path.split_once('/')?;
    let id = id.trim_matches('/');
    (id.starts_with("vol-") && !id.contains('/')).then(|| id.into())
}

/// Returns the handle of a GCE persistent disk in the zone or zones of the volume's
/// labels.
fn gce_handle(volume: &PersistentVolume, disk: &str) -> Option<Name> {
    let label = |key: &str| volume.labels.get(key).filter(|zones| !zones.is_empty());
    let zones = label(BETA_ZONE).or_else(|| label(ZONE));
    let place = match zones.map(|zones| zones.split("__").collect::<Vec<_>>()) {
        None => "zones/UNSPECIFIED".to_owned(),
        Some(zones) if zones.len() == 1 => format!("zones/{}", zones[0]),
        Some(zones) => format!("regions/{}", gce_region(&zones)?),
    };
    Some(format!("projects/UNSPECIFIED/{place}/disks/{disk}").into())
}

/// Returns the common region of zones such as `europe-west1-b`. `None` if they differ.
fn gce_region<'a>(zones: &[&'a str]) -> Option<&'a str> {
    let region = |zone: &'a str| {
        let (region, _) = zone.rsplit_once('-')?;
        (region.matches('-').count() == 1).then_some(region)
    };
    let first = region(zones.first()?)?;
    let mut others = zones.iter();
    others
        .all(|zone| region(zone) == Some(first))
        .then_some(first)
}

/// Returns the handle of a GCE disk that a pod names.
pub(super) fn inline_gce_handle(disk: &str) -> Name {
    format!("projects/UNSPECIFIED/zones/UNSPECIFIED/disks/{disk}").into()
}

/// Returns the volume's node affinity with the driver's zone label. It replaces the
/// zone label of the affinity, or is added with the zones of the volume's labels. If
/// the volume uses the beta zone label, its beta region label becomes the GA one.
fn node_affinity(volume: &PersistentVolume, driver_zone: &str) -> Option<Vec<NodeSelectorTerm>> {
    let mut terms = volume.node_affinity.clone().unwrap_or_default();
    let (zone, region) = labels_in_use(volume, &terms);
    if has_values(&terms, zone) {
        rename(&mut terms, zone, driver_zone);
    } else if let Some(zones) = volume.labels.get(zone) {
        add_zones(&mut terms, driver_zone, zones);
    }
    if region == BETA_REGION && has_values(&terms, region) {
        rename(&mut terms, region, REGION);
    }
    // A volume without affinity and without zones remains without affinity.
    (volume.node_affinity.is_some() || !terms.is_empty()).then_some(terms)
}

/// Returns the keys of the zone and region labels that the volume uses: those in its
/// affinity, else those in its labels, GA before beta.
fn labels_in_use(
    volume: &PersistentVolume,
    terms: &[NodeSelectorTerm],
) -> (&'static str, &'static str) {
    let names = |key: &str| expressions(terms).any(|one| *one.key == *key);
    let has = |key: &str| volume.labels.get(key).is_some();
    let beta = !names(ZONE) && (names(BETA_ZONE) || !has(ZONE) && has(BETA_ZONE));
    if beta {
        (BETA_ZONE, BETA_REGION)
    } else {
        (ZONE, REGION)
    }
}

fn expressions(terms: &[NodeSelectorTerm]) -> impl Iterator<Item = &Requirement> {
    terms.iter().flat_map(|term| &term.expressions)
}

fn has_values(terms: &[NodeSelectorTerm], key: &str) -> bool {
    expressions(terms).any(|one| *one.key == *key && !one.values.is_empty())
}

fn rename(terms: &mut [NodeSelectorTerm], from: &str, to: &str) {
    let expressions = terms.iter_mut().flat_map(|term| &mut term.expressions);
    for expression in expressions.filter(|one| *one.key == *from) {
        expression.key = to.into();
    }
}

/// Adds zones, separated by `__`, to all terms.
fn add_zones(terms: &mut Vec<NodeSelectorTerm>, key: &str, zones: &str) {
    let zones = zones.split("__").map(str::trim);
    let zones: BTreeSet<&str> = zones.filter(|zone| !zone.is_empty()).collect();
    if zones.is_empty() {
        return;
    }
    if terms.is_empty() {
        terms.push(NodeSelectorTerm::default());
    }
    for term in terms {
        term.expressions.push(Requirement {
            key: key.into(),
            operator: Operator::In,
            values: zones.iter().map(|&zone| zone.into()).collect(),
        });
    }
}
