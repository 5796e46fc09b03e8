//! Events about objects. Publishing has a time limit, and warnings a rate limit, since
//! a problem is found again at every sync. So have all events of a namespace, and those of
//! all namespaces together.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flyball_decision::event::Event;
use flyball_decision::hash::fnv1a;
use flyball_decision::text;
use flyball_decision::time::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Client;
use kube::runtime::events::{self, EventType, Recorder, Reporter};

use crate::request::{RequestError, answer};

/// Limit of warnings about one object for one reason. The numbers are client-go's, which
/// counts all reasons together. Counting by reason, many warnings on one object (such as one
/// per node group) don't suppress warnings with other reasons.
const WARNINGS: Limit = Limit {
    burst: 25,
    one_more_after_ms: 300_000,
};

/// Limit of events about the objects of one namespace. The recorder keeps an event for six
/// minutes, and looks through all that it keeps before it publishes the next one. An object
/// may have an event for each of its metrics at every sync.
const IN_NAMESPACE: Limit = Limit {
    burst: 1_000,
    one_more_after_ms: 60,
};

/// Maximum number of events about the objects of all namespaces in a minute. So the recorder
/// keeps at most 35,000 of them, however many namespaces there are.
const IN_MINUTE: i64 = 5_000;

/// How many of these are reserved for namespaces that had few in this minute.
const RESERVED: i64 = 2_000;

/// A namespace may have a reserved event if it had fewer than this part of what is left. So it
/// takes hundreds of namespaces to use up all of them.
const RESERVED_PART: i64 = 100;

/// Length of a minute.
const MINUTE_MS: i64 = 60_000;

/// How many events are published at once, and the time after which one more is.
#[derive(Clone, Copy)]
struct Limit {
    burst: i64,
    one_more_after_ms: i64,
}

/// Publishes events.
pub(crate) struct Events {
    recorder: Recorder,
    counted: Mutex<Counted>,
}

impl Events {
    /// Creates a publisher of events in the name of `reporter`.
    pub(crate) fn new(client: Client, reporter: &str) -> Self {
        Self {
            recorder: Recorder::new(client, Reporter::from(reporter)),
            counted: Mutex::default(),
        }
    }

    /// Removes the counts of objects and namespaces that had no event for long.
    pub(crate) fn forget(&self, now: Timestamp) {
        let mut counted = self.counted();
        counted.warnings.forget(now);
        counted.in_namespaces.forget(now);
    }

    /// Publishes an event, unless it is above the rate limit of its namespace or of all
    /// namespaces, or a warning above that of its [`Topic`].
    pub(crate) async fn publish(
        &self,
        now: Timestamp,
        about: &ObjectReference,
        event: &Event,
    ) -> Result<(), RequestError> {
        if !self.counted().allow(now, about, event) {
            let (name, reason) = (&about.name, &event.reason);
            tracing::debug!(?name, %reason, "one event too many: not published");
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

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Counts of the latest events.
struct Counted {
    warnings: Counts<Topic>,
    in_namespaces: Counts<String>,
    minute: MinuteCounts,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            warnings: Counts::new(WARNINGS),
            in_namespaces: Counts::new(IN_NAMESPACE),
            minute: MinuteCounts::default(),
        }
    }
}

impl Counted {
    /// Returns whether an event may be published, and counts it. Events about objects without
    /// a namespace, such as nodes, have no limit together.
    fn allow(&mut self, now: Timestamp, about: &ObjectReference, event: &Event) -> bool {
        let namespace = about.namespace.as_ref();
        if namespace.is_some_and(|namespace| !self.minute.has_room(now, namespace)) {
            return false;
        }
        if event.warning && !self.warnings.allow_one(now, Topic::of(about, event)) {
            return false;
        }
        let Some(namespace) = namespace else {
            return true;
        };
        let may = self.in_namespaces.allow_one(now, namespace.clone());
        if may {
            self.minute.count_one(namespace.clone());
        }
        may
    }
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

/// Counts of events, by what has a limit together.
struct Counts<K> {
    limit: Limit,
    counts: HashMap<K, Count>,
}

/// Number of events, less one for each [`Limit::one_more_after_ms`] since.
struct Count {
    count: i64,
    since: Timestamp,
}

impl<K: Eq + Hash> Counts<K> {
    fn new(limit: Limit) -> Self {
        Self {
            limit,
            counts: HashMap::new(),
        }
    }

    /// Returns whether one more event is allowed, and counts it if so.
    fn allow_one(&mut self, now: Timestamp, key: K) -> bool {
        let none = Count {
            count: 0,
            since: now,
        };
        let entry = self.counts.entry(key).or_insert(none);
        entry.decay(now, self.limit);
        let may = entry.count < self.limit.burst;
        entry.count += i64::from(may);
        may
    }

    fn forget(&mut self, now: Timestamp) {
        let limit = self.limit;
        self.counts.retain(|_, entry| {
            entry.decay(now, limit);
            entry.count > 0
        });
    }
}

impl Count {
    fn decay(&mut self, now: Timestamp, limit: Limit) {
        // The clock may have been set back.
        self.since = self.since.min(now);
        let more = now.since(self.since) / limit.one_more_after_ms;
        self.count = (self.count - more).max(0);
        self.since = self.since.plus(more * limit.one_more_after_ms);
    }
}

/// Counts of the events of one minute.
#[derive(Default)]
struct MinuteCounts {
    since: Timestamp,
    of_all: i64,
    of_namespaces: HashMap<String, i64>,
}

impl MinuteCounts {
    /// Returns whether one more event of a namespace is allowed. Begins the next minute when
    /// this one is over.
    fn has_room(&mut self, now: Timestamp, namespace: &str) -> bool {
        // The clock may have been set back.
        if !(0..MINUTE_MS).contains(&now.since(self.since)) {
            *self = Self {
                since: now,
                ..Self::default()
            };
        }
        let left = IN_MINUTE - self.of_all;
        let count = self.of_namespaces.get(namespace).copied();
        left > RESERVED || count.unwrap_or(0) * RESERVED_PART < left
    }

    fn count_one(&mut self, namespace: String) {
        self.of_all += 1;
        *self.of_namespaces.entry(namespace).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use flyball_decision::event::Event;
    use flyball_decision::time::Timestamp;
    use k8s_openapi::api::core::v1::ObjectReference;

    use super::{Counted, Counts, Topic, WARNINGS};

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
        let mut warnings = Counts::new(WARNINGS);
        let mut heard = |from: i64, until: i64, uid| {
            let syncs = (from..until).step_by(15_000);
            syncs
                .filter(|&at| {
                    let topic = topic("web", Some(uid), "FailedGetScale");
                    warnings.allow_one(Timestamp(at), topic)
                })
                .count()
        };
        assert_eq!(heard(0, 3_600_000, "a"), WARNINGS.burst as usize + 11);
        assert_eq!(heard(3_600_000, 3_700_000, "b"), 7);
        // The clock is set back.
        assert_eq!(heard(0, 2 * WARNINGS.one_more_after_ms, "a"), 1);

        warnings.forget(Timestamp(3_700_000));
        let of_b = topic("web", Some("b"), "FailedGetScale");
        assert!(warnings.counts.contains_key(&of_b));
        warnings.forget(Timestamp(100 * WARNINGS.one_more_after_ms));
        assert!(warnings.counts.is_empty());
    }

    #[test]
    fn many_warnings_for_one_reason_do_not_silence_another_nor_another_object() {
        let mut warnings = Counts::new(WARNINGS);
        let mut heard = |name, reason, times| {
            let times = 0..times;
            times
                .filter(|_| warnings.allow_one(Timestamp(0), topic(name, None, reason)))
                .count()
        };
        let groups = heard("status", "FailedToScaleUpGroup", 30);
        assert_eq!(groups, WARNINGS.burst as usize);
        assert_eq!(heard("status", "ClusterUnhealthy", 1), 1);
        assert_eq!(heard("priorities", "FailedToScaleUpGroup", 1), 1);
    }

    /// Returns how many events are published of so many objects, each of which has one.
    fn heard(counted: &mut Counted, namespace: Option<&str>, objects: usize, at: i64) -> usize {
        let published = (0..objects).filter(|number| {
            let about = ObjectReference {
                namespace: namespace.map(str::to_owned),
                name: Some(format!("web-{number}")),
                ..ObjectReference::default()
            };
            let event = Event {
                warning: number % 2 == 0,
                reason: "Some".to_owned(),
                message: String::new(),
            };
            counted.allow(Timestamp(at), &about, &event)
        });
        published.count()
    }

    #[test]
    fn a_namespace_is_heard_a_thousand_times_at_once_and_a_thousand_times_a_minute() {
        let mut counted = Counted::default();
        let mut heard = |namespace, at| heard(&mut counted, namespace, 5_000, at);
        assert_eq!(heard(Some("noisy"), 0), 1_000);
        assert_eq!(heard(Some("calm"), 0), 1_000, "another namespace");
        assert_eq!(heard(None, 0), 5_000, "nodes");
        assert_eq!(heard(Some("noisy"), 30_000), 500);

        counted.in_namespaces.forget(Timestamp(1_000_000));
        assert!(counted.in_namespaces.counts.is_empty());
    }

    #[test]
    fn many_noisy_namespaces_share_a_limit_and_leave_room_for_a_calm_one() {
        let mut counted = Counted::default();
        for at in [0, 60_000] {
            // One after the other, so that the last ones find what the others left.
            let of_noisy = (0..100).map(|number| {
                let namespace = format!("noisy-{number}");
                heard(&mut counted, Some(&namespace), 1_008, at)
            });
            let of_noisy: usize = of_noisy.sum();
            assert!((3_000..5_000).contains(&of_noisy), "{of_noisy} at {at}");
            let of_calm = heard(&mut counted, Some("calm"), 5, at + 30_000);
            assert_eq!(of_calm, 5, "at {at}");
            let of_noisy = heard(&mut counted, Some("noisy-0"), 1_008, at + 30_000);
            assert_eq!(of_noisy, 0, "at {at}");
        }
        assert_eq!(heard(&mut counted, None, 5_000, 60_000), 5_000, "nodes");
    }
}
