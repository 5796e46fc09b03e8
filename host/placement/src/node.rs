//! A node, as far as the scheduler reads it.

use serde::{Deserialize, Serialize};

use crate::{Labels, Name, Resources};

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
