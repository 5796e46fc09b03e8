//! Verdicts that are kept from pass to pass.

use std::sync::Arc;

use flyball_placement::Resources;
use hashbrown::{DefaultHashBuilder, HashMap};

use super::compose::{NodeOfPods, PodVerdict};
use super::open::OpenNode;
use super::rows::{Fingerprint, HostFacts};
use super::{Candidate, JudgedNode, JudgedPod, Scores};
use crate::reasons::Stay;
use crate::scale_down::plan::ScaleDownContext;
use crate::scale_down::simulate::part_of;
use crate::scale_down::wishes::RowTexts;
use crate::state::ClusterState;
use flyball_decision::policy::kind;
use flyball_decision::scale_down::GroupColumns;
use flyball_decision::time::Timestamp;

/// Verdicts about pods and nodes, by node.
#[derive(Debug, Default)]
pub(crate) struct KeptVerdicts {
    nodes: HashMap<Arc<str>, KeptNode>,
    /// Drain revision of the state that the verdicts are about.
    revision: u64,
    /// Digest and configuration of each policy of the chain.
    chain: Vec<(Option<Arc<str>>, Arc<str>)>,
    /// The groups that nodes were asked about with.
    groups: Arc<GroupColumns>,
    /// The groups that pods were asked about with.
    pod_groups: Arc<GroupColumns>,
    /// Key of the fingerprints.
    pub(super) hasher: DefaultHashBuilder,
}

/// What pods of a node request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Requests {
    pub(super) cpu: i64,
    pub(super) memory: i64,
    pub(super) gpu: i64,
}

/// What the pods of a node request that use its resources.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct NodeRequests {
    pub(super) all: Requests,
    pub(super) of_daemon_sets: Requests,
    pub(super) of_mirrors: Requests,
}

impl NodeRequests {
    /// Adds a pod.
    pub(super) fn add(&mut self, facts: HostFacts, requests: Requests) {
        if facts.has_ended() || facts.is_long_terminating() {
            return;
        }
        self.all.add(requests);
        if facts.is_mirror() {
            self.of_mirrors.add(requests);
        } else if facts.of_daemon_set() {
            self.of_daemon_sets.add(requests);
        }
    }

    /// Adds what further pods of the node request.
    pub(super) fn add_all(&mut self, other: &Self) {
        self.all.add(other.all);
        self.of_daemon_sets.add(other.of_daemon_sets);
        self.of_mirrors.add(other.of_mirrors);
    }
}

impl Requests {
    fn add(&mut self, other: Self) {
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.memory = self.memory.saturating_add(other.memory);
        self.gpu = self.gpu.saturating_add(other.gpu);
    }

    /// The larger of the parts of cpu and memory.
    fn part_of(self, allocatable: &Resources) -> f64 {
        let cpu = part_of(self.cpu, allocatable.cpu);
        cpu.max(part_of(self.memory, allocatable.memory))
    }
}

/// The verdict about a pod.
#[derive(Clone, Debug)]
pub(super) struct KeptPod {
    /// Its slot in the state. Another pod may have it by now: the fingerprint says whether
    /// the verdict is about its row.
    pub(super) slot: u32,
    pub(super) fingerprint: Fingerprint,
    /// `None` until the policies have answered.
    pub(super) verdict: Option<PodVerdict>,
}

/// What verdicts about the pods of a node depend on, other than the pods and the group's
/// row.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PodNodeKey {
    group: usize,
    zone: Option<Arc<str>>,
    instance_type: Option<Arc<str>>,
    created: Timestamp,
    price: Option<f64>,
    /// What policies want of the node.
    pub(super) texts: RowTexts,
}

impl PodNodeKey {
    pub(super) fn of(node: &Candidate, texts: RowTexts) -> Self {
        Self {
            group: node.group,
            zone: node.zone.clone(),
            instance_type: node.instance_type.clone(),
            created: node.created,
            price: node.price,
            texts,
        }
    }
}

/// Verdicts about a node and its pods.
#[derive(Clone, Debug)]
pub(in crate::scale_down) struct KeptNode {
    key: PodNodeKey,
    /// Whether the node or its pods have changed since.
    is_stale: bool,
    /// Verdicts about its pods, ordered by slot.
    verdicts: Box<[KeptPod]>,
    /// Pods to evict or wait for, in the order of their names.
    pub(super) pods: Arc<[JudgedPod]>,
    /// The first pod that blocks.
    pub(super) blocked: Option<Arc<Stay>>,
    pub(super) cost: f64,
    pub(super) requested: NodeRequests,
    /// Until when the verdicts about the pods hold if nothing but time changes.
    pub(super) until: Timestamp,
    pub(super) verdict: Option<KeptVerdict>,
}

/// The verdict about a node itself.
#[derive(Clone, Debug)]
pub(super) struct KeptVerdict {
    pub(super) key: NodeKey,
    pub(super) stay: Option<Arc<Stay>>,
    pub(super) scores: Scores,
    pub(super) unneeded_ms: i64,
    pub(super) until: Timestamp,
}

/// What a node's row depends on, other than the node and its pods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeKey {
    unneeded_since: Option<Timestamp>,
    ready: bool,
    group: usize,
}

impl NodeKey {
    pub(super) fn of(node: &Candidate) -> Self {
        Self {
            unneeded_since: node.unneeded_since,
            ready: node.ready,
            group: node.group,
        }
    }
}

impl KeptVerdicts {
    /// Forgets verdicts about nodes that changed, and all of them if the chain did.
    pub(super) fn forget_changed(&mut self, context: &ScaleDownContext<'_>, state: &ClusterState) {
        let chain = context.options.scale_down.policies.iter();
        let chain: Vec<_> = chain
            .map(|choice| {
                let policy = context.engine.policy(kind::SCALE_DOWN, &choice.name).ok();
                let digest = policy.map(|policy| Arc::clone(&policy.version().digest));
                (digest, Arc::clone(&choice.configuration))
            })
            .collect();
        if chain != self.chain {
            self.nodes.clear();
            self.chain = chain;
        }
        if !self.nodes.is_empty() {
            for node in state.changed_since(self.revision) {
                if let Some(known) = self.nodes.get_mut(&node.facts.node.name) {
                    known.is_stale = true;
                }
            }
            self.nodes.retain(|name, _| state.node(name).is_some());
        }
        self.revision = state.drain_revision();
    }

    /// Forgets verdicts about pods on nodes of groups that changed.
    #[expect(clippy::disallowed_methods, reason = "each node is set for itself")]
    pub(super) fn note_pod_groups(&mut self, groups: &Arc<GroupColumns>) {
        let same = same_rows(&mut self.pod_groups, groups);
        for node in self.nodes.values_mut() {
            if !same.holds(node.key.group) {
                node.is_stale = true;
                node.verdicts = Box::default();
            }
        }
    }

    /// Forgets verdicts about nodes of groups that changed.
    #[expect(clippy::disallowed_methods, reason = "each node is set for itself")]
    pub(super) fn note_groups(&mut self, groups: &Arc<GroupColumns>) {
        let same = same_rows(&mut self.groups, groups);
        for node in self.nodes.values_mut() {
            let is_same = |verdict: &KeptVerdict| same.holds(verdict.key.group);
            node.verdict = node.verdict.take().filter(is_same);
        }
    }

    /// Until when all verdicts hold if nothing but time changes.
    #[expect(clippy::disallowed_methods, reason = "a minimum has no order")]
    pub(crate) fn until(&self) -> Timestamp {
        let untils = self.nodes.values().map(|node| {
            let of_node = node.verdict.as_ref().map(|verdict| verdict.until);
            of_node.map_or(node.until, |until| until.min(node.until))
        });
        untils.min().unwrap_or(Timestamp(i64::MAX))
    }

    /// Whether the verdicts about a node's pods still hold.
    pub(super) fn knows_pods(&self, name: &str, key: &PodNodeKey, now: Timestamp) -> bool {
        let known = self.nodes.get(name);
        known.is_some_and(|known| !known.is_stale && known.key == *key && now < known.until)
    }

    /// Takes the verdicts about the pods of a node of which some may still hold.
    pub(super) fn take_pods(&mut self, name: &str, key: &PodNodeKey) -> Box<[KeptPod]> {
        let known = self.nodes.get_mut(name).filter(|known| known.key == *key);
        known.map_or_else(Box::default, |known| std::mem::take(&mut known.verdicts))
    }

    /// Whether the verdict about a node still holds.
    pub(super) fn knows_node(&self, node: &Candidate, now: Timestamp) -> bool {
        let known = self.nodes.get(&node.name);
        let known = known.and_then(|known| known.verdict.as_ref());
        known.is_some_and(|verdict| verdict.key == NodeKey::of(node) && now < verdict.until)
    }

    pub(in crate::scale_down) fn get(&self, node: &str) -> Option<&KeptNode> {
        self.nodes.get(node)
    }

    /// Makes room for the verdicts about nodes.
    pub(super) fn reserve<'n>(&mut self, nodes: impl Iterator<Item = &'n Candidate>) {
        let further = nodes.filter(|node| !self.nodes.contains_key(&node.name));
        self.nodes.reserve(further.count());
    }

    /// Keeps the verdicts about a node's pods. The node has to be judged again.
    pub(super) fn keep_pods(
        &mut self,
        node: OpenNode<'_>,
        mut verdicts: Box<[KeptPod]>,
        of_pods: NodeOfPods,
    ) {
        verdicts.sort_unstable_by_key(|pod| pod.slot);
        let kept = KeptNode {
            key: node.key,
            is_stale: false,
            verdicts,
            pods: of_pods.pods,
            blocked: of_pods.blocked,
            cost: of_pods.cost,
            requested: node.requested,
            until: of_pods.until,
            verdict: None,
        };
        self.nodes.insert(Arc::clone(&node.node.name), kept);
    }

    /// Keeps the verdict about a node.
    pub(super) fn keep_node(&mut self, name: &str, verdict: KeptVerdict) {
        if let Some(known) = self.nodes.get_mut(name) {
            known.verdict = Some(verdict);
        }
    }

    /// Returns a candidate with its verdicts. `None` if there are none.
    pub(super) fn judged(&self, node: Candidate) -> Option<JudgedNode> {
        let known = self.nodes.get(&node.name)?;
        let verdict = known.verdict.as_ref()?;
        // The node's own reason goes before those of its pods.
        let stay = verdict.stay.as_ref().or(known.blocked.as_ref());
        let utilization = known.requested.all.part_of(&node.object.allocatable);
        Some(JudgedNode {
            node,
            pods: Arc::clone(&known.pods),
            stay: stay.map(Arc::clone),
            scores: verdict.scores.clone(),
            unneeded_ms: verdict.unneeded_ms,
            cost: known.cost,
            utilization,
        })
    }
}

/// Which rows of the groups are as they were.
enum SameRows {
    All,
    Some(Vec<bool>),
}

impl SameRows {
    fn holds(&self, row: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(rows) => rows.get(row) == Some(&true),
        }
    }
}

/// Replaces the groups, and returns which rows are as they were.
fn same_rows(known: &mut Arc<GroupColumns>, groups: &Arc<GroupColumns>) -> SameRows {
    if **known == **groups {
        return SameRows::All;
    }
    let rows = (0..groups.len()).map(|row| groups.is_same_row(row, known));
    let rows = rows.collect();
    *known = Arc::clone(groups);
    SameRows::Some(rows)
}
