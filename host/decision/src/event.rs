//! Events that are published on an object.

use serde::{Deserialize, Serialize};

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
    /// Maximum size of a message that Kubernetes accepts, in bytes.
    pub const MESSAGE_LIMIT: usize = 1024;

    /// Returns a message with a sentence of any length in it. If the message would be too
    /// long, only the sentence is shortened.
    #[must_use]
    pub fn message(before: &str, sentence: &str, after: &str) -> String {
        let room = Self::MESSAGE_LIMIT.saturating_sub(before.len() + after.len());
        if sentence.len() <= room {
            return format!("{before}{sentence}{after}");
        }
        let room = room.saturating_sub(CUT.len());
        let sentence = &sentence[..sentence.floor_char_boundary(room)];
        format!("{before}{sentence}{CUT}{after}")
    }
}

/// Marks the place where a sentence was shortened.
const CUT: &str = "…";
