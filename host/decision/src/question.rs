//! Questions that policies are asked: what goes in, what is answered, and where the
//! policies that answer are found.
//!
//! ```text
//!             Question ──── types, checks, names in JSON: one implementation a kind
//!                 │
//!    ┌────────────┼──────────────┐
//!    ▼            ▼              ▼
//!   ask    ──▶   Part    ──▶   replay        the same for all kinds
//! ```
//!
//! Asking with fallback ([`crate::ask`]), a policy's part in a record ([`crate::part`]) and
//! asking again ([`crate::replay`]) are written once, over any question. A new question is
//! an implementation of [`Question`] and a line in the table below.

mod expander;
mod replica;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::expander::{ExpanderQuestion, selected};
pub use self::replica::ReplicaQuestion;
use crate::context::{Context, Reason};
use crate::expander::ExpanderInput;
use crate::policy::{Policy, PolicyEngine, PolicyFailure, PolicyOutcome};
use crate::replica::ReplicaInput;

/// A kind of question.
pub trait Question: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// One version of a policy that answers it.
    type Policy: Policy + ?Sized;
    /// What all policies asked in one decision have in common.
    type Input;
    /// What one policy is asked beside the common input and its context.
    type Own: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// An answer that keeps to the contract.
    type Answer: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;

    /// What messages call such a policy.
    const NOUN: &'static str;
    /// What happens if no policy answers, as messages say it.
    const HELD: &'static str;
    /// Name of [`Part::own`](crate::part::Part::own) in the JSON of a record.
    const OWN_FIELD: &'static str;
    /// Tag of an answer in the JSON of a record.
    const ANSWER_TAG: &'static str;

    /// Returns the active policy of that name.
    ///
    /// # Errors
    /// A failure that names the policy.
    fn find(engine: &dyn PolicyEngine, name: &str) -> Result<Arc<Self::Policy>, PolicyFailure>;

    /// Returns the built-in policy that is asked in place of `name`.
    fn fallback(engine: &dyn PolicyEngine, name: &str) -> Option<Arc<Self::Policy>>;

    /// Returns the versions before this one, the latest first.
    fn predecessors(policy: &Self::Policy) -> Vec<Arc<Self::Policy>>;

    /// Asks a policy, and validates what an adapter of any contract version may let
    /// through. Leaves `input` and `own` as they were.
    fn ask(
        policy: &Self::Policy,
        context: &Context,
        input: &mut Self::Input,
        own: &mut Self::Own,
    ) -> PolicyOutcome<Self::Answer>;

    /// Returns the new state. `None` if it stays as it was.
    fn state(answer: &Self::Answer) -> Option<&str>;

    /// Returns why the policy answered so.
    fn reason(answer: &Self::Answer) -> &Reason;

    /// Returns namespace and object that a decision with this input is about. The
    /// namespace is empty if the object has none.
    fn object(input: &Self::Input) -> (Arc<str>, String);

    /// Returns what one policy was asked, for a trial of another version.
    fn recorded(input: &Self::Input, own: &Self::Own) -> RecordedQuestion;

    /// What messages call the other policies whose states share a budget with this one's.
    const OTHERS: &'static str;
}

/// What one policy was asked in an earlier decision, by kind of policy.
#[derive(Clone, Debug)]
pub enum RecordedQuestion {
    /// How many replicas should a workload have?
    Replica(ReplicaInput),
    /// Which node group should grow?
    Expander(ExpanderInput),
}
