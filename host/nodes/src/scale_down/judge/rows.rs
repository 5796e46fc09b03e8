//! Rows of questions about pods, and their fingerprints.

use std::hash::BuildHasher as _;
use std::sync::Arc;

use flyball_placement::ClassId;
use hashbrown::{DefaultHashBuilder, HashMap};

use super::kept::Requests;
use crate::gpu::gpus;
use crate::scale_down::wishes::RowTexts;
use crate::state::{
    BudgetFacts, ClusterState, DrainFacts, LocalVolumes, Owner, PodPhase, PodView, RestartPolicy,
    SafeToEvict,
};
use flyball_decision::scale_down::{NONE, PodColumns, owner_kind, pod_state};
use flyball_decision::time::Timestamp;

/// Grace of a pod that sets none, in milliseconds.
const DEFAULT_GRACE_MS: i64 = 30_000;

/// Time beyond its grace after which a pod counts as long terminating.
const LONG_TERMINATING_MS: i64 = 30_000;

/// Returns the time after which a pod that is being deleted has outlived its grace, as in
/// Cluster Autoscaler. `None` if it is not being deleted.
fn long_terminating_after(pod: &PodView<'_>) -> Option<Timestamp> {
    let deletion = pod.facts.deletion?;
    let grace = pod.facts.drain.grace_seconds;
    let grace_ms = grace.map_or(DEFAULT_GRACE_MS, |seconds| seconds.saturating_mul(1000));
    Some(deletion.plus(grace_ms.saturating_add(LONG_TERMINATING_MS)))
}

/// A point in time, or the mark for none. Kubernetes' zero time is none.
pub(super) fn time(at: Timestamp) -> i64 {
    if at.0 > 0 { at.0 } else { NONE }
}

pub(super) fn row_of(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

/// The row of a pod, other than that of its node.
#[derive(Clone, Hash)]
pub(super) struct PodRow<'a> {
    pub(super) namespace: &'a Arc<str>,
    /// What the host reads when it combines verdicts. Holds the bits of the column `state`.
    pub(super) facts: HostFacts,
    owner_kind: u32,
    owner_replicas: i32,
    priority: i32,
    deletion_cost: i32,
    pub(super) requests: Requests,
    created_ms: i64,
    deletion_ms: i64,
    grace_ms: i64,
    budgets: u32,
    disruptions_allowed: i32,
}

/// Bit of a pod that has ended. No bit of [`pod_state`] says so of pods that are started again.
const HAS_ENDED: u32 = 1 << 31;

/// What the host reads of a pod when it combines the verdicts about it.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct HostFacts {
    /// Bits of [`pod_state`], and [`HAS_ENDED`].
    pub(super) bits: u32,
    /// When the facts change if nothing but time does.
    pub(super) until: Timestamp,
}

impl HostFacts {
    fn has(self, bit: u32) -> bool {
        self.bits & bit != 0
    }

    pub(super) fn is_mirror(self) -> bool {
        self.has(pod_state::MIRROR)
    }

    pub(super) fn of_daemon_set(self) -> bool {
        self.has(pod_state::DAEMON_SET)
    }

    pub(super) fn has_ended(self) -> bool {
        self.has(HAS_ENDED)
    }

    /// Whether it is being deleted and has outlived its grace.
    pub(super) fn is_long_terminating(self) -> bool {
        self.has(pod_state::LONG_TERMINATING)
    }

    /// Whether a policy may leave it alone: it goes with its node.
    pub(super) fn may_be_skipped(self) -> bool {
        self.is_mirror() || self.of_daemon_set() || self.has_ended() || self.is_long_terminating()
    }
}

/// What a pod's verdict depends on, other than its node and its policies, as a number.
///
/// Rows whose numbers are equal count as equal. They are hashed with a key of this process,
/// so that nobody can choose pods for which they are equal by accident.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fingerprint(u64);

impl Fingerprint {
    pub(super) fn of(hasher: &DefaultHashBuilder, row: &PodRow<'_>, texts: &RowTexts) -> Self {
        Self(hasher.hash_one((row, texts)))
    }
}

impl PodRow<'_> {
    /// Adds rows to all columns but those of nodes and namespaces.
    pub(super) fn write<'r>(rows: impl Iterator<Item = &'r Self> + Clone, columns: &mut PodColumns)
    where
        Self: 'r,
    {
        let rows = || rows.clone();
        let states = rows().map(|row| row.facts.bits & !HAS_ENDED);
        columns.state.extend(states);
        columns.owner_kind.extend(rows().map(|row| row.owner_kind));
        let replicas = rows().map(|row| row.owner_replicas);
        columns.owner_replicas.extend(replicas);
        columns.priority.extend(rows().map(|row| row.priority));
        let costs = rows().map(|row| row.deletion_cost);
        columns.deletion_cost.extend(costs);
        columns.cpu.extend(rows().map(|row| row.requests.cpu));
        columns.memory.extend(rows().map(|row| row.requests.memory));
        columns.gpu.extend(rows().map(|row| row.requests.gpu));
        columns.created_ms.extend(rows().map(|row| row.created_ms));
        let deletions = rows().map(|row| row.deletion_ms);
        columns.deletion_ms.extend(deletions);
        columns.grace_ms.extend(rows().map(|row| row.grace_ms));
        columns.budgets.extend(rows().map(|row| row.budgets));
        let allowed = rows().map(|row| row.disruptions_allowed);
        columns.disruptions_allowed.extend(allowed);
    }
}

/// Makes the rows of pods.
pub(super) struct RowMaker<'a> {
    now: Timestamp,
    state: &'a ClusterState,
    /// Columns of the owners seen so far, by the address that their pods share.
    owners: HashMap<usize, OwnerColumns>,
    /// Columns of the classes seen so far.
    classes: HashMap<ClassId, ClassColumns>,
}

/// Columns that are the same for all pods of a class.
#[derive(Clone, Copy)]
struct ClassColumns {
    requests: Requests,
    budgets: u32,
    disruptions_allowed: i32,
}

/// Columns that depend on a pod's [`DrainFacts`] alone.
#[derive(Clone, Copy)]
struct DrainColumns {
    /// Bits of the column `state`.
    state: u32,
    deletion_cost: i32,
    grace_ms: i64,
}

impl DrainColumns {
    fn new(drain: &DrainFacts) -> Self {
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
        let volumes = |volumes: LocalVolumes, some: u32, excepted: u32| match volumes {
            LocalVolumes::None => 0,
            LocalVolumes::Excepted => some | excepted,
            LocalVolumes::Kept => some,
        };
        let empty_dir = volumes(
            drain.empty_dir,
            pod_state::EMPTY_DIR,
            pod_state::EMPTY_DIR_EXCEPTED,
        );
        let host_path = volumes(
            drain.host_path,
            pod_state::HOST_PATH,
            pod_state::HOST_PATH_EXCEPTED,
        );
        let grace = drain.grace_seconds;
        Self {
            state: safe | ds_eviction | empty_dir | host_path,
            deletion_cost: drain.deletion_cost,
            grace_ms: grace.map_or(NONE, |seconds| seconds.saturating_mul(1000)),
        }
    }
}

/// Kind and replicas of a pod's owner, and the bits that say what is known of it.
type OwnerColumns = (u32, i32, u32);

impl<'a> RowMaker<'a> {
    pub(super) fn new(now: Timestamp, state: &'a ClusterState) -> Self {
        Self {
            now,
            state,
            owners: HashMap::new(),
            classes: HashMap::new(),
        }
    }

    /// Returns the row of a pod.
    pub(super) fn row(&mut self, pod: &PodView<'a>) -> PodRow<'a> {
        let facts = pod.facts;
        let of_class = self.class(pod);
        let (owner_kind, owner_replicas, looked_up) = self.owner(facts.owner.as_ref());
        let drain = DrainColumns::new(&facts.drain);
        PodRow {
            namespace: &pod.key.namespace,
            facts: self.host_facts(pod, owner_kind, drain.state | looked_up),
            owner_kind,
            owner_replicas,
            priority: pod.priority,
            deletion_cost: drain.deletion_cost,
            requests: of_class.requests,
            created_ms: time(facts.created),
            deletion_ms: facts.deletion.map_or(NONE, time),
            grace_ms: drain.grace_ms,
            budgets: of_class.budgets,
            disruptions_allowed: of_class.disruptions_allowed,
        }
    }

    /// `shared`: bits that depend on the owner, and on what the pod shares with others.
    fn host_facts(&self, pod: &PodView<'_>, owner_kind: u32, shared: u32) -> HostFacts {
        let (now, facts) = (self.now, pod.facts);
        let is_terminal = match facts.phase {
            PodPhase::Failed => facts.drain.restart_policy == RestartPolicy::Never,
            PodPhase::Succeeded => facts.drain.restart_policy != RestartPolicy::Always,
            _ => false,
        };
        let end = long_terminating_after(pod);
        let of_daemon_set = owner_kind == owner_kind::DAEMON_SET || facts.like_daemon_set;
        let bits = [
            (facts.mirror, pod_state::MIRROR),
            (of_daemon_set, pod_state::DAEMON_SET),
            (is_terminal, pod_state::TERMINAL),
            (facts.ready, pod_state::READY),
            (facts.has_ended(), HAS_ENDED),
            (
                end.is_some_and(|end| end < now),
                pod_state::LONG_TERMINATING,
            ),
        ];
        let bits = bits.into_iter().filter(|(is_set, _)| *is_set);
        let until = end.map(|end| end.plus(1)).filter(|until| *until > now);
        HostFacts {
            bits: bits.fold(shared, |bits, (_, bit)| bits | bit),
            until: until.unwrap_or(Timestamp(i64::MAX)),
        }
    }

    fn class(&mut self, pod: &PodView<'_>) -> ClassColumns {
        let state = self.state;
        *self.classes.entry(pod.class).or_insert_with(|| {
            let cluster = state.cluster();
            let (cpu, memory) = cluster.cpu_and_memory(pod.class);
            let gpu = match cluster.requests_extended(pod.class) {
                true => gpus(&cluster.requests(pod.class)),
                false => 0,
            };
            let budgets = state.budgets_of(pod);
            let allowed = budgets.named.iter().filter_map(|id| state.budget(*id));
            let allowed = allowed.map(BudgetFacts::allowed).min();
            ClassColumns {
                requests: Requests { cpu, memory, gpu },
                budgets: budgets.count,
                // None of several may be known by name. Several allow none in any case.
                disruptions_allowed: allowed.unwrap_or(if budgets.count == 0 { -1 } else { 0 }),
            }
        })
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
}
