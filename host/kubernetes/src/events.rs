//! Events about objects: each published in bounded time, and warnings only
//! so often, since what is wrong stays wrong at every sync.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flyball_core::status::Event;
use flyball_core::time::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{self, EventType, Recorder, Reporter};

use crate::request::{RequestError, answer};

/// Warnings of one object that are published at once, and the time after which
/// there may be one more: as client-go has it.
const MOST_WARNINGS: i64 = 25;
const ONE_MORE_AFTER_MS: i64 = 300_000;

/// Characters that the API server takes of a note (1 KiB, at most 4 bytes each).
const NOTE_LENGTH: usize = 256;

/// Publishes events.
pub(crate) struct Events {
    recorder: Recorder,
    warnings: Mutex<Warnings>,
}

impl Events {
    /// Publishes events in the name of `reporter`.
    pub(crate) fn new(client: Client, reporter: &str) -> Self {
        Self {
            recorder: Recorder::new(client, Reporter::from(reporter)),
            warnings: Mutex::default(),
        }
    }

    /// Forgets the objects that had no warning for long.
    pub(crate) fn forget(&self, now: Timestamp) {
        self.warnings().forget(now);
    }

    /// Publishes an event, unless it is one warning too many about its object.
    pub(crate) async fn publish(
        &self,
        now: Timestamp,
        about: &ObjectReference,
        event: &Event,
    ) -> Result<(), RequestError> {
        let uid = about.uid.as_deref().unwrap_or_default();
        if event.warning && !self.warnings().take_one(now, uid) {
            return Ok(());
        }
        let published = events::Event {
            type_: if event.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: event.reason.clone(),
            note: Some(event.message.chars().take(NOTE_LENGTH).collect()),
            action: action(event),
            secondary: None,
        };
        answer(self.recorder.publish(&published, about)).await
    }

    fn warnings(&self) -> MutexGuard<'_, Warnings> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The recorder takes events for the same if all but their note is: the action,
/// which nobody reads, tells events of another note apart.
fn action(event: &Event) -> String {
    let mut hash: u64 = 0xcbf2_9ce4_8422_2325;
    for byte in event.message.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    let mut action = "Scale".to_owned();
    // Writing to a String can't fail.
    let _ = write!(action, "-{hash:016x}");
    action
}

/// The warnings that objects had, by uid.
#[derive(Default)]
struct Warnings {
    by_uid: HashMap<String, Had>,
}

/// Warnings that an object had, less one for each [`ONE_MORE_AFTER_MS`] since.
struct Had {
    count: i64,
    since: Timestamp,
}

impl Warnings {
    /// Whether the object may have one more warning, which it then had.
    fn take_one(&mut self, now: Timestamp, uid: &str) -> bool {
        let none = Had {
            count: 0,
            since: now,
        };
        let had = self.by_uid.entry(uid.to_owned()).or_insert(none);
        had.settle(now);
        let may = had.count < MOST_WARNINGS;
        had.count += i64::from(may);
        may
    }

    fn forget(&mut self, now: Timestamp) {
        self.by_uid.retain(|_, had| {
            had.settle(now);
            had.count > 0
        });
    }
}

impl Had {
    fn settle(&mut self, now: Timestamp) {
        // The clock may have been set back.
        self.since = self.since.min(now);
        let more = now.since(self.since) / ONE_MORE_AFTER_MS;
        self.count = (self.count - more).max(0);
        self.since = self.since.plus(more * ONE_MORE_AFTER_MS);
    }
}

#[cfg(test)]
mod tests {
    use flyball_core::time::Timestamp;

    use super::{MOST_WARNINGS, ONE_MORE_AFTER_MS, Warnings};

    #[test]
    fn an_object_that_warns_at_every_sync_is_heard_every_five_minutes() {
        let mut warnings = Warnings::default();
        let mut heard = |from: i64, until: i64, uid| {
            let syncs = (from..until).step_by(15_000);
            syncs
                .filter(|&at| warnings.take_one(Timestamp(at), uid))
                .count()
        };
        assert_eq!(heard(0, 3_600_000, "a"), MOST_WARNINGS as usize + 11);
        assert_eq!(heard(3_600_000, 3_700_000, "b"), 7);
        // The clock is set back.
        assert_eq!(heard(0, 2 * ONE_MORE_AFTER_MS, "a"), 1);

        warnings.forget(Timestamp(3_700_000));
        assert!(warnings.by_uid.contains_key("b"));
        warnings.forget(Timestamp(100 * ONE_MORE_AFTER_MS));
        assert!(warnings.by_uid.is_empty());
    }
}
