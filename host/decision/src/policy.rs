//! Policies as the host knows them: their descriptions, the ports through which they are
//! found and asked, and the ways in which asking ends.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::expander::{ExpanderInput, ExpanderRanking};
use crate::replica::{ReplicaDecision, ReplicaInput};

/// Policy of objects that name none.
pub const DEFAULT_REPLICA_POLICY: &str = "hpa";

/// Expander if the operator names none, the same as Cluster Autoscaler's.
pub const DEFAULT_EXPANDER: &str = "least-waste";

/// Name of the object that expanders are asked about.
pub const NODE_GROUPS: &str = "node groups";

/// Kinds of policy in descriptions: the interfaces of the contract.
pub mod kind {
    /// How many replicas should a workload have?
    pub const REPLICA: &str = "replica";
    /// Which node group should grow?
    pub const EXPANDER: &str = "expander";
    /// Which nodes may go?
    pub const SCALE_DOWN: &str = "scale-down";
    /// All kinds of the contract.
    pub const ALL: [&str; 3] = [REPLICA, EXPANDER, SCALE_DOWN];
    /// Kinds that this host runs.
    pub const RUN: [&str; 2] = [REPLICA, EXPANDER];
}

/// Maximum size of the states of one object's policies together, in bytes: three quarters
/// of what is kept of an object. It is a little less if several policies with long names
/// have a state, as the names are kept too.
pub const STATE_LIMIT: usize = 768;

/// An input that a policy wants beyond the standard ones.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WantedInput {
    /// `metric-history`, `target-labels` or `target-annotations`.
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
    /// Fuel added for each row of input (pods and samples, or options).
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
    /// The wall-clock limit interrupted it: an outcome from outside, which a replay takes
    /// as given.
    Interrupted(String),
    /// Its answer breaks the contract.
    InvalidAnswer(String),
    /// It is quarantined after repeated failures.
    Quarantined(String),
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

    /// Returns whether the previous version is asked instead, if there is one: the policy
    /// misbehaved, or is quarantined because it did.
    #[must_use]
    pub fn is_left_to_predecessor(&self) -> bool {
        self.is_misbehaviour() || matches!(self, Self::Quarantined(_))
    }

    /// Returns whether the policy's code misbehaved, rather than being missing or
    /// refusing.
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        !matches!(
            self,
            Self::Missing(_) | Self::Refused(_) | Self::Quarantined(_)
        )
    }

    /// Returns whether the failure is not a function of the input, so that a replay takes
    /// it as given: the policy's time was up, or it was missing or quarantined.
    #[must_use]
    pub fn is_from_outside(&self) -> bool {
        matches!(
            self,
            Self::Interrupted(_) | Self::Missing(_) | Self::Quarantined(_)
        )
    }

    fn parts(&self) -> (&'static str, &str) {
        match self {
            Self::Missing(m) => ("PolicyMissing", m),
            Self::Refused(m) => ("PolicyRefused", m),
            Self::Trapped(m) => ("PolicyTrapped", m),
            Self::OutOfFuel(m) => ("PolicyOutOfFuel", m),
            Self::OverLimit(m) => ("PolicyOverLimit", m),
            Self::Interrupted(m) => ("PolicyInterrupted", m),
            Self::InvalidAnswer(m) => ("PolicyInvalidAnswer", m),
            Self::Quarantined(m) => ("PolicyQuarantined", m),
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

/// One version of a policy of any kind. A holder asks this version even after another one
/// has become active under the name.
pub trait Policy: Send + Sync {
    /// Returns the identity of its code.
    fn version(&self) -> &Arc<PolicyVersion>;

    /// Returns its description.
    fn description(&self) -> &Description;

    /// Returns the limits on the cost of a decision.
    fn budget(&self) -> Budget;

    /// Returns the rollback of a newer version, if this version decides again because of
    /// it.
    fn rolled_back(&self) -> Option<&RolledBack> {
        None
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

/// A policy that says how many replicas there should be.
pub trait ReplicaPolicy: Policy {
    /// Decides in a fresh sandbox. The answer is a pure function of the
    /// arguments and of the policy's digest, except for
    /// [`PolicyFailure::Interrupted`].
    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision>;

    /// Returns the versions before this one, the latest first. They are asked in turn
    /// about an object for which this one fails (see
    /// [`PolicyFailure::is_left_to_predecessor`]).
    fn predecessors(&self) -> Vec<Arc<dyn ReplicaPolicy>> {
        Vec::new()
    }
}

/// A policy that says which node group should grow.
pub trait ExpanderPolicy: Policy {
    /// Ranks the options in a fresh sandbox, as pure as [`ReplicaPolicy::decide`].
    /// Rows of the answer are in range, each at most once, and there is one score
    /// for each option or none at all.
    fn rank(&self, context: &Context, input: &ExpanderInput) -> PolicyOutcome<ExpanderRanking>;

    /// See [`ReplicaPolicy::predecessors`].
    fn predecessors(&self) -> Vec<Arc<dyn ExpanderPolicy>> {
        Vec::new()
    }
}

/// Port that finds policies; implemented by the sandbox.
pub trait PolicyEngine: Send + Sync {
    /// Returns the active policy of that name, or why there is none
    /// ([`PolicyFailure::Missing`], also if the policy is of another kind).
    ///
    /// # Errors
    /// A failure that names the policy.
    fn replica_policy(&self, name: &str) -> Result<Arc<dyn ReplicaPolicy>, PolicyFailure>;

    /// Returns the built-in policy that is asked in place of `name` if the operator
    /// enabled the fallback: the one of that name, else the default one.
    fn replica_fallback(&self, name: &str) -> Option<Arc<dyn ReplicaPolicy>>;

    /// Returns the active expander of that name. The default implementation has no
    /// expanders.
    ///
    /// # Errors
    /// A failure that names the policy.
    fn expander_policy(&self, name: &str) -> Result<Arc<dyn ExpanderPolicy>, PolicyFailure> {
        let message = format!("there is no expander `{name}`");
        Err(PolicyFailure::Missing(message))
    }

    /// Returns the built-in expander that is asked in place of `name`; see
    /// [`PolicyEngine::replica_fallback`].
    fn expander_fallback(&self, _name: &str) -> Option<Arc<dyn ExpanderPolicy>> {
        None
    }
}
