//! What happens to each pod if its node leaves?

use std::time::Duration;

use crate::bindings::scale_down_pods::exports::flyball::policy::scale_down_pods as wire;
use crate::bindings::scale_down_types;
use crate::expander::Resources;
use crate::given::{Given, NoConfig, NoState, show_given};
use crate::rows::{NO_ROW, cell, figure, text};
use crate::scale_down_group::Group;
use crate::time::{Time, duration};
use crate::verdicts::{Reasons, RowReason, read_verdicts, verdict_reason, verdict_until};

/// Bits of the column `state`.
pub(crate) mod bits {
    pub(crate) const MIRROR: u32 = 1;
    pub(crate) const DAEMON_SET: u32 = 1 << 1;
    pub(crate) const TERMINAL: u32 = 1 << 2;
    pub(crate) const READY: u32 = 1 << 3;
    pub(crate) const LONG_TERMINATING: u32 = 1 << 4;
    pub(crate) const OWNER_LOOKED_UP: u32 = 1 << 5;
    pub(crate) const OWNER_EXISTS: u32 = 1 << 6;
    pub(crate) const EMPTY_DIR: u32 = 1 << 7;
    pub(crate) const EMPTY_DIR_EXCEPTED: u32 = 1 << 8;
    pub(crate) const HOST_PATH: u32 = 1 << 9;
    pub(crate) const HOST_PATH_EXCEPTED: u32 = 1 << 10;
    pub(crate) const SAFE_TO_EVICT: u32 = 1 << 11;
    pub(crate) const NOT_SAFE_TO_EVICT: u32 = 1 << 12;
    pub(crate) const EVICT_ON_COMPLETION: u32 = 1 << 13;
    pub(crate) const DS_EVICTION: u32 = 1 << 14;
    pub(crate) const NO_DS_EVICTION: u32 = 1 << 15;
}

/// What happens to each pod if its node leaves? A verdict depends on its pod, on the pod's
/// node and group, on the configuration and the wanted inputs, and on the time only as it
/// says itself.
#[derive(Clone, Debug, PartialEq)]
pub struct ScaleDownPods<C = NoConfig, S = NoState> {
    pub(crate) input: wire::Input,
    pub(crate) given: Given<C, S>,
}

impl<C, S> ScaleDownPods<C, S> {
    show_given!();

    /// The pods to judge, a row each.
    pub fn pods(&self) -> impl ExactSizeIterator<Item = JudgedPod<'_>> + Clone {
        let input = &self.input;
        (0..input.pods.node.len()).map(move |row| JudgedPod { input, row })
    }

    /// The input as the contract has it, columns and all.
    #[must_use]
    pub const fn columns(&self) -> &wire::Input {
        &self.input
    }
}

/// The node of a pod: what seldom changes of it.
#[derive(Clone, Copy, Debug)]
pub struct PodNode<'a> {
    groups: &'a scale_down_types::Groups,
    columns: &'a wire::PodNodes,
    row: usize,
}

impl<'a> PodNode<'a> {
    /// Its row: what `{node:N}` in a sentence names.
    #[must_use]
    pub const fn row(self) -> usize {
        self.row
    }

    /// Its group, if it has one.
    #[must_use]
    pub fn group(self) -> Option<Group<'a>> {
        let row = usize::try_from(*self.columns.group.get(self.row)?).ok()?;
        (row < self.groups.name.len()).then_some(Group {
            columns: self.groups,
            row,
        })
    }

    /// Its zone, if that is known.
    #[must_use]
    pub fn zone(self) -> Option<&'a str> {
        text(&self.columns.texts, &self.columns.zone, self.row)
    }

    /// Its instance type, if that is known.
    #[must_use]
    pub fn instance_type(self) -> Option<&'a str> {
        text(&self.columns.texts, &self.columns.instance_type, self.row)
    }

    /// When it was created.
    #[must_use]
    pub fn created(self) -> Option<Time> {
        Time::from_mark(*self.columns.created_ms.get(self.row)?)
    }

    /// Its price for an hour, if the host knows it.
    #[must_use]
    pub fn price(self) -> Option<f64> {
        figure(&self.columns.price, self.row)
    }
}

/// Kind of a pod's controller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OwnerKind {
    /// A DaemonSet.
    DaemonSet,
    /// A ReplicaSet.
    ReplicaSet,
    /// A ReplicationController.
    ReplicationController,
    /// A StatefulSet.
    StatefulSet,
    /// A Job.
    Job,
    /// Something else.
    Other,
}

/// Value of the annotation `safe-to-evict`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SafeToEvict {
    /// `true`.
    Yes,
    /// `false`.
    No,
    /// `on-completion`.
    OnCompletion,
}

/// A pod of a node that may leave.
#[derive(Clone, Copy, Debug)]
pub struct JudgedPod<'a> {
    input: &'a wire::Input,
    row: usize,
}

impl<'a> JudgedPod<'a> {
    /// Its row: what `{pod:N}` in a sentence names.
    #[must_use]
    pub const fn row(self) -> usize {
        self.row
    }

    /// Its node.
    #[must_use]
    pub fn node(self) -> PodNode<'a> {
        PodNode {
            groups: &self.input.groups,
            columns: &self.input.nodes,
            row: cell(&self.input.pods.node, self.row) as usize,
        }
    }

    /// Its namespace.
    #[must_use]
    pub fn namespace(self) -> &'a str {
        let row = cell(&self.input.pods.namespace, self.row) as usize;
        let text = self.input.pods.texts.get(row);
        text.map_or("", String::as_str)
    }

    /// Whether it is the mirror of a static pod.
    #[must_use]
    pub fn is_mirror(self) -> bool {
        self.has(bits::MIRROR)
    }

    /// Whether it runs on every node.
    #[must_use]
    pub fn is_of_daemon_set(self) -> bool {
        self.has(bits::DAEMON_SET)
    }

    /// Whether it has ended for good.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        self.has(bits::TERMINAL)
    }

    /// Whether it is ready.
    #[must_use]
    pub fn is_ready(self) -> bool {
        self.has(bits::READY)
    }

    /// Whether it is being deleted and should have been gone 30 s ago.
    #[must_use]
    pub fn is_long_terminating(self) -> bool {
        self.has(bits::LONG_TERMINATING)
    }

    /// Kind of its controller. `None` if it has none.
    #[must_use]
    pub fn owner_kind(self) -> Option<OwnerKind> {
        match cell(&self.input.pods.owner_kind, self.row) {
            0 => None,
            1 => Some(OwnerKind::DaemonSet),
            2 => Some(OwnerKind::ReplicaSet),
            3 => Some(OwnerKind::ReplicationController),
            4 => Some(OwnerKind::StatefulSet),
            5 => Some(OwnerKind::Job),
            _ => Some(OwnerKind::Other),
        }
    }

    /// Whether its controller exists. `None` if it was not looked up.
    #[must_use]
    pub fn owner_exists(self) -> Option<bool> {
        self.has(bits::OWNER_LOOKED_UP)
            .then(|| self.has(bits::OWNER_EXISTS))
    }

    /// Replicas that its controller wants. `None` if that is not set or not known.
    #[must_use]
    pub fn owner_replicas(self) -> Option<u32> {
        u32::try_from(*self.input.pods.owner_replicas.get(self.row)?).ok()
    }

    /// Whether it has an emptyDir volume that is not in memory and that annotation
    /// `safe-to-evict-local-volumes` does not name.
    #[must_use]
    pub fn keeps_empty_dir(self) -> bool {
        self.has(bits::EMPTY_DIR) && !self.has(bits::EMPTY_DIR_EXCEPTED)
    }

    /// Whether it has a hostPath volume that annotation `safe-to-evict-local-volumes` does
    /// not name.
    #[must_use]
    pub fn keeps_host_path(self) -> bool {
        self.has(bits::HOST_PATH) && !self.has(bits::HOST_PATH_EXCEPTED)
    }

    /// Annotation `safe-to-evict`. `None` if it is not set or something else.
    #[must_use]
    pub fn safe_to_evict(self) -> Option<SafeToEvict> {
        match () {
            () if self.has(bits::SAFE_TO_EVICT) => Some(SafeToEvict::Yes),
            () if self.has(bits::NOT_SAFE_TO_EVICT) => Some(SafeToEvict::No),
            () if self.has(bits::EVICT_ON_COMPLETION) => Some(SafeToEvict::OnCompletion),
            () => None,
        }
    }

    /// Annotation `enable-ds-eviction`. `None` if it is not set.
    #[must_use]
    pub fn ds_eviction(self) -> Option<bool> {
        match (self.has(bits::DS_EVICTION), self.has(bits::NO_DS_EVICTION)) {
            (true, _) => Some(true),
            (false, true) => Some(false),
            (false, false) => None,
        }
    }

    /// Its priority; 0 if it has none.
    #[must_use]
    pub fn priority(self) -> i32 {
        cell(&self.input.pods.priority, self.row)
    }

    /// Annotation `pod-deletion-cost`; 0 if it is not set.
    #[must_use]
    pub fn deletion_cost(self) -> i32 {
        cell(&self.input.pods.deletion_cost, self.row)
    }

    /// What it requests.
    #[must_use]
    pub fn requested(self) -> Resources {
        Resources {
            cpu_milli: cell(&self.input.pods.cpu, self.row),
            memory_bytes: cell(&self.input.pods.memory, self.row),
            gpu_milli: cell(&self.input.pods.gpu, self.row),
        }
    }

    /// When it was created.
    #[must_use]
    pub fn created(self) -> Option<Time> {
        Time::from_mark(*self.input.pods.created_ms.get(self.row)?)
    }

    /// By when it is to be gone. `None` if it is not being deleted.
    #[must_use]
    pub fn deleted(self) -> Option<Time> {
        Time::from_mark(*self.input.pods.deletion_ms.get(self.row)?)
    }

    /// Its termination grace. `None` if that is not set.
    #[must_use]
    pub fn grace(self) -> Option<Duration> {
        let ms = self.input.pods.grace_ms.get(self.row).copied()?;
        (ms >= 0).then(|| duration(ms))
    }

    /// PodDisruptionBudgets that select it.
    #[must_use]
    pub fn budgets(self) -> u32 {
        cell(&self.input.pods.budgets, self.row)
    }

    /// Disruptions that these budgets allow, the least of them. `None` without a budget.
    #[must_use]
    pub fn disruptions_allowed(self) -> Option<u32> {
        u32::try_from(*self.input.pods.disruptions_allowed.get(self.row)?).ok()
    }

    fn has(self, bit: u32) -> bool {
        cell(&self.input.pods.state, self.row) & bit != 0
    }
}

/// Codes of the column `verdict`.
mod wire_verdict {
    pub(super) const NO_OPINION: u32 = 0;
    pub(super) const EVICT: u32 = 1;
    pub(super) const WAIT: u32 = 2;
    pub(super) const BLOCK: u32 = 3;
    pub(super) const SKIP: u32 = 4;
}

/// What becomes of a pod.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct PodVerdict {
    verdict: u32,
    cost: f64,
    until_ms: i64,
    reason: Option<RowReason>,
}

impl PodVerdict {
    /// The policy has no opinion.
    pub const fn no_opinion() -> Self {
        Self::new(wire_verdict::NO_OPINION)
    }

    /// The pod is evicted.
    pub const fn evict() -> Self {
        Self::new(wire_verdict::EVICT)
    }

    /// The pod runs to its end, and its node waits for that.
    pub const fn wait() -> Self {
        Self::new(wire_verdict::WAIT)
    }

    /// The pod keeps its node.
    pub const fn block() -> Self {
        Self::new(wire_verdict::BLOCK)
    }

    /// The pod is left alone and goes with its node. The host accepts it only for mirror
    /// pods, pods of DaemonSets, and pods that have ended or should have.
    pub const fn skip() -> Self {
        Self::new(wire_verdict::SKIP)
    }

    const fn new(verdict: u32) -> Self {
        Self {
            verdict,
            cost: 0.0,
            until_ms: NO_ROW as i64,
            reason: None,
        }
    }

    verdict_reason!();
    verdict_until!();

    /// What it costs to move the pod; finite and not negative.
    pub const fn cost(mut self, cost: f64) -> Self {
        self.cost = cost;
        self
    }
}

/// A verdict for each pod.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct PodVerdicts {
    verdict: Vec<u32>,
    reason: Vec<i32>,
    cost: Vec<f64>,
    until_ms: Vec<i64>,
    reasons: Reasons,
}

impl PodVerdicts {
    /// Judges each pod.
    pub fn each<'a, C, S>(
        input: &'a ScaleDownPods<C, S>,
        mut judge: impl FnMut(JudgedPod<'a>) -> PodVerdict,
    ) -> Self {
        let mut all = Self::default();
        for pod in input.pods() {
            let one = judge(pod);
            all.verdict.push(one.verdict);
            all.reason.push(all.reasons.row(one.reason));
            all.cost.push(one.cost);
            all.until_ms.push(one.until_ms);
        }
        all
    }

    read_verdicts!();

    /// Whether the pod in that row is evicted.
    #[must_use]
    pub fn evicts(&self, row: usize) -> bool {
        self.verdict.get(row) == Some(&wire_verdict::EVICT)
    }

    /// Whether the pod in that row keeps its node.
    #[must_use]
    pub fn blocks(&self, row: usize) -> bool {
        self.verdict.get(row) == Some(&wire_verdict::BLOCK)
    }

    /// Until when the verdict in that row holds. `None` if time alone does not change it.
    #[must_use]
    pub fn until(&self, row: usize) -> Option<Time> {
        Time::from_mark(*self.until_ms.get(row)?)
    }

    /// The cost in that row.
    #[must_use]
    pub fn cost(&self, row: usize) -> Option<f64> {
        self.cost.get(row).copied()
    }

    /// All of one row, for comparison.
    pub(crate) fn row(&self, row: usize) -> String {
        format!(
            "verdict {:?}, code {:?}, cost {:?}, until {:?}",
            self.verdict.get(row),
            self.code(row),
            self.cost.get(row),
            self.until_ms.get(row)
        )
    }

    pub(crate) fn into_wire(self) -> wire::Verdicts {
        wire::Verdicts {
            verdict: self.verdict,
            reason: self.reason,
            cost: self.cost,
            until_ms: self.until_ms,
            reasons: self.reasons.into_wire(),
        }
    }
}
