//! How far usage may be off its target unanswered.

use flyball_policy::Replica;

/// Tolerance, per direction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tolerance {
    up: f64,
    down: f64,
}

impl Tolerance {
    pub(crate) fn of(input: &Replica) -> Self {
        Self {
            up: input.tolerance_up(),
            down: input.tolerance_down(),
        }
    }

    /// Whether usage of `ratio` times the target calls for no change.
    pub(crate) fn covers(self, ratio: f64) -> bool {
        (1.0 - self.down) <= ratio && ratio <= (1.0 + self.up)
    }
}
