//! Records of node decisions: what was pending, which options there were, who
//! chose among them and why, what the guardrails changed, what was ordered, and
//! why the remaining pods fit nowhere. A record can be decided again.
//!
//! In JSON a record is one line, as a [`crate::record::DecisionRecord`] is.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::balance::GroupSize;
use super::expander::ExpanderInput;
use super::limits::{ClusterLimits, NodeSize};
use super::ports::NodeEvent;
use crate::ask::UnaskedState;
use crate::ports::ObjectKey;
use crate::question::ExpanderRecord;
use crate::time::Timestamp;

/// Names the form of a record.
pub const NODE_FORMAT: &str = "flyball.dev/node-decision/v1alpha1";

/// Most names of pods, or of groups that don't help, that a record lists in one place.
pub const MAX_NAMES: usize = 20;

/// One pass of the nodes half that had something to decide or to tell.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeDecisionRecord {
    /// [`NODE_FORMAT`].
    pub format: Arc<str>,
    /// Version of the host.
    pub host: Arc<str>,
    /// Counts the records of one daemon.
    pub sequence: u64,
    /// When it was decided.
    pub at: Timestamp,
    /// The pods that waited, and what became of them.
    pub pending: Pending,
    /// Groups that were no option, and why.
    pub skipped: Vec<SkippedGroup>,
    /// Nodes that groups were asked for before and that have not come yet.
    pub upcoming: Vec<Upcoming>,
    /// The choices made, one after the other, each for the pods that the ones
    /// before left over.
    pub rounds: Vec<Round>,
    /// Pods that no order helps, by class.
    pub remaining: Vec<Remaining>,
    /// What was decided.
    pub verdict: NodeVerdict,
    /// What came of each order of the verdict, at its index.
    pub outcomes: Vec<OrderOutcome>,
    /// What was found and done beside scaling up: orders that never arrived,
    /// instances that can't be had.
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

/// The pods that waited at the beginning of a pass, in numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Pending {
    /// Pods that the scheduler found no node for.
    pub unschedulable: u32,
    /// Unschedulable pods below `--expendable-pods-priority-cutoff`.
    pub expendable: u32,
    /// Unschedulable pods too young for `--new-pod-scale-up-delay` or their annotation.
    pub young: u32,
    /// Unschedulable pods that a DaemonSet made for one node.
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
    /// `FromZero`, `NodesTotal`, `CoresTotal`, `MemoryTotal`; `Limited`: it was chosen,
    /// and a guardrail left nothing to order of it.
    pub code: Arc<str>,
    /// In the peers' words, as events have it.
    pub reason: String,
    /// What a person reads.
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

/// A choice among options, and what became of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Round {
    /// The topology domain that the choice was about, `topology.kubernetes.io/zone=z-a`
    /// say, if it only settled which group stands for that domain in options of several
    /// groups. Nothing is ordered then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// The zones in which the ordered node helps, if the cloud may choose others as well.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub helps_in: Vec<Arc<str>>,
    /// All options.
    pub input: ExpanderInput,
    /// For choices by chance.
    pub seed: u64,
    /// The expanders asked, in the order of the chain.
    pub expanders: Vec<ExpanderRecord>,
    /// States of the expanders that were not asked, as one option was left before. They
    /// count for what the others may keep. `None` in records of before that was limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unasked: Option<Vec<UnaskedState>>,
    /// What was chosen.
    pub choice: Choice,
    /// Input of the guardrails. `None` if nothing was chosen.
    pub guard: Option<RoundGuard>,
    /// What each guardrail changed.
    pub steps: Vec<NodeGuardStep>,
    /// What is to be ordered.
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
    /// How many options the chain left: more than one, and chance decided.
    pub left: u32,
    /// CamelCase code of the reason.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

/// All that the guardrails go by, beside the choice.
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
    /// The chosen group, then those similar to it; or the groups of an option of several
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
    /// Nodes that the option asks for of this group. `None`: the nodes may be split over
    /// the groups in any way.
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
    /// What a person reads.
    pub message: String,
}

/// Nodes to be ordered.
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

/// Pods of one class that no order helps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Remaining {
    /// Which pods.
    pub pods: PodList,
    /// Why no group helps: the first rule that fails in each, ordered by reason.
    pub reasons: Vec<Refusal>,
}

/// Why some groups do not help.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Refusal {
    /// In the words of the scheduler or of the peers, as events have it.
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

/// What was decided: what replay must reproduce to the byte.
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

/// What came of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OrderOutcome {
    /// The cloud took it.
    Ordered,
    /// It was not ordered: class and message.
    Failed {
        /// Class of the cloud's error, if that refused it; `NotTried`: it refused one
        /// of the same group before; `NotLeader`: another instance leads by now.
        class: Arc<str>,
        /// What a person reads.
        message: String,
    },
}

/// Something found and dealt with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Incident {
    /// CamelCase: `ScaleUpTimedOut`, `InstanceFailed`, `NodeNeverJoined`, `NodeInOtherZone`,
    /// `ClusterUnhealthy`, `CloudUnavailable`, and what is wrong with an expander's
    /// configuration in the cluster, `PriorityConfigMap…`.
    pub code: Arc<str>,
    /// The group it concerns.
    pub group: Option<Arc<str>>,
    /// What a person reads: what was found and what was done.
    pub message: String,
}
