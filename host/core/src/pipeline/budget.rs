//! How much the policies of one object may keep as state together.

use crate::memory::{STATE_FRAME, STATES_LIMIT};
use crate::policy::{PolicyFailure, STATE_LIMIT};
use crate::record::{Answer, PolicyRecord};
use crate::replica::{Context, ReplicaDecision};

/// The states of an object's policies while they are asked one after the other.
pub(crate) struct StateBudget(Vec<Part>);

/// What one policy keeps, in bytes.
struct Part {
    name: usize,
    state: usize,
}

impl Part {
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
        let part = |(name, state): (&str, &str)| Part {
            name: name.len(),
            state: state.len(),
        };
        Self(policies.map(part).collect())
    }

    /// The states that a record's policies had before they were asked.
    pub(crate) fn before(policies: &[PolicyRecord]) -> Self {
        let policies = policies.iter();
        Self::new(policies.map(|policy| (&*policy.name, &*policy.asked().context.state)))
    }

    /// An answer of the policy at this place, unless its state leaves too little
    /// for the others. A state that it does not change stays.
    pub(crate) fn admitted(
        &self,
        place: usize,
        context: &Context,
        answer: ReplicaDecision,
    ) -> Result<ReplicaDecision, PolicyFailure> {
        let state = answer.state.as_deref().unwrap_or(&context.state);
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
        for (row, part) in self.0.iter().enumerate() {
            if row == place {
                kept += part.name;
            } else {
                states += part.state;
                kept += part.kept();
            }
        }
        let beside_states = STATE_LIMIT.saturating_sub(states);
        beside_states.min(STATES_LIMIT.saturating_sub(kept))
    }

    /// The policy at this place has answered; a fallback keeps nothing.
    pub(crate) fn took(&mut self, place: usize, policy: &PolicyRecord) {
        if let (true, Answer::Decision(decision)) = (policy.is_own(), &policy.answer)
            && let Some(part) = self.0.get_mut(place)
        {
            let state = decision.state.as_deref();
            part.state = state.unwrap_or(&policy.context.state).len();
        }
    }
}
