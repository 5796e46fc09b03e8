//! How much the policies of one object may keep as state together.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::memory::{STATE_FRAME, STATES_LIMIT};
use crate::part::Part;
use crate::policy::{PolicyFailure, STATE_LIMIT};
use crate::question::Question;
use crate::replica::Context;

/// The states of an object's policies while they are asked one after the other.
pub(crate) struct StateBudget(Vec<Held>);

/// What one policy keeps, in bytes.
struct Held {
    name: usize,
    state: usize,
}

impl Held {
    /// The state with all that is kept with it; without a state there is nothing.
    fn kept(&self) -> usize {
        match self.state {
            0 => 0,
            state => STATE_FRAME + self.name + state,
        }
    }
}

impl StateBudget {
    /// Before the first is asked: each one's name, and its state.
    pub(crate) fn new<'a>(policies: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        Self::of_sizes(policies.map(|(name, state)| (name, state.len())))
    }

    fn of_sizes<'a>(policies: impl Iterator<Item = (&'a str, usize)>) -> Self {
        let held = |(name, state): (&str, usize)| Held {
            name: name.len(),
            state,
        };
        Self(policies.map(held).collect())
    }

    /// The states before a recorded decision: of the policies asked, and of those that
    /// were not asked.
    pub(crate) fn before<'a, Q: Question>(
        parts: impl IntoIterator<Item = &'a Part<Q>>,
        unasked: &'a [UnaskedState],
    ) -> Self {
        let asked = parts.into_iter();
        let asked = asked.map(|part| (&*part.name, part.asked().context.state.len()));
        let unasked = unasked.iter().map(|policy| (&*policy.name, policy.bytes));
        Self::of_sizes(asked.chain(unasked))
    }

    /// An answer of the policy at this place, unless its state leaves too little
    /// for the others. A state that it does not change stays.
    pub(crate) fn admitted<Q: Question>(
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
            "its state has {} bytes, and the object's other policies leave {left} of {STATE_LIMIT}",
            state.len()
        )))
    }

    /// What the others leave. Where several have a state, their names count too as
    /// far as they are long, since they are kept with it.
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

    /// The policy at this place has answered; a fallback keeps nothing.
    pub(crate) fn took<Q: Question>(&mut self, place: usize, part: &Part<Q>) {
        if let (true, Ok(answer)) = (part.is_own(), &part.answer)
            && let Some(held) = self.0.get_mut(place)
        {
            let state = Q::state(answer);
            held.state = state.unwrap_or(&part.context.state).len();
        }
    }
}

/// The state of a policy that was not asked, because the decision was made without it: it
/// is kept beside those of the policies that were.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnaskedState {
    /// The policy's name.
    pub name: Arc<str>,
    /// Length of its state, in bytes.
    pub bytes: usize,
}
