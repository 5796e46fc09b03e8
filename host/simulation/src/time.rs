//! Durations and timestamps as people write and read them, and the mapping between real
//! and virtual time.

use std::fmt;
use std::time::Duration;

use flyball_decision::time::{Timestamp, parse_duration};
use serde::{Deserialize, Deserializer};

/// A duration in milliseconds, written `15s`, `500ms`, `5m`, `1h30m` or `2d`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Millis(pub i64);

/// Units of time and their milliseconds, the largest unit last.
const UNITS: [(&str, i64); 5] = [
    ("ms", 1),
    ("s", 1000),
    ("m", 60_000),
    ("h", 3_600_000),
    ("d", 86_400_000),
];

/// Longest valid duration: a hundred years.
const LONGEST: i64 = 100 * 366 * 86_400_000;

impl Millis {
    /// Parses a duration. Returns `None` if `text` is not one.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let milliseconds = parse_duration(text.trim())?;
        (milliseconds <= LONGEST).then_some(Self(milliseconds))
    }

    /// Returns the duration in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// Returns the seconds of a unit of time, if `name` is one.
pub(crate) fn unit_seconds(name: &str) -> Option<f64> {
    let unit = UNITS.iter().find(|unit| unit.0 == name);
    unit.map(|unit| unit.1 as f64 / 1000.0)
}

impl<'de> Deserialize<'de> for Millis {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{text:?} is not a duration: write one such as 500ms, 15s, 5m or 1h30m"
            ))
        })
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        if rest == 0 {
            return f.write_str("0s");
        }
        for (unit, length) in UNITS.iter().rev() {
            let count = rest / length;
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
            rest %= length;
        }
        Ok(())
    }
}

/// How long something takes, written as a duration or `never`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// It takes that long.
    After(Millis),
    /// It never happens.
    Never,
}

impl Delay {
    /// Returns when it happens if it starts at `at`.
    #[must_use]
    pub fn from(self, at: Timestamp) -> Timestamp {
        match self {
            Self::After(length) => at.plus(length.0),
            Self::Never => Timestamp(i64::MAX),
        }
    }
}

impl<'de> Deserialize<'de> for Delay {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == "never" {
            return Ok(Self::Never);
        }
        Millis::parse(&text).map(Self::After).ok_or_else(|| {
            serde::de::Error::custom(format_args!(
                "{text:?} is not a duration: write one such as 15s or 5m, or never"
            ))
        })
    }
}

/// Parses a timestamp of a scenario file: RFC 3339.
pub(crate) fn deserialize_timestamp<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    parse_timestamp(&text).ok_or_else(|| {
        serde::de::Error::custom(format_args!(
            "{text:?} is not a point in time: write one such as 2026-01-05T00:00:00Z"
        ))
    })
}

/// Parses RFC 3339, or a date and a time of day in UTC such as `2014-04-10 00:04:00`.
pub(crate) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(at) = text.parse::<jiff::Timestamp>() {
        return Some(Timestamp(at.as_millisecond()));
    }
    let civil = text.parse::<jiff::civil::DateTime>().ok()?;
    let at = jiff::tz::Offset::UTC.to_timestamp(civil).ok()?;
    Some(Timestamp(at.as_millisecond()))
}

/// Formats a time since the start: `12:34:56`, after a day `2d 12:34:56`.
#[must_use]
pub fn elapsed_text(ms: i64) -> String {
    let seconds = ms.max(0) / 1000;
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:02}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    if days == 0 {
        clock
    } else {
        format!("{days}d {clock}")
    }
}

/// Maps real time to virtual time, which is `speed` times as fast, and back. It reads no
/// clock: callers pass the real time since the start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockMap {
    start: Timestamp,
    speed: f64,
}

impl ClockMap {
    /// Creates a map for virtual time that begins at `start`. Returns `None` if `speed`
    /// is not a positive number.
    #[must_use]
    pub fn new(start: Timestamp, speed: f64) -> Option<Self> {
        (speed.is_finite() && speed > 0.0).then_some(Self { start, speed })
    }

    /// Returns the virtual time when `passed` real time has passed since the start.
    #[must_use]
    pub fn virtual_time(&self, passed: Duration) -> Timestamp {
        // The conversion from float saturates.
        self.start
            .plus((passed.as_secs_f64() * 1000.0 * self.speed) as i64)
    }

    /// Returns the real time since the start at which virtual time reaches `at`.
    #[must_use]
    pub fn real_time(&self, at: Timestamp) -> Duration {
        let ms = at.since(self.start).max(0) as f64 / self.speed;
        Duration::try_from_secs_f64(ms / 1000.0).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use flyball_decision::time::Timestamp;

    use super::{ClockMap, Millis, elapsed_text, parse_timestamp};

    #[test]
    fn durations_read_as_people_write_them() {
        let cases = [
            ("15s", 15_000),
            ("500ms", 500),
            ("1h30m", 5_400_000),
            ("0s", 0),
            ("1.5h", 5_400_000),
            ("2d", 172_800_000),
        ];
        for (text, ms) in cases {
            assert_eq!(Millis::parse(text), Some(Millis(ms)), "{text}");
        }
        for text in [
            "",
            "15",
            "s",
            "5x",
            "1h 30m",
            "-5s",
            "5e3s",
            "99999999999d",
            "1.2.3s",
        ] {
            assert_eq!(Millis::parse(text), None, "{text}");
        }
        assert_eq!(Millis(5_415_250).to_string(), "1h30m15s250ms");
        assert_eq!(elapsed_text(90_061_000), "1d 01:01:01");
    }

    #[test]
    fn points_in_time_read_with_and_without_an_offset() {
        let at = Timestamp(1_397_088_240_000);
        assert_eq!(parse_timestamp("2014-04-10 00:04:00"), Some(at));
        assert_eq!(parse_timestamp("2014-04-10T02:04:00+02:00"), Some(at));
        assert_eq!(parse_timestamp("yesterday"), None);
        assert_eq!(at.to_rfc3339(), "2014-04-10T00:04:00Z");
    }

    #[test]
    fn real_time_maps_to_virtual_time_and_back() {
        let map = ClockMap::new(Timestamp(1000), 600.0).expect("a speed");
        assert_eq!(
            map.virtual_time(Duration::from_millis(100)),
            Timestamp(61_000)
        );
        assert_eq!(map.real_time(Timestamp(61_000)), Duration::from_millis(100));
        assert_eq!(map.real_time(Timestamp(0)), Duration::ZERO);
        for speed in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(ClockMap::new(Timestamp(0), speed), None, "{speed}");
        }
    }
}
