//! Records of node decisions: what was pending, which options there were, who chose among
//! them and why, what the guardrails changed, what was ordered, and why the remaining
//! pods fit nowhere. A record can be replayed.
//!
//! In JSON a record is one line, as that of a decision about replicas is.

mod bytes;
mod pod_names;
mod scale_down;
mod texts;

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::pod_names::{PodName, PodNames};
pub use self::scale_down::{
    DrainStepRecord, MovedPodRecord, MovesAsked, NeededRecord, NodesAsked, PodsAsked,
    ReplacementRecord, ScaleDownQuestions, ScaleDownRecord, UnneededRecord,
};
use super::balance::GroupSize;
use super::limits::{ClusterLimits, NodeSize};
use super::ports::NodeEvent;
use flyball_decision::ask::UnaskedState;
use flyball_decision::expander::ExpanderInput;
use flyball_decision::key::ObjectKey;
use flyball_decision::part::ExpanderRecord;
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// Name of the record format.
pub const NODE_FORMAT: &str = "flyball.dev/node-decision/v1alpha1";

/// Maximum number of names of pods, or of groups that don't help, that a record lists in
/// one place.
pub const MAX_NAMES: usize = 20;

/// Record of one pass of the nodes half that decided or reported something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDecisionRecord {
    /// [`NODE_FORMAT`].
    pub format: Arc<str>,
    /// Version of the host.
    pub host: Arc<str>,
    /// Sequence number of the record in its daemon.
    pub sequence: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// Numbers of pending pods.
    pub pending: Pending,
    /// Groups that were no option, and why.
    pub skipped: Vec<SkippedGroup>,
    /// Nodes that were ordered before and have not come yet.
    pub upcoming: Vec<Upcoming>,
    /// The choices, in order. Each is for the pods that are left over by those before.
    pub rounds: Vec<Round>,
    /// Pods that no order helps, by class.
    pub remaining: Vec<Remaining>,
    /// What was found and done about removals. `None` if nothing changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale_down: Option<ScaleDownRecord>,
    /// What was decided.
    pub verdict: NodeVerdict,
    /// Outcome of each order of the verdict, at its index.
    pub outcomes: Vec<OrderOutcome>,
    /// Problems found and handled besides scaling up: orders that never arrived,
    /// instances that the cloud failed to create.
    pub incidents: Vec<Incident>,
    /// Lines for the log, in Cluster Autoscaler's words.
    pub log: Vec<String>,
    /// Events published for it.
    pub events: Vec<NodeEvent>,
}

/// Some pods: how many, and the names of the first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodList {
    /// How many.
    pub count: u32,
    /// At most [`MAX_NAMES`] of them.
    pub names: Vec<ObjectKey>,
}

/// Numbers of pending pods at the beginning of a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pending {
    /// Pods that the scheduler found no node for.
    pub unschedulable: u32,
    /// Unschedulable pods below `--expendable-pods-priority-cutoff`.
    pub expendable: u32,
    /// Unschedulable pods too young for `--new-pod-scale-up-delay` or their annotation.
    pub young: u32,
    /// Unschedulable pods of DaemonSets, which are made for one node.
    pub daemon_set: u32,
    /// Pods of nodes that are being drained, which will have to run elsewhere.
    pub drained: u32,
    /// Pods that existing or upcoming nodes have room for.
    pub fit: u32,
    /// Pods that new nodes were sought for.
    pub sought: u32,
}

/// A group that was no option.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SkippedGroup {
    /// The group.
    pub group: Arc<str>,
    /// Stable CamelCase code: `Backoff`, `MaxSize`, `NoTemplate`, `InvalidBounds`,
    /// `FromZero`, `NodesTotal`, `CoresTotal`, `MemoryTotal`; or `Limited` if it was
    /// chosen and a guardrail left nothing to order.
    pub code: Arc<str>,
    /// Short reason for events, worded as in Cluster Autoscaler.
    pub reason: String,
    /// Message for people.
    pub message: String,
}

/// Nodes of a group that have not come yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Upcoming {
    /// The group.
    pub group: Arc<str>,
    /// How many.
    pub nodes: u32,
}

/// A choice among options, and what was ordered of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Round {
    /// Topology domain, for example `topology.kubernetes.io/zone=z-a`, if the choice only
    /// settled which group stands for that domain in options of several groups. Nothing
    /// is ordered then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Zones in which the ordered node helps, if the cloud may choose others as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub helps_in: Vec<Arc<str>>,
    /// All options.
    pub input: ExpanderInput,
    /// Seed for random choices.
    pub seed: u64,
    /// The expanders that were asked, in the order of the chain.
    pub expanders: Vec<ExpanderRecord>,
    /// States of the expanders that were not asked because one option was left before.
    /// They count towards the budget of states. `None` in records from before there was a
    /// budget.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unasked: Option<Vec<UnaskedState>>,
    /// What was chosen.
    pub choice: Choice,
    /// Input of the guardrails. `None` if nothing was chosen.
    pub guard: Option<RoundGuard>,
    /// What each guardrail changed.
    pub steps: Vec<NodeGuardStep>,
    /// The resulting orders.
    pub orders: Vec<Order>,
    /// Pods that these nodes are for.
    pub helped: PodList,
}

/// What was chosen among the options.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Choice {
    /// Row of the option. `None` if none was chosen.
    pub row: Option<u32>,
    /// Number of options that the chain left. If more than one, the choice among them was
    /// random.
    pub left: u32,
    /// CamelCase code of the reason.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

/// Input of the guardrails, other than the choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoundGuard {
    /// Nodes that the chosen option asks for.
    pub wanted: u32,
    /// What a node of it adds to the cluster.
    pub node: NodeSize,
    /// Limits of the whole cluster.
    pub limits: ClusterLimits,
    /// How many more nodes the pass may add. `None` if the number is not limited.
    pub max_per_pass: Option<u32>,
    /// The chosen group, then those similar to it. For an option of several groups, these
    /// ([`GuardedGroup::nodes`]).
    pub groups: Vec<GuardedGroup>,
}

/// A group that may be ordered from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct GuardedGroup {
    /// Its name.
    pub group: Arc<str>,
    /// Its sizes.
    pub size: GroupSize,
    /// Nodes that the option asks for of this group. `None` if the nodes may be split
    /// over the groups in any way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nodes: Option<u32>,
}

/// What a guardrail changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeGuardStep {
    /// `MaxSize`, `MaxNodesPerScaleUp`, `NodesTotal`, `CoresTotal`, `MemoryTotal`,
    /// `BalanceSimilarNodeGroups` or `Rehearsal`.
    pub guardrail: Arc<str>,
    /// Nodes to add before it.
    pub from: u32,
    /// Nodes to add after it.
    pub to: u32,
    /// Message for people.
    pub message: String,
}

/// An order of nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Order {
    /// Name of the group.
    pub group: Arc<str>,
    /// Its target before.
    pub from: u32,
    /// Its target after.
    pub to: u32,
    /// Its largest target.
    pub max: u32,
}

impl fmt::Display for Order {
    /// As Cluster Autoscaler writes it: `{nodes 2->3 (max: 4)}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            from,
            to,
            max,
        } = self;
        write!(f, "{{{group} {from}->{to} (max: {max})}}")
    }
}

/// Orders as Cluster Autoscaler lists them: `[{a 2->3 (max: 4)} {b 0->1 (max: 2)}]`.
#[must_use]
pub fn listed(orders: &[Order]) -> String {
    let orders: Vec<_> = orders.iter().map(ToString::to_string).collect();
    format!("[{}]", orders.join(" "))
}

/// As [`listed`], but in at most this many bytes: says how many orders it leaves out.
pub(crate) fn listed_within(orders: &[Order], bytes: usize) -> String {
    let texts = orders.iter().map(ToString::to_string);
    let list = text::list(texts, orders.len(), " ", bytes.saturating_sub("[]".len()));
    format!("[{list}]")
}

/// Pods of one class that no order helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remaining {
    /// Which pods.
    pub pods: PodList,
    /// Why no group helps: the first filter that fails for each, ordered by reason.
    pub reasons: Vec<Refusal>,
}

/// Why some groups do not help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    /// Reason as in events, worded as in the scheduler or in Cluster Autoscaler.
    pub reason: String,
    /// How many groups.
    pub count: u32,
    /// At most [`MAX_NAMES`] of them.
    pub groups: Vec<Arc<str>>,
}

impl fmt::Display for Refusal {
    /// `a, b and 3 more: Insufficient cpu`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.groups.join(", "))?;
        let more = (self.count as usize).saturating_sub(self.groups.len());
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// The decision. Replay must reproduce it to the byte.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeVerdict {
    /// Orders of all rounds, in order.
    pub orders: Vec<Order>,
    /// CamelCase code of the reason.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

/// Outcome of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderOutcome {
    /// The cloud accepted it.
    Ordered,
    /// It was not carried out.
    Failed {
        /// Class of the cloud's error; `NotTried` if the cloud refused an order of the
        /// same group before; `NotLeader` if another instance leads by now.
        class: Arc<str>,
        /// Message for people.
        message: String,
    },
}

/// A problem that was found and handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Incident {
    /// CamelCase: `ScaleUpTimedOut`, `InstanceFailed`, `NodeNeverJoined`,
    /// `NodeInOtherZone`, `ClusterUnhealthy`, `CloudUnavailable`, `PodsPutOff`, and
    /// `PriorityConfigMap…` for errors in an expander's configuration in the cluster.
    pub code: Arc<str>,
    /// The group it concerns.
    pub group: Option<Arc<str>>,
    /// Message for people: what was found and what was done.
    pub message: String,
}
