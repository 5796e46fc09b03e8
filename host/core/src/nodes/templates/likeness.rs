//! What a group's nodes were like, for when none of them shows it any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::{CsiNode, Name, Node, Pod, Resources};

use super::members::Members;

use crate::nodes::options::NodeOptions;
use crate::nodes::readiness::is_ready;
use crate::nodes::state::{ClusterState, NodeView, PodView};
use crate::time::Timestamp;

/// What a node was like.
#[derive(Clone, Debug)]
pub(in crate::nodes) struct Likeness {
    pub(super) node: Arc<Node>,
    pub(super) capacity: Resources,
    /// Its static pods, and those that only count as a DaemonSet's: what DaemonSets
    /// bring is known without it.
    pub(super) statics: Vec<Pod>,
    /// Their uids.
    uids: Vec<Arc<str>>,
    /// Labels that a new node would have another value of.
    pub(super) own_labels: Vec<Name>,
    /// What its CSINode says.
    pub(super) csi: Option<Arc<CsiNode>>,
}

/// What the last good example of each group was like, and as of which revision of the
/// cluster that is known.
#[derive(Clone, Debug, Default)]
pub(in crate::nodes) struct Likenesses(BTreeMap<Arc<str>, (u64, Arc<Likeness>)>);

impl Likenesses {
    /// Learns from the best example among a group's nodes. If that is a poor one: what
    /// a good one was like, else what this one is.
    pub(in crate::nodes) fn of(
        &mut self,
        members: Members<'_>,
        group: &Arc<str>,
        example: Option<NodeView<'_>>,
        options: &NodeOptions,
    ) -> Option<Arc<Likeness>> {
        match example {
            Some(node) if is_good_example(node, options) => Some(self.learn(members, group, node)),
            poor => {
                let known = self.0.get(group).map(|(_, like)| Arc::clone(like));
                known.or_else(|| Some(Arc::new(Likeness::of(members, poor?))))
            }
        }
    }

    fn learn(
        &mut self,
        members: Members<'_>,
        group: &Arc<str>,
        node: NodeView<'_>,
    ) -> Arc<Likeness> {
        let revision = members.state.revision();
        if let Some((learned, like)) = self.0.get_mut(group)
            && (*learned == revision && Arc::ptr_eq(&like.node, &node.facts.node)
                || like.is_of(members, node))
        {
            *learned = revision;
            return Arc::clone(like);
        }
        let like = Arc::new(Likeness::of(members, node));
        let known = (revision, Arc::clone(&like));
        self.0.insert(Arc::clone(group), known);
        like
    }

    /// Forgets groups that are gone.
    pub(in crate::nodes) fn retain(&mut self, is_there: impl Fn(&Arc<str>) -> bool) {
        self.0.retain(|group, _| is_there(group));
    }
}

impl Likeness {
    fn of(members: Members<'_>, node: NodeView<'_>) -> Self {
        let state = members.state;
        let pods = || statics(state, node);
        let csi = members.csi_node(&node.facts.node);
        Self {
            own_labels: members.own_labels(&node.facts.node, csi.as_deref()),
            csi,
            node: Arc::clone(&node.facts.node),
            capacity: node.facts.capacity.clone(),
            statics: pods().map(|pod| state.cluster().pod(pod.class)).collect(),
            uids: pods().map(|pod| Arc::clone(pod.uid)).collect(),
        }
    }

    /// Whether it is what a node is like now.
    fn is_of(&self, members: Members<'_>, node: NodeView<'_>) -> bool {
        let object = &node.facts.node;
        let same = Arc::ptr_eq(&self.node, object)
            && self.capacity == node.facts.capacity
            && self
                .uids
                .iter()
                .eq(statics(members.state, node).map(|pod| pod.uid));
        if !same {
            return false;
        }
        let csi = members.csi_node(object);
        self.csi == csi && self.own_labels == members.own_labels(object, csi.as_deref())
    }
}

fn statics<'a>(state: &'a ClusterState, node: NodeView<'_>) -> impl Iterator<Item = PodView<'a>> {
    let pods = state.pods_on(&node.facts.node.name);
    let is_static = |pod: &PodView<'_>| {
        pod.facts.mirror || pod.facts.like_daemon_set && !pod.is_owned_by_daemon_set()
    };
    pods.filter(move |pod| is_static(pod) && pod.stays())
}

/// Whether a node shows what a new one would be like: it is ready, and stays.
pub(in crate::nodes) fn is_good_example(node: NodeView<'_>, options: &NodeOptions) -> bool {
    is_ready(node, options) && !node.facts.deleting && !node.facts.node.unschedulable
}

/// How well a node shows what a new one would be like: a good example before others, and
/// of two the younger.
pub(in crate::nodes) fn example_rank<'a>(
    node: NodeView<'a>,
    options: &NodeOptions,
) -> (bool, Timestamp, &'a str) {
    let facts = node.facts;
    let good = is_good_example(node, options);
    (good, facts.created, &facts.node.name)
}
