//! Profiles of nodes: the shape of a group's nodes, kept for when the group has none any
//! more.

mod group_nodes;

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::{CsiNode, Name, Node, Pod, Resources};

pub(crate) use self::group_nodes::GroupNodes;
use crate::options::NodeOptions;
use crate::readiness::is_ready;
use crate::state::{ClusterState, NodeView, PodView};
use flyball_decision::time::Timestamp;

/// The shape of a node when it was last seen.
#[derive(Clone, Debug)]
pub(crate) struct NodeProfile {
    pub(crate) node: Arc<Node>,
    pub(crate) capacity: Resources,
    /// Its static pods, and those that only count as a DaemonSet's by annotation. Pods
    /// that a DaemonSet made are known from the DaemonSet.
    pub(crate) static_pods: Vec<Pod>,
    /// Uids of these pods.
    uids: Vec<Arc<str>>,
    /// Keys of labels whose value is unique to each node.
    pub(crate) own_labels: Vec<Name>,
    /// Its CSINode, or that of another node of the group with more drivers.
    pub(crate) csi: Option<Arc<CsiNode>>,
}

/// The profile of the last good example of each group, and the revision of the cluster at
/// which it was last checked.
#[derive(Clone, Debug, Default)]
pub(crate) struct NodeProfiles(BTreeMap<Arc<str>, (u64, Arc<NodeProfile>)>);

impl NodeProfiles {
    /// Returns the profile of a group, given the best example among its nodes. A good
    /// example updates the profile. If the example is not good, returns the last known
    /// profile, else that of the example.
    pub(crate) fn of(
        &mut self,
        group_nodes: GroupNodes<'_>,
        group: &Arc<str>,
        example: Option<NodeView<'_>>,
        options: &NodeOptions,
    ) -> Option<Arc<NodeProfile>> {
        match example {
            Some(node) if is_good_example(node, options) => {
                Some(self.update(group_nodes, group, node))
            }
            poor => {
                let known = self.0.get(group).map(|(_, profile)| Arc::clone(profile));
                known.or_else(|| Some(Arc::new(NodeProfile::of(group_nodes, poor?))))
            }
        }
    }

    fn update(
        &mut self,
        group_nodes: GroupNodes<'_>,
        group: &Arc<str>,
        node: NodeView<'_>,
    ) -> Arc<NodeProfile> {
        let revision = group_nodes.state.revision();
        if let Some((learned, profile)) = self.0.get_mut(group)
            && (*learned == revision && Arc::ptr_eq(&profile.node, &node.facts.node)
                || profile.matches(group_nodes, node))
        {
            *learned = revision;
            return Arc::clone(profile);
        }
        let profile = Arc::new(NodeProfile::of(group_nodes, node));
        let known = (revision, Arc::clone(&profile));
        self.0.insert(Arc::clone(group), known);
        profile
    }

    /// Keeps only groups for which `is_there` returns true.
    pub(crate) fn retain(&mut self, is_there: impl Fn(&Arc<str>) -> bool) {
        self.0.retain(|group, _| is_there(group));
    }
}

impl NodeProfile {
    fn of(group_nodes: GroupNodes<'_>, node: NodeView<'_>) -> Self {
        let state = group_nodes.state;
        let pods = || static_pods(state, node);
        let csi = group_nodes.csi_node(&node.facts.node);
        Self {
            own_labels: group_nodes.own_labels(&node.facts.node, csi.as_deref()),
            csi,
            node: Arc::clone(&node.facts.node),
            capacity: node.facts.capacity.clone(),
            static_pods: pods().map(|pod| state.cluster().pod(pod.class)).collect(),
            uids: pods().map(|pod| Arc::clone(pod.uid)).collect(),
        }
    }

    /// Whether the profile still describes the node.
    fn matches(&self, group_nodes: GroupNodes<'_>, node: NodeView<'_>) -> bool {
        let object = &node.facts.node;
        let same = Arc::ptr_eq(&self.node, object)
            && self.capacity == node.facts.capacity
            && self
                .uids
                .iter()
                .eq(static_pods(group_nodes.state, node).map(|pod| pod.uid));
        if !same {
            return false;
        }
        let csi = group_nodes.csi_node(object);
        self.csi == csi && self.own_labels == group_nodes.own_labels(object, csi.as_deref())
    }
}

fn static_pods<'a>(
    state: &'a ClusterState,
    node: NodeView<'_>,
) -> impl Iterator<Item = PodView<'a>> {
    let pods = state.pods_on(&node.facts.node.name);
    let is_static = |pod: &PodView<'_>| {
        pod.facts.mirror || pod.facts.like_daemon_set && !pod.is_owned_by_daemon_set()
    };
    pods.filter(move |pod| is_static(pod) && pod.stays())
}

/// Whether a node is a good example for a new one: it is ready, schedulable and not being
/// deleted.
fn is_good_example(node: NodeView<'_>, options: &NodeOptions) -> bool {
    is_ready(node, options) && !node.facts.deleting && !node.facts.node.unschedulable
}

/// Rank of a node as an example for a new one. Good examples rank higher, and of two the
/// younger.
pub(crate) fn example_rank<'a>(
    node: NodeView<'a>,
    options: &NodeOptions,
) -> (bool, Timestamp, &'a str) {
    let facts = node.facts;
    let good = is_good_example(node, options);
    (good, facts.created, &facts.node.name)
}
