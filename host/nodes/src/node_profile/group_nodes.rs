//! Facts about a node that only show in comparison with the other nodes of its group:
//! labels that are unique to each node, and all registered storage drivers.

use std::collections::BTreeSet;
use std::sync::Arc;

use flyball_placement::{CsiNode, Name, Node};

use crate::state::{ClusterState, LOCATION_LABELS, NodeView};

const HOSTNAME: &str = "kubernetes.io/hostname";

/// The nodes of a group.
#[derive(Clone, Copy)]
pub(crate) struct GroupNodes<'a> {
    pub(crate) state: &'a ClusterState,
    pub(crate) nodes: &'a [NodeView<'a>],
}

impl GroupNodes<'_> {
    /// The CSINode to expect once all drivers have registered, which they do only after a
    /// node is ready: the node's own, unless that of another node has more drivers.
    pub(super) fn csi_node(&self, node: &Node) -> Option<Arc<CsiNode>> {
        let cluster = self.state.cluster();
        if !cluster.has_csi_nodes() {
            return None;
        }
        let own = cluster.csi_node(&node.name);
        let others = self.nodes.iter();
        let others = others.filter_map(|other| cluster.csi_node(&other.facts.node.name));
        let most = others.fold(own, |most, other| match most {
            Some(most) if other.drivers.len() <= most.drivers.len() => Some(most),
            _ => Some(other),
        });
        most.cloned()
    }

    /// Keys of the node's labels, other than its hostname, whose values a new node would
    /// not share: the value is the node's name, or the label is a driver's topology key
    /// with a different value on each node. Labels of the node's location are not among
    /// them, even if it is the only node there.
    pub(super) fn own_labels(&self, node: &Node, csi: Option<&CsiNode>) -> Vec<Name> {
        let value = |key: &str| node.labels.get(key);
        let names = [Some(&node.name), value(HOSTNAME)];
        let drivers = csi.into_iter().flat_map(|csi| &csi.drivers);
        let keys: BTreeSet<&Name> = drivers.flat_map(|driver| &driver.topology_keys).collect();
        let places: Vec<&Name> = LOCATION_LABELS
            .iter()
            .flatten()
            .filter_map(|key| value(key))
            .collect();
        let is_own = |key: &Name, value: &Name| {
            let is_place = LOCATION_LABELS
                .iter()
                .flatten()
                .any(|place| **key == **place);
            if &**key == HOSTNAME || is_place {
                return false;
            }
            if keys.contains(key) && places.contains(&value) {
                return false;
            }
            names.contains(&Some(value)) || keys.contains(key) && self.differ(key)
        };
        let labels = node.labels.iter();
        labels
            .filter(|(key, value)| is_own(key, value))
            .map(|(key, _)| key.clone())
            .collect()
    }

    /// Whether at least two of the nodes have a label, and no two the same value.
    fn differ(&self, key: &str) -> bool {
        let mut seen = BTreeSet::new();
        let nodes = self.nodes.iter();
        let values = nodes.filter_map(|node| node.facts.node.labels.get(key));
        for value in values {
            if !seen.insert(value) {
                return false;
            }
        }
        seen.len() > 1
    }
}
