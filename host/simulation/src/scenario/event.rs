//! Events of a scenario besides the load.

use std::path::PathBuf;

use serde::Deserialize;

use super::workload::AutoscalerTemplate;
use crate::time::Millis;

/// An event besides the load.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum EventSpec {
    /// A policy is replaced, as if its file had been dropped in at that time.
    #[serde(rename_all = "camelCase")]
    SwapPolicy {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the policy (required).
        name: String,
        /// The new component, relative to the scenario's folder (required). Example: `mine.wasm`.
        file: PathBuf,
    },
    /// Pods die without notice.
    #[serde(rename_all = "camelCase")]
    KillPods {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the workload (required). Example: `web`.
        workload: String,
        /// Number of pods, chosen at random (required).
        count: u32,
    },
    /// Load is multiplied for some time.
    #[serde(rename_all = "camelCase")]
    Surge {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the workload (required). Example: `web`.
        workload: String,
        /// Factor of the load (required). Example: `2.5`.
        factor: f64,
        /// Its length (required).
        #[serde(rename = "for")]
        length: Millis,
    },
    /// A user edits the autoscaler.
    #[serde(rename_all = "camelCase")]
    ChangeAutoscaler {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the workload (required). Example: `web`.
        workload: String,
        /// The new spec (required). Example: `{maxReplicas: 20}`.
        autoscaler: Box<AutoscalerTemplate>,
    },
    /// No metric is available for some time.
    #[serde(rename_all = "camelCase")]
    MetricsOutage {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Its length (required).
        #[serde(rename = "for")]
        length: Millis,
    },
    /// All instances in a zone disappear at once, and none can be created there for some
    /// time.
    #[serde(rename_all = "camelCase")]
    ZoneOutage {
        /// Time of the event, since the start (required).
        at: Millis,
        /// The zone (required). Example: `eu-west-1a`.
        zone: String,
        /// Its length (required).
        #[serde(rename = "for")]
        length: Millis,
    },
    /// Nodes of a group die without notice.
    #[serde(rename_all = "camelCase")]
    KillNodes {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the node group (required). Example: `workers`.
        node_group: String,
        /// Number of nodes, chosen at random (required).
        count: u32,
    },
    /// A user sets the replicas of a workload.
    #[serde(rename_all = "camelCase")]
    Scale {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the workload (required). Example: `web`.
        workload: String,
        /// The replicas (required).
        replicas: i32,
    },
    /// The API server refuses evictions of a workload's pods for some time, whatever its
    /// budgets allow.
    #[serde(rename_all = "camelCase")]
    RefuseEvictions {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the workload (required). Example: `web`.
        workload: String,
        /// Its length (required).
        #[serde(rename = "for")]
        length: Millis,
    },
    /// The cloud does not delete instances of a group as requested for some time.
    #[serde(rename_all = "camelCase")]
    RefuseTermination {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the node group (required). Example: `workers`.
        node_group: String,
        /// Its length (required).
        #[serde(rename = "for")]
        length: Millis,
        /// What the cloud does and answers (`refused`). Example: `lost`.
        #[serde(default)]
        answer: TerminationAnswer,
    },
    /// The node group changes. What is left out stays as it is.
    #[serde(rename_all = "camelCase")]
    ChangeNodeGroup {
        /// Time of the event, since the start (required).
        at: Millis,
        /// Name of the node group (required). Example: `workers`.
        node_group: String,
        /// Minimum size, in nodes.
        #[serde(default)]
        min: Option<u32>,
        /// Maximum size, in nodes. Example: `20`.
        #[serde(default)]
        max: Option<u32>,
        /// Price of a node per hour. Example: `0.5`.
        #[serde(default)]
        price: Option<f64>,
    },
}

/// What a cloud does and answers when it is asked to delete an instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TerminationAnswer {
    /// It refuses.
    #[default]
    Refused,
    /// It refuses, as there were too many requests.
    Throttled,
    /// It deletes the instance, and the answer is lost.
    Lost,
}

impl EventSpec {
    /// Returns the time of the event, since the start.
    #[must_use]
    pub fn at(&self) -> Millis {
        match self {
            Self::SwapPolicy { at, .. }
            | Self::KillPods { at, .. }
            | Self::Surge { at, .. }
            | Self::ChangeAutoscaler { at, .. }
            | Self::MetricsOutage { at, .. }
            | Self::ZoneOutage { at, .. }
            | Self::KillNodes { at, .. }
            | Self::Scale { at, .. }
            | Self::RefuseEvictions { at, .. }
            | Self::RefuseTermination { at, .. }
            | Self::ChangeNodeGroup { at, .. } => *at,
        }
    }

    /// Returns the workload of the event, if it has one.
    #[must_use]
    pub fn workload(&self) -> Option<&str> {
        match self {
            Self::KillPods { workload, .. }
            | Self::Surge { workload, .. }
            | Self::Scale { workload, .. }
            | Self::RefuseEvictions { workload, .. }
            | Self::ChangeAutoscaler { workload, .. } => Some(workload),
            Self::SwapPolicy { .. }
            | Self::MetricsOutage { .. }
            | Self::ZoneOutage { .. }
            | Self::KillNodes { .. }
            | Self::RefuseTermination { .. }
            | Self::ChangeNodeGroup { .. } => None,
        }
    }

    /// Returns the node group of the event, if it has one.
    #[must_use]
    pub fn node_group(&self) -> Option<&str> {
        match self {
            Self::KillNodes { node_group, .. }
            | Self::RefuseTermination { node_group, .. }
            | Self::ChangeNodeGroup { node_group, .. } => Some(node_group),
            _ => None,
        }
    }
}
