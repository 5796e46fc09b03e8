//! The port to a cloud: node groups with their sizes and instances, and three kinds of
//! orders. Each provider implements it, and so does the embedded cluster.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use crate::max_disruption::MaxDisruption;
use flyball_decision::time::Timestamp;

/// A group of alike nodes that a cloud creates and deletes, such as an Auto Scaling group
/// or a Magnum node group.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeGroup {
    /// Name, unique in the cloud. People and expanders refer to it.
    pub name: Arc<str>,
    /// Smallest size that may be ordered.
    pub min_size: u32,
    /// Largest size that may be ordered.
    pub max_size: u32,
    /// Number of instances that the cloud keeps (target or desired capacity).
    pub target_size: u32,
    /// The instances, with their states.
    pub instances: Vec<Instance>,
    /// Zones that its nodes may be in. If there are several, the cloud chooses one for
    /// each node. Empty if the provider does not know.
    pub zones: Vec<Arc<str>>,
    /// Shape of a new node, from what the provider knows (tags, instance types). `None`
    /// if only a live node can show it.
    pub template: Option<Arc<NodeTemplate>>,
    /// Price of one node for an hour, in one unit for all groups. `None` if not known.
    pub price: Option<f64>,
    /// Instance type of a new node. `None` if not known, or if the cloud chooses among
    /// several.
    pub instance_type: Option<Arc<str>>,
    /// Whether new nodes are spot instances, which the cloud may take back at any time.
    /// `None` if not known, or if the group has both kinds.
    pub spot: Option<bool>,
    /// Options of the group's own for the removal of its nodes.
    pub scale_down: GroupScaleDown,
    /// Processes of the cloud that are suspended for the group, by the cloud's names
    /// (such as `Terminate` and `AZRebalance` of AWS), sorted.
    pub suspended: Vec<Arc<str>>,
}

/// Options of a node group for the removal of its nodes. Where one is unset, the option
/// for all groups holds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupScaleDown {
    /// Utilization of cpu and memory up to which a node may be removed, such as 0.5.
    pub utilization_threshold: Option<f64>,
    /// Utilization of GPUs up to which a node with GPUs may be removed.
    pub gpu_utilization_threshold: Option<f64>,
    /// How long a node must have been unneeded, in milliseconds.
    pub unneeded_time_ms: Option<i64>,
    /// How long an unready node must have been unneeded, in milliseconds.
    pub unready_time_ms: Option<i64>,
    /// How long an ordered node may take to join, in milliseconds.
    pub max_node_provision_time_ms: Option<i64>,
    /// Whether the group is either empty or at its largest size.
    pub zero_or_max: bool,
    /// Whether the requests of DaemonSets do not count as utilization.
    pub ignore_daemonsets_utilization: Option<bool>,
    /// How many of its nodes may be disrupted, besides the limit for all groups.
    pub max_disruption: Option<MaxDisruption>,
}

/// An instance of a node group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// spec.providerID of its node.
    pub provider_id: Arc<str>,
    /// The zone that it is in. `None` if the provider does not know (yet).
    pub zone: Option<Arc<str>>,
    /// Its state.
    pub state: InstanceState,
    /// Its instance type. `None` if the provider does not know.
    pub instance_type: Option<Arc<str>>,
    /// Whether it is a spot instance. `None` if the provider does not know.
    pub spot: Option<bool>,
}

/// State of an instance, as the cloud reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It is being created.
    Creating,
    /// It runs, whether or not its node has joined.
    Running,
    /// It is being deleted.
    Deleting,
    /// The cloud failed to create it.
    Failed(InstanceError),
}

/// Why the cloud failed to create an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceError {
    /// Whether the cloud is out of such instances (as against a quota, a broken
    /// image, …).
    pub out_of_resources: bool,
    /// The cloud's own code.
    pub code: String,
    /// Message for people.
    pub message: String,
}

/// The expected shape of a new node of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTemplate {
    /// Labels, without those that depend on the node's zone.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Keys of labels whose value is the node's zone, other than
    /// `topology.kubernetes.io/zone`.
    pub zone_labels: Vec<Arc<str>>,
    /// Taints.
    pub taints: Vec<TemplateTaint>,
    /// Capacity in milli of each resource's unit, `cpu`, `memory`, `pods` and others.
    pub capacity: BTreeMap<Arc<str>, i64>,
    /// Allocatable, in milli of each resource's unit.
    pub allocatable: BTreeMap<Arc<str>, i64>,
}

/// A taint of a [`NodeTemplate`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateTaint {
    /// Key.
    pub key: Arc<str>,
    /// Value; may be empty.
    pub value: Arc<str>,
    /// `NoSchedule`, `PreferNoSchedule` or `NoExecute`.
    pub effect: Arc<str>,
}

/// Class of the error of a call that was not sent, since another instance leads by now.
pub const NOT_LEADER: &str = "NotLeader";

/// Error of a call to a cloud.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CloudError {
    /// Stable class, CamelCase: `NotFound`, `AccessDenied`, `Throttled`,
    /// `OutOfResources`, `InvalidSize`, `MinSize` (a deletion would take the group below
    /// its smallest size), `NotLeader` ([`NOT_LEADER`]), `Unreachable`, `Other`.
    pub class: &'static str,
    /// Message for people that names the node group and the call.
    pub message: String,
}

/// How a cloud labels its nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conventions {
    /// Labels that the cloud and its tools set. They are ignored when groups are compared
    /// ([`crate::similar`]).
    pub ignored_labels: &'static [&'static str],
    /// The label of nodes with GPUs. `None` if the cloud has no such label.
    pub gpu_label: Option<&'static str>,
}

/// A cloud. The loop checks each order against the group's bounds. A provider also checks
/// what only it can know.
pub trait CloudProvider: Send + Sync {
    /// How the cloud labels its nodes.
    fn conventions(&self) -> Conventions {
        Conventions::default()
    }

    /// Lists all node groups as they are now, ordered by name. Providers may cache what
    /// changes rarely, but not across an order.
    fn node_groups(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Arc<NodeGroup>>, CloudError>> + Send;

    /// Raises the target by `delta`.
    fn increase_size(
        &self,
        now: Timestamp,
        group: &str,
        delta: u32,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Deletes these instances and lowers the target by their number. Returns the outcome
    /// of each instance, in the order of the ids: one that fails keeps no other from being
    /// deleted. An instance that is gone or being deleted is a success, and does not
    /// lower the target again.
    fn delete_instances(
        &self,
        now: Timestamp,
        group: &str,
        provider_ids: &[Arc<str>],
    ) -> impl Future<Output = Vec<Result<(), CloudError>>> + Send;

    /// Lowers the target by `delta` without deleting an existing instance. It cancels
    /// ordered instances that have not been created.
    fn decrease_target_size(
        &self,
        now: Timestamp,
        group: &str,
        delta: u32,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
}
