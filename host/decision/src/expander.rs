//! The input and the answer of an expander, shaped as the policy contract (`wit/`,
//! interface `expander`) has them: see there for the meaning of each field.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::Reason;

/// Bits of [`OptionColumns::state`].
pub mod option_state {
    /// The group exists. Otherwise it would be created.
    pub const EXISTS: u32 = 1;
    /// A template node is known. Otherwise the template's columns are 0.
    pub const HAS_TEMPLATE: u32 = 2;
    /// Its nodes have GPUs.
    pub const HAS_GPU: u32 = 4;
    /// Its nodes are spot instances.
    pub const SPOT: u32 = 8;
    /// Its nodes are on-demand instances. Neither this nor [`SPOT`]: mixed, or not known.
    pub const ON_DEMAND: u32 = 16;
}

/// Options, one a row: more nodes of one group, or of one group in each of several
/// topology domains. For the latter `node_count`, requests, sizes and bounds are sums
/// over the groups, and prices, capacity and allocatable are means over the nodes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OptionColumns {
    /// Name of the node group, or of the first if the option has several.
    pub node_group: Vec<Arc<str>>,
    /// Bits of [`option_state`].
    pub state: Vec<u32>,
    /// Nodes to add.
    pub node_count: Vec<u32>,
    /// Pods that would be placed, on these nodes or on others once pods run on these.
    pub pod_count: Vec<u32>,
    /// Requests of the pods on these nodes for cpu, in milli.
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
    /// Price of one node for an hour. `None` if it is not known.
    pub node_price: Vec<Option<f64>>,
    /// Price of the option's pods for an hour. `None` if it is not known.
    pub pod_price: Vec<Option<f64>>,
    /// Size now.
    pub current_size: Vec<u32>,
    /// Lower bound that the host enforces.
    pub min_size: Vec<u32>,
    /// Upper bound that the host enforces.
    pub max_size: Vec<u32>,
    /// Rows of the options that have several groups, once for each group, in order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub part_option: Vec<u32>,
    /// The groups of these options.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub part_node_group: Vec<Arc<str>>,
    /// Nodes to add of each.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub part_node_count: Vec<u32>,
    /// Row of `texts` with the zone of the template node, or -1 if it is not known or the
    /// option has groups of several zones.
    pub zone: Vec<i32>,
    /// Row of `texts` with the instance type of the template node, or -1 if it is not
    /// known or the option has several.
    pub instance_type: Vec<i32>,
    /// Texts of this table, each once.
    pub texts: Vec<Arc<str>>,
}

impl OptionColumns {
    /// Number of options.
    #[must_use]
    pub fn len(&self) -> usize {
        self.node_group.len()
    }

    /// The groups of an option, and how many nodes to add of each.
    pub fn parts(&self, row: usize) -> Vec<(&Arc<str>, u32)> {
        let options = &self.part_option;
        let row_of = |option: &u32| usize::try_from(*option).unwrap_or(usize::MAX);
        let from = options.partition_point(|option| row_of(option) < row);
        let until = options.partition_point(|option| row_of(option) <= row);
        let parts: Vec<_> = (from..until)
            .filter_map(|at| {
                let count = self.part_node_count.get(at).copied()?;
                Some((self.part_node_group.get(at)?, count))
            })
            .collect();
        if !parts.is_empty() {
            return parts;
        }
        let count = self.node_count.get(row).copied().unwrap_or_default();
        let group = self.node_group.get(row);
        group.map(|group| (group, count)).into_iter().collect()
    }

    /// The names of an option's groups for people, such as `a + b`.
    #[must_use]
    pub fn label(&self, row: usize) -> String {
        let parts = self.parts(row).into_iter();
        let names: Vec<&str> = parts.map(|(group, _)| &**group).collect();
        names.join(" + ")
    }

    /// Whether there is no option.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.node_group.is_empty()
    }
}

/// Input of an expander, other than its [`crate::context::Context`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpanderInput {
    /// The options.
    pub options: Arc<OptionColumns>,
    /// Nodes in the cluster. `None` if that is not known.
    #[serde(default)]
    pub cluster_node_count: Option<u32>,
}

/// An expander's answer as it came out of the sandbox, which is input from outside.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ExpanderRanking {
    /// Rows of the options that remain: the best one, or several equally good ones. Empty
    /// if no option is acceptable.
    pub best: Vec<u32>,
    /// A score for each option, `None` for an option that was dropped. Empty if the
    /// policy does not score.
    #[serde(default)]
    pub scores: Vec<Option<f64>>,
    /// The reason.
    pub reason: Reason,
    /// New state. `None` leaves it as it was.
    #[serde(default)]
    pub state: Option<String>,
}
