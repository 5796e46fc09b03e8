//! Candidates: the nodes that may be removed as far as the host's own rules go.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_placement::{Node, NodeId};
use hashbrown::HashMap;

use super::plan::{ScaleDownContext, StayingNode};
use super::tracker::ScaleDownTracker;
use crate::census::GroupCensus;
use crate::cloud::{Instance, NodeGroup};
use crate::limits::NodeSize;
use crate::readiness::{is_drained, is_ready};
use crate::reasons::{self, HostReason, Stay};
use crate::state::{ClusterState, NodeView};
use flyball_decision::time::Timestamp;

/// Annotation that keeps a node.
const DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

/// Whether a node's annotations keep it.
pub(super) fn is_disabled(annotations: &BTreeMap<Arc<str>, Arc<str>>) -> bool {
    annotations.get(DISABLED).map(|value| &**value) == Some("true")
}

/// A node that may be removed, as far as the host's own rules go.
#[derive(Clone, Debug)]
pub(super) struct Candidate {
    pub(super) id: NodeId,
    pub(super) name: Arc<str>,
    pub(super) uid: Arc<str>,
    pub(super) object: Arc<Node>,
    pub(super) annotations: Arc<BTreeMap<Arc<str>, Arc<str>>>,
    pub(super) created: Timestamp,
    /// Index of its group in the census.
    pub(super) group: usize,
    pub(super) provider_id: Arc<str>,
    pub(super) zone: Option<Arc<str>>,
    pub(super) instance_type: Option<Arc<str>>,
    pub(super) spot: Option<bool>,
    pub(super) price: Option<f64>,
    pub(super) ready_since: Option<Timestamp>,
    pub(super) last_pod_change: Option<Timestamp>,
    /// Whether it is ready, as Kubernetes defines it.
    pub(super) ready: bool,
    pub(super) size: NodeSize,
    /// Number of nodes of its group in its zone.
    pub(super) in_zone: u32,
    pub(super) unneeded_since: Option<Timestamp>,
}

/// The candidates, and the nodes that are none.
pub(super) struct Found {
    /// Names of all nodes of groups that may shrink, ordered by name.
    pub(super) considered: Vec<Arc<str>>,
    pub(super) nodes: Vec<Candidate>,
    /// Drained nodes that are looked at once more before their pods are evicted.
    pub(super) reviewed: Vec<Candidate>,
    pub(super) stays: Vec<StayingNode>,
    /// Number of joined nodes of each group, at its index in the census.
    pub(super) registered: Vec<u32>,
}

/// Collects the candidates, ordered by name.
pub(super) fn candidates(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    tracker: &ScaleDownTracker,
) -> Found {
    let groups = &context.census.groups;
    let count = groups
        .iter()
        .map(|census| census.group.instances.len())
        .sum();
    let mut instances: HashMap<&str, (usize, &Instance)> = HashMap::with_capacity(count);
    for (at, census) in groups.iter().enumerate() {
        for instance in &census.group.instances {
            instances.insert(&instance.provider_id, (at, instance));
        }
    }
    let of = |node: NodeView<'_>| {
        let provider_id = node.facts.provider_id.as_deref();
        // Nodes of a dump may lack it; their groups name them instead.
        let id = provider_id.unwrap_or(&node.facts.node.name);
        instances.get(id).copied()
    };
    let mut found = Found {
        considered: Vec::with_capacity(count),
        nodes: Vec::with_capacity(count),
        reviewed: Vec::new(),
        stays: Vec::new(),
        registered: vec![0; groups.len()],
    };
    let mut zones: BTreeMap<(usize, Option<&Arc<str>>), u32> = BTreeMap::new();
    for node in state.nodes() {
        if let Some((group, _)) = of(node) {
            found.registered[group] += 1;
            *zones.entry((group, node.zone)).or_default() += 1;
        }
    }
    for node in state.nodes() {
        let name = &node.facts.node.name;
        let Some((group, instance)) = of(node) else {
            found.stay(name, reasons::NOT_AUTOSCALED);
            continue;
        };
        let census = &groups[group];
        let candidate = |in_zone: Option<u32>| {
            Candidate::new(context, tracker, node, (group, census), instance, in_zone)
        };
        if tracker.is_reviewed(name) {
            let in_zone = zones.get(&(group, node.zone)).copied();
            found.reviewed.push(candidate(in_zone));
            continue;
        }
        let kept = kept(context, tracker, node, &census.group);
        if kept != Some(reasons::MIN_SIZE) {
            found.considered.push(Arc::clone(name));
        }
        if let Some(reason) = kept {
            found.stay(name, reason);
            continue;
        }
        if census.starting.contains(name) {
            found.stay(name, reasons::NOT_STARTED);
            continue;
        }
        let in_zone = zones.get(&(group, node.zone)).copied();
        found.nodes.push(candidate(in_zone));
    }
    found
}

impl Candidate {
    fn new(
        context: &ScaleDownContext<'_>,
        tracker: &ScaleDownTracker,
        node: NodeView<'_>,
        (group, census): (usize, &GroupCensus),
        instance: &Instance,
        in_zone: Option<u32>,
    ) -> Self {
        let facts = node.facts;
        let name = &facts.node.name;
        Self {
            id: node.id,
            name: Arc::clone(name),
            uid: Arc::clone(&facts.uid),
            object: Arc::clone(&facts.node),
            annotations: Arc::clone(&facts.annotations),
            created: facts.created,
            group,
            provider_id: Arc::clone(&instance.provider_id),
            zone: instance.zone.clone().or_else(|| node.zone.cloned()),
            instance_type: instance
                .instance_type
                .clone()
                .or_else(|| census.group.instance_type.clone()),
            spot: instance.spot.or(census.group.spot),
            price: census.group.price,
            ready: is_ready(node, context.options),
            ready_since: facts.ready_since,
            last_pod_change: node.last_pod_change,
            size: facts.size(),
            in_zone: in_zone.unwrap_or_default(),
            unneeded_since: tracker.timers.since(name),
        }
    }
}

impl Found {
    fn stay(&mut self, name: &Arc<str>, reason: HostReason) {
        self.stays.push(StayingNode {
            name: Arc::clone(name),
            stay: Arc::new(Stay::of(reason)),
        });
    }
}

/// Why the host keeps a node, whatever the policies say.
fn kept(
    context: &ScaleDownContext<'_>,
    tracker: &ScaleDownTracker,
    node: NodeView<'_>,
    group: &NodeGroup,
) -> Option<HostReason> {
    if group.target_size <= group.min_size {
        return Some(reasons::MIN_SIZE);
    }
    if is_drained(node) || node.facts.deleting || tracker.is_leaving(&node.facts.node.name) {
        return Some(reasons::BEING_DELETED);
    }
    if is_disabled(&node.facts.annotations) {
        return Some(reasons::DISABLED);
    }
    let replacements = &tracker.replacements;
    if let Some(replacement) = replacements.of_leaving(&node.facts.node.name)
        && !replacement.has_come
    {
        return Some(reasons::REPLACEMENT_UNDER_WAY);
    }
    let id = node.facts.provider_id.as_deref().unwrap_or_default();
    if replacements.has_brought(&group.name, id, node.facts.created) {
        return Some(reasons::REPLACES_OTHERS);
    }
    let unready = !context.options.scale_down.unready_enabled;
    (unready && !is_ready(node, context.options)).then_some(reasons::UNREADY_DISABLED)
}
