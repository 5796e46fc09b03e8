//! The nodes of a scenario: node groups, how their nodes come and fail, and what
//! the loop that orders them goes by.

use std::collections::BTreeMap;

use flyball_core::nodes::options::{Bounds, ExpanderChoice, NodeOptions};
use flyball_core::spec::PolicyRef;
use flyball_placement::Effect;
use serde::{Deserialize, Deserializer};

use super::deserialize_quantity;
use super::scheduling::Toleration;
use super::workload::Resources;
use crate::time::Millis;

/// A node group: nodes of one kind that the cloud makes and takes away.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeGroupSpec {
    /// Name (required).
    pub name: String,
    /// Smallest size that may be ordered (0).
    #[serde(default)]
    pub min: u32,
    /// Largest size that may be ordered (required).
    pub max: u32,
    /// Nodes at the start, Ready by then (`min`).
    #[serde(default)]
    pub initial: Option<u32>,
    /// Price of a node for an hour, in any one unit; left out: not known.
    #[serde(default)]
    pub price: Option<f64>,
    /// Zones; a new node goes to the one with the fewest of the group. Left out:
    /// nodes have no zone.
    #[serde(default)]
    pub zones: Vec<String>,
    /// Capacity of a node (required).
    pub capacity: NodeResources,
    /// What of it pods can have; left out: all.
    #[serde(default)]
    pub allocatable: Option<NodeResources>,
    /// Labels of its nodes, beside those that every node has: `kubernetes.io/hostname`,
    /// `kubernetes.io/os`, `kubernetes.io/arch` and, with zones,
    /// `topology.kubernetes.io/zone`.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Taints of its nodes.
    #[serde(default)]
    pub taints: Vec<TaintSpec>,
    /// From the order to the node that is Ready.
    #[serde(default)]
    pub boot: Boot,
    /// What goes wrong.
    #[serde(default)]
    pub failures: Failures,
}

/// Resources of a node.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeResources {
    /// Cores (required).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub cpu: f64,
    /// Bytes (required).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub memory: f64,
    /// Pods (110).
    #[serde(default = "default_pods")]
    pub pods: u32,
}

/// A taint, spelled as Kubernetes does.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TaintSpec {
    /// Key (required).
    pub key: String,
    /// Value (empty).
    #[serde(default)]
    pub value: String,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute` (required).
    pub effect: Effect,
}

/// From an order to a node that is Ready: the instance is made for a third of
/// `mean` ± `jitter`, then it boots; at the end of it the node joins, and it is
/// Ready after `readiness_delay`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Boot {
    /// Mean time from the order to the node that joins (90s).
    pub mean: Millis,
    /// Evenly drawn and added or taken off (0s).
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

/// What goes wrong with the nodes of a group.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Failures {
    /// When, and how often, instances can't be had.
    pub out_of_capacity: OutOfCapacity,
    /// The part of the instances whose node never joins (0).
    pub never_joins: f64,
    /// Instances whose node joins later than it should.
    pub joins_late: JoinsLate,
    /// Nodes die, each after this time in the mean; left out: none does. The cloud
    /// makes a new instance for one that died.
    pub mean_time_between_failures: Option<Millis>,
}

/// When instances can't be had. The cloud tries again every minute as long as
/// they are wanted.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct OutOfCapacity {
    /// Times without any.
    pub windows: Vec<Window>,
    /// The part of the attempts that fail at any time (0).
    pub probability: f64,
    /// How the cloud tells.
    pub answer: OutOfCapacityAnswer,
}

/// A time since the start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Window {
    /// Its beginning.
    pub at: Millis,
    /// Its length.
    #[serde(rename = "for")]
    pub length: Millis,
}

/// How a cloud tells that it is out of capacity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutOfCapacityAnswer {
    /// The order is taken, and the instance is said to have failed: as an Auto
    /// Scaling group does.
    #[default]
    Instance,
    /// The order is refused.
    Error,
    /// The order is taken, and nothing is ever heard of it.
    Silence,
}

/// Instances whose node joins late.
#[derive(Clone, Copy, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct JoinsLate {
    /// The part of the instances (0).
    pub probability: f64,
    /// By how much (0s).
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
    /// Taints of nodes that its pods bear.
    #[serde(default)]
    pub tolerations: Vec<Toleration>,
}

/// What the loop that orders nodes goes by: the flags of Cluster Autoscaler, with
/// its defaults.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeAutoscalerSpec {
    /// Time from one look at the cluster to the next.
    pub scan_interval: Option<Millis>,
    /// Asked in this order until one option is left.
    pub expanders: Vec<PolicyRef>,
    /// Most nodes of the cluster.
    pub max_nodes_total: Option<u32>,
    /// Cores of the cluster.
    pub cores_total: Option<Range>,
    /// Memory of the cluster in GiB.
    pub memory_total: Option<Range>,
    /// Most nodes that one pass adds to a group.
    #[serde(rename = "maxNodesPerScaleup")]
    pub max_nodes_per_scale_up: Option<u32>,
    /// Whether new nodes are split over similar groups.
    pub balance_similar_node_groups: Option<bool>,
    /// How long a node may take to come.
    pub max_node_provision_time: Option<Millis>,
    /// How old a pod must be to be helped.
    pub new_pod_scale_up_delay: Option<Millis>,
    /// Pods of a lower priority are not helped.
    pub expendable_pods_priority_cutoff: Option<i32>,
    /// How long a group that failed is left alone.
    pub initial_node_group_backoff_duration: Option<Millis>,
    /// How long at most, after several failures.
    pub max_node_group_backoff_duration: Option<Millis>,
    /// After how long a failure is forgotten.
    pub node_group_backoff_reset_timeout: Option<Millis>,
}

/// The least and the most, written `min:max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// At least.
    pub min: u64,
    /// At most.
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
    /// The options of the loop: `usual` ones, and what the scenario says instead.
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
        options
    }
}

fn choice(policy: &PolicyRef) -> ExpanderChoice {
    let config = policy.config.clone().unwrap_or_default();
    ExpanderChoice {
        name: policy.name.as_str().into(),
        configuration: serde_json::Value::Object(config).to_string().into(),
    }
}

impl NodeGroupSpec {
    /// Nodes at the start.
    #[must_use]
    pub fn initial(&self) -> u32 {
        self.initial.unwrap_or(self.min)
    }

    /// What of a node pods can have.
    #[must_use]
    pub fn allocatable(&self) -> NodeResources {
        self.allocatable.unwrap_or(self.capacity)
    }
}

fn default_namespace() -> String {
    "kube-system".to_owned()
}

fn default_pods() -> u32 {
    110
}
