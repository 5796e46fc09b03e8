//! Events about objects. Publishing has a time limit, and warnings a rate limit, since
//! a problem is found again at every sync.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flyball_decision::event::Event;
use flyball_decision::hash::fnv1a;
use flyball_decision::text;
use flyball_decision::time::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{self, EventType, Recorder, Reporter};

use crate::request::{RequestError, answer};

/// Burst of warnings about one object for one reason, and the time after which one more
/// is allowed. The numbers are client-go's, which counts all reasons together. Counting
/// by reason, many warnings on one object (such as one per node group) don't suppress
/// warnings with other reasons.
const MAX_WARNINGS: i64 = 25;
const ONE_MORE_AFTER_MS: i64 = 300_000;

/// Publishes events.
pub(crate) struct Events {
    recorder: Recorder,
    warnings: Mutex<Warnings>,
}

impl Events {
    /// Creates a publisher of events in the name of `reporter`.
    pub(crate) fn new(client: Client, reporter: &str) -> Self {
        Self {
            recorder: Recorder::new(client, Reporter::from(reporter)),
            warnings: Mutex::default(),
        }
    }

    /// Removes the counts of objects that had no warning for long.
    pub(crate) fn forget(&self, now: Timestamp) {
        self.warnings().forget(now);
    }

    /// Publishes an event, unless it is a warning above the rate limit of its
    /// [`Topic`].
    pub(crate) async fn publish(
        &self,
        now: Timestamp,
        about: &ObjectReference,
        event: &Event,
    ) -> Result<(), RequestError> {
        if event.warning && !self.warnings().allow_one(now, Topic::of(about, event)) {
            let (name, reason) = (&about.name, &event.reason);
            tracing::debug!(?name, %reason, "one warning too many: not published");
            return Ok(());
        }
        let published = events::Event {
            type_: if event.warning {
                EventType::Warning
            } else {
                EventType::Normal
            },
            reason: event.reason.clone(),
            note: Some(text::note(&*event.message)),
            action: action(event),
            secondary: None,
        };
        answer(self.recorder.publish(&published, about)).await
    }

    fn warnings(&self) -> MutexGuard<'_, Warnings> {
        self.warnings.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns an action with a hash of the message. The recorder treats events as the same
/// if all but their note is equal; the action, which is not displayed, makes events
/// with different notes distinct.
fn action(event: &Event) -> String {
    let hash = fnv1a(event.message.bytes());
    let mut action = "Scale".to_owned();
    // Writing to a String can't fail.
    let _ = write!(action, "-{hash:016x}");
    action
}

/// Counts of the warnings about objects.
#[derive(Default)]
struct Warnings {
    counts: HashMap<Topic, WarningCount>,
}

/// Identifies warnings that are counted together: those about one object, for one
/// reason. The uid is empty for warnings about missing objects.
#[derive(PartialEq, Eq, Hash)]
struct Topic {
    kind: String,
    namespace: String,
    name: String,
    uid: String,
    reason: String,
}

impl Topic {
    fn of(about: &ObjectReference, event: &Event) -> Self {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        Self {
            kind: text(&about.kind),
            namespace: text(&about.namespace),
            name: text(&about.name),
            uid: text(&about.uid),
            reason: event.reason.clone(),
        }
    }
}

/// Number of warnings, less one for each [`ONE_MORE_AFTER_MS`] since.
struct WarningCount {
    count: i64,
    since: Timestamp,
}

impl Warnings {
    /// Returns whether one more warning is allowed, and counts it if so.
    fn allow_one(&mut self, now: Timestamp, topic: Topic) -> bool {
        let none = WarningCount {
            count: 0,
            since: now,
        };
        let entry = self.counts.entry(topic).or_insert(none);
        entry.decay(now);
        let may = entry.count < MAX_WARNINGS;
        entry.count += i64::from(may);
        may
    }

    fn forget(&mut self, now: Timestamp) {
        self.counts.retain(|_, entry| {
            entry.decay(now);
            entry.count > 0
        });
    }
}

impl WarningCount {
    fn decay(&mut self, now: Timestamp) {
        // The clock may have been set back.
        self.since = self.since.min(now);
        let more = now.since(self.since) / ONE_MORE_AFTER_MS;
        self.count = (self.count - more).max(0);
        self.since = self.since.plus(more * ONE_MORE_AFTER_MS);
    }
}

#[cfg(test)]
mod tests {
    use flyball_decision::event::Event;
    use flyball_decision::time::Timestamp;
    use k8s_openapi::api::core::v1::ObjectReference;

    use super::{MAX_WARNINGS, ONE_MORE_AFTER_MS, Topic, Warnings};

    fn topic(name: &str, uid: Option<&str>, reason: &str) -> Topic {
        let about = ObjectReference {
            kind: Some("ConfigMap".to_owned()),
            name: Some(name.to_owned()),
            uid: uid.map(str::to_owned),
            ..ObjectReference::default()
        };
        let event = Event {
            warning: true,
            reason: reason.to_owned(),
            message: String::new(),
        };
        Topic::of(&about, &event)
    }

    #[test]
    fn an_object_that_warns_at_every_sync_is_heard_every_five_minutes() {
        let mut warnings = Warnings::default();
        let mut heard = |from: i64, until: i64, uid| {
            let syncs = (from..until).step_by(15_000);
            syncs
                .filter(|&at| {
                    let topic = topic("web", Some(uid), "FailedGetScale");
                    warnings.allow_one(Timestamp(at), topic)
                })
                .count()
        };
        assert_eq!(heard(0, 3_600_000, "a"), MAX_WARNINGS as usize + 11);
        assert_eq!(heard(3_600_000, 3_700_000, "b"), 7);
        // The clock is set back.
        assert_eq!(heard(0, 2 * ONE_MORE_AFTER_MS, "a"), 1);

        warnings.forget(Timestamp(3_700_000));
        let of_b = topic("web", Some("b"), "FailedGetScale");
        assert!(warnings.counts.contains_key(&of_b));
        warnings.forget(Timestamp(100 * ONE_MORE_AFTER_MS));
        assert!(warnings.counts.is_empty());
    }

    #[test]
    fn many_warnings_for_one_reason_do_not_silence_another_nor_another_object() {
        let mut warnings = Warnings::default();
        let mut heard = |name, reason, times| {
            let times = 0..times;
            times
                .filter(|_| warnings.allow_one(Timestamp(0), topic(name, None, reason)))
                .count()
        };
        let groups = heard("status", "FailedToScaleUpGroup", 30);
        assert_eq!(groups, MAX_WARNINGS as usize);
        assert_eq!(heard("status", "ClusterUnhealthy", 1), 1);
        assert_eq!(heard("priorities", "FailedToScaleUpGroup", 1), 1);
    }
}
