//! The input and the answer of an expander, shaped as the policy contract (`wit/`,
//! interface `expander`) has them: see there for the meaning of each field.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::replica::Reason;

/// Bits of [`OptionColumns::state`].
pub mod option_state {
    /// The group exists; else it would be created.
    pub const EXISTS: u32 = 1;
    /// A template node is known; else the template's columns are 0.
    pub const HAS_TEMPLATE: u32 = 2;
    /// Its nodes have GPUs.
    pub const HAS_GPU: u32 = 4;
}

/// Ways to place pending pods, a row each: some nodes more of one group.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OptionColumns {
    /// Names of the node groups.
    pub node_group: Vec<Arc<str>>,
    /// Bits of [`option_state`].
    pub state: Vec<u32>,
    /// Nodes to add.
    pub node_count: Vec<u32>,
    /// Pods that would run on them.
    pub pod_count: Vec<u32>,
    /// Requests of these pods for cpu, in milli.
    pub requested_cpu: Vec<i64>,
    /// Requests of these pods for memory, in bytes.
    pub requested_memory: Vec<i64>,
    /// Requests of these pods for GPUs, in milli.
    pub requested_gpu: Vec<i64>,
    /// Capacity of one template node: cpu in milli.
    pub capacity_cpu: Vec<i64>,
    /// Memory in bytes.
    pub capacity_memory: Vec<i64>,
    /// GPUs in milli.
    pub capacity_gpu: Vec<i64>,
    /// Allocatable of one template node: cpu in milli.
    pub allocatable_cpu: Vec<i64>,
    /// Memory in bytes.
    pub allocatable_memory: Vec<i64>,
    /// GPUs in milli.
    pub allocatable_gpu: Vec<i64>,
    /// Price of one node for an hour; none: not known.
    pub node_price: Vec<Option<f64>>,
    /// Price of the option's pods for an hour; none: not known.
    pub pod_price: Vec<Option<f64>>,
    /// Size now.
    pub current_size: Vec<u32>,
    /// Lower bound that the host will hold.
    pub min_size: Vec<u32>,
    /// Upper bound that the host will hold.
    pub max_size: Vec<u32>,
}

impl OptionColumns {
    /// Number of options.
    #[must_use]
    pub fn len(&self) -> usize {
        self.node_group.len()
    }

    /// Whether there is no option.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.node_group.is_empty()
    }
}

/// All that an expander gets beside its [`crate::replica::Context`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpanderInput {
    /// The options.
    pub options: Arc<OptionColumns>,
    /// Nodes in the cluster; none: not known.
    #[serde(default)]
    pub cluster_node_count: Option<u32>,
}

/// An expander's answer, as it came out of the sandbox: input from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpanderRanking {
    /// Rows of the options that remain: equally good, or the best one. None: no
    /// option will do.
    pub best: Vec<u32>,
    /// A figure for each option, none where it was dropped; empty: the policy does
    /// not score.
    #[serde(default)]
    pub scores: Vec<Option<f64>>,
    /// Why.
    pub reason: Reason,
    /// New state; none: as it was.
    #[serde(default)]
    pub state: Option<String>,
}
