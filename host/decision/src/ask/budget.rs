//! Budget for the states that the policies of one object keep together.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::context::Context;
use crate::memory::{STATE_FRAME, STATES_LIMIT};
use crate::part::Part;
use crate::policy::{PolicyFailure, STATE_LIMIT};
use crate::question::Question;

/// The states of an object's policies while they are asked one after the other.
pub struct StateBudget(Vec<Held>);

/// Sizes of what one policy keeps, in bytes.
struct Held {
    name: usize,
    state: usize,
}

impl Held {
    /// Returns the size of the state with all that is kept with it; 0 without a state.
    fn kept(&self) -> usize {
        match self.state {
            0 => 0,
            state => STATE_FRAME + self.name + state,
        }
    }
}

impl StateBudget {
    /// Creates the budget before the first policy is asked, from each policy's name and
    /// state.
    pub fn new<'a>(policies: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self::of_sizes(policies.map(|(name, state)| (name, state.len())))
    }

    fn of_sizes<'a>(policies: impl Iterator<Item = (&'a str, usize)>) -> Self {
        let held = |(name, state): (&str, usize)| Held {
            name: name.len(),
            state,
        };
        Self(policies.map(held).collect())
    }

    /// Creates the budget before a recorded decision, from the policies that were asked
    /// and those that were not.
    pub fn before<'a, Q: Question>(
        parts: impl IntoIterator<Item = &'a Part<Q>>,
        unasked: &'a [UnaskedState],
    ) -> Self {
        let asked = parts.into_iter();
        let asked = asked.map(|part| (&*part.name, part.asked().context.state.len()));
        let unasked = unasked.iter().map(|policy| (&*policy.name, policy.bytes));
        Self::of_sizes(asked.chain(unasked))
    }

    /// Returns the answer of the policy at this place, or a failure if its state does not
    /// fit beside the others' states. An unchanged state counts as well.
    pub fn admitted<Q: Question>(
        &self,
        place: usize,
        context: &Context,
        answer: Q::Answer,
    ) -> Result<Q::Answer, PolicyFailure> {
        let state = Q::state(&answer).unwrap_or(&context.state);
        if state.is_empty() {
            return Ok(answer);
        }
        let left = self.left(place);
        if state.len() <= left {
            return Ok(answer);
        }
        Err(PolicyFailure::OverLimit(format!(
            "its state has {} bytes, and {} leave {left} of {STATE_LIMIT}",
            state.len(),
            Q::OTHERS
        )))
    }

    /// Returns the bytes that the others leave. If several policies have a state, long
    /// names count too, since they are kept with it.
    fn left(&self, place: usize) -> usize {
        let (mut states, mut kept) = (0, STATE_FRAME);
        for (row, held) in self.0.iter().enumerate() {
            if row == place {
                kept += held.name;
            } else {
                states += held.state;
                kept += held.kept();
            }
        }
        let beside_states = STATE_LIMIT.saturating_sub(states);
        beside_states.min(STATES_LIMIT.saturating_sub(kept))
    }

    /// Updates the budget with the answer of the policy at this place; a fallback keeps
    /// no state.
    pub fn took<Q: Question>(&mut self, place: usize, part: &Part<Q>) {
        if let (true, Ok(answer)) = (part.is_own(), &part.answer)
            && let Some(held) = self.0.get_mut(place)
        {
            let state = Q::state(answer);
            held.state = state.unwrap_or(&part.context.state).len();
        }
    }
}

/// State of a policy that was not asked, because the decision was made without it. It is
/// kept beside those of the policies that were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnaskedState {
    /// The policy's name.
    pub name: Arc<str>,
    /// Length of its state, in bytes.
    pub bytes: usize,
}
