//! A node, as far as the scheduler reads it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CsiNode, Labels, Name, Resources};

/// A node. Images, conditions and capacity are not here: no filter reads them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Node {
    /// Unique in the cluster.
    pub name: Name,
    /// Labels.
    pub labels: Labels,
    /// Taints, in the order of the spec.
    pub taints: Vec<Taint>,
    /// Whether it is cordoned (spec.unschedulable).
    pub unschedulable: bool,
    /// What it offers to pods. Without `pods`, no pod fits.
    pub allocatable: Resources,
    /// Keys of labels whose value differs on every node, beside `kubernetes.io/hostname`.
    /// Set for nodes that are still to come: the cluster sets the node's name as their
    /// value.
    #[serde(skip)]
    pub own_labels: Vec<Name>,
    /// CSINode that the node will have. Set for nodes that are still to come: for others
    /// the cluster finds the CSINode by name.
    #[serde(skip)]
    pub csi: Option<Arc<CsiNode>>,
}

impl Node {
    /// The node with values for its own labels.
    pub(crate) fn with_own_labels(node: impl Into<Arc<Self>>) -> Arc<Self> {
        let mut node = node.into();
        if !node.own_labels.is_empty() {
            let known = Arc::make_mut(&mut node);
            for key in &known.own_labels {
                known.labels.set(key.clone(), known.name.clone());
            }
        }
        node
    }
}

/// Keeps pods away that don't tolerate it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taint {
    /// Key.
    pub key: Name,
    /// Value, often empty.
    #[serde(default)]
    pub value: Name,
    /// What it does to pods that don't tolerate it.
    pub effect: Effect,
}

/// What a taint does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// No new pods.
    NoSchedule,
    /// Rather no new pods: never filters.
    PreferNoSchedule,
    /// No new pods, and those that run are evicted.
    NoExecute,
}
