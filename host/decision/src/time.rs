//! Time as an argument: points and durations in milliseconds.

use jiff::{SignedDuration, Span, SpanRelativeTo, Unit};
use serde::{Deserialize, Serialize};

/// A point in time, in milliseconds since the Unix epoch (UTC).
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Value of an unknown time, as in the policy contract.
    pub const UNKNOWN: i64 = i64::MIN;

    /// Returns the time `ms` milliseconds later (saturating).
    #[must_use]
    pub fn plus(self, ms: i64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Returns the milliseconds since `earlier` (saturating; negative if `earlier` is
    /// later).
    #[must_use]
    pub fn since(self, earlier: Self) -> i64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Timestamp {
    /// Returns the time in UTC, such as `2026-11-28T04:28:19Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.0);
        at.unwrap_or_default().to_string()
    }
}

/// Returns a point in time as a column's value: [`Timestamp::UNKNOWN`] for `None`.
#[must_use]
pub fn column(at: Option<Timestamp>) -> i64 {
    at.map_or(Timestamp::UNKNOWN, |at| at.0)
}

/// Parses a duration such as `500ms`, `15s`, `1h30m`, `1.5h` or `2d` into milliseconds; a
/// day has 24 hours. Returns `None` for anything else. Never negative.
#[must_use]
pub fn parse_duration(text: &str) -> Option<i64> {
    // jiff also reads words (`2 hours ago`) and ISO 8601.
    let is_short = text.bytes().all(|byte| b"0123456789.smhd".contains(&byte));
    let span: Span = is_short.then(|| text.parse().ok())??;
    let duration = span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?;
    milliseconds(duration.round(Unit::Millisecond).ok()?)
}

/// Parses a duration in Go's notation, such as `1m30.5s`, into whole milliseconds;
/// fractions are cut off. Returns `None` if it is invalid or negative.
#[must_use]
pub fn parse_go_duration(text: &str) -> Option<i64> {
    // The only duration without a unit.
    if text == "0" {
        return Some(0);
    }
    milliseconds(text.parse().ok()?)
}

fn milliseconds(duration: SignedDuration) -> Option<i64> {
    let milliseconds = i64::try_from(duration.as_millis()).ok()?;
    (!duration.is_negative()).then_some(milliseconds)
}

#[cfg(test)]
mod tests {
    use super::{parse_duration, parse_go_duration};

    #[test]
    fn durations_are_read_in_their_short_form_alone() {
        for (text, milliseconds) in [
            ("250ms", 250),
            ("90s", 90_000),
            ("1h30m", 5_400_000),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Some(milliseconds), "{text}");
        }
        for text in [
            "",
            "90",
            "s",
            "5x",
            "1h 30m",
            "-5s",
            "5e3s",
            "1.2.3s",
            "1hour",
            "PT1H",
            "5s ago",
            "99999999999999999999d",
        ] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_read_as_go_writes_them() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("0", 0),
            ("1m30.5s", 90_500),
            ("1h0m0s", 3_600_000),
            ("1.9ms", 1),
            ("300µs", 0),
        ] {
            assert_eq!(parse_go_duration(text), Some(milliseconds), "{text}");
        }
        for text in ["", "30", "-5s", "5 potatoes"] {
            assert_eq!(parse_go_duration(text), None, "{text}");
        }
    }
}
