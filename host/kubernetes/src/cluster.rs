//! The cluster that nodes are ordered for: watches of nodes, pods, namespaces,
//! DaemonSets and storage keep one [`ClusterState`] up to date.
//!
//! What a watch brings is cut down while it is read, the first list included. A
//! watch that breaks is started again, with backoff; meanwhile the state stays. The
//! ConfigMap of the expander `priority` is watched as well, if its place is given.

mod watched;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use flyball_core::nodes::ports::{ExpanderConfiguration, NodesReader};
use flyball_core::nodes::state::ClusterState;
use flyball_placement::Name;
use futures::StreamExt as _;
use kube::runtime::{WatchStreamExt as _, watcher};
use kube::{Api, Client, Resource as _};
use tokio::sync::watch;
use tokio::task::{JoinSet, block_in_place};

use self::watched::{Slim, Watched};
use crate::cache::watch_config;
use crate::priorities;
use crate::slim::{
    ClaimObject, CsiDriverObject, CsiNodeObject, DaemonSetObject, NamespaceObject, NodeObject,
    PodObject, StorageCapacityObject, StorageClassObject, VolumeAttachmentObject, VolumeObject,
};

/// What is known of the cluster. The watches end with the last clone.
#[derive(Clone)]
pub struct ClusterWatch {
    inner: Arc<Inner>,
}

struct Inner {
    state: Arc<Mutex<ClusterState>>,
    synced: Vec<watch::Receiver<bool>>,
    priorities: Option<priorities::Latest>,
    waiting: watch::Receiver<u64>,
    _watches: JoinSet<()>,
}

impl ClusterWatch {
    /// Starts to watch, on a runtime of several threads. Nothing is known before
    /// [`ClusterWatch::synced`]. `priorities` is the namespace of the ConfigMap that
    /// configures the expander `priority`, or `None` if no ConfigMap does.
    #[must_use]
    pub async fn start(client: Client, priorities: Option<&str>) -> Self {
        let config = watch_config(&client).await;
        let (waits, waiting) = watch::channel(0);
        let watching = Watching {
            client,
            config,
            state: Arc::default(),
            waits: Arc::new(waits),
        };
        let mut watches = JoinSet::new();
        let priorities = priorities
            .map(|namespace| priorities::keep(watching.client.clone(), namespace, &mut watches));
        let synced = vec![
            watching.keep::<NamespaceObject>(&mut watches),
            watching.keep::<NodeObject>(&mut watches),
            watching.keep::<DaemonSetObject>(&mut watches),
            watching.keep::<ClaimObject>(&mut watches),
            watching.keep::<VolumeObject>(&mut watches),
            watching.keep::<StorageClassObject>(&mut watches),
            watching.keep::<CsiDriverObject>(&mut watches),
            watching.keep::<CsiNodeObject>(&mut watches),
            watching.keep::<StorageCapacityObject>(&mut watches),
            watching.keep::<VolumeAttachmentObject>(&mut watches),
            watching.keep::<PodObject>(&mut watches),
        ];
        let inner = Inner {
            state: watching.state,
            synced,
            priorities,
            waiting,
            _watches: watches,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Waits until every object that the cluster had is known.
    pub async fn synced(&self) {
        for synced in &self.inner.synced {
            // The watches, which hold the other end, live as long as `self`.
            let _ = synced.clone().wait_for(|synced| *synced).await;
        }
        if let Some(latest) = &self.inner.priorities {
            let _ = latest.clone().wait_for(Option::is_some).await;
        }
    }

    /// Changes when a pod has become unschedulable: a loop that sleeps should then
    /// look.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<u64> {
        self.inner.waiting.clone()
    }
}

impl NodesReader for ClusterWatch {
    fn synced(&self) -> bool {
        let mut priorities = self.inner.priorities.iter();
        self.inner.synced.iter().all(|synced| *synced.borrow())
            && priorities.all(|latest| latest.borrow().is_some())
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        // A plan may take long: what else this thread has to do goes on elsewhere.
        block_in_place(|| work(&mut lock(&self.inner.state)))
    }

    fn expander_configuration(&self, expander: &str) -> Option<ExpanderConfiguration> {
        let latest = self.inner.priorities.as_ref();
        let latest = latest.filter(|_| expander == priorities::EXPANDER)?;
        latest.borrow().clone()
    }
}

/// What all watches share.
struct Watching {
    client: Client,
    config: watcher::Config,
    state: Arc<Mutex<ClusterState>>,
    waits: Arc<watch::Sender<u64>>,
}

impl Watching {
    /// Watches all objects of a kind, and tells when it knows them.
    fn keep<T: Watched>(&self, watches: &mut JoinSet<()>) -> watch::Receiver<bool> {
        let (synced, receiver) = watch::channel(false);
        let api = Api::<Slim<T>>::all(self.client.clone());
        let stream = watcher(api, self.config.clone());
        let (state, waits) = (Arc::clone(&self.state), Arc::clone(&self.waits));
        watches.spawn(async move {
            let mut stream = std::pin::pin!(stream.default_backoff());
            let mut kept = Kept::default();
            while let Some(event) = stream.next().await {
                let event = match event {
                    Ok(event) => event,
                    Err(error) => {
                        let kind = Slim::<T>::plural(&());
                        tracing::warn!(%kind, %error, "a watch broke and is started again");
                        continue;
                    }
                };
                let done = matches!(event, watcher::Event::InitDone);
                let mut state = lock_apart(&state);
                kept.take(&mut state, event);
                // The loop takes the news: here it is only woken.
                if state.has_new_unschedulable() {
                    waits.send_modify(|count| *count += 1);
                }
                drop(state);
                if done {
                    synced.send_replace(true);
                }
            }
        });
        receiver
    }
}

/// The objects of one kind that the state has: a list that starts anew does not tell
/// which of them have gone.
#[derive(Default)]
struct Kept {
    known: HashSet<Name>,
    /// Those that a list which is under way has not named yet.
    unseen: Option<HashSet<Name>>,
}

impl Kept {
    fn take<T: Watched>(&mut self, state: &mut ClusterState, event: watcher::Event<Slim<T>>) {
        match event {
            watcher::Event::Init => self.unseen = Some(self.known.clone()),
            watcher::Event::InitApply(object) | watcher::Event::Apply(object) => {
                let id = object.object.id();
                if let Some(unseen) = &mut self.unseen {
                    unseen.remove(&id);
                }
                self.known.insert(id);
                object.object.apply(state);
            }
            watcher::Event::InitDone => {
                for gone in self.unseen.take().into_iter().flatten() {
                    self.known.remove(&gone);
                    T::delete(state, &gone);
                }
            }
            watcher::Event::Delete(object) => {
                let id = object.object.id();
                self.known.remove(&id);
                T::delete(state, &id);
            }
        }
    }
}

/// A panic while it was locked left at worst one object of the past in it.
fn lock(state: &Mutex<ClusterState>) -> MutexGuard<'_, ClusterState> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The same for a watch, which may have to wait for the end of a plan: without
/// keeping a thread from all others that have to run on it.
fn lock_apart(state: &Mutex<ClusterState>) -> MutexGuard<'_, ClusterState> {
    match state.try_lock() {
        Ok(state) => state,
        Err(TryLockError::Poisoned(error)) => error.into_inner(),
        Err(TryLockError::WouldBlock) => block_in_place(|| lock(state)),
    }
}

#[cfg(test)]
mod tests {
    use flyball_core::nodes::state::ClusterState;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::{Kept, Slim};
    use crate::slim::NodeObject;

    fn node(name: &str) -> Result<Slim<NodeObject>, serde_json::Error> {
        serde_json::from_value(json!({
            "metadata": { "name": name, "resourceVersion": "7" },
            "status": { "allocatable": { "cpu": "1", "pods": "9" } },
        }))
    }

    fn names(state: &ClusterState) -> Vec<String> {
        let nodes = state.nodes();
        nodes.map(|node| node.facts.node.name.to_string()).collect()
    }

    #[test]
    fn what_a_new_list_does_not_name_has_gone() -> Result<(), serde_json::Error> {
        let (mut kept, mut state) = (Kept::default(), ClusterState::new());
        kept.take::<NodeObject>(&mut state, Event::Init);
        kept.take(&mut state, Event::InitApply(node("a")?));
        kept.take(&mut state, Event::InitApply(node("b")?));
        kept.take::<NodeObject>(&mut state, Event::InitDone);
        kept.take(&mut state, Event::Apply(node("c")?));
        assert_eq!(names(&state), ["a", "b", "c"]);
        kept.take(&mut state, Event::Delete(node("c")?));

        kept.take::<NodeObject>(&mut state, Event::Init);
        kept.take(&mut state, Event::InitApply(node("b")?));
        kept.take(&mut state, Event::InitApply(node("d")?));
        // Until the list is whole, what it has not named yet stays.
        assert_eq!(names(&state), ["a", "b", "d"]);
        kept.take::<NodeObject>(&mut state, Event::InitDone);
        assert_eq!(names(&state), ["b", "d"]);
        Ok(())
    }
}
