//! How much the policies of one object may keep as state together.

use crate::policy::{PolicyFailure, STATE_LIMIT};
use crate::record::{Answer, PolicyRecord};
use crate::replica::ReplicaDecision;

/// The states of an object's policies while they are asked one after the other:
/// bytes at each one's place.
pub(crate) struct StateBudget(Vec<usize>);

impl StateBudget {
    /// The states before the first is asked.
    pub(crate) fn new(states: impl Iterator<Item = usize>) -> Self {
        Self(states.collect())
    }

    /// The states that a record's policies had before they were asked.
    pub(crate) fn before(policies: &[PolicyRecord]) -> Self {
        let states = policies.iter().map(|policy| &policy.asked().context.state);
        Self::new(states.map(|state| state.len()))
    }

    /// An answer of the policy at this place, unless its state leaves too little
    /// for the others.
    pub(crate) fn admitted(
        &self,
        place: usize,
        answer: ReplicaDecision,
    ) -> Result<ReplicaDecision, PolicyFailure> {
        let Some(state) = &answer.state else {
            return Ok(answer);
        };
        let others = self.0.iter().enumerate().filter(|(row, _)| *row != place);
        let left = STATE_LIMIT.saturating_sub(others.map(|(_, bytes)| bytes).sum());
        if state.len() <= left {
            return Ok(answer);
        }
        Err(PolicyFailure::OverLimit(format!(
            "its state has {} bytes, and the object's other policies leave {left} of {STATE_LIMIT}",
            state.len()
        )))
    }

    /// The policy at this place has answered; a fallback keeps nothing.
    pub(crate) fn took(&mut self, place: usize, policy: &PolicyRecord) {
        if let (None, Answer::Decision(decision)) = (&policy.failed, &policy.answer)
            && let (Some(state), Some(bytes)) = (&decision.state, self.0.get_mut(place))
        {
            *bytes = state.len();
        }
    }
}
