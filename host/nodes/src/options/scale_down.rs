//! Options of scale-down, with Cluster Autoscaler's flag names and defaults.

use std::sync::Arc;

use super::ExpanderChoice;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;

/// What scale-down may do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScaleDownMode {
    /// It decides and removes nodes.
    On,
    /// It decides and records, and changes nothing.
    Observe,
    /// It does nothing.
    #[default]
    Off,
}

/// Options of scale-down. Times are in milliseconds.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleDownOptions {
    /// `--scale-down` (on), and Cluster Autoscaler's `--scale-down-enabled`.
    pub mode: ScaleDownMode,
    /// `--scale-down-policies` (drain-rules,utilization): the chain.
    pub policies: Vec<ExpanderChoice>,
    /// `--scale-down-unneeded-time` (10 min).
    pub unneeded_time_ms: i64,
    /// `--scale-down-unready-time` (20 min).
    pub unready_time_ms: i64,
    /// `--scale-down-unready-enabled` (true).
    pub unready_enabled: bool,
    /// `--scale-down-delay-after-add` (10 min).
    pub delay_after_add_ms: i64,
    /// `--scale-down-delay-after-delete` (0).
    pub delay_after_delete_ms: i64,
    /// `--scale-down-delay-after-failure` (3 min).
    pub delay_after_failure_ms: i64,
    /// `--scale-down-delay-type-local` (false): whether a delay holds for its node group
    /// alone.
    pub delay_type_local: bool,
    /// `--max-scale-down-parallelism` (10): nodes that leave at the same time.
    pub max_parallelism: u32,
    /// `--max-drain-parallelism` (1): of these, nodes with pods to evict.
    pub max_drain_parallelism: u32,
    /// `--min-pod-age` (0): a node with a younger pod is not drained.
    pub min_pod_age_ms: i64,
    /// `--replacement-stable-time` (10 min): nodes are replaced once the same replacement has
    /// been proposed in every pass for so long.
    pub replacement_stable_time_ms: i64,
    /// `--replace-spot-by-spot` (false): whether spot instances may be replaced by others.
    pub replace_spot_by_spot: bool,
    /// `--max-graceful-termination-sec` (600 s): largest grace of an evicted pod.
    pub max_grace_ms: i64,
    /// `--max-pod-eviction-time` (2 min): how long a refused eviction is tried again.
    pub max_pod_eviction_time_ms: i64,
    /// `--node-delete-delay-after-taint` (5 s).
    pub delete_delay_after_taint_ms: i64,
    /// `--node-deletion-delay-timeout` (2 min): how long `delay-deletion` annotations are
    /// waited for.
    pub deletion_delay_timeout_ms: i64,
    /// `--cordon-node-before-terminating` (true).
    pub cordon: bool,
    /// `--max-bulk-soft-taint-count` (10): nodes that get or lose the taint of candidates in
    /// one pass. 0 means that no node gets it.
    pub max_bulk_soft_taint_count: u32,
    /// `--daemonset-eviction-for-empty-nodes` (false).
    pub daemon_set_eviction_for_empty_nodes: bool,
    /// `--daemonset-eviction-for-occupied-nodes` (true).
    pub daemon_set_eviction_for_occupied_nodes: bool,
    /// `--delete-gone-nodes` (false): whether a Node is deleted that is still there 5 min
    /// after its instance.
    pub delete_gone_nodes: bool,
    /// Name of the node that this process runs on. It is considered last.
    pub own_node: Option<Arc<str>>,
}

impl Default for ScaleDownOptions {
    fn default() -> Self {
        Self {
            mode: ScaleDownMode::Off,
            policies: ["drain-rules", "utilization"]
                .map(ExpanderChoice::named)
                .into(),
            unneeded_time_ms: 10 * MINUTE_MS,
            unready_time_ms: 20 * MINUTE_MS,
            unready_enabled: true,
            delay_after_add_ms: 10 * MINUTE_MS,
            delay_after_delete_ms: 0,
            delay_after_failure_ms: 3 * MINUTE_MS,
            delay_type_local: false,
            max_parallelism: 10,
            max_drain_parallelism: 1,
            min_pod_age_ms: 0,
            replacement_stable_time_ms: 10 * MINUTE_MS,
            replace_spot_by_spot: false,
            max_grace_ms: 600 * SECOND_MS,
            max_pod_eviction_time_ms: 2 * MINUTE_MS,
            delete_delay_after_taint_ms: 5 * SECOND_MS,
            deletion_delay_timeout_ms: 2 * MINUTE_MS,
            cordon: true,
            max_bulk_soft_taint_count: 10,
            daemon_set_eviction_for_empty_nodes: false,
            daemon_set_eviction_for_occupied_nodes: true,
            delete_gone_nodes: false,
            own_node: None,
        }
    }
}
