//! Nodes' and namespaces' JSON, as far as scheduling reads it.

use flyball_placement::{Labels, Node, Taint};
use serde::Deserialize;

use super::pod::{ObjectMetadata, Quantities};
use super::requests::resources;

/// A node as the API server has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NodeObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    spec: NodeSpec,
    status: NodeStatus,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeSpec {
    unschedulable: bool,
    taints: Vec<Taint>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct NodeStatus {
    allocatable: Quantities,
}

impl NodeObject {
    /// What placement reads of the node.
    pub fn into_node(self) -> Node {
        Node {
            name: self.metadata.name,
            labels: self.metadata.labels.into_iter().collect(),
            taints: self.spec.taints,
            unschedulable: self.spec.unschedulable,
            allocatable: resources(&self.status.allocatable),
        }
    }
}

/// A namespace as the API server has it.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct NamespaceObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
}

impl NamespaceObject {
    /// What placement reads of the namespace, beside its name.
    pub fn into_labels(self) -> Labels {
        self.metadata.labels.into_iter().collect()
    }
}
