//! The nodes of a scenario: node groups, how their nodes boot and fail, and the options
//! of the loop that orders them.

use std::collections::BTreeMap;

use flyball_nodes::options::{Bounds, ExpanderChoice, NodeOptions};
use flyball_nodes::scale_down::ScaleDownMode;
use flyball_placement::Effect;
use flyball_replicas::spec::PolicyRef;
use serde::{Deserialize, Deserializer};

use super::resources::{NodeResources, Resources};
use super::scale_down::{GroupScaleDownSpec, ScaleDownSpec};
use super::scheduling::Toleration;
use crate::time::{Delay, Millis};

/// A node group: nodes of one kind that the cloud creates and deletes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeGroupSpec {
    /// Name (required). Example: `workers`.
    pub name: String,
    /// Minimum size, in nodes (0).
    #[serde(default)]
    pub min: u32,
    /// Maximum size, in nodes (required).
    pub max: u32,
    /// Number of nodes at the start, Ready by then (the minimum size).
    #[serde(default)]
    pub initial: Option<u32>,
    /// Price of a node per hour, in any currency; left out: unknown. Example: `0.35`.
    #[serde(default)]
    pub price: Option<f64>,
    /// Instance type of its nodes, such as `m5.large`; left out: unknown.
    #[serde(default)]
    pub instance_type: Option<String>,
    /// Whether its nodes are spot instances; left out: unknown.
    #[serde(default)]
    pub spot: Option<bool>,
    /// Zones, such as `[eu-west-1a, eu-west-1b]`; a new node is created in the one with the
    /// fewest nodes of the group; left out: nodes have no zone.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Capacity of a node (required).
    pub capacity: NodeResources,
    /// Allocatable part of the capacity; left out: all of it.
    #[serde(default)]
    pub allocatable: Option<NodeResources>,
    /// Labels of its nodes, besides those that every node has: `kubernetes.io/hostname`,
    /// `kubernetes.io/os`, `kubernetes.io/arch` and, with zones,
    /// `topology.kubernetes.io/zone`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes.
    #[serde(default)]
    pub taints: Vec<TaintSpec>,
    /// Time from the order to the Ready node.
    #[serde(default)]
    pub boot: Boot,
    /// Failures of its nodes.
    #[serde(default)]
    pub failures: Failures,
    /// Time from the deletion of an instance to its end.
    #[serde(default)]
    pub shutdown: Shutdown,
    /// Options of its own for the removal of its nodes; left out: those of all groups.
    #[serde(default)]
    pub scale_down: GroupScaleDownSpec,
}

/// A taint, with Kubernetes' fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaintSpec {
    /// Key (required).
    pub key: String,
    /// Value; left out: empty.
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute` (required). Example: `NoSchedule`.
    pub effect: Effect,
}

/// Boot of a node: the instance is created within a third of `mean` ± `jitter`, then it
/// boots; at the end the node joins, and it is Ready after `readiness_delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Boot {
    /// Mean time from the order until the node joins (90s).
    pub mean: Millis,
    /// Maximum deviation from the mean, evenly distributed (0s).
    pub jitter: Millis,
    /// Time from joining to Ready (10s).
    pub readiness_delay: Millis,
}

impl Default for Boot {
    fn default() -> Self {
        Self {
            mean: Millis(90_000),
            jitter: Millis(0),
            readiness_delay: Millis(10_000),
        }
    }
}

/// End of an instance that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Shutdown {
    /// Time from its deletion until it is gone, and its pods with it (30s).
    pub instance: Millis,
    /// Time from then until the cloud's controller deletes its Node (5s); `never`: the
    /// Node stays.
    pub node: Delay,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self {
            instance: Millis(30_000),
            node: Delay::After(Millis(5_000)),
        }
    }
}

/// Failures of a group's nodes.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Failures {
    /// When, and how often, the cloud has no capacity.
    pub out_of_capacity: OutOfCapacity,
    /// Part of the instances whose node never joins, from 0 to 1 (0). Example: `0.1`.
    pub never_joins: f64,
    /// Instances whose node joins later than usual.
    pub joins_late: JoinsLate,
    /// Mean lifetime of a node; left out: nodes don't die. The cloud creates a new
    /// instance for one that died.
    pub mean_time_between_failures: Option<Millis>,
}

/// When the cloud has no capacity. It tries again every minute as long as the instances
/// are ordered.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutOfCapacity {
    /// Times without capacity.
    pub windows: Vec<Window>,
    /// Part of the attempts that fail at any time, from 0 to 1 (0). Example: `0.1`.
    pub probability: f64,
    /// How the cloud reports it (`instance`).
    pub answer: OutOfCapacityAnswer,
}

/// A time interval since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Its beginning, since the start (required).
    pub at: Millis,
    /// Its length (required).
    #[serde(rename = "for")]
    pub length: Millis,
}

/// How a cloud reports that it is out of capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutOfCapacityAnswer {
    /// The order is accepted, and the instance is reported as failed, as an Auto Scaling
    /// group does.
    #[default]
    Instance,
    /// The order is refused.
    Error,
    /// The order is accepted, and nothing is reported.
    Silence,
}

/// Instances whose node joins late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JoinsLate {
    /// Part of the instances, from 0 to 1 (0). Example: `0.1`.
    pub probability: f64,
    /// The delay (0s).
    pub delay: Millis,
}

/// A DaemonSet: a pod on every node that can run it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DaemonSetSpec {
    /// Name (required).
    pub name: String,
    /// Its namespace (`kube-system`).
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Requests of a pod (cpu 100m, memory 128Mi).
    #[serde(default)]
    pub requests: Resources,
    /// Labels that a node must have.
    #[serde(default)]
    pub node_selector: BTreeMap<String, String>,
    /// Tolerations of its pods, besides that of cordoned nodes.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
    /// Annotations of its pods.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// Options of the loop that orders nodes: the flags of Cluster Autoscaler, with its
/// defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeAutoscalerSpec {
    /// Interval of the passes (10s).
    pub scan_interval: Option<Millis>,
    /// Expanders, asked in this order until one option is left; left out: the built-in
    /// `least-waste`. Example: `[{name: price}]`.
    pub expanders: Vec<PolicyRef>,
    /// Maximum number of nodes of the cluster; 0: no limit (0).
    pub max_nodes_total: Option<u32>,
    /// Minimum and maximum of the cluster's cores (0:320000).
    pub cores_total: Option<Range>,
    /// Minimum and maximum of the cluster's memory, in GiB (0:6400000).
    pub memory_total: Option<Range>,
    /// Maximum number of nodes that one pass adds; 0: no limit (1000).
    #[serde(rename = "maxNodesPerScaleup")]
    pub max_nodes_per_scale_up: Option<u32>,
    /// Whether new nodes are split over similar groups (false).
    pub balance_similar_node_groups: Option<bool>,
    /// Time within which an ordered node has to join (15m).
    pub max_node_provision_time: Option<Millis>,
    /// Minimum age of a pod for which nodes are ordered (0s).
    pub new_pod_scale_up_delay: Option<Millis>,
    /// Priority below which no nodes are ordered for a pod (-10).
    pub expendable_pods_priority_cutoff: Option<i32>,
    /// Backoff of a group after its first failure (5m).
    pub initial_node_group_backoff_duration: Option<Millis>,
    /// Maximum backoff after several failures (30m).
    pub max_node_group_backoff_duration: Option<Millis>,
    /// Time without a failure after which the backoff is reset (3h).
    pub node_group_backoff_reset_timeout: Option<Millis>,
    /// Options of scale-down; left out: nodes are not removed.
    pub scale_down: Option<ScaleDownSpec>,
}

/// Minimum and maximum, written `min:max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// Minimum.
    pub min: u64,
    /// Maximum.
    pub max: u64,
}

impl<'de> Deserialize<'de> for Range {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let range = text.split_once(':').and_then(|(min, max)| {
            let (min, max) = (min.parse().ok()?, max.parse().ok()?);
            (min <= max).then_some(Self { min, max })
        });
        range.ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{text:?} is no range: write min:max, such as 0:64"
            ))
        })
    }
}

/// Bytes of a GiB.
const GIB: u64 = 1 << 30;

impl NodeAutoscalerSpec {
    /// Returns the options of the loop: those of `usual` that the scenario does not set.
    #[must_use]
    pub fn options(&self, usual: &NodeOptions) -> NodeOptions {
        let mut options = usual.clone();
        let times = [
            (&mut options.scan_interval_ms, self.scan_interval),
            (
                &mut options.max_node_provision_time_ms,
                self.max_node_provision_time,
            ),
            (
                &mut options.new_pod_scale_up_delay_ms,
                self.new_pod_scale_up_delay,
            ),
            (
                &mut options.initial_backoff_ms,
                self.initial_node_group_backoff_duration,
            ),
            (
                &mut options.max_backoff_ms,
                self.max_node_group_backoff_duration,
            ),
            (
                &mut options.backoff_reset_ms,
                self.node_group_backoff_reset_timeout,
            ),
        ];
        for (option, length) in times {
            *option = length.map_or(*option, |length| length.0);
        }
        if !self.expanders.is_empty() {
            options.expanders = self.expanders.iter().map(choice).collect();
        }
        let counts = [
            (&mut options.max_nodes_total, self.max_nodes_total),
            (
                &mut options.max_nodes_per_scale_up,
                self.max_nodes_per_scale_up,
            ),
        ];
        for (option, count) in counts {
            *option = count.unwrap_or(*option);
        }
        let ranges = [
            (&mut options.cores_total, self.cores_total, 1),
            (&mut options.memory_total, self.memory_total, GIB),
        ];
        for (option, range, unit) in ranges {
            if let Some(Range { min, max }) = range {
                *option = Bounds {
                    min: min.saturating_mul(unit),
                    max: max.saturating_mul(unit),
                };
            }
        }
        if let Some(balance) = self.balance_similar_node_groups {
            options.balance_similar_node_groups = balance;
        }
        if let Some(cutoff) = self.expendable_pods_priority_cutoff {
            options.expendable_pods_priority_cutoff = cutoff;
        }
        match &self.scale_down {
            Some(scale_down) => scale_down.apply(&mut options.scale_down),
            // Scenarios of nodes that come need no policies about nodes that go.
            None => options.scale_down.mode = ScaleDownMode::Off,
        }
        options
    }
}

/// Returns a policy of a chain.
pub(super) fn choice(policy: &PolicyRef) -> ExpanderChoice {
    ExpanderChoice {
        name: policy.name.as_str().into(),
        configuration: policy.configuration(),
    }
}

impl NodeGroupSpec {
    /// Returns the number of nodes at the start.
    #[must_use]
    pub fn initial(&self) -> u32 {
        self.initial.unwrap_or(self.min)
    }

    /// Returns the allocatable resources of a node.
    #[must_use]
    pub fn allocatable(&self) -> &NodeResources {
        self.allocatable.as_ref().unwrap_or(&self.capacity)
    }
}

fn default_namespace() -> String {
    "kube-system".to_owned()
}
