//! Points in time. A policy has no clock: time comes in with the input.

use std::ops::{Add, Sub};
use std::time::Duration;

const MS_PER_DAY: i64 = 86_400_000;

/// A point in time (UTC), to the millisecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Time(i64);

impl Time {
    /// How columns mark a point in time that is not known.
    pub const UNKNOWN_MS: i64 = i64::MIN;

    /// The point `ms` milliseconds after the Unix epoch.
    #[must_use]
    pub const fn from_ms(ms: i64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// How long ago `earlier` was; zero if it lies ahead.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        let ms = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(ms).unwrap_or(0))
    }

    /// Seconds since midnight, UTC.
    #[must_use]
    pub const fn second_of_day(self) -> u32 {
        (self.0.rem_euclid(MS_PER_DAY) / 1000) as u32
    }

    /// Days since Monday, UTC: 0 to 6.
    #[must_use]
    pub const fn weekday(self) -> u32 {
        // 1 January 1970 was a Thursday.
        (self.0.div_euclid(MS_PER_DAY) + 3).rem_euclid(7) as u32
    }

    /// Returns the point in time of a column's cell. `None` for its mark of "not known".
    pub(crate) const fn from_column(ms: i64) -> Option<Self> {
        if ms == Self::UNKNOWN_MS {
            None
        } else {
            Some(Self(ms))
        }
    }

    /// Returns the point in time of a column in which -1 marks that there is none.
    pub(crate) const fn from_mark(ms: i64) -> Option<Self> {
        if ms < 0 { None } else { Some(Self(ms)) }
    }

    /// Returns the entry of such a column.
    pub(crate) fn mark(at: Option<Self>) -> i64 {
        at.map_or(-1, Self::ms)
    }

    pub(crate) fn column(at: Option<Self>) -> i64 {
        at.map_or(Self::UNKNOWN_MS, Self::ms)
    }
}

impl Add<Duration> for Time {
    type Output = Self;

    /// The later point (saturating).
    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(milliseconds(later)))
    }
}

impl Sub<Duration> for Time {
    type Output = Self;

    /// The earlier point (saturating).
    fn sub(self, earlier: Duration) -> Self {
        Self(self.0.saturating_sub(milliseconds(earlier)))
    }
}

/// Whole milliseconds of `duration`, as columns have them (saturating).
pub(crate) fn milliseconds(duration: Duration) -> i64 {
    // Neither `as_millis` nor a saturating product: both take 128-bit arithmetic,
    // which is slow in a guest, and this is in hot loops.
    let seconds = duration.as_secs().min(i64::MAX as u64 / 1000 - 1);
    (seconds * 1000) as i64 + i64::from(duration.subsec_millis())
}

/// The duration of `ms` milliseconds; zero if it is negative.
pub(crate) fn duration(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}
