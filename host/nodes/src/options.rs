//! Options of the nodes half, with Cluster Autoscaler's flag names and defaults.

mod drain_priorities;
mod scale_down;

use std::sync::Arc;

use flyball_decision::policy::DEFAULT_EXPANDER;

pub use self::drain_priorities::{DrainPriorities, DrainPrioritiesError};
pub use self::scale_down::{ScaleDownMode, ScaleDownOptions};
use crate::cloud::{Conventions, GroupScaleDown};
pub use crate::max_disruption::{MaxDisruption, MaxDisruptionError};

const MINUTE_MS: i64 = 60_000;
const GIB: u64 = 1 << 30;

/// An expander of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpanderChoice {
    /// Name of the policy.
    pub name: Arc<str>,
    /// Its configuration, a JSON object as text.
    pub configuration: Arc<str>,
}

impl ExpanderChoice {
    /// Creates an expander without configuration.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            configuration: "{}".into(),
        }
    }
}

/// Lower and upper bound of a resource of the whole cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Lower bound.
    pub min: u64,
    /// Upper bound.
    pub max: u64,
}

/// How much similar node groups may differ, as fractions of the larger amount.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DifferenceRatios {
    /// `--memory-difference-ratio`, of memory capacity (0.015).
    pub capacity_memory: f64,
    /// `--max-allocatable-difference-ratio` (0.05).
    pub allocatable: f64,
    /// `--max-free-difference-ratio` (0.05).
    pub free: f64,
}

impl Default for DifferenceRatios {
    fn default() -> Self {
        Self {
            capacity_memory: 0.015,
            allocatable: 0.05,
            free: 0.05,
        }
    }
}

/// Options of the nodes half.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeOptions {
    /// `--scan-interval` (10 s), in milliseconds like all times here.
    pub scan_interval_ms: i64,
    /// `--expander` (least-waste): the chain, asked in this order until one option is
    /// left.
    pub expanders: Vec<ExpanderChoice>,
    /// `--max-nodes-total` (0); 0 means no limit.
    pub max_nodes_total: u32,
    /// `--cores-total` (0:320000).
    pub cores_total: Bounds,
    /// `--memory-total`, here in bytes (0:6400000 GiB).
    pub memory_total: Bounds,
    /// `--max-nodes-per-scaleup` (1000); 0 means no limit.
    pub max_nodes_per_scale_up: u32,
    /// `--balance-similar-node-groups` (false).
    pub balance_similar_node_groups: bool,
    /// `--balancing-ignore-label`, and the cloud's own: labels that are not compared.
    pub balancing_ignored_labels: Vec<Arc<str>>,
    /// The three ratios of similarity.
    pub difference_ratios: DifferenceRatios,
    /// `--max-node-provision-time` (15 min).
    pub max_node_provision_time_ms: i64,
    /// `--max-total-unready-percentage` (45).
    pub max_total_unready_percentage: f64,
    /// `--ok-total-unready-count` (3).
    pub ok_total_unready_count: u32,
    /// `--new-pod-scale-up-delay` (0).
    pub new_pod_scale_up_delay_ms: i64,
    /// `--expendable-pods-priority-cutoff` (-10).
    pub expendable_pods_priority_cutoff: i32,
    /// `--scale-up-from-zero` (true).
    pub scale_up_from_zero: bool,
    /// `--initial-node-group-backoff-duration` (5 min).
    pub initial_backoff_ms: i64,
    /// `--max-node-group-backoff-duration` (30 min).
    pub max_backoff_ms: i64,
    /// `--node-group-backoff-reset-timeout` (3 h).
    pub backoff_reset_ms: i64,
    /// `--startup-taint` and `--ignore-taint`: keys of taints that a node has only while
    /// it starts. A node with one is not ready, and templates don't have them.
    pub startup_taints: Vec<Arc<str>>,
    /// Label of nodes with GPUs in this cloud. A node with it is not ready until it has
    /// allocatable GPUs.
    pub gpu_label: Option<Arc<str>>,
    /// Maximum number of options chosen in one pass, for pods that need different groups
    /// (8). Cluster Autoscaler chooses one.
    pub max_options_per_pass: usize,
    /// Steps that packing may take for the pods of each namespace in a pass, besides those by
    /// the number of pods and nodes (100,000,000). A step takes about 10 ns.
    pub packing_steps: u64,
    /// Whether the built-in expander is asked if another one gives no usable answer.
    /// Otherwise nothing is ordered.
    pub fallback: bool,
    /// `--nodes-mode=observe` (false): decide and record, and change nothing.
    pub observe: bool,
    /// Options of scale-down.
    pub scale_down: ScaleDownOptions,
    /// Version of the host, for records.
    pub host_version: Arc<str>,
}

impl NodeOptions {
    /// Adds a cloud's ignored labels, and its GPU label unless one is set.
    pub fn add_cloud(&mut self, cloud: Conventions) {
        let ignored = cloud.ignored_labels.iter().map(|&label| label.into());
        self.balancing_ignored_labels.extend(ignored);
        if self.gpu_label.is_none() {
            self.gpu_label = cloud.gpu_label.map(Arc::from);
        }
    }
}

impl NodeOptions {
    /// How long an ordered node of a group may take to join, in milliseconds.
    pub(crate) fn provision_time_ms(&self, group: &GroupScaleDown) -> i64 {
        let own = group.max_node_provision_time_ms;
        own.unwrap_or(self.max_node_provision_time_ms)
    }
}

impl Default for NodeOptions {
    fn default() -> Self {
        Self {
            scan_interval_ms: 10_000,
            expanders: vec![ExpanderChoice::named(DEFAULT_EXPANDER)],
            max_nodes_total: 0,
            cores_total: Bounds {
                min: 0,
                max: 320_000,
            },
            memory_total: Bounds {
                min: 0,
                max: 6_400_000 * GIB,
            },
            max_nodes_per_scale_up: 1000,
            balance_similar_node_groups: false,
            balancing_ignored_labels: Vec::new(),
            difference_ratios: DifferenceRatios::default(),
            max_node_provision_time_ms: 15 * MINUTE_MS,
            max_total_unready_percentage: 45.0,
            ok_total_unready_count: 3,
            new_pod_scale_up_delay_ms: 0,
            expendable_pods_priority_cutoff: -10,
            scale_up_from_zero: true,
            initial_backoff_ms: 5 * MINUTE_MS,
            max_backoff_ms: 30 * MINUTE_MS,
            backoff_reset_ms: 180 * MINUTE_MS,
            startup_taints: Vec::new(),
            gpu_label: None,
            max_options_per_pass: 8,
            packing_steps: 100_000_000,
            fallback: false,
            observe: false,
            scale_down: ScaleDownOptions::default(),
            host_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}
