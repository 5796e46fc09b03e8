//! What a group's nodes were like, for when none of them shows it any more.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::{Node, Pod, Resources};

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
        state: &ClusterState,
        group: &Arc<str>,
        example: Option<NodeView<'_>>,
        options: &NodeOptions,
    ) -> Option<Arc<Likeness>> {
        match example {
            Some(node) if is_good_example(node, options) => {
                self.learn(state, group, node);
                None
            }
            poor => {
                let known = self.0.get(group).map(|(_, like)| Arc::clone(like));
                known.or_else(|| Some(Arc::new(Likeness::of(state, poor?))))
            }
        }
    }

    fn learn(&mut self, state: &ClusterState, group: &Arc<str>, node: NodeView<'_>) {
        let revision = state.revision();
        if let Some((learned, like)) = self.0.get_mut(group) {
            let same = *learned == revision
                || Arc::ptr_eq(&like.node, &node.facts.node)
                    && like.uids.iter().eq(statics(state, node).map(|pod| pod.uid));
            if same {
                *learned = revision;
                return;
            }
        }
        let like = Arc::new(Likeness::of(state, node));
        self.0.insert(Arc::clone(group), (revision, like));
    }

    /// Forgets groups that are gone.
    pub(in crate::nodes) fn retain(&mut self, is_there: impl Fn(&Arc<str>) -> bool) {
        self.0.retain(|group, _| is_there(group));
    }
}

impl Likeness {
    fn of(state: &ClusterState, node: NodeView<'_>) -> Self {
        let pods = || statics(state, node);
        Self {
            node: Arc::clone(&node.facts.node),
            capacity: node.facts.capacity.clone(),
            statics: pods().map(|pod| state.cluster().pod(pod.class)).collect(),
            uids: pods().map(|pod| Arc::clone(pod.uid)).collect(),
        }
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

/// Whether a node shows it better than another one: a good example before others, and
/// of two the younger.
pub(in crate::nodes) fn is_better_example(
    node: NodeView<'_>,
    than: Option<NodeView<'_>>,
    options: &NodeOptions,
) -> bool {
    than.is_none_or(|than| rank(node, options) > rank(than, options))
}

fn rank<'a>(node: NodeView<'a>, options: &NodeOptions) -> (bool, Timestamp, &'a str) {
    let facts = node.facts;
    let good = is_good_example(node, options);
    (good, facts.created, &facts.node.name)
}
