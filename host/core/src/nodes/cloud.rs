//! The port to a cloud: node groups, their sizes and instances, and the three
//! orders that may be given. One implementation a provider, and one in the
//! embedded cluster.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;

use crate::time::Timestamp;

/// Nodes of one kind that a cloud makes and takes away: an Auto Scaling group, a
/// Magnum node group.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeGroup {
    /// Unique in the cloud; what people and expanders know it by.
    pub name: Arc<str>,
    /// Smallest size that may be ordered.
    pub min_size: u32,
    /// Largest size that may be ordered.
    pub max_size: u32,
    /// Instances that the cloud is to have (the target, or desired capacity).
    pub target_size: u32,
    /// What the cloud has, and what it says of each.
    pub instances: Vec<Instance>,
    /// Zones that its nodes may be in. Of several the cloud chooses one for each node.
    /// Empty if the provider does not know.
    pub zones: Vec<Arc<str>>,
    /// Shape of a new node, from what the provider knows (tags, instance types). `None`
    /// if only a live node can show it.
    pub template: Option<Arc<NodeTemplate>>,
    /// Price of one node for an hour, in any one unit. `None` if not known.
    pub price: Option<f64>,
}

/// An instance of a node group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Instance {
    /// What its node has in spec.providerID.
    pub provider_id: Arc<str>,
    /// The zone that it is in. `None` if the provider does not know (yet).
    pub zone: Option<Arc<str>>,
    /// What the cloud says of it.
    pub state: InstanceState,
}

/// What a cloud says of an instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InstanceState {
    /// It is being made.
    Creating,
    /// It runs, whether or not its node has joined.
    Running,
    /// It is being taken away.
    Deleting,
    /// It can't be had.
    Failed(InstanceError),
}

/// Why an instance can't be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstanceError {
    /// Whether the cloud is out of such instances (as against a quota, a broken
    /// image, …).
    pub out_of_resources: bool,
    /// The cloud's own code.
    pub code: String,
    /// What a person reads.
    pub message: String,
}

/// What a new node of a group would be like.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeTemplate {
    /// Labels, without those that only say in which of the group's zones a node is.
    pub labels: BTreeMap<Arc<str>, Arc<str>>,
    /// Keys of the labels that have a node's zone as their value, beside
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

/// Why a cloud did not do what it was asked to.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct CloudError {
    /// Stable class, CamelCase: `NotFound`, `AccessDenied`, `Throttled`,
    /// `OutOfResources`, `InvalidSize`, `Unreachable`, `Other`.
    pub class: &'static str,
    /// What a person reads, naming the node group and the call.
    pub message: String,
}

/// A cloud. Each order is checked against the group's bounds by the core before it
/// is given; a provider checks again what only it can know.
pub trait CloudProvider: Send + Sync {
    /// Labels that the cloud and its tools give to nodes, which don't make groups
    /// different ([`super::similar`]).
    fn ignored_labels(&self) -> &'static [&'static str] {
        &[]
    }

    /// The label of nodes with GPUs. `None` if the cloud has no such label.
    fn gpu_label(&self) -> Option<&'static str> {
        None
    }

    /// Every node group as it is now, ordered by name. Providers cache what changes
    /// rarely; after an order they look anew.
    fn node_groups(
        &self,
        now: Timestamp,
    ) -> impl Future<Output = Result<Vec<Arc<NodeGroup>>, CloudError>> + Send;

    /// Orders `delta` more instances than the target is now.
    fn increase_size(
        &self,
        now: Timestamp,
        group: &str,
        delta: u32,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Takes these instances away and lowers the target by their number.
    fn delete_instances(
        &self,
        now: Timestamp,
        group: &str,
        provider_ids: &[Arc<str>],
    ) -> impl Future<Output = Result<(), CloudError>> + Send;

    /// Lowers the target by `delta` without taking away any instance that is there:
    /// what was ordered and has not come is no longer waited for.
    fn decrease_target_size(
        &self,
        now: Timestamp,
        group: &str,
        delta: u32,
    ) -> impl Future<Output = Result<(), CloudError>> + Send;
}
