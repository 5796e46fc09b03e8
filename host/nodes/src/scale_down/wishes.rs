//! Labels and annotations that scale-down policies want of pods and nodes.

use std::sync::Arc;

use super::candidates::Candidate;
use crate::options::NodeOptions;
use crate::state::{ClusterState, PodView, WantedAnnotations};
use flyball_decision::context::GrantedInput;
use flyball_decision::policy::{Policy, PolicyEngine, PolicyFailure, WantedInput, interface, kind};
use flyball_decision::row_wish::{RowText, RowWish};

/// What the policies of a chain want of each pod and of each node, once each. Includes the
/// policies that answer if one of the chain fails.
#[derive(Default)]
pub(crate) struct Wishes {
    pub(crate) of_pods: Vec<RowWish>,
    pub(crate) of_nodes: Vec<RowWish>,
}

impl Wishes {
    /// Collects the wishes of the scale-down policies.
    pub(crate) fn of(options: &NodeOptions, engine: &dyn PolicyEngine) -> Self {
        let mut wishes = Self::default();
        for choice in &options.scale_down.policies {
            if let Ok(policy) = engine.policy(kind::SCALE_DOWN, &choice.name) {
                let before = policy.predecessors();
                before.iter().for_each(|policy| wishes.add(&**policy));
                wishes.add(&*policy);
            }
            for interface in interface::of_kind(kind::SCALE_DOWN) {
                let fallback = engine.fallback(interface, &choice.name);
                if let Some(policy) = fallback.filter(|_| options.fallback) {
                    wishes.add(&*policy);
                }
            }
        }
        wishes
    }

    fn add(&mut self, policy: &dyn Policy) {
        for wish in wishes_of(policy) {
            let wishes = match is_of_nodes(&wish) {
                true => &mut self.of_nodes,
                false => &mut self.of_pods,
            };
            if !wishes.contains(&wish) {
                wishes.push(wish);
            }
        }
    }

    /// Returns the annotations among them.
    pub(crate) fn annotations(&self) -> WantedAnnotations {
        let mut wanted = WantedAnnotations::none();
        for wish in self.of_pods.iter().chain(&self.of_nodes) {
            match wish.of {
                RowText::PodAnnotation => wanted.pods.insert(Arc::clone(&wish.key)),
                RowText::NodeAnnotation => wanted.nodes.insert(Arc::clone(&wish.key)),
                RowText::PodLabel | RowText::NamespaceLabel | RowText::NodeLabel => {}
            }
        }
        wanted
    }

    /// Returns what is wanted of a pod, in the order of the wishes.
    pub(crate) fn texts_of_pod(&self, state: &ClusterState, pod: &PodView<'_>) -> RowTexts {
        let texts = self.of_pods.iter();
        texts.map(|wish| pod_text(state, pod, wish)).collect()
    }

    /// Returns what is wanted of a node, in the order of the wishes.
    pub(super) fn texts_of_node(&self, node: &Candidate) -> RowTexts {
        let texts = self.of_nodes.iter();
        texts.map(|wish| node_text(node, wish)).collect()
    }
}

/// Texts of a pod or a node, one for each wish. Empty in most clusters, and then without an
/// allocation.
pub(crate) type RowTexts = Vec<Option<Arc<str>>>;

/// Grants what a policy wants of these pods, by their slots, and nodes. `pods` is `None` if
/// the question is not about pods.
pub(super) fn grant(
    state: &ClusterState,
    wanted: &WantedInput,
    pods: Option<&[u32]>,
    nodes: &[&Candidate],
) -> GrantedInput {
    RowWish::grant(wanted, |wish| {
        let texts: RowTexts = if is_of_nodes(wish) {
            nodes.iter().map(|node| node_text(node, wish)).collect()
        } else {
            let pods = pods?.iter().map(|&slot| state.pod_at(slot));
            pods.map(|pod| pod_text(state, &pod?, wish)).collect()
        };
        Some(texts.into_iter())
    })
}

fn is_of_nodes(wish: &RowWish) -> bool {
    matches!(wish.of, RowText::NodeLabel | RowText::NodeAnnotation)
}

fn pod_text(state: &ClusterState, pod: &PodView<'_>, wish: &RowWish) -> Option<Arc<str>> {
    let cluster = state.cluster();
    let text = match wish.of {
        RowText::PodLabel => cluster.label(pod.class, &wish.key),
        RowText::PodAnnotation => pod.facts.drain.annotations.get(&wish.key),
        RowText::NamespaceLabel => cluster
            .namespace_labels(&pod.key.namespace)
            .and_then(|labels| labels.get(&wish.key)),
        RowText::NodeLabel | RowText::NodeAnnotation => None,
    };
    text.cloned()
}

fn node_text(node: &Candidate, wish: &RowWish) -> Option<Arc<str>> {
    let text = match wish.of {
        RowText::NodeLabel => node.object.labels.get(&wish.key),
        RowText::NodeAnnotation => node.annotations.get(&wish.key),
        RowText::PodLabel | RowText::PodAnnotation | RowText::NamespaceLabel => None,
    };
    text.cloned()
}

fn wishes_of(policy: &dyn Policy) -> impl Iterator<Item = RowWish> {
    let wants = policy.description().wants.iter();
    wants.filter_map(|wanted| RowWish::of(wanted).ok())
}

/// Policies whose annotations are all listed. One that wants another key is not asked
/// before: until then, the version before it decides.
pub(crate) struct ListedPolicies<'a> {
    engine: &'a dyn PolicyEngine,
    listed: WantedAnnotations,
}

impl<'a> ListedPolicies<'a> {
    /// Wraps an engine.
    pub(crate) fn new(engine: &'a dyn PolicyEngine, state: &ClusterState) -> Self {
        let listed = state.listed_annotations().clone();
        Self { engine, listed }
    }

    /// Returns a wish of a policy for an annotation that is not listed.
    fn unlisted(&self, policy: &dyn Policy) -> Option<RowWish> {
        wishes_of(policy).find(|wish| match wish.of {
            RowText::PodAnnotation => !self.listed.pods.contains(&wish.key),
            RowText::NodeAnnotation => !self.listed.nodes.contains(&wish.key),
            RowText::PodLabel | RowText::NamespaceLabel | RowText::NodeLabel => false,
        })
    }
}

impl PolicyEngine for ListedPolicies<'_> {
    fn policy(&self, kind: &str, name: &str) -> Result<Arc<dyn Policy>, PolicyFailure> {
        let active = self.engine.policy(kind, name)?;
        let Some(wish) = self.unlisted(&*active) else {
            return Ok(active);
        };
        let is_usable = |policy: &Arc<dyn Policy>| {
            policy.description().has_kind(kind) && self.unlisted(&**policy).is_none()
        };
        let before = active.predecessors().into_iter().find(is_usable);
        before.ok_or_else(|| {
            PolicyFailure::Missing(format!(
                "policy `{name}` is asked once all objects are listed with {wish}"
            ))
        })
    }

    fn fallback(&self, interface: &str, name: &str) -> Option<Arc<dyn Policy>> {
        let policy = self.engine.fallback(interface, name)?;
        self.unlisted(&*policy).is_none().then_some(policy)
    }
}
