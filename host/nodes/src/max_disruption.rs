//! `--max-disruption`: how many nodes may be disrupted.

use std::fmt;
use std::str::FromStr;

use flyball_decision::time::parse_go_duration;

const SECOND_MS: i64 = 1000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// How many nodes may be disrupted at a time, or how many may be removed within a time:
/// `10%`, `5` or `20/1h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxDisruption {
    amount: Amount,
    /// The time, in milliseconds: at most an hour. `None` limits the nodes that are
    /// disrupted at the same time.
    window_ms: Option<i64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Amount {
    Nodes(u32),
    Percent(u32),
}

/// Why a text is not a [`MaxDisruption`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no limit of disruption: write 10%, 5, or 20/1h, with a time of at most an hour")]
pub struct MaxDisruptionError(String);

impl MaxDisruption {
    /// Creates a limit of so many percent of the nodes at the same time.
    #[must_use]
    pub const fn percent(percent: u32) -> Self {
        Self {
            amount: Amount::Percent(percent),
            window_ms: None,
        }
    }

    /// Returns the largest number of disrupted nodes among so many nodes. A share is
    /// rounded up.
    #[must_use]
    pub fn nodes(self, of: u32) -> u32 {
        match self.amount {
            Amount::Nodes(nodes) => nodes,
            Amount::Percent(percent) => {
                let nodes = (u64::from(of) * u64::from(percent)).div_ceil(100);
                u32::try_from(nodes).unwrap_or(u32::MAX)
            }
        }
    }

    /// Returns the time within which removals count, in milliseconds. `None` if the limit is
    /// about nodes that are disrupted at the same time.
    #[must_use]
    pub fn window_ms(self) -> Option<i64> {
        self.window_ms
    }
}

impl FromStr for MaxDisruption {
    type Err = MaxDisruptionError;

    fn from_str(text: &str) -> Result<Self, MaxDisruptionError> {
        parse(text).ok_or_else(|| MaxDisruptionError(text.to_owned()))
    }
}

fn parse(text: &str) -> Option<MaxDisruption> {
    let (amount, window) = match text.split_once('/') {
        Some((amount, window)) => (amount, Some(window)),
        None => (text, None),
    };
    let digits = amount.strip_suffix('%').unwrap_or(amount);
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let number: u32 = digits.parse().ok().filter(|_| is_number)?;
    let amount = match amount.ends_with('%') {
        true if number > 100 => return None,
        true => Amount::Percent(number),
        false => Amount::Nodes(number),
    };
    let window_ms = match window {
        Some(window) => Some(parse_go_duration(window).filter(|ms| (1..=HOUR_MS).contains(ms))?),
        None => None,
    };
    Some(MaxDisruption { amount, window_ms })
}

impl fmt::Display for MaxDisruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.amount {
            Amount::Nodes(nodes) => write!(f, "{nodes}")?,
            Amount::Percent(percent) => write!(f, "{percent}%")?,
        }
        match self.window_ms {
            Some(ms) if ms % HOUR_MS == 0 => write!(f, "/{}h", ms / HOUR_MS),
            Some(ms) if ms % MINUTE_MS == 0 => write!(f, "/{}m", ms / MINUTE_MS),
            Some(ms) if ms % SECOND_MS == 0 => write!(f, "/{}s", ms / SECOND_MS),
            Some(ms) => write!(f, "/{ms}ms"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::MaxDisruption;

    #[test]
    fn a_share_is_rounded_up() {
        let nodes = |text: &str, of| text.parse::<MaxDisruption>().map(|limit| limit.nodes(of));
        for (text, of, expected) in [
            ("10%", 0, 0),
            ("10%", 1, 1),
            ("10%", 10, 1),
            ("10%", 11, 2),
            ("0%", 50, 0),
            ("100%", u32::MAX, u32::MAX),
            ("5", 3, 5),
            ("20/1h", 3, 20),
            ("25%/30m", 10, 3),
        ] {
            assert_eq!(nodes(text, of), Ok(expected), "{text} of {of}");
        }
    }

    #[test]
    fn what_is_no_limit_is_refused() {
        for text in [
            "",
            "%",
            "-1",
            "+1",
            "1.5%",
            "101%",
            "5/",
            "/1h",
            "5/2h",
            "5/0s",
            "5/-1m",
            "5/hour",
            "4294967296",
            "five",
            "10 %",
            "5/1h/1h",
        ] {
            let parsed = text.parse::<MaxDisruption>();
            assert!(parsed.is_err(), "{text}: {parsed:?}");
        }
    }

    #[test]
    fn it_is_shown_as_it_is_written() {
        for text in ["10%", "5", "20/1h", "25%/30m", "1/90s", "1/5ms"] {
            let shown = text.parse::<MaxDisruption>().map(|limit| limit.to_string());
            assert_eq!(shown.as_deref(), Ok(text));
        }
    }
}
