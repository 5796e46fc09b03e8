//! Kinds of nodes, and nodes and node groups of a kind.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_nodes::cloud::{NodeTemplate, TemplateTaint};
use flyball_nodes::state::NodeFacts;
use flyball_placement::{Effect, Node, Resources, Taint};

/// Zone label of a node.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// Hostname label of a node.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// Label with the revision of a pod's workload.
pub const REVISION: &str = "pod-template-hash";

/// Properties of a group's nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// Instance type.
    pub name: String,
    /// Capacity.
    pub capacity: Resources,
    /// Allocatable.
    pub allocatable: Resources,
    /// Key of a NoSchedule taint of the nodes, if they have one.
    pub taint: Option<&'static str>,
}

impl Kind {
    fn labels(&self, zone: &str) -> [(Arc<str>, Arc<str>); 3] {
        [
            ("kubernetes.io/os".into(), "linux".into()),
            (
                "node.kubernetes.io/instance-type".into(),
                self.name.as_str().into(),
            ),
            (ZONE.into(), zone.into()),
        ]
    }

    /// Returns a ready node of this kind.
    #[must_use]
    pub fn node(&self, name: &str, zone: &str) -> NodeFacts {
        let host = (Arc::from(HOSTNAME), Arc::from(name));
        let taint = |key: &'static str| Taint {
            key: key.into(),
            value: "".into(),
            effect: Effect::NoSchedule,
        };
        let node = Node {
            name: name.into(),
            labels: self.labels(zone).into_iter().chain([host]).collect(),
            taints: self.taint.map(taint).into_iter().collect(),
            allocatable: self.allocatable.clone(),
            ..Node::default()
        };
        NodeFacts {
            node: Arc::new(node),
            provider_id: Some(provider_id(name)),
            ready: true,
            capacity: self.capacity.clone(),
            ..NodeFacts::default()
        }
    }

    /// Returns the cloud's template of new nodes of this kind in a zone.
    #[must_use]
    pub fn template(&self, zone: &str) -> NodeTemplate {
        let taint = |key: &'static str| TemplateTaint {
            key: key.into(),
            value: "".into(),
            effect: "NoSchedule".into(),
        };
        NodeTemplate {
            labels: self.labels(zone).into(),
            zone_labels: Vec::new(),
            taints: self.taint.map(taint).into_iter().collect(),
            capacity: milli(&self.capacity),
            allocatable: milli(&self.allocatable),
        }
    }
}

/// Returns the provider id of a node's instance.
pub(crate) fn provider_id(node: &str) -> Arc<str> {
    format!("test:///{node}").into()
}

fn milli(amounts: &Resources) -> BTreeMap<Arc<str>, i64> {
    BTreeMap::from([
        ("cpu".into(), amounts.cpu),
        ("memory".into(), amounts.memory * 1000),
        ("pods".into(), amounts.pods * 1000),
    ])
}
