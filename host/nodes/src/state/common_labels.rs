//! Labels that all nodes of the cluster have.

use std::collections::BTreeMap;

use flyball_placement::{Labels, Name, Node};

/// Labels whose value is a node's zone, the current one first.
pub(crate) const ZONE_LABELS: [&str; 2] = [
    "topology.kubernetes.io/zone",
    "failure-domain.beta.kubernetes.io/zone",
];

/// Labels whose value is a node's region, the current one first.
pub(crate) const REGION_LABELS: [&str; 2] = [
    "topology.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/region",
];

/// Labels of a node's location.
pub(crate) const LOCATION_LABELS: [[&str; 2]; 2] = [ZONE_LABELS, REGION_LABELS];

/// Labels that each node gets from its kubelet or its cloud, and that have one value in
/// most clusters.
const SHARED_KEYS: [&str; 6] = [
    "kubernetes.io/os",
    "kubernetes.io/arch",
    "beta.kubernetes.io/os",
    "beta.kubernetes.io/arch",
    REGION_LABELS[0],
    REGION_LABELS[1],
];

/// The zone of a node with these labels.
pub(crate) fn zone_of(labels: &Labels) -> Option<&Name> {
    ZONE_LABELS.iter().find_map(|key| labels.get(key))
}

/// Taint of a node that the cloud's controller has not initialized. It has no zone yet.
const UNINITIALIZED: &str = "node.cloudprovider.kubernetes.io/uninitialized";

/// Labels that the nodes of a cluster have in common. A new node will have them too, even
/// if the provider's template lacks them. Without them no pod that selects such a label
/// would fit, and the group would never grow from zero for it.
///
/// More than half of the nodes must have the label, so that a node that lost its labels,
/// or whose kubelet is misconfigured, makes no difference. Uninitialized nodes don't
/// count.
#[derive(Clone, Debug, Default)]
pub struct CommonLabels {
    nodes: u32,
    /// Number of nodes with each value, at the index of [`SHARED_KEYS`].
    values: [BTreeMap<Name, u32>; SHARED_KEYS.len()],
    /// Number of nodes in each zone.
    zones: BTreeMap<Name, u32>,
    /// Number of nodes that have their zone as the value of a key.
    repeated: BTreeMap<Name, u32>,
}

impl CommonLabels {
    /// Adds a node to the counts, or removes it if `up` is false.
    pub(super) fn count(&mut self, node: &Node, up: bool) {
        if node.taints.iter().any(|taint| &*taint.key == UNINITIALIZED) {
            return;
        }
        let labels = &node.labels;
        let shift = |counts: &mut BTreeMap<Name, u32>, key: &Name| {
            let count = counts.get(key).copied().unwrap_or_default();
            match if up {
                count + 1
            } else {
                count.saturating_sub(1)
            } {
                0 => drop(counts.remove(key)),
                count => drop(counts.insert(key.clone(), count)),
            }
        };
        self.nodes = if up {
            self.nodes.saturating_add(1)
        } else {
            self.nodes.saturating_sub(1)
        };
        for (key, counts) in SHARED_KEYS.iter().zip(&mut self.values) {
            if let Some(value) = labels.get(key) {
                shift(counts, value);
            }
        }
        if let Some(zone) = zone_of(labels) {
            shift(&mut self.zones, zone);
            for (key, _) in labels.iter().filter(|(_, value)| *value == zone) {
                shift(&mut self.repeated, key);
            }
        }
    }

    /// Labels that most nodes have and that have a single value.
    pub fn same(&self) -> impl Iterator<Item = (&'static str, &Name)> {
        let values = SHARED_KEYS.iter().zip(&self.values);
        values.filter_map(|(key, counts)| {
            let mut counts = counts.iter();
            let (value, count) = counts.next()?;
            let is_only = counts.next().is_none();
            (is_only && self.is_most(*count)).then_some((*key, value))
        })
    }

    /// The zones that the nodes are in. Empty if most nodes have no zone.
    pub fn zones(&self) -> impl Iterator<Item = &Name> {
        let zoned = self
            .zones
            .values()
            .fold(0, |sum: u32, count| sum.saturating_add(*count));
        let zones = self.zones.keys();
        zones.filter(move |_| self.is_most(zoned))
    }

    /// Keys whose value is the zone on most nodes, other than those of the region.
    pub fn zone_labels(&self) -> impl Iterator<Item = &Name> {
        let keys = self.repeated.iter();
        keys.filter(|(key, count)| !REGION_LABELS.contains(&&***key) && self.is_most(**count))
            .map(|(key, _)| key)
    }

    /// Whether `nodes` is more than half of all nodes.
    fn is_most(&self, nodes: u32) -> bool {
        nodes > self.nodes / 2
    }
}
