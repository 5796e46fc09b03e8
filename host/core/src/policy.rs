//! What the pipeline knows of policies: their descriptions, the port through
//! which they are asked, and the ways in which asking ends.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::nodes::expander::{ExpanderInput, ExpanderRanking};
use crate::replica::{Context, ReplicaDecision, ReplicaInput};

/// The policy used where an object names none.
pub const DEFAULT_REPLICA_POLICY: &str = "hpa";

/// The expander used where the operator names none, as Cluster Autoscaler's.
pub const DEFAULT_EXPANDER: &str = "least-waste";

/// The object that expanders are asked about, by name.
pub const NODE_GROUPS: &str = "node groups";

/// Kinds of policy, as descriptions name them: interfaces of the contract.
pub mod kind {
    /// How many replicas should a workload have?
    pub const REPLICA: &str = "replica";
    /// Which node group should grow?
    pub const EXPANDER: &str = "expander";
    /// Which nodes may go?
    pub const SCALE_DOWN: &str = "scale-down";
    /// All that the contract has.
    pub const ALL: [&str; 3] = [REPLICA, EXPANDER, SCALE_DOWN];
    /// Kinds that this host asks.
    pub const RUN: [&str; 2] = [REPLICA, EXPANDER];
}

/// Most that the policies of one object may keep as state together, in bytes: three
/// quarters of what is kept of an object. Where several policies with long names have
/// a state it is a little less, as the names are kept too.
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
    /// The policy's own name for itself; the file's stem is what it is called by.
    pub name: String,
    /// The policy's own version.
    pub version: String,
    /// One line.
    pub summary: String,
    /// Its kinds, a subset of [`kind::ALL`].
    pub kinds: Vec<String>,
    /// JSON Schema of the configuration; empty: it takes none.
    pub configuration_schema: String,
    /// Raised when an older state can no longer be read.
    pub state_version: u32,
    /// Inputs beyond the standard ones.
    pub wants: Vec<WantedInput>,
}

impl Description {
    /// Whether it is a policy of that [`kind`].
    #[must_use]
    pub fn has_kind(&self, kind: &str) -> bool {
        self.kinds.iter().any(|one| one == kind)
    }

    /// Why it cannot be asked as a policy of that [`kind`], if it is of another.
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

/// The code that decides, exactly: what a record names, so that a replay can
/// find it again.
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
    /// The digest's first twelve hexadecimal digits, for people.
    #[must_use]
    pub fn short_digest(&self) -> &str {
        let hex = self.digest.strip_prefix("sha256:").unwrap_or(&self.digest);
        hex.get(..12).unwrap_or(hex)
    }
}

/// What a decision may cost at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Budget {
    /// Fuel of a decision without rows.
    pub fuel_base: u64,
    /// Fuel added for each row of input (pods and samples, or options).
    pub fuel_per_row: u64,
    /// Largest linear memory, in bytes.
    pub memory_bytes: u64,
    /// Wall-clock backstop, in milliseconds.
    pub time_ms: u64,
}

/// What a decision did cost. Time is left out: it is no function of the input.
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

/// Why a policy gave no usable answer. The host then never scales because of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "kind", content = "message")]
pub enum PolicyFailure {
    /// No policy of that name is active.
    Missing(String),
    /// It refused by a typed error (code: message).
    Refused(String),
    /// It trapped.
    Trapped(String),
    /// It used up its fuel.
    OutOfFuel(String),
    /// It hit a limit on memory, tables, instances or output.
    OverLimit(String),
    /// The wall-clock backstop interrupted it: an outcome from outside, which a
    /// replay takes as given.
    Interrupted(String),
    /// Its answer breaks the contract.
    InvalidAnswer(String),
    /// It is kept from deciding after repeated failures.
    Quarantined(String),
}

impl PolicyFailure {
    /// CamelCase code of the failure.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.parts().0
    }

    /// The failure as a sentence.
    #[must_use]
    pub fn message(&self) -> &str {
        self.parts().1
    }

    /// Whether the version before is asked instead, if there is one: the policy
    /// misbehaved, or is quarantined because it did.
    #[must_use]
    pub fn is_left_to_predecessor(&self) -> bool {
        self.is_misbehaviour() || matches!(self, Self::Quarantined(_))
    }

    /// Whether the policy's code misbehaved (as against being absent or refusing).
    #[must_use]
    pub fn is_misbehaviour(&self) -> bool {
        !matches!(
            self,
            Self::Missing(_) | Self::Refused(_) | Self::Quarantined(_)
        )
    }

    /// Whether it is no function of the input, so that a replay takes it as given: the
    /// policy's time was up, or it was missing or quarantined.
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

/// How asking a policy for an answer of type `A` ended.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyOutcome<A> {
    /// What it did cost.
    pub usage: Usage,
    /// Its answer, already within the limits of the contract (lengths, state
    /// size, index ranges), or why there is none.
    pub answer: Result<A, PolicyFailure>,
    /// Lines it logged (level, text), within limits.
    pub log: Vec<(u32, String)>,
}

/// One version of a policy, of whatever kind. Who holds it asks that version, even
/// when the name has moved on to another one.
pub trait Policy: Send + Sync {
    /// Which code it is.
    fn version(&self) -> &Arc<PolicyVersion>;

    /// How it describes itself.
    fn description(&self) -> &Description;

    /// What a decision may cost.
    fn budget(&self) -> Budget;

    /// The newer version that was rolled back, if this one decides again because of
    /// that.
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

/// A policy that says how many replicas there should be.
pub trait ReplicaPolicy: Policy {
    /// Decides in a fresh sandbox. The answer is a pure function of the
    /// arguments and of the policy's digest, except for
    /// [`PolicyFailure::Interrupted`].
    fn decide(&self, context: &Context, input: &ReplicaInput) -> PolicyOutcome<ReplicaDecision>;

    /// Versions before this one, the latest first: they are asked in turn about an
    /// object for which this one fails (see
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

    /// As [`ReplicaPolicy::predecessors`].
    fn predecessors(&self) -> Vec<Arc<dyn ExpanderPolicy>> {
        Vec::new()
    }
}

/// The port through which policies are found: implemented by the sandbox.
pub trait PolicyEngine: Send + Sync {
    /// The active policy of that name, or why there is none
    /// ([`PolicyFailure::Missing`], also where the policy is of another kind).
    ///
    /// # Errors
    /// A failure that names the policy.
    fn replica_policy(&self, name: &str) -> Result<Arc<dyn ReplicaPolicy>, PolicyFailure>;

    /// The built-in policy asked in place of `name` when the operator chose to
    /// fall back: the one of that name, else the default one.
    fn replica_fallback(&self, name: &str) -> Option<Arc<dyn ReplicaPolicy>>;

    /// The active expander of that name. The default implementation has no expanders.
    ///
    /// # Errors
    /// A failure that names the policy.
    fn expander_policy(&self, name: &str) -> Result<Arc<dyn ExpanderPolicy>, PolicyFailure> {
        let message = format!("there is no expander `{name}`");
        Err(PolicyFailure::Missing(message))
    }

    /// The built-in expander asked in place of `name`, as
    /// [`PolicyEngine::replica_fallback`].
    fn expander_fallback(&self, _name: &str) -> Option<Arc<dyn ExpanderPolicy>> {
        None
    }
}
