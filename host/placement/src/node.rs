//! Nodes: the fields that the scheduler reads.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{CsiNode, Labels, Name, Resources};

/// A node, without images, conditions and capacity, which no filter reads.
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
    /// Allocatable resources. If `pods` is 0, no pod fits.
    pub allocatable: Resources,
    /// Keys of labels whose value differs on every node, besides
    /// `kubernetes.io/hostname`. Set only for nodes that do not exist yet: the cluster
    /// uses the node's name as their value.
    #[serde(skip)]
    pub own_labels: Vec<Name>,
    /// CSINode that the node will have. Set only for nodes that do not exist yet: for
    /// others the cluster finds the CSINode by name.
    #[serde(skip)]
    pub csi: Option<Arc<CsiNode>>,
}

impl Node {
    /// Returns the node with its name as the value of each of its own labels.
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

/// A taint.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Taint {
    /// Key.
    pub key: Name,
    /// Value. May be empty.
    #[serde(default)]
    pub value: Name,
    /// Effect on pods that don't tolerate the taint.
    pub effect: Effect,
}

/// Effect of a taint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Effect {
    /// New pods are not scheduled.
    NoSchedule,
    /// New pods are scheduled elsewhere if possible. Never filters.
    PreferNoSchedule,
    /// New pods are not scheduled, and running pods are evicted.
    NoExecute,
}
