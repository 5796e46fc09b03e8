//! Starts the watches of the halves that run. The replica half and the nodes half share
//! the watch of pods.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use flyball_nodes::queued_state::{QueuedObject, QueuedState};
use flyball_nodes::state::{AnnotationKeys, GonePod};
use flyball_placement::Name;
use kube::Client;
use kube::runtime::watcher::Event;
use tokio::sync::watch;

use crate::cache::{Caches, Locked, Pods};
use crate::cluster::{ClusterWatch, ClusterWatchOptions, ListedKeys, WatchedState};
use crate::slim::{ObjectMetadata, PodObject};
use crate::watch::{Slim, SlimKind, Watched as _, Watches};

/// Starts the watches of both halves of a daemon, with one watch of pods. Needs a
/// multi-threaded runtime.
#[must_use]
pub async fn watch_for_both(
    client: Client,
    options: ClusterWatchOptions<'_>,
) -> (Caches, ClusterWatch) {
    let watches = Watches::new(client).await;
    let (pods, state) = (Arc::default(), Arc::default());
    let pod_watch = start(
        watches.sibling(),
        Some(Arc::clone(&pods)),
        Some(Arc::clone(&state)),
    );
    let caches = Caches::new(watches.sibling(), pods, Arc::clone(&pod_watch));
    let cluster = ClusterWatch::new(watches, state, pod_watch, options);
    (caches, cluster)
}

impl Caches {
    /// Starts the watches of a daemon that runs only the replica half. The caches are
    /// incomplete until [`Caches::synced`] returns.
    #[must_use]
    pub async fn start(client: Client) -> Self {
        let watches = Watches::new(client).await;
        let pods = Arc::default();
        let pod_watch = start(watches.sibling(), Some(Arc::clone(&pods)), None);
        Self::new(watches, pods, pod_watch)
    }
}

impl ClusterWatch {
    /// Starts the watches of a daemon that runs only the nodes half. Needs a
    /// multi-threaded runtime. The state is incomplete until [`ClusterWatch::synced`]
    /// returns.
    #[must_use]
    pub async fn start(client: Client, options: ClusterWatchOptions<'_>) -> Self {
        let watches = Watches::new(client).await;
        let state = Arc::default();
        let pod_watch = start(watches.sibling(), None, Some(Arc::clone(&state)));
        Self::new(watches, state, pod_watch, options)
    }
}

/// Starts the watch of pods for the halves that run.
fn start(
    mut watches: Watches,
    replicas: Option<Arc<Locked<Pods>>>,
    nodes: Option<Arc<WatchedState>>,
) -> Arc<Watches> {
    let wanted = match &nodes {
        Some(state) => state.annotations.pods.subscribe(),
        None => watch::Sender::new(AnnotationKeys::none()).subscribe(),
    };
    let unlisted = Unlisted::default();
    let mut listed = ListedKeys::new(wanted.clone());
    let events = move |event: Event<Slim<PodObject>>| {
        if let Some(pods) = &replicas {
            pods.lock().take(&event);
        }
        if let Some(state) = &nodes {
            take(&state.queued, &unlisted, &mut listed, event);
        }
    };
    watches.add_listing_again(wanted, events);
    Arc::new(watches)
}

/// While a list is being read, the uids of the state's pods that it has not contained
/// yet. Only locked while the state is locked. Between lists it is empty, since the
/// state has the uids.
type Unlisted = Arc<Locked<Option<HashSet<Name>>>>;

/// Applies an event to the nodes half's state.
fn take(
    state: &QueuedState,
    unlisted: &Unlisted,
    listed: &mut ListedKeys,
    event: Event<Slim<PodObject>>,
) {
    let unlisted = Arc::clone(unlisted);
    let keys = listed.note(&event);
    match event {
        Event::Init => state.apply(list("begin"), move |state| {
            let uids = state.pod_uids().cloned().collect();
            *unlisted.lock() = Some(uids);
        }),
        Event::InitApply(pod) | Event::Apply(pod) => {
            let uid = pod.id();
            let mark = {
                let uid = Arc::clone(&uid);
                move || {
                    if let Some(unlisted) = &mut *unlisted.lock() {
                        unlisted.remove(&uid);
                    }
                }
            };
            match pod.into_object() {
                Some(pod) => {
                    let (facts, pod) = pod.into_facts_with(&listed.wanted());
                    state.apply(object(&uid), move |state| {
                        mark();
                        state.apply_pod(facts, &pod);
                    });
                }
                // What is queued of the pod stays: it is the last that could be read.
                None => state.apply(unreadable(&uid), move |_| mark()),
            }
        }
        Event::InitDone => state.apply(list("end"), move |state| {
            // Sorted, so that the order of deletions does not depend on hashes.
            let gone: BTreeSet<Name> = unlisted.lock().take().into_iter().flatten().collect();
            for uid in gone {
                state.delete_pod(&uid);
            }
            if let Some(keys) = keys {
                state.set_pod_annotations_listed(keys);
            }
        }),
        Event::Delete(pod) => {
            let uid = pod.id();
            let key = object(&uid);
            match pod.into_object() {
                Some(pod) => {
                    let gone = GonePod::from(&pod.into_facts().0);
                    state.delete(key, move |state| state.delete_gone_pod(&gone));
                }
                None => state.delete(key, move |state| state.delete_pod(&uid)),
            }
        }
    }
}

fn object(uid: &Name) -> QueuedObject {
    QueuedObject {
        kind: PodObject::KIND,
        id: Arc::clone(uid),
    }
}

/// A pod that is there and can't be read.
fn unreadable(uid: &Name) -> QueuedObject {
    QueuedObject {
        kind: "unreadable pod",
        id: Arc::clone(uid),
    }
}

/// A list of all pods. While a state is held, several may begin and end, of which the last
/// one matters: every pod that it has comes after its begin.
fn list(part: &str) -> QueuedObject {
    QueuedObject {
        kind: "list of pods",
        id: part.into(),
    }
}

impl SlimKind for PodObject {
    const GROUP: &str = "";
    const KIND: &str = "Pod";
    const PLURAL: &str = "pods";

    fn metadata(&self) -> &ObjectMetadata {
        &self.metadata
    }

    fn id(metadata: &ObjectMetadata) -> Name {
        metadata.uid.clone()
    }
}

#[cfg(test)]
mod tests {
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use tokio::sync::watch;

    use super::{AnnotationKeys, ListedKeys, QueuedState, Unlisted};
    use crate::slim::PodObject;
    use crate::watch::Slim;

    fn pod(uid: &str, name: &str) -> Result<Slim<PodObject>, serde_json::Error> {
        let metadata = json!({ "namespace": "default", "name": name, "uid": uid });
        serde_json::from_value(json!({ "metadata": metadata }))
    }

    #[test]
    fn pods_that_a_new_list_does_not_have_are_gone_once_it_is_complete()
    -> Result<(), serde_json::Error> {
        let (state, unlisted) = (QueuedState::default(), Unlisted::default());
        let wanted = watch::Sender::new(AnnotationKeys::none());
        let mut listed = ListedKeys::new(wanted.subscribe());
        let mut take = |event| super::take(&state, &unlisted, &mut listed, event);
        let uids = || {
            let mut uids: Vec<String> =
                state.with(|state| state.pod_uids().map(ToString::to_string).collect());
            uids.sort();
            uids
        };
        take(Event::Init);
        take(Event::InitApply(pod("1", "a")?));
        take(Event::InitApply(pod("2", "b")?));
        take(Event::InitDone);
        take(Event::Apply(pod("3", "c")?));
        take(Event::Delete(pod("3", "c")?));
        assert_eq!(uids(), ["1", "2"]);

        // A pod is gone, and another one has its name.
        take(Event::Init);
        take(Event::InitApply(pod("4", "a")?));
        take(Event::Init);
        take(Event::InitApply(pod("4", "a")?));
        assert_eq!(uids(), ["1", "2", "4"]);
        take(Event::InitDone);
        assert_eq!(uids(), ["4"]);
        Ok(())
    }

    #[test]
    fn a_pod_that_cannot_be_read_any_more_stays_as_it_was_last_read()
    -> Result<(), serde_json::Error> {
        let (state, unlisted) = (QueuedState::default(), Unlisted::default());
        let wanted = watch::Sender::new(AnnotationKeys::none());
        let mut listed = ListedKeys::new(wanted.subscribe());
        let mut take = |event| super::take(&state, &unlisted, &mut listed, event);
        let metadata = json!({ "namespace": "default", "name": "a", "uid": "1" });
        let broken = json!({ "metadata": metadata, "spec": { "nodeName": 3 } });
        let broken: Slim<PodObject> = serde_json::from_value(broken)?;
        assert!(broken.object.is_err());

        state.hold();
        take(Event::Init);
        take(Event::InitApply(pod("1", "a")?));
        take(Event::InitDone);
        take(Event::Apply(broken.clone()));
        take(Event::Init);
        take(Event::InitApply(broken));
        take(Event::InitDone);
        state.release();
        let uids: Vec<String> =
            state.with(|state| state.pod_uids().map(ToString::to_string).collect());
        assert_eq!(uids, ["1"]);
        Ok(())
    }
}
