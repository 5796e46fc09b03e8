//! The columns of questions about pods and nodes.

use std::sync::Arc;

use hashbrown::HashMap;

use super::kept::KeptNode;
use super::rows::{NodeRows, PodRows};
use super::{PodAction, compose};
use crate::gpu::{gpus, has_gpu_label};
use crate::scale_down::candidates::{Candidate, is_disabled};
use crate::scale_down::plan::ScaleDownContext;
use crate::state::{ClusterState, Owner, PodView, RestartPolicy, SafeToEvict};
use flyball_decision::scale_down::{
    GroupColumns, NO_ROW, NONE, NodeColumns, PodColumns, PodNodeColumns, ScaleDownNodesInput,
    ScaleDownPodsInput, Texts, group_state, node_state, owner_kind, pod_state,
};
use flyball_decision::time::Timestamp;

/// Grace of a pod that sets none, in milliseconds.
const DEFAULT_GRACE_MS: i64 = 30_000;

/// Time beyond its grace after which a pod counts as long terminating.
const LONG_TERMINATING_MS: i64 = 30_000;

/// Returns the time after which a pod that is being deleted has outlived its grace, as in
/// Cluster Autoscaler. `None` if it is not being deleted.
pub(super) fn long_terminating_after(pod: &PodView<'_>) -> Option<Timestamp> {
    let deletion = pod.facts.deletion?;
    let grace = pod.facts.drain.grace_seconds;
    let grace_ms = grace.map_or(DEFAULT_GRACE_MS, |seconds| seconds.saturating_mul(1000));
    Some(deletion.plus(grace_ms.saturating_add(LONG_TERMINATING_MS)))
}

/// Whether a pod is being deleted and has outlived its grace.
pub(super) fn is_long_terminating(pod: &PodView<'_>, now: Timestamp) -> bool {
    long_terminating_after(pod).is_some_and(|end| end < now)
}

/// A point in time, or the mark for none. Kubernetes' zero time is none.
fn time(at: Timestamp) -> i64 {
    if at.0 > 0 { at.0 } else { NONE }
}

fn row_of(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn group_row(node: &Candidate) -> i32 {
    i32::try_from(node.group).unwrap_or(NO_ROW)
}

/// The groups of the census. `sizes`: with what changes often, such as their targets.
pub(in crate::scale_down) fn group_columns(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    sizes: bool,
) -> GroupColumns {
    let mut columns = GroupColumns::default();
    for census in &context.census.groups {
        let group = &census.group;
        let own = &group.scale_down;
        let mut bits = match group.spot {
            Some(true) => group_state::SPOT,
            Some(false) => group_state::ON_DEMAND,
            None => 0,
        };
        if own.zero_or_max {
            bits |= group_state::ALL_OR_NONE;
        }
        let size = |size: u32| if sizes { size } else { 0 };
        let ready = match sizes {
            true => census.ready_nodes(state, context.options),
            false => 0,
        };
        columns.name.push(Arc::clone(&group.name));
        columns.state.push(bits);
        columns.min_size.push(group.min_size);
        columns.max_size.push(group.max_size);
        columns.target_size.push(size(group.target_size));
        columns.ready_nodes.push(ready);
        columns.node_price.push(group.price);
        let price = group
            .price
            .map(|price| price * f64::from(group.target_size));
        columns.price.push(price.filter(|_| sizes));
        columns.cost.push(None);
        columns
            .utilization_threshold
            .push(own.utilization_threshold);
        let gpu = own.gpu_utilization_threshold;
        columns.gpu_utilization_threshold.push(gpu);
        columns
            .unneeded_time_ms
            .push(own.unneeded_time_ms.unwrap_or(NONE));
        columns
            .unready_time_ms
            .push(own.unready_time_ms.unwrap_or(NONE));
        let ignore = own.ignore_daemonsets_utilization;
        columns
            .ignore_daemon_sets
            .push(ignore.map_or(-1, i32::from));
    }
    columns
}

/// Pods of some nodes.
pub(super) struct PodTable<'a> {
    context: &'a ScaleDownContext<'a>,
    state: &'a ClusterState,
    pods: PodColumns,
    nodes: PodNodeColumns,
    rows: PodRows,
    pod_texts: Texts,
    node_texts: Texts,
    /// The namespace of the last pod, and its row.
    namespace: Option<(Arc<str>, u32)>,
    /// Columns of the owners seen so far, by the address that their pods share.
    owners: HashMap<usize, OwnerColumns>,
}

/// Kind and replicas of a pod's owner, and the bits that say what is known of it.
type OwnerColumns = (u32, i32, u32);

impl<'a> PodTable<'a> {
    pub(super) fn new(context: &'a ScaleDownContext<'a>, state: &'a ClusterState) -> Self {
        Self {
            context,
            state,
            pods: PodColumns::default(),
            nodes: PodNodeColumns::default(),
            rows: PodRows::default(),
            pod_texts: Texts::default(),
            node_texts: Texts::default(),
            namespace: None,
            owners: HashMap::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.nodes.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.rows.slots.len()
    }

    /// Adds a node and its pods, ordered by name.
    pub(super) fn add(&mut self, node: &Candidate) {
        let at = row_of(self.rows.nodes.len());
        let mut pods: Vec<PodView<'_>> = self.state.pods_on(&node.name).collect();
        pods.sort_unstable_by_key(|pod| (&*pod.key.name, &*pod.key.namespace));
        for pod in pods {
            self.add_pod(at, &pod);
        }
        let texts = &mut self.node_texts;
        let columns = &mut self.nodes;
        columns.group.push(group_row(node));
        columns.zone.push(texts.row_or_none(node.zone.as_ref()));
        let instance_type = texts.row_or_none(node.instance_type.as_ref());
        columns.instance_type.push(instance_type);
        columns.created_ms.push(time(node.created));
        columns.price.push(node.price);
        self.rows.nodes.push(NodeRows {
            name: Arc::clone(&node.name),
            end: self.rows.slots.len(),
        });
    }

    fn add_pod(&mut self, node: u32, pod: &PodView<'_>) {
        let namespace = &pod.key.namespace;
        let row = match &self.namespace {
            Some((last, row)) if Arc::ptr_eq(last, namespace) => *row,
            _ => {
                let row = self.pod_texts.row(namespace);
                self.namespace = Some((Arc::clone(namespace), row));
                row
            }
        };
        let facts = pod.facts;
        let requests = compose::requests(self.state, pod);
        let (kind, replicas, looked_up) = self.owner(pod.facts.owner.as_ref());
        let budgets = self.state.budgets_of(pod);
        let allowed = budgets.iter().filter_map(|id| self.state.budget(*id));
        let allowed = allowed.map(crate::state::BudgetFacts::allowed).min();
        let bits = self.bits(pod) | looked_up;
        let columns = &mut self.pods;
        columns.node.push(node);
        columns.namespace.push(row);
        columns.state.push(bits);
        columns.owner_kind.push(kind);
        columns.owner_replicas.push(replicas);
        columns.priority.push(pod.priority);
        columns.deletion_cost.push(facts.drain.deletion_cost);
        columns.cpu.push(requests.cpu);
        columns.memory.push(requests.memory);
        columns.gpu.push(requests.gpu);
        columns.created_ms.push(time(facts.created));
        columns.deletion_ms.push(facts.deletion.map_or(NONE, time));
        let grace = facts.drain.grace_seconds;
        columns
            .grace_ms
            .push(grace.map_or(NONE, |seconds| seconds.saturating_mul(1000)));
        columns.budgets.push(row_of(budgets.len()));
        columns.disruptions_allowed.push(allowed.unwrap_or(-1));
        self.rows.slots.push(pod.slot);
    }

    fn bits(&self, pod: &PodView<'_>) -> u32 {
        let (facts, drain) = (pod.facts, &pod.facts.drain);
        let is_terminal = match facts.phase {
            crate::state::PodPhase::Failed => drain.restart_policy == RestartPolicy::Never,
            crate::state::PodPhase::Succeeded => drain.restart_policy != RestartPolicy::Always,
            _ => false,
        };
        let safe = match drain.safe_to_evict {
            SafeToEvict::True => pod_state::SAFE_TO_EVICT,
            SafeToEvict::False => pod_state::NOT_SAFE_TO_EVICT,
            SafeToEvict::OnCompletion => pod_state::EVICT_ON_COMPLETION,
            SafeToEvict::Unset | SafeToEvict::Other => 0,
        };
        let ds_eviction = match drain.enable_ds_eviction {
            Some(true) => pod_state::DS_EVICTION,
            Some(false) => pod_state::NO_DS_EVICTION,
            None => 0,
        };
        let bits = [
            (facts.mirror, pod_state::MIRROR),
            (pod.of_daemon_set(), pod_state::DAEMON_SET),
            (is_terminal, pod_state::TERMINAL),
            (facts.ready, pod_state::READY),
            (
                is_long_terminating(pod, self.context.now),
                pod_state::LONG_TERMINATING,
            ),
            (drain.empty_dir, pod_state::EMPTY_DIR),
            (drain.host_path, pod_state::HOST_PATH),
        ];
        let bits = bits.into_iter().filter(|(is_set, _)| *is_set);
        bits.fold(safe | ds_eviction, |bits, (_, bit)| bits | bit)
    }

    fn owner(&mut self, owner: Option<&Arc<Owner>>) -> OwnerColumns {
        let Some(owner) = owner else {
            return (owner_kind::NONE, -1, 0);
        };
        let address = Arc::as_ptr(owner).addr();
        if let Some(known) = self.owners.get(&address) {
            return *known;
        }
        let columns = self.find_owner(owner);
        self.owners.insert(address, columns);
        columns
    }

    fn find_owner(&self, owner: &Owner) -> OwnerColumns {
        let kind = match &*owner.kind {
            "DaemonSet" => owner_kind::DAEMON_SET,
            "ReplicaSet" => owner_kind::REPLICA_SET,
            "ReplicationController" => owner_kind::REPLICATION_CONTROLLER,
            "StatefulSet" => owner_kind::STATEFUL_SET,
            "Job" => owner_kind::JOB,
            _ => owner_kind::OTHER,
        };
        if kind == owner_kind::DAEMON_SET {
            let exists = self.state.daemon_set(&owner.uid).is_some();
            let exists = if exists { pod_state::OWNER_EXISTS } else { 0 };
            return (kind, -1, pod_state::OWNER_LOOKED_UP | exists);
        }
        if !self.state.knows_owners_of(&owner.kind) {
            return (kind, -1, 0);
        }
        match self.state.owner(&owner.uid) {
            None => (kind, -1, pod_state::OWNER_LOOKED_UP),
            Some(facts) => (
                kind,
                facts.desired.unwrap_or(-1),
                pod_state::OWNER_LOOKED_UP | pod_state::OWNER_EXISTS,
            ),
        }
    }

    pub(super) fn finish(mut self, groups: Arc<GroupColumns>) -> (ScaleDownPodsInput, PodRows) {
        self.pods.texts = self.pod_texts.into_column();
        self.nodes.texts = self.node_texts.into_column();
        let input = ScaleDownPodsInput {
            groups,
            nodes: Arc::new(self.nodes),
            pods: Arc::new(self.pods),
        };
        (input, self.rows)
    }
}

/// Nodes to ask about.
pub(in crate::scale_down) struct NodeTable<'a> {
    context: &'a ScaleDownContext<'a>,
    columns: NodeColumns,
    texts: Texts,
}

impl<'a> NodeTable<'a> {
    pub(in crate::scale_down) fn new(context: &'a ScaleDownContext<'a>) -> Self {
        Self {
            context,
            columns: NodeColumns::default(),
            texts: Texts::default(),
        }
    }

    /// Adds a node with what is known of its pods.
    pub(in crate::scale_down) fn add(&mut self, node: &Candidate, known: &KeptNode) {
        let columns = &mut self.columns;
        columns.group.push(group_row(node));
        columns
            .zone
            .push(self.texts.row_or_none(node.zone.as_ref()));
        let instance_type = self.texts.row_or_none(node.instance_type.as_ref());
        columns.instance_type.push(instance_type);
        let awaited = known.pods.iter();
        let awaited = awaited.filter(|pod| pod.action != PodAction::DaemonSet);
        let count = awaited.count();
        let spot = match node.spot {
            Some(true) => node_state::SPOT,
            Some(false) => node_state::ON_DEMAND,
            None => 0,
        };
        let bits = [
            (node.ready, node_state::READY),
            (count == 0, node_state::EMPTY),
            (is_disabled(&node.annotations), node_state::DISABLED),
            (
                has_gpu_label(&node.object, self.context.options),
                node_state::GPU,
            ),
        ];
        let bits = bits.into_iter().filter(|(is_set, _)| *is_set);
        columns
            .state
            .push(bits.fold(spot, |bits, (_, bit)| bits | bit));
        columns.created_ms.push(time(node.created));
        let unready_since = node.ready_since.filter(|_| !node.ready);
        columns
            .unready_since_ms
            .push(unready_since.map_or(NONE, time));
        columns
            .pods_changed_ms
            .push(node.last_pod_change.map_or(NONE, time));
        columns
            .unneeded_since_ms
            .push(node.unneeded_since.map_or(NONE, time));
        let amount = |amount: i64| if amount > 0 { amount } else { NONE };
        let allocatable = &node.object.allocatable;
        columns.allocatable_cpu.push(amount(allocatable.cpu));
        columns.allocatable_memory.push(amount(allocatable.memory));
        columns.allocatable_gpu.push(amount(gpus(allocatable)));
        let all = known.requested;
        columns.requested_cpu.push(all.cpu);
        columns.requested_memory.push(all.memory);
        columns.requested_gpu.push(all.gpu);
        let daemons = known.of_daemon_sets;
        columns.daemon_set_cpu.push(daemons.cpu);
        columns.daemon_set_memory.push(daemons.memory);
        columns.daemon_set_gpu.push(daemons.gpu);
        let mirrors = known.of_mirrors;
        columns.mirror_cpu.push(mirrors.cpu);
        columns.mirror_memory.push(mirrors.memory);
        columns.mirror_gpu.push(mirrors.gpu);
        columns.price.push(node.price);
        columns.pod_count.push(row_of(count));
        columns.cost.push(known.cost);
    }

    pub(in crate::scale_down) fn finish(
        mut self,
        groups: Arc<GroupColumns>,
    ) -> ScaleDownNodesInput {
        self.columns.texts = self.texts.into_column();
        ScaleDownNodesInput {
            groups,
            nodes: Arc::new(self.columns),
        }
    }
}
