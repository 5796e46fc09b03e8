//! Nodes and namespaces in JSON: the fields that scheduling uses.

use flyball_placement::{Labels, Name, Node, Taint};
use serde::Deserialize;

use super::pod::{Condition, ObjectMetadata, Quantities};
use super::requests::resources;

/// A node of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    pub(super) spec: NodeSpec,
    pub(super) status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeSpec {
    unschedulable: bool,
    pub(super) taints: Vec<Taint>,
    #[serde(rename = "providerID")]
    pub(super) provider_id: Name,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeStatus {
    allocatable: Quantities,
    pub(super) capacity: Quantities,
    pub(super) conditions: Vec<Condition>,
}

impl NodeObject {
    /// Converts the node for placement.
    pub fn into_node(self) -> Node {
        Node {
            name: self.metadata.name,
            labels: self.metadata.labels.into_iter().collect(),
            taints: self.spec.taints,
            unschedulable: self.spec.unschedulable,
            allocatable: resources(&self.status.allocatable),
            ..Node::default()
        }
    }
}

/// A namespace of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NamespaceObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
}

impl NamespaceObject {
    /// Returns the labels of the namespace.
    pub fn into_labels(self) -> Labels {
        self.metadata.labels.into_iter().collect()
    }
}
