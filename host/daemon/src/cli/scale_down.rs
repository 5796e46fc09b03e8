//! Arguments of scale-down: which nodes may go, when, and how they leave.

use clap::{ArgAction, Args, ValueEnum};
use flyball_nodes::options::{DrainPriorities, MaxDisruption};
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_simulation::time::Millis;

use super::planning::PolicyConfig;
use super::values::duration;

/// What scale-down does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Removes nodes.
    On,
    /// Decides and records, and changes nothing.
    Observe,
    /// Does nothing.
    Off,
}

impl From<Mode> for ScaleDownMode {
    fn from(mode: Mode) -> Self {
        match mode {
            Mode::On => Self::On,
            Mode::Observe => Self::Observe,
            Mode::Off => Self::Off,
        }
    }
}

/// Which nodes are unneeded. Names and defaults are Cluster Autoscaler's where it has the
/// flag.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Nodes that are not needed")]
pub struct Unneeded {
    /// Policies that judge pods, nodes and moves; the strictest verdict counts
    #[arg(long, value_name = "NAME,…", default_value = "drain-rules,utilization")]
    pub scale_down_policies: String,
    /// Configuration of a scale-down policy, a file of YAML or JSON (repeatable). It takes
    /// the place of the flags below that configure the policy
    #[arg(long, value_name = "NAME=FILE")]
    pub scale_down_policy_config: Vec<PolicyConfig>,
    /// Utilization from 0 to 1 up to which a node may be unneeded: the requests of its pods,
    /// as a part of its cpu or of its memory, whichever is larger (policy utilization)
    #[arg(long, value_name = "PART", default_value_t = 0.5)]
    pub scale_down_utilization_threshold: f64,
    /// Utilization of its GPUs from 0 to 1 up to which a node that has GPUs may be unneeded
    /// (policy utilization)
    #[arg(long, value_name = "PART", default_value_t = 0.5)]
    pub scale_down_gpu_utilization_threshold: f64,
    /// Leaves DaemonSet pods out of the utilization (policy utilization)
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub ignore_daemonsets_utilization: bool,
    /// Leaves mirror pods out of the utilization (policy utilization)
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub ignore_mirror_pods_utilization: bool,
    /// Whether pods of kube-system without a PodDisruptionBudget keep their node (policy
    /// drain-rules)
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub skip_nodes_with_system_pods: bool,
    /// How long pods of kube-system without a PodDisruptionBudget keep their node (policy
    /// drain-rules)
    #[arg(
        long,
        visible_alias = "blocking-system-pod-disruption-timeout",
        value_name = "DURATION",
        value_parser = duration,
        default_value = "1h0m0s"
    )]
    pub blocking_system_pod_distruption_timeout: Millis,
    /// Whether pods with a hostPath or emptyDir volume keep their node (policy
    /// drain-rules)
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub skip_nodes_with_local_storage: bool,
    /// Whether pods of controllers other than the built-in ones keep their node (policy
    /// drain-rules)
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub skip_nodes_with_custom_controller_pods: bool,
    /// Minimum replicas of a ReplicaSet or ReplicationController whose pods may move (policy
    /// drain-rules)
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub min_replica_count: u32,
    /// Whether nodes that are not ready may go
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub scale_down_unready_enabled: bool,
    /// Age below which a pod keeps its node from being drained
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub min_pod_age: Millis,
    /// Age below which a pod keeps its node from being replaced by cheaper ones, so that no pod
    /// moves twice in a row
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m0s")]
    pub replacement_min_pod_age: Millis,
    /// Whether spot instances may be replaced by cheaper spot instances (with a policy such
    /// as consolidate)
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub replace_spot_by_spot: bool,
    /// Counts replicas that an owner lacks as load, so that no node goes whose room they
    /// need
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub keep_room_for_missing_replicas: bool,
}

/// When unneeded nodes go, and how they leave.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Removal of nodes")]
pub struct Removal {
    /// Whether nodes that are not needed are removed; observe: decide and record, and
    /// change nothing
    #[arg(long, value_enum, value_name = "on|observe|off", default_value = "on")]
    #[arg(hide_possible_values = true)]
    pub scale_down: Mode,
    /// Cluster Autoscaler's flag: false is --scale-down=off
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub scale_down_enabled: bool,
    /// How long a node must have been unneeded
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m0s")]
    pub scale_down_unneeded_time: Millis,
    /// How long a node that is not ready must have been unneeded
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "20m0s")]
    pub scale_down_unready_time: Millis,
    /// How long the same replacement of nodes by cheaper ones must have been possible before
    /// it is made (with a policy such as consolidate)
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m0s")]
    pub replacement_stable_time: Millis,
    /// After nodes were ordered, no node is removed for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "10m0s")]
    pub scale_down_delay_after_add: Millis,
    /// After a node was removed, no node is removed for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s")]
    pub scale_down_delay_after_delete: Millis,
    /// After a removal failed, no node is removed for this long
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "3m0s")]
    pub scale_down_delay_after_failure: Millis,
    /// Whether the delays after an order, a removal and a failure (--scale-down-delay-after-…)
    /// apply to each node group separately
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub scale_down_delay_type_local: bool,
    /// Maximum number of nodes that leave at the same time
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub max_scale_down_parallelism: u32,
    /// Maximum number of these nodes that have pods to evict
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub max_drain_parallelism: u32,
    /// Maximum number of nodes of all groups that are leaving or not ready at the same time:
    /// a share, rounded up, or a number; with a time, that are removed within it
    #[arg(long, value_name = "10%|5|20/1h")]
    pub max_disruption: Option<MaxDisruption>,
    /// Ranges of pod priorities with their longest grace: pods of lower ranges are evicted
    /// first, and others once those are gone
    #[arg(long, value_name = "PRIORITY:SECONDS,…")]
    #[arg(
        conflicts_with = "max_graceful_termination_sec",
        allow_hyphen_values = true
    )]
    pub drain_priority_config: Option<DrainPriorities>,
    /// Longest grace of an evicted pod, in seconds; 0: its own
    #[arg(long, value_name = "SECONDS", default_value_t = 600)]
    pub max_graceful_termination_sec: u32,
    /// How long a refused eviction is tried again
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2m0s")]
    pub max_pod_eviction_time: Millis,
    /// Time from the taint of a node until it is simulated once more and drained
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "5s")]
    pub node_delete_delay_after_taint: Millis,
    /// How long a drained node with annotations delay-deletion.cluster-autoscaler.kubernetes.io/…
    /// is kept
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "2m0s")]
    pub node_deletion_delay_timeout: Millis,
    /// Whether a node that leaves is cordoned
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub cordon_node_before_terminating: bool,
    /// Maximum number of nodes that get or lose the taint
    /// DeletionCandidateOfClusterAutoscaler of unneeded nodes in one pass; 0: none
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub max_bulk_soft_taint_count: u32,
    /// Whether DaemonSet pods of nodes without other pods are evicted
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub daemonset_eviction_for_empty_nodes: bool,
    /// Whether DaemonSet pods of nodes with other pods are evicted
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = true,
        default_missing_value = "true"
    )]
    pub daemonset_eviction_for_occupied_nodes: bool,
    /// Deletes a Node that is still there 5 minutes after its instance
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub delete_gone_nodes: bool,
    /// Events NoScaleDown on nodes say why they stay: one for each node and reason, at most
    /// 10 a minute
    #[arg(long, action = ArgAction::Set, value_name = "BOOL", num_args = 0..=1)]
    #[arg(
        require_equals = true,
        default_value_t = false,
        default_missing_value = "true"
    )]
    pub explain_on_nodes: bool,
}
