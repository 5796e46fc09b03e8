//! Questions that policies are asked: what goes in, what is answered, and which kind of
//! policy answers.
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
//! an implementation of [`Question`], a method of [`Policy`], and a line in the table
//! below.

mod expander;
mod replica;
mod scale_down;
mod verdicts;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use self::expander::{ExpanderQuestion, selected};
pub use self::replica::ReplicaQuestion;
pub use self::scale_down::{ScaleDownMovesQuestion, ScaleDownNodesQuestion, ScaleDownPodsQuestion};
use crate::context::Context;
use crate::expander::ExpanderInput;
use crate::policy::{Policy, PolicyOutcome};
use crate::replica::ReplicaInput;
use crate::scale_down::{ScaleDownMovesInput, ScaleDownNodesInput, ScaleDownPodsInput};

/// A kind of question.
pub trait Question: Clone + fmt::Debug + PartialEq + Send + Sync + 'static {
    /// What all policies asked in one decision have in common.
    type Input;
    /// What one policy is asked beside the common input and its context.
    type Own: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;
    /// An answer that keeps to the contract.
    type Answer: Clone + fmt::Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync;

    /// Kind of the policies that answer it ([`kind`](crate::policy::kind)).
    const KIND: &'static str;
    /// Interface of the contract that asks it ([`interface`](crate::policy::interface)).
    const INTERFACE: &'static str;
    /// What messages call such a policy.
    const NOUN: &'static str;
    /// What happens if no policy answers, as messages say it.
    const HELD: &'static str;
    /// Name of [`Part::own`](crate::part::Part::own) in the JSON of a record.
    const OWN_FIELD: &'static str;
    /// Tag of an answer in the JSON of a record.
    const ANSWER_TAG: &'static str;

    /// Asks a policy, and validates what an adapter of any contract version may let
    /// through. Leaves `input` and `own` as they were.
    fn ask(
        policy: &dyn Policy,
        context: &Context,
        input: &mut Self::Input,
        own: &mut Self::Own,
    ) -> PolicyOutcome<Self::Answer>;

    /// Returns the new state. `None` if it stays as it was.
    fn state(answer: &Self::Answer) -> Option<&str>;

    /// Returns namespace and object that a decision with this input is about. The
    /// namespace is empty if the object has none.
    fn object(input: &Self::Input) -> (Arc<str>, String);

    /// Returns the context in which one policy is asked, if its granted inputs have rows
    /// of the common input that the policy is not asked about.
    fn context<'a>(context: &'a Context, _: &Self::Input, _: &Self::Own) -> Cow<'a, Context> {
        Cow::Borrowed(context)
    }

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
    /// What happens to each pod if its node leaves?
    ScaleDownPods(ScaleDownPodsInput),
    /// Which nodes may leave?
    ScaleDownNodes(ScaleDownNodesInput),
    /// Which moves are worth their price?
    ScaleDownMoves(ScaleDownMovesInput),
}

impl RecordedQuestion {
    /// Returns the kind of policies that answer it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Replica(_) => ReplicaQuestion::KIND,
            Self::Expander(_) => ExpanderQuestion::KIND,
            Self::ScaleDownPods(_) => ScaleDownPodsQuestion::KIND,
            Self::ScaleDownNodes(_) => ScaleDownNodesQuestion::KIND,
            Self::ScaleDownMoves(_) => ScaleDownMovesQuestion::KIND,
        }
    }

    /// Returns the interface of the contract that asks it.
    #[must_use]
    pub fn interface(&self) -> &'static str {
        match self {
            Self::Replica(_) => ReplicaQuestion::INTERFACE,
            Self::Expander(_) => ExpanderQuestion::INTERFACE,
            Self::ScaleDownPods(_) => ScaleDownPodsQuestion::INTERFACE,
            Self::ScaleDownNodes(_) => ScaleDownNodesQuestion::INTERFACE,
            Self::ScaleDownMoves(_) => ScaleDownMovesQuestion::INTERFACE,
        }
    }
}
