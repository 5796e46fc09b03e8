//! Policies as the host knows them: their descriptions, the ports through which they are
//! found and asked, and the ways in which asking ends.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::expander::{ExpanderInput, ExpanderRanking};
use crate::replica::{ReplicaDecision, ReplicaInput};
use crate::scale_down::{
    MoveVerdicts, NodeVerdicts, PodVerdicts, ScaleDownMovesInput, ScaleDownNodesInput,
    ScaleDownPodsInput,
};
use crate::text::readable;

/// Policy of objects that name none.
pub const DEFAULT_REPLICA_POLICY: &str = "hpa";

/// Expander if the operator names none, the same as Cluster Autoscaler's.
pub const DEFAULT_EXPANDER: &str = "least-waste";

/// Policy that judges pods in place of a scale-down policy that fails, if the operator
/// enabled the fallback.
pub const DEFAULT_POD_JUDGE: &str = "drain-rules";

/// Policy that judges nodes in place of a scale-down policy that fails.
pub const DEFAULT_NODE_JUDGE: &str = "utilization";

/// Policy that judges moves in place of a scale-down policy that fails.
pub const DEFAULT_MOVE_JUDGE: &str = "consolidate";

/// Name of the object that expanders and scale-down policies are asked about.
pub const NODE_GROUPS: &str = "node groups";

/// Kinds of policy in descriptions.
pub mod kind {
    /// How many replicas should a workload have?
    pub const REPLICA: &str = "replica";
    /// Which node group should grow?
    pub const EXPANDER: &str = "expander";
    /// Which nodes may go?
    pub const SCALE_DOWN: &str = "scale-down";
    /// All kinds of the contract.
    pub const ALL: [&str; 3] = [REPLICA, EXPANDER, SCALE_DOWN];
}

/// Interfaces of the contract that ask a question. A policy of a kind exports one or more
/// of the kind's interfaces.
pub mod interface {
    use super::kind;

    /// How many replicas should a workload have?
    pub const REPLICA: &str = kind::REPLICA;
    /// Which node group should grow?
    pub const EXPANDER: &str = kind::EXPANDER;
    /// What happens to each pod if its node leaves?
    pub const SCALE_DOWN_PODS: &str = "scale-down-pods";
    /// Which nodes may leave?
    pub const SCALE_DOWN_NODES: &str = "scale-down-nodes";
    /// Which moves are worth their price?
    pub const SCALE_DOWN_MOVES: &str = "scale-down-moves";
    /// All interfaces that ask a question.
    pub const ALL: [&str; 5] = [
        REPLICA,
        EXPANDER,
        SCALE_DOWN_PODS,
        SCALE_DOWN_NODES,
        SCALE_DOWN_MOVES,
    ];

    /// Returns the interfaces of that [`kind`]; none if it is not known.
    #[must_use]
    pub fn of_kind(kind: &str) -> &'static [&'static str] {
        match kind {
            kind::REPLICA => &[REPLICA],
            kind::EXPANDER => &[EXPANDER],
            kind::SCALE_DOWN => &[SCALE_DOWN_PODS, SCALE_DOWN_NODES, SCALE_DOWN_MOVES],
            _ => &[],
        }
    }
}

/// Maximum size of the states of one object's policies together, in bytes: three quarters
/// of what is kept of an object. It is a little less if several policies with long names
/// have a state, as the names are kept too.
pub const STATE_LIMIT: usize = 768;

/// An input that a policy wants beyond the standard ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedInput {
    /// Such as `metric-history` or `pod-label` (`wit/`, record `wanted-input`).
    pub kind: String,
    /// Named values in text form.
    #[serde(default)]
    pub arguments: Vec<(String, String)>,
}

/// How a policy describes itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Description {
    /// The name that the policy gives itself. Users refer to it by the stem of its file.
    pub name: String,
    /// The policy's own version.
    pub version: String,
    /// A summary in one line.
    pub summary: String,
    /// Its kinds, a subset of [`kind::ALL`].
    pub kinds: Vec<String>,
    /// JSON Schema of the configuration; empty if it takes none.
    pub configuration_schema: String,
    /// Version of the state; raised when an older state can no longer be read.
    pub state_version: u32,
    /// Inputs beyond the standard ones.
    pub wants: Vec<WantedInput>,
}

impl Description {
    /// Returns whether it is a policy of that [`kind`].
    #[must_use]
    pub fn has_kind(&self, kind: &str) -> bool {
        self.kinds.iter().any(|one| one == kind)
    }

    /// Checks that it can be asked as a policy of that [`kind`].
    ///
    /// # Errors
    /// [`PolicyFailure::Missing`] with the name and the kinds that it has.
    pub fn must_have_kind(&self, name: &str, kind: &str) -> Result<(), PolicyFailure> {
        if self.has_kind(kind) {
            return Ok(());
        }
        Err(PolicyFailure::Missing(format!(
            "policy `{name}` is no policy of kind {kind}: it has {}",
            self.kinds.join(" and ")
        )))
    }
}

/// Identity of a policy's code. Records name it, so that a replay can find it again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PolicyVersion {
    /// Name, the stem of the file.
    pub name: Arc<str>,
    /// `sha256:` and the hexadecimal digest of the component.
    pub digest: Arc<str>,
    /// Version of the contract it was built for.
    pub contract: Arc<str>,
    /// The policy's own version.
    pub version: Arc<str>,
    /// Version of its state.
    pub state_version: u32,
}

impl PolicyVersion {
    /// Returns the first twelve hexadecimal digits of the digest, for people.
    #[must_use]
    pub fn short_digest(&self) -> &str {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or(&self.digest);
        hex.get(..12).unwrap_or(hex)
    }
}

/// Limits on the cost of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Fuel of a decision without rows.
    pub fuel_base: u64,
    /// Fuel added for each row of input (pods, samples, options, nodes, moves).
    pub fuel_per_row: u64,
    /// Largest linear memory, in bytes.
    pub memory_bytes: u64,
    /// Wall-clock limit, in milliseconds: a backstop behind the fuel.
    pub time_ms: u64,
}

/// Cost of a decision. Time is left out because it is not a function of the input.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Usage {
    /// Fuel spent.
    pub fuel: u64,
    /// Fuel that the policy was given.
    pub fuel_budget: u64,
    /// Peak of linear memory, in bytes.
    pub memory_bytes: u64,
}

/// Why a policy gave no usable answer. The host never scales because of a failure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "message")]
pub enum PolicyFailure {
    /// No policy of that name is active.
    Missing(String),
    /// It refused with a typed error (code: message).
    Refused(String),
    /// It trapped.
    Trapped(String),
    /// It used up its fuel.
    OutOfFuel(String),
    /// It hit a limit on memory, tables, instances or output.
    OverLimit(String),
    /// The input does not fit into its memory, or into the contract's encoding: no fault of
    /// the policy.
    InputTooLarge(String),
    /// The wall-clock limit interrupted it: an outcome from outside, which a replay takes
    /// as given.
    Interrupted(String),
    /// Its answer breaks the contract.
    InvalidAnswer(String),
    /// It is quarantined after repeated failures.
    Quarantined(String),
    /// It is not asked yet, so that others are not kept waiting.
    NotAsked(String),
}

impl PolicyFailure {
    /// Returns the CamelCase code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.parts().0
    }

    /// Returns the failure as a sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        self.parts().1
    }

    /// Shortens the sentence to this many bytes.
    pub fn shorten(&mut self, bytes: usize) {
        let (Self::Missing(sentence)
        | Self::Refused(sentence)
        | Self::Trapped(sentence)
        | Self::OutOfFuel(sentence)
        | Self::OverLimit(sentence)
        | Self::InputTooLarge(sentence)
        | Self::Interrupted(sentence)
        | Self::InvalidAnswer(sentence)
        | Self::Quarantined(sentence)
        | Self::NotAsked(sentence)) = self;
        readable(sentence, bytes);
    }

    /// Returns whether the previous version is asked instead, if there is one: the policy
    /// misbehaved, or is quarantined because it did.
    #[must_use]
    pub fn is_left_to_predecessor(&self) -> bool {
        self.is_misbehaviour() || matches!(self, Self::Quarantined(_))
    }

    /// Returns whether the policy's code misbehaved, rather than being missing, refusing, or
    /// being asked too much.
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        !matches!(
            self,
            Self::Missing(_)
                | Self::Refused(_)
                | Self::InputTooLarge(_)
                | Self::Quarantined(_)
                | Self::NotAsked(_)
        )
    }

    /// Returns whether the failure is not a function of the input, so that a replay takes
    /// it as given: the policy's time was up, or it was missing, quarantined or not asked.
    #[must_use]
    pub fn is_from_outside(&self) -> bool {
        matches!(
            self,
            Self::Interrupted(_) | Self::Missing(_) | Self::Quarantined(_) | Self::NotAsked(_)
        )
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Missing(m) => ("PolicyMissing", m),
            Self::Refused(m) => ("PolicyRefused", m),
            Self::Trapped(m) => ("PolicyTrapped", m),
            Self::OutOfFuel(m) => ("PolicyOutOfFuel", m),
            Self::OverLimit(m) => ("PolicyOverLimit", m),
            Self::InputTooLarge(m) => ("PolicyInputTooLarge", m),
            Self::Interrupted(m) => ("PolicyInterrupted", m),
            Self::InvalidAnswer(m) => ("PolicyInvalidAnswer", m),
            Self::Quarantined(m) => ("PolicyQuarantined", m),
            Self::NotAsked(m) => ("PolicyNotAsked", m),
        }
    }
}

impl fmt::Display for PolicyFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.code(), self.message())
    }
}

/// Result of asking a policy for an answer of type `A`.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyOutcome<A> {
    /// Its cost.
    pub usage: Usage,
    /// Its answer, already within the limits of the contract (lengths, state
    /// size, index ranges), or why there is none.
    pub answer: Result<A, PolicyFailure>,
    /// Lines it logged (level, text), within limits.
    pub log: Vec<(u32, String)>,
}

impl<A> PolicyOutcome<A> {
    /// Returns the outcome with `map` applied to the answer.
    pub fn map<B>(self, map: impl FnOnce(A) -> B) -> PolicyOutcome<B> {
        PolicyOutcome {
            usage: self.usage,
            answer: self.answer.map(map),
            log: self.log,
        }
    }
}

/// One version of a policy of any kind. A holder asks this version even after another one
/// has become active under the name.
///
/// It has a method for each question, which decides in a fresh sandbox. The answer is a
/// pure function of the arguments and of the policy's digest, except for
/// [`PolicyFailure::Interrupted`]. Lengths and texts of an answer are within the limits of
/// the contract; what else the contract demands of it is checked by
/// [`Question::ask`](crate::question::Question::ask). A question that the policy does not
/// answer fails with [`PolicyFailure::Missing`], as the default implementations do.
pub trait Policy: Send + Sync {
    /// Returns the identity of its code.
    fn version(&self) -> &Arc<PolicyVersion>;

    /// Returns its description.
    fn description(&self) -> &Description;

    /// Returns the limits on the cost of a decision.
    fn budget(&self) -> Budget;

    /// Returns whether it answers the question of that [`interface`].
    fn answers(&self, interface: &str) -> bool;

    /// Returns the rollback of a newer version, if this version decides again because of
    /// it.
    fn rolled_back(&self) -> Option<&RolledBack> {
        None
    }

    /// Returns the versions before this one, the latest first, whatever they answer. They
    /// are asked in turn about an object for which this one fails (see
    /// [`PolicyFailure::is_left_to_predecessor`]).
    fn predecessors(&self) -> Vec<Arc<dyn Policy>> {
        Vec::new()
    }

    /// How many replicas should a workload have?
    fn decide(&self, _: &Context, _: &ReplicaInput) -> PolicyOutcome<ReplicaDecision> {
        not_answered(self.version(), interface::REPLICA)
    }

    /// Which node group should grow?
    fn rank(&self, _: &Context, _: &ExpanderInput) -> PolicyOutcome<ExpanderRanking> {
        not_answered(self.version(), interface::EXPANDER)
    }

    /// What happens to each pod if its node leaves?
    fn judge_pods(&self, _: &Context, _: &ScaleDownPodsInput) -> PolicyOutcome<PodVerdicts> {
        not_answered(self.version(), interface::SCALE_DOWN_PODS)
    }

    /// Which nodes may leave?
    fn judge_nodes(&self, _: &Context, _: &ScaleDownNodesInput) -> PolicyOutcome<NodeVerdicts> {
        not_answered(self.version(), interface::SCALE_DOWN_NODES)
    }

    /// Which moves are worth their price?
    fn judge_moves(&self, _: &Context, _: &ScaleDownMovesInput) -> PolicyOutcome<MoveVerdicts> {
        not_answered(self.version(), interface::SCALE_DOWN_MOVES)
    }
}

/// Returns the outcome of a question that the policy does not answer.
fn not_answered<A>(version: &PolicyVersion, interface: &str) -> PolicyOutcome<A> {
    PolicyOutcome {
        usage: Usage::default(),
        answer: Err(PolicyFailure::Missing(format!(
            "policy `{}` does not answer {interface}",
            version.name
        ))),
        log: Vec::new(),
    }
}

/// A rollback: what was rolled back, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RolledBack {
    /// The newer version.
    pub from: Arc<PolicyVersion>,
    /// Why, as a sentence.
    pub reason: String,
}

/// An object that names a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyUser {
    /// The object's target, or the node groups.
    pub object: String,
    /// Namespace of the target; empty for node groups.
    pub namespace: Arc<str>,
    /// Whether the policy is asked about it. It is not while scaling is disabled, or
    /// while the target or its pods are unknown.
    pub is_asked: bool,
}

/// Configurations with which objects use a policy, as JSON, by namespace. Those of the node
/// groups have the empty one.
pub type ConfigurationsInUse = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;

/// Port that finds policies; implemented by the sandbox.
pub trait PolicyEngine: Send + Sync {
    /// Returns the active policy of that [`kind`] and name, or why there is none
    /// ([`PolicyFailure::Missing`], also if the policy is of another kind).
    ///
    /// # Errors
    /// A failure that names the policy.
    fn policy(&self, kind: &str, name: &str) -> Result<Arc<dyn Policy>, PolicyFailure>;

    /// Returns the built-in policy that answers a question of that [`interface`] in place
    /// of `name` if the operator enabled the fallback: the one of that name, else the
    /// default one. The default implementation has no built-in policies.
    fn fallback(&self, _interface: &str, _name: &str) -> Option<Arc<dyn Policy>> {
        None
    }
}
