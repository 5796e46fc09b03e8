//! What the half that orders nodes knows of the cluster: watches of nodes, pods,
//! namespaces, DaemonSets and storage keep one [`ClusterState`] up to date.
//!
//! ```text
//!  watch ─┐                     no pass is under way: at once
//!  watch ─┼─▶ queue of changes ────────────────────────────────────▶ ClusterState
//!  watch ─┘                     a pass is under way: when it has planned
//! ```
//!
//! So no watch waits for a pass, and neither do those for whom the same watch works.
//! The ConfigMap of the expander `priority` is watched as well, if its place is given.

mod watched;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use flyball_core::nodes::ports::{ExpanderConfiguration, NodesReader};
use flyball_core::nodes::state::ClusterState;
use kube::Client;
use tokio::sync::watch;
use tokio::task::block_in_place;

use self::watched::StateKind;
use crate::slim::{
    ClaimObject, CsiDriverObject, CsiNodeObject, DaemonSetObject, NamespaceObject, NodeObject,
    StorageCapacityObject, StorageClassObject, VolumeAttachmentObject, VolumeObject,
};
use crate::watch::{Change, KnownIds, Slim, Watches};
use crate::{pod_watch, priorities};

/// What is known of the cluster. The watches end with the last clone.
#[derive(Clone)]
pub struct ClusterWatch {
    inner: Arc<Inner>,
}

struct Inner {
    state: Arc<SharedState>,
    priorities: Option<priorities::Latest>,
    watches: Watches,
    pod_watch: Arc<Watches>,
}

impl ClusterWatch {
    /// Starts to watch, on a runtime of several threads, for a daemon whose nodes half
    /// runs alone. Nothing is known before [`ClusterWatch::synced`]. `priorities` is the
    /// namespace of the ConfigMap that configures the expander `priority`, or `None` if
    /// no ConfigMap does.
    #[must_use]
    pub async fn start(client: Client, priorities: Option<&str>) -> Self {
        let watches = Watches::new(client).await;
        let state = Arc::default();
        let pod_watch = pod_watch::start(watches.beside(), None, Some(Arc::clone(&state)));
        Self::new(watches, state, pod_watch, priorities)
    }

    /// Starts to watch all but pods, which `pod_watch` puts into `state`.
    pub(crate) fn new(
        mut watches: Watches,
        state: Arc<SharedState>,
        pod_watch: Arc<Watches>,
        priorities: Option<&str>,
    ) -> Self {
        let priorities = priorities.map(|namespace| priorities::keep(namespace, &mut watches));
        keep::<NamespaceObject>(&mut watches, &state);
        keep::<NodeObject>(&mut watches, &state);
        keep::<DaemonSetObject>(&mut watches, &state);
        keep::<ClaimObject>(&mut watches, &state);
        keep::<VolumeObject>(&mut watches, &state);
        keep::<StorageClassObject>(&mut watches, &state);
        keep::<CsiDriverObject>(&mut watches, &state);
        keep::<CsiNodeObject>(&mut watches, &state);
        keep::<StorageCapacityObject>(&mut watches, &state);
        keep::<VolumeAttachmentObject>(&mut watches, &state);
        let inner = Inner {
            state,
            priorities,
            watches,
            pod_watch,
        };
        Self {
            inner: Arc::new(inner),
        }
    }

    /// Waits until every object that the cluster had is known.
    pub async fn synced(&self) {
        self.inner.watches.synced().await;
        self.inner.pod_watch.synced().await;
        if let Some(latest) = &self.inner.priorities {
            let _ = latest.clone().wait_for(Option::is_some).await;
        }
    }

    /// Changes when a pod has become unschedulable: a loop that sleeps should then
    /// look.
    #[must_use]
    pub fn waiting(&self) -> watch::Receiver<u64> {
        self.inner.state.waiting.subscribe()
    }
}

impl NodesReader for ClusterWatch {
    fn synced(&self) -> bool {
        let mut priorities = self.inner.priorities.iter();
        self.inner.watches.are_synced()
            && self.inner.pod_watch.are_synced()
            && priorities.all(|latest| latest.borrow().is_some())
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        // A plan may take long: what else this thread has to do goes on elsewhere.
        block_in_place(|| self.inner.state.with(work))
    }

    fn hold(&self) {
        self.inner.state.hold();
    }

    fn release(&self) {
        block_in_place(|| self.inner.state.release());
    }

    fn expander_configuration(&self, expander: &str) -> Option<ExpanderConfiguration> {
        let latest = self.inner.priorities.as_ref();
        let latest = latest.filter(|_| expander == priorities::EXPANDER)?;
        latest.borrow().clone()
    }
}

/// Watches all objects of a kind, for the state.
fn keep<T: StateKind>(watches: &mut Watches, state: &Arc<SharedState>) {
    let mut known = KnownIds::default();
    let state = Arc::clone(state);
    watches.add(move |event| {
        known.changes(event, |change: Change<Slim<T>>| match change {
            Change::Apply(Slim { object, .. }) => state.change(move |state| object.apply(state)),
            Change::Delete(id) => state.change(move |state| T::delete(state, &id)),
        });
    });
}

/// A change of the state that is to be made.
type Pending = Box<dyn FnOnce(&mut ClusterState) + Send>;

/// The state, which passes work on, and the changes that the watches bring meanwhile.
#[derive(Default)]
pub(crate) struct SharedState {
    state: Mutex<ClusterState>,
    /// In order. They are taken out by whoever has locked the state, unless it is held.
    pending: Mutex<Vec<Pending>>,
    /// Whether a pass is under way that has to see one cluster.
    held: AtomicBool,
    /// Counts how often pods became unschedulable.
    waiting: watch::Sender<u64>,
}

impl SharedState {
    /// Makes a change: at once, or, if the state is being worked on, after that.
    pub(crate) fn change(&self, change: impl FnOnce(&mut ClusterState) + Send + 'static) {
        lock(&self.pending).push(Box::new(change));
        self.settle();
    }

    /// Does `work` on the state, after all changes there are, or without them while it is
    /// held.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        let result = {
            let mut state = lock(&self.state);
            if !self.is_held() {
                self.make_changes(&mut state);
            }
            work(&mut state)
        };
        self.settle();
        result
    }

    /// Makes all changes there are, and lets those to come wait for [`Self::release`].
    fn hold(&self) {
        let mut state = lock(&self.state);
        self.make_changes(&mut state);
        self.held.store(true, Ordering::Release);
    }

    fn release(&self) {
        self.held.store(false, Ordering::Release);
        self.settle();
    }

    fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Makes the pending changes, unless the state is held or somebody works on it: they
    /// come here when they have done, and find what was added before they let go.
    fn settle(&self) {
        while !self.is_held() && !lock(&self.pending).is_empty() {
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(error)) => error.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            // Somebody may have held it since.
            if self.is_held() {
                return;
            }
            self.make_changes(&mut state);
        }
    }

    fn make_changes(&self, state: &mut ClusterState) {
        let changes = std::mem::take(&mut *lock(&self.pending));
        for change in changes {
            change(state);
        }
        // The loop takes the news: here it is only woken.
        if state.has_new_unschedulable() {
            self.waiting.send_modify(|count| *count += 1);
        }
    }
}

/// A panic while it was locked left at worst one object of the past in it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flyball_core::nodes::state::ClusterState;
    use kube::runtime::watcher::Event;
    use serde_json::json;

    use super::SharedState;
    use super::watched::StateKind as _;
    use crate::slim::NodeObject;
    use crate::watch::{Change, KnownIds, Slim};

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
        let (mut known, mut state) = (KnownIds::default(), ClusterState::new());
        let mut take = |state: &mut ClusterState, event| {
            known.changes(event, |change: Change<Slim<NodeObject>>| match change {
                Change::Apply(node) => node.object.apply(state),
                Change::Delete(id) => NodeObject::delete(state, &id),
            });
        };
        take(&mut state, Event::Init);
        take(&mut state, Event::InitApply(node("a")?));
        take(&mut state, Event::InitApply(node("b")?));
        take(&mut state, Event::InitDone);
        take(&mut state, Event::Apply(node("c")?));
        assert_eq!(names(&state), ["a", "b", "c"]);
        take(&mut state, Event::Delete(node("c")?));

        take(&mut state, Event::Init);
        take(&mut state, Event::InitApply(node("b")?));
        take(&mut state, Event::InitApply(node("d")?));
        // Until the list is whole, what it has not named yet stays.
        assert_eq!(names(&state), ["a", "b", "d"]);
        take(&mut state, Event::InitDone);
        assert_eq!(names(&state), ["b", "d"]);
        Ok(())
    }

    #[test]
    fn changes_wait_for_a_pass_and_no_watch_does() -> Result<(), serde_json::Error> {
        let shared = Arc::new(SharedState::default());
        let apply = |name| {
            let node = node(name)?.object;
            shared.change(move |state| node.apply(state));
            Ok::<_, serde_json::Error>(())
        };
        apply("a")?;
        shared.with(|state| {
            assert_eq!(names(state), ["a"]);
            // The same thread: to wait for the state would be to wait for ever.
            apply("b")?;
            shared.change(|state| NodeObject::delete(state, "a"));
            assert_eq!(names(state), ["a"], "a pass sees one cluster");
            Ok::<_, serde_json::Error>(())
        })?;
        // Made already when the pass had done, with nobody else to do it.
        assert_eq!(names(&super::lock(&shared.state)), ["b"]);

        shared.hold();
        apply("c")?;
        shared.with(|state| assert_eq!(names(state), ["b"], "a pass looks again"));
        shared.release();
        assert_eq!(names(&super::lock(&shared.state)), ["b", "c"]);
        Ok(())
    }
}
