//! Templates: the expected shape of a new node of each group. It is taken from a live
//! node of the group, else from the provider, else from a node that the group had before.

mod zones;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_placement::pack::{Template, add_template};
use flyball_placement::{ClassId, CsiNode, Effect, Labels, Name, Node, Resources, Taint};

use super::census::GroupCensus;
use super::cloud::NodeTemplate;
use super::gpu::has_gpus;
use super::limits::NodeSize;
use super::node_profile::NodeProfile;
use super::options::NodeOptions;
use super::readiness::is_startup_taint;
use super::similar::NodeShape;
use super::state::{ClusterState, LOCATION_LABELS, NodeView, node_size, zone_of};

use self::zones::{add_common_labels, put_in_zone, zones_of};

/// Taints of nodes that are unhealthy or about to be removed. New nodes don't have them.
const TRANSIENT_TAINTS: &[&str] = &[
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
    "node.kubernetes.io/unschedulable",
    "node.kubernetes.io/memory-pressure",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/network-unavailable",
    "node.kubernetes.io/pid-pressure",
    "node.kubernetes.io/out-of-service",
    "node.cloudprovider.kubernetes.io/uninitialized",
    "node.cloudprovider.kubernetes.io/shutdown",
    "ToBeDeletedByClusterAutoscaler",
    "DeletionCandidateOfClusterAutoscaler",
];

/// Label of template nodes, which live nodes don't have, as in Cluster Autoscaler.
/// Storage drivers select it in CSIStorageCapacity to publish the capacity of a new node.
pub const TEMPLATE_NODE_LABEL: &str = "cluster-autoscaler.kubernetes.io/template-node";

/// Placeholder in a template for a label value that is unique to each node, so that such
/// labels don't make groups different.
const PER_NODE_VALUE: &str = "template-node";

/// The expected shape of a new node of a group.
#[derive(Clone, Debug)]
pub struct GroupTemplate {
    /// The node, and the pods that it runs from the beginning.
    pub template: Template,
    /// Its capacity.
    pub capacity: Resources,
    /// Sum of the requests of these pods.
    pub requested: Resources,
    /// Whether it has GPUs, by its label or its allocatable resources.
    pub has_gpus: bool,
}

impl GroupTemplate {
    /// Zone of the node. `None` if its labels have none.
    pub(super) fn zone(&self) -> Option<&Name> {
        zone_of(&self.template.node.labels)
    }

    /// What such a node adds to the cluster.
    #[must_use]
    pub fn size(&self) -> NodeSize {
        node_size(&self.capacity)
    }
}

/// Source of a template.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    /// A node that the group has or had.
    Node,
    /// The provider.
    Provider,
}

/// The templates of a group, one for each zone that its next node may be in; one if the
/// zone is certain or unknown. Empty if there is no source: the group has no node, had
/// none, and the provider gives no template.
#[must_use]
pub fn templates_of(
    state: &mut ClusterState,
    census: &GroupCensus,
    options: &NodeOptions,
) -> Vec<GroupTemplate> {
    let group = &census.group;
    let example = census.example.as_deref().and_then(|id| state.node_of(id));
    let example = example.map(|node| from_live(state, node, options));
    let (source, parts) = match (example, &group.template, census.profile.as_deref()) {
        (Some(live), ..) => (Source::Node, live),
        (None, Some(provided), _) => {
            let (mut node, capacity) = from_provider(provided);
            add_common_labels(&mut node.labels, state.common_labels());
            let node = started_node(&node, options);
            let parts = (node, capacity, Vec::new(), BTreeSet::new());
            (Source::Provider, parts)
        }
        (None, None, Some(profile)) => (Source::Node, from_profile(state, profile, options)),
        (None, None, None) => return Vec::new(),
    };
    let common = state.common_labels();
    let zones = zones_of(&parts.0.labels, source, census, common);
    if zones.is_empty() {
        return vec![complete_template(state, census, options, parts)];
    }
    let provided = group.template.as_deref();
    let provided = provided.map_or(&[][..], |provided| &provided.zone_labels);
    let csi = census
        .profile
        .as_ref()
        .and_then(|profile| profile.csi.as_deref());
    let csi = csi.filter(|_| source == Source::Node);
    let drivers = csi.into_iter().flat_map(|csi| &csi.drivers);
    let topology_keys = drivers.flat_map(|driver| &driver.topology_keys);
    let repeated = provided.iter().chain(common.zone_labels());
    let repeated: Vec<Name> = repeated.chain(topology_keys).cloned().collect();
    let in_zone = |zone: &Name| {
        let mut parts = parts.clone();
        put_in_zone(&mut parts.0.labels, zone, source, &repeated);
        complete_template(state, census, options, parts)
    };
    zones.iter().map(in_zone).collect()
}

/// Completes a template with the parts that don't depend on its source: name, labels of
/// its own, CSINode, pods of DaemonSets.
fn complete_template(
    state: &mut ClusterState,
    census: &GroupCensus,
    options: &NodeOptions,
    (mut node, capacity, carried, owners): Parts,
) -> GroupTemplate {
    let has_gpus = has_gpus(&node, options);
    give_own_labels(&mut node, census.profile.as_deref());
    node.csi = csi_node(state, census.profile.as_deref());
    // One name for all templates, since the cluster keeps every name that it has seen.
    node.name = "template-node".into();
    node.labels.set(TEMPLATE_NODE_LABEL.into(), "true".into());
    let mut template = Template {
        node: Arc::new(node),
        carried,
    };
    carry_daemon_sets(state, &mut template, &owners);
    let mut requested = Resources::default();
    for &class in &template.carried {
        add(&mut requested, &state.cluster().requests(class), 1);
    }
    GroupTemplate {
        template,
        capacity,
        requested,
        has_gpus,
    }
}

/// Replaces the values of labels that are unique to each node of the group by a
/// placeholder. The cluster gives each added node its own value.
fn give_own_labels(node: &mut Node, profile: Option<&NodeProfile>) {
    let keys = profile.map_or(&[][..], |profile| &profile.own_labels);
    let keys = keys.iter().filter(|key| node.labels.get(key).is_some());
    node.own_labels = keys.cloned().collect();
    for key in &node.own_labels {
        node.labels.set(Arc::clone(key), PER_NODE_VALUE.into());
    }
}

/// The expected CSINode of a new node: that of the group's profile. Without one the
/// volume limits are unknown, and only the migrated plugins are set, which are the same
/// on most nodes of a cluster.
fn csi_node(state: &ClusterState, profile: Option<&NodeProfile>) -> Option<Arc<CsiNode>> {
    let known = profile.and_then(|profile| profile.csi.clone());
    known.or_else(|| {
        let migrated: Vec<_> = state.cluster().usually_migrated().cloned().collect();
        let csi = CsiNode {
            migrated,
            ..CsiNode::default()
        };
        (!csi.migrated.is_empty()).then(|| Arc::new(csi))
    })
}

type Parts = (Node, Resources, Vec<ClassId>, BTreeSet<Arc<str>>);

fn from_live(state: &ClusterState, live: NodeView<'_>, options: &NodeOptions) -> Parts {
    let mut carried = Vec::new();
    let mut owners = BTreeSet::new();
    let name = &live.facts.node.name;
    for pod in state.pods_on(name).chain(state.nominated_to(name)) {
        if (pod.of_daemon_set() || pod.facts.mirror) && pod.stays() {
            carried.push(pod.class);
            owners.extend(pod.facts.owner.iter().map(|owner| Arc::clone(&owner.uid)));
        }
    }
    carried.sort_unstable();
    let node = started_node(&live.facts.node, options);
    (node, live.facts.capacity.clone(), carried, owners)
}

fn from_profile(state: &mut ClusterState, profile: &NodeProfile, options: &NodeOptions) -> Parts {
    let cluster = state.cluster_mut();
    let mut carried: Vec<_> = profile
        .static_pods
        .iter()
        .map(|pod| cluster.class(pod))
        .collect();
    carried.sort_unstable();
    let node = started_node(&profile.node, options);
    (node, profile.capacity.clone(), carried, BTreeSet::new())
}

/// The node once it has started: schedulable, without transient and startup taints.
fn started_node(node: &Node, options: &NodeOptions) -> Node {
    let mut node = Node::clone(node);
    node.unschedulable = false;
    node.taints.retain(|taint| {
        !TRANSIENT_TAINTS.contains(&&*taint.key) && !is_startup_taint(taint, options)
    });
    node
}

fn from_provider(provided: &NodeTemplate) -> (Node, Resources) {
    let taints = provided.taints.iter().filter_map(|taint| {
        let effect = match &*taint.effect {
            "NoSchedule" => Effect::NoSchedule,
            "PreferNoSchedule" => Effect::PreferNoSchedule,
            "NoExecute" => Effect::NoExecute,
            _ => return None,
        };
        Some(Taint {
            key: Arc::clone(&taint.key),
            value: Arc::clone(&taint.value),
            effect,
        })
    });
    let labels = provided.labels.iter();
    let node = Node {
        labels: labels
            .map(|(key, value)| (Arc::clone(key), Arc::clone(value)))
            .collect::<Labels>(),
        taints: taints.collect(),
        allocatable: from_milli(&provided.allocatable),
        ..Node::default()
    };
    (node, from_milli(&provided.capacity))
}

/// Adds the pods of DaemonSets that would run on a new node and that it does not carry
/// already.
fn carry_daemon_sets(
    state: &mut ClusterState,
    template: &mut Template,
    owners: &BTreeSet<Arc<str>>,
) {
    let sets = state.daemon_sets();
    let classes: Vec<ClassId> = sets
        .filter(|(facts, _)| !owners.contains(&facts.uid))
        .map(|(_, class)| class)
        .collect();
    if classes.is_empty() {
        return;
    }
    let cluster = state.cluster_mut();
    let mark = cluster.mark();
    let node = add_template(cluster, template);
    for class in classes {
        if cluster.fits(class, node) {
            cluster.place(class, node, false);
            template.carried.push(class);
        }
    }
    cluster.rollback(mark);
}

/// Converts amounts in milli of each resource's unit to those of placement.
fn from_milli(amounts: &BTreeMap<Arc<str>, i64>) -> Resources {
    let mut resources = Resources::default();
    for (name, &amount) in amounts {
        let amount = if &**name == "cpu" {
            amount
        } else {
            amount.div_euclid(1000)
        };
        resources.set(name, amount);
    }
    resources
}

/// Amounts in milli of each resource's unit, without zeros.
fn to_milli(resources: &Resources) -> BTreeMap<Arc<str>, i64> {
    let Resources {
        cpu,
        memory,
        ephemeral_storage,
        pods,
        extended,
    } = resources;
    let known = [
        ("cpu", *cpu),
        ("memory", memory.saturating_mul(1000)),
        ("ephemeral-storage", ephemeral_storage.saturating_mul(1000)),
        ("pods", pods.saturating_mul(1000)),
    ];
    let known = known
        .into_iter()
        .map(|(name, amount)| (Arc::from(name), amount));
    let extended = extended
        .iter()
        .map(|(name, amount)| (Arc::clone(name), amount.saturating_mul(1000)));
    known
        .chain(extended)
        .filter(|(_, amount)| *amount != 0)
        .collect()
}

/// Adds `amounts`, multiplied by `times`.
pub(super) fn add(sum: &mut Resources, amounts: &Resources, times: i64) {
    let plus = |sum: i64, amount: i64| sum.saturating_add(amount.saturating_mul(times));
    sum.cpu = plus(sum.cpu, amounts.cpu);
    sum.memory = plus(sum.memory, amounts.memory);
    sum.ephemeral_storage = plus(sum.ephemeral_storage, amounts.ephemeral_storage);
    for (name, amount) in &amounts.extended {
        sum.set(name, plus(sum.get(name), *amount));
    }
}

/// A template in the form in which groups are compared. It lacks labels that repeat its
/// zone or region, as those of storage drivers do, since these differ between the groups
/// of different zones.
pub(super) struct OwnedShape {
    labels: BTreeMap<Arc<str>, Arc<str>>,
    capacity: BTreeMap<Arc<str>, i64>,
    allocatable: BTreeMap<Arc<str>, i64>,
    requested: BTreeMap<Arc<str>, i64>,
}

impl OwnedShape {
    pub(super) fn new(group: &GroupTemplate) -> Self {
        let node = &group.template.node;
        let places = || LOCATION_LABELS.into_iter().flatten();
        let places: Vec<&Name> = places().filter_map(|key| node.labels.get(key)).collect();
        let labels = node.labels.iter();
        Self {
            labels: labels
                .filter(|(_, value)| !places.contains(value))
                .map(|(key, value)| (Arc::clone(key), Arc::clone(value)))
                .collect(),
            capacity: to_milli(&group.capacity),
            allocatable: to_milli(&node.allocatable),
            requested: to_milli(&group.requested),
        }
    }

    /// The labels to compare; ignored ones are still among them.
    pub(super) fn labels(&self) -> &BTreeMap<Arc<str>, Arc<str>> {
        &self.labels
    }

    pub(super) fn borrowed(&self) -> NodeShape<'_> {
        NodeShape {
            labels: &self.labels,
            capacity: &self.capacity,
            allocatable: &self.allocatable,
            requested: &self.requested,
        }
    }
}
