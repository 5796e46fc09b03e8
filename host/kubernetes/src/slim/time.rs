//! Deserializes times without keeping their text.

use std::fmt;

use flyball_decision::time::Timestamp;
use serde::de::{Deserialize, Deserializer, Visitor};

use crate::status::parse_time;

/// A time. `None` if the text is not a time, so that the rest of the object can be
/// read.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Time(Option<Timestamp>);

/// Returns the time. `None` if it is missing or can't be parsed.
pub(super) fn timestamp(time: Option<Time>) -> Option<Timestamp> {
    time?.0
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(Text)
    }
}

struct Text;

impl Visitor<'_> for Text {
    type Value = Time;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a time in RFC 3339")
    }

    fn visit_str<E>(self, text: &str) -> Result<Time, E> {
        Ok(Time(parse_time(text)))
    }
}
