//! Limits of the whole cluster on new nodes: their number, cores and memory.

use serde::{Deserialize, Serialize};

use super::options::NodeOptions;

/// Size of the cluster, including upcoming nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterSize {
    /// Nodes.
    pub nodes: u32,
    /// Cpu capacity in milli.
    pub cpu_milli: u64,
    /// Memory capacity in bytes.
    pub memory: u64,
}

/// What a new node adds to the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSize {
    /// Cpu capacity in milli.
    pub cpu_milli: u64,
    /// Memory capacity in bytes.
    pub memory: u64,
}

/// The upper bounds of the cluster, and its size.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ClusterLimits {
    /// Size of the cluster.
    pub size: ClusterSize,
    /// Maximum number of nodes. `None` if it is not limited.
    pub max_nodes: Option<u32>,
    /// Maximum cpu, in milli.
    pub max_cpu_milli: u64,
    /// Maximum memory, in bytes.
    pub max_memory: u64,
}

/// A limit of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Limit {
    /// `--max-nodes-total`.
    NodesTotal,
    /// `--cores-total`.
    CoresTotal,
    /// `--memory-total`.
    MemoryTotal,
}

impl Limit {
    /// The flag that sets it.
    #[must_use]
    pub fn flag(self) -> &'static str {
        match self {
            Self::NodesTotal => "--max-nodes-total",
            Self::CoresTotal => "--cores-total",
            Self::MemoryTotal => "--memory-total",
        }
    }

    /// Its stable code in records.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::NodesTotal => "NodesTotal",
            Self::CoresTotal => "CoresTotal",
            Self::MemoryTotal => "MemoryTotal",
        }
    }

    /// Why a group is skipped, worded as in Cluster Autoscaler.
    #[must_use]
    pub fn reason(self) -> &'static str {
        match self {
            Self::NodesTotal => "max total nodes in cluster reached",
            Self::CoresTotal => "max cluster cpu limit reached",
            Self::MemoryTotal => "max cluster memory limit reached",
        }
    }
}

impl ClusterLimits {
    /// Creates the operator's limits for a cluster of this size.
    #[must_use]
    pub fn new(options: &NodeOptions, size: ClusterSize) -> Self {
        Self {
            size,
            max_nodes: (options.max_nodes_total > 0).then_some(options.max_nodes_total),
            max_cpu_milli: options.cores_total.max.saturating_mul(1000),
            max_memory: options.memory_total.max,
        }
    }

    /// Returns how many of `wanted` nodes may be added, and the limit that prevents more.
    #[must_use]
    pub fn allowed(&self, node: NodeSize, wanted: u32) -> (u32, Option<Limit>) {
        let by_nodes = self.max_nodes.map_or(u64::MAX, |max| {
            u64::from(max.saturating_sub(self.size.nodes))
        });
        let room = |max: u64, has: u64, each: u64| {
            let left = max.saturating_sub(has);
            left.checked_div(each).unwrap_or(u64::MAX)
        };
        let by_cpu = room(self.max_cpu_milli, self.size.cpu_milli, node.cpu_milli);
        let by_memory = room(self.max_memory, self.size.memory, node.memory);
        let least = [
            (by_nodes, Limit::NodesTotal),
            (by_cpu, Limit::CoresTotal),
            (by_memory, Limit::MemoryTotal),
        ];
        let least = least.into_iter().min_by_key(|(allowed, _)| *allowed);
        match least {
            Some((allowed, limit)) if allowed < u64::from(wanted) => {
                (u32::try_from(allowed).unwrap_or(wanted), Some(limit))
            }
            _ => (wanted, None),
        }
    }

    /// Adds ordered nodes to the size.
    pub fn add(&mut self, node: NodeSize, count: u32) {
        let times = u64::from(count);
        let size = &mut self.size;
        size.nodes = size.nodes.saturating_add(count);
        size.cpu_milli = size
            .cpu_milli
            .saturating_add(node.cpu_milli.saturating_mul(times));
        size.memory = size
            .memory
            .saturating_add(node.memory.saturating_mul(times));
    }
}
