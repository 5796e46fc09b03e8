//! Events that are published on an object.

use serde::{Deserialize, Serialize};

use crate::text;

/// An event to publish on an object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Event {
    /// Whether the event is a warning; otherwise it is normal.
    pub warning: bool,
    /// CamelCase, such as `SuccessfulRescale`.
    pub reason: String,
    /// Message for people.
    pub message: String,
}

impl Event {
    /// Returns a message with a sentence of any length in it. If the message would be too
    /// long, only the sentence is shortened.
    #[must_use]
    pub fn message(before: &str, sentence: &str, after: &str) -> String {
        let room = text::NOTE_BYTES.saturating_sub(before.len() + after.len());
        let sentence = text::within(sentence, room);
        text::note(format!("{before}{sentence}{after}"))
    }
}
