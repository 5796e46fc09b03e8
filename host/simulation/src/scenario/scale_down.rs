//! Options of scale-down: those of the loop, and those of a node group of its own.

use flyball_nodes::cloud::GroupScaleDown;
use flyball_nodes::scale_down::{ScaleDownMode, ScaleDownOptions};
use flyball_replicas::spec::PolicyRef;
use serde::Deserialize;

use super::nodes::choice;
use crate::time::Millis;

/// Options of scale-down: the flags of Cluster Autoscaler, with its defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScaleDownSpec {
    /// What scale-down does (`on`).
    pub mode: Mode,
    /// The chain of policies (`drain-rules`, `utilization`).
    pub policies: Vec<PolicyRef>,
    /// How long a node must have been unneeded.
    pub unneeded_time: Option<Millis>,
    /// How long a node that is not Ready must have been unneeded.
    pub unready_time: Option<Millis>,
    /// Whether nodes that are not Ready may be removed.
    pub unready_enabled: Option<bool>,
    /// Time after nodes were ordered in which none is removed.
    pub delay_after_add: Option<Millis>,
    /// Time after a removal in which no other node is removed.
    pub delay_after_delete: Option<Millis>,
    /// Time after a failed removal in which no node is removed.
    pub delay_after_failure: Option<Millis>,
    /// Whether a delay applies to its node group only.
    pub delay_type_local: Option<bool>,
    /// Maximum number of nodes that leave at the same time.
    pub max_parallelism: Option<u32>,
    /// Of these, maximum number of nodes with pods to evict.
    pub max_drain_parallelism: Option<u32>,
    /// Minimum age of the pods of a node that is drained.
    pub min_pod_age: Option<Millis>,
    /// How long the same replacement of nodes by cheaper ones must have been possible.
    pub replacement_stable_time: Option<Millis>,
    /// Whether spot instances may be replaced by cheaper spot instances.
    pub replace_spot_by_spot: Option<bool>,
    /// Largest grace of an evicted pod.
    pub max_graceful_termination: Option<Millis>,
    /// How long a refused eviction is tried again.
    pub max_pod_eviction_time: Option<Millis>,
    /// Time between taint and drain.
    pub node_delete_delay_after_taint: Option<Millis>,
    /// How long annotations may delay a removal.
    pub node_deletion_delay_timeout: Option<Millis>,
    /// Whether a node is cordoned before it is drained.
    pub cordon_node_before_terminating: Option<bool>,
    /// Maximum number of nodes that get or lose the taint of candidates in one pass.
    pub max_bulk_soft_taint_count: Option<u32>,
    /// Whether pods of DaemonSets are evicted from nodes without other pods.
    #[serde(rename = "daemonsetEvictionForEmptyNodes")]
    pub daemon_set_eviction_for_empty_nodes: Option<bool>,
    /// Whether pods of DaemonSets are evicted from nodes with other pods.
    #[serde(rename = "daemonsetEvictionForOccupiedNodes")]
    pub daemon_set_eviction_for_occupied_nodes: Option<bool>,
    /// Whether a Node is deleted that outlives its instance.
    pub delete_gone_nodes: Option<bool>,
}

/// What scale-down does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Mode {
    /// It decides and removes nodes.
    #[default]
    On,
    /// It decides and records, and removes nothing.
    Observe,
    /// It does nothing.
    Off,
}

impl ScaleDownSpec {
    /// Sets the options that the scenario sets.
    pub(super) fn apply(&self, options: &mut ScaleDownOptions) {
        options.mode = match self.mode {
            Mode::On => ScaleDownMode::On,
            Mode::Observe => ScaleDownMode::Observe,
            Mode::Off => ScaleDownMode::Off,
        };
        if !self.policies.is_empty() {
            options.policies = self.policies.iter().map(choice).collect();
        }
        self.apply_times(options);
        let switches = [
            (&mut options.unready_enabled, self.unready_enabled),
            (&mut options.delay_type_local, self.delay_type_local),
            (&mut options.cordon, self.cordon_node_before_terminating),
            (
                &mut options.daemon_set_eviction_for_empty_nodes,
                self.daemon_set_eviction_for_empty_nodes,
            ),
            (
                &mut options.daemon_set_eviction_for_occupied_nodes,
                self.daemon_set_eviction_for_occupied_nodes,
            ),
            (&mut options.delete_gone_nodes, self.delete_gone_nodes),
            (&mut options.replace_spot_by_spot, self.replace_spot_by_spot),
        ];
        for (option, switch) in switches {
            *option = switch.unwrap_or(*option);
        }
        let counts = [
            (&mut options.max_parallelism, self.max_parallelism),
            (
                &mut options.max_drain_parallelism,
                self.max_drain_parallelism,
            ),
            (
                &mut options.max_bulk_soft_taint_count,
                self.max_bulk_soft_taint_count,
            ),
        ];
        for (option, count) in counts {
            *option = count.unwrap_or(*option);
        }
    }

    fn apply_times(&self, options: &mut ScaleDownOptions) {
        let times = [
            (&mut options.unneeded_time_ms, self.unneeded_time),
            (&mut options.unready_time_ms, self.unready_time),
            (&mut options.delay_after_add_ms, self.delay_after_add),
            (&mut options.delay_after_delete_ms, self.delay_after_delete),
            (
                &mut options.delay_after_failure_ms,
                self.delay_after_failure,
            ),
            (&mut options.min_pod_age_ms, self.min_pod_age),
            (
                &mut options.replacement_stable_time_ms,
                self.replacement_stable_time,
            ),
            (&mut options.max_grace_ms, self.max_graceful_termination),
            (
                &mut options.max_pod_eviction_time_ms,
                self.max_pod_eviction_time,
            ),
            (
                &mut options.delete_delay_after_taint_ms,
                self.node_delete_delay_after_taint,
            ),
            (
                &mut options.deletion_delay_timeout_ms,
                self.node_deletion_delay_timeout,
            ),
        ];
        for (option, length) in times {
            *option = length.map_or(*option, |length| length.0);
        }
    }
}

/// Options of a node group of its own for the removal of its nodes. Where one is left
/// out, the option for all groups applies.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GroupScaleDownSpec {
    /// Utilization of cpu and memory up to which a node may be removed.
    pub utilization_threshold: Option<f64>,
    /// Utilization of GPUs up to which a node with GPUs may be removed.
    pub gpu_utilization_threshold: Option<f64>,
    /// How long a node must have been unneeded.
    pub unneeded_time: Option<Millis>,
    /// How long a node that is not Ready must have been unneeded.
    pub unready_time: Option<Millis>,
    /// Time within which an ordered node has to join.
    pub max_node_provision_time: Option<Millis>,
    /// Whether the group is either empty or at its maximum size (false).
    pub zero_or_max: bool,
    /// Whether requests of DaemonSets do not count as utilization.
    #[serde(rename = "ignoreDaemonsetsUtilization")]
    pub ignore_daemon_sets_utilization: Option<bool>,
}

impl GroupScaleDownSpec {
    /// Returns the options as the cloud reports them.
    #[must_use]
    pub fn view(&self) -> GroupScaleDown {
        let ms = |length: Option<Millis>| length.map(|length| length.0);
        GroupScaleDown {
            utilization_threshold: self.utilization_threshold,
            gpu_utilization_threshold: self.gpu_utilization_threshold,
            unneeded_time_ms: ms(self.unneeded_time),
            unready_time_ms: ms(self.unready_time),
            max_node_provision_time_ms: ms(self.max_node_provision_time),
            zero_or_max: self.zero_or_max,
            ignore_daemonsets_utilization: self.ignore_daemon_sets_utilization,
        }
    }
}
