//! Time as an argument: points and durations in milliseconds.

use serde::{Deserialize, Serialize};

/// A point in time, in milliseconds since the Unix epoch (UTC).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Mark of a point in time that is not known, as the policy contract has it.
    pub const UNKNOWN: i64 = i64::MIN;

    /// This point, `ms` milliseconds later (saturating).
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this point (saturating; negative if it is later).
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A point in time as a column has it: [`Timestamp::UNKNOWN`] for none.
#[must_use]
pub fn column(at: Option<Timestamp>) -> i64 {
    at.map_or(Timestamp::UNKNOWN, |at| at.0)
}
