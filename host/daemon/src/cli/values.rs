//! Parsers of argument values: durations, amounts of memory, addresses of daemons.

use std::fmt;
use std::str::FromStr;

use flyball_decision::quantity::Milli;
use flyball_simulation::time::Millis;

/// Parses a duration.
pub fn duration(text: &str) -> Result<Millis, String> {
    // As in Go, 0 needs no unit.
    let length = match text {
        "0" => Some(Millis(0)),
        _ => Millis::parse(text),
    };
    length.ok_or_else(|| format!("{text:?} is not a duration: write 300ms, 15s, 5m or 1h30m"))
}

/// Parses a duration that must be positive, such as an interval.
pub fn positive_duration(text: &str) -> Result<Millis, String> {
    let length = duration(text)?;
    if length.0 > 0 {
        return Ok(length);
    }
    Err(format!("{text:?} is too short: it must be longer than 0s"))
}

/// Parses a duration that may begin with a minus sign.
pub fn signed_duration(text: &str) -> Result<Millis, String> {
    match text.strip_prefix('-') {
        Some(length) => duration(length).map(|length| Millis(-length.0)),
        None => duration(text),
    }
}

/// Returns the URL of a daemon. `http://` may be left out.
#[expect(
    clippy::unnecessary_wraps,
    reason = "clap wants a `Result` of a parser"
)]
pub fn server(text: &str) -> Result<String, String> {
    Ok(match text.contains("://") {
        true => text.to_owned(),
        false => format!("http://{text}"),
    })
}

/// An amount of memory in bytes, written as a Kubernetes quantity: `64Mi`;
/// `64MiB` is understood too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let quantity = text.strip_suffix('B').unwrap_or(text);
        Milli::parse(quantity)
            .ok()
            .and_then(|milli| u64::try_from(milli.0 / 1000).ok())
            .map(Self)
            .ok_or_else(|| format!("{text:?} is not an amount of memory: write 64Mi or 1Gi"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::output::bytes(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Millis, duration, signed_duration};

    #[test]
    fn a_duration_may_be_negative_where_that_has_a_meaning() {
        assert_eq!(signed_duration("-2s"), Ok(Millis(-2000)));
        assert_eq!(signed_duration("10m"), Ok(Millis(600_000)));
        assert!(signed_duration("--2s").is_err());
        assert!(duration("-2s").is_err());
    }

    #[test]
    fn memory_is_read_as_a_quantity() {
        assert_eq!("64MiB".parse(), Ok(Bytes(64 << 20)));
        assert_eq!("1Gi".parse(), Ok(Bytes(1 << 30)));
        assert!("-1".parse::<Bytes>().is_err());
        assert!("many".parse::<Bytes>().is_err());
    }
}
