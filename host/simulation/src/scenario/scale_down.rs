//! Options of scale-down: those of the loop, and those of a node group of its own.

use std::fmt::Display;
use std::str::FromStr;

use flyball_nodes::cloud::GroupScaleDown;
use flyball_nodes::options::{DrainPriorities, MaxDisruption};
use flyball_nodes::scale_down::{ScaleDownMode, ScaleDownOptions};
use flyball_replicas::spec::PolicyRef;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use super::node_groups::choice;
use crate::time::Millis;

/// Options of scale-down: the flags of Cluster Autoscaler, with its defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScaleDownSpec {
    /// What scale-down does (`on`). Example: `observe`.
    pub mode: ScaleDownModeSpec,
    /// The chain of policies; left out: the built-in `drain-rules` and `utilization`.
    /// Example: `[{name: drain-rules}, {name: utilization}]`.
    pub policies: Vec<PolicyRef>,
    /// How long a node must have been unneeded (10m).
    pub unneeded_time: Option<Millis>,
    /// How long a node that is not Ready must have been unneeded (20m).
    pub unready_time: Option<Millis>,
    /// Whether nodes that are not Ready may be removed (true).
    pub unready_enabled: Option<bool>,
    /// After nodes were ordered, no node is removed for this long (10m).
    pub delay_after_add: Option<Millis>,
    /// Time after a removal in which no other node is removed (0s).
    pub delay_after_delete: Option<Millis>,
    /// Time after a failed removal in which no node is removed (3m).
    pub delay_after_failure: Option<Millis>,
    /// Whether a delay applies to its node group only (false).
    pub delay_type_local: Option<bool>,
    /// Maximum number of nodes that leave at the same time (10).
    pub max_parallelism: Option<u32>,
    /// Of these, maximum number of nodes with pods to evict (1).
    pub max_drain_parallelism: Option<u32>,
    /// How many nodes of all groups may be disrupted, such as `10%`, `5` or `20/1h`; left
    /// out: no limit.
    #[serde(deserialize_with = "parsed")]
    pub max_disruption: Option<MaxDisruption>,
    /// Whether replicas that an owner lacks are load (false).
    pub keep_room_for_missing_replicas: Option<bool>,
    /// Minimum age of the pods of a node that is drained (0s).
    pub min_pod_age: Option<Millis>,
    /// How long the same replacement of nodes by cheaper ones must have been possible (10m).
    pub replacement_stable_time: Option<Millis>,
    /// Minimum age of the pods of a node that is replaced (10m).
    pub replacement_min_pod_age: Option<Millis>,
    /// Whether spot instances may be replaced by cheaper spot instances (false).
    pub replace_spot_by_spot: Option<bool>,
    /// Largest grace of an evicted pod (10m).
    pub max_graceful_termination: Option<Millis>,
    /// Ranges of pod priorities with their longest grace in seconds, such as
    /// `0:60,1000:100`; left out: all pods at once.
    #[serde(deserialize_with = "parsed")]
    pub drain_priority_config: Option<DrainPriorities>,
    /// How long a refused eviction is tried again (2m).
    pub max_pod_eviction_time: Option<Millis>,
    /// Time between taint and drain (5s).
    pub node_delete_delay_after_taint: Option<Millis>,
    /// How long annotations may delay a removal (2m).
    pub node_deletion_delay_timeout: Option<Millis>,
    /// Whether a node is cordoned before it is drained (true).
    pub cordon_node_before_terminating: Option<bool>,
    /// Maximum number of nodes that get or lose the taint of candidates in one pass (10).
    pub max_bulk_soft_taint_count: Option<u32>,
    /// Whether pods of DaemonSets are evicted from nodes without other pods (false).
    #[serde(rename = "daemonsetEvictionForEmptyNodes")]
    pub daemon_set_eviction_for_empty_nodes: Option<bool>,
    /// Whether pods of DaemonSets are evicted from nodes with other pods (true).
    #[serde(rename = "daemonsetEvictionForOccupiedNodes")]
    pub daemon_set_eviction_for_occupied_nodes: Option<bool>,
    /// Whether a Node is deleted that outlives its instance (false).
    pub delete_gone_nodes: Option<bool>,
}

/// What scale-down does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum ScaleDownModeSpec {
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
            ScaleDownModeSpec::On => ScaleDownMode::On,
            ScaleDownModeSpec::Observe => ScaleDownMode::Observe,
            ScaleDownModeSpec::Off => ScaleDownMode::Off,
        };
        if !self.policies.is_empty() {
            options.policies = self.policies.iter().map(choice).collect();
        }
        self.apply_times(options);
        options.max_disruption = self.max_disruption.or(options.max_disruption);
        if let Some(priorities) = &self.drain_priority_config {
            options.drain_priorities = priorities.clone();
        }
        let switches = [
            (&mut options.unready_enabled, self.unready_enabled),
            (&mut options.delay_type_local, self.delay_type_local),
            (&mut options.cordon, self.cordon_node_before_terminating),
            (
                &mut options.keep_room_for_missing_replicas,
                self.keep_room_for_missing_replicas,
            ),
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
                &mut options.replacement_min_pod_age_ms,
                self.replacement_min_pod_age,
            ),
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
    /// Utilization of cpu and memory up to which a node may be removed, from 0 to 1.
    /// Example: `0.6`.
    pub utilization_threshold: Option<f64>,
    /// Utilization of GPUs up to which a node with GPUs may be removed, from 0 to 1.
    /// Example: `0.4`.
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
    /// How many of its nodes may be disrupted, such as `10%`, `5` or `20/1h`; left out: no
    /// limit of its own.
    #[serde(deserialize_with = "parsed")]
    pub max_disruption: Option<MaxDisruption>,
}

/// Reads what is written as on the command line: a number, or a text.
fn parsed<'de, D: Deserializer<'de>, T: FromStr<Err: Display>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u32),
        Text(String),
    }
    let text = match Option::deserialize(deserializer)? {
        None => return Ok(None),
        Some(Written::Number(number)) => number.to_string(),
        Some(Written::Text(text)) => text,
    };
    text.parse().map(Some).map_err(D::Error::custom)
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
            max_disruption: self.max_disruption,
        }
    }
}
