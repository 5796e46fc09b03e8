//! The nodes half's view of the cluster: watches of nodes, pods, namespaces, DaemonSets
//! and storage keep one [`ClusterState`] up to date.
//!
//! ```text
//!  watch ─┐                     no pass is under way: at once
//!  watch ─┼─▶ queue of changes ────────────────────────────────────▶ ClusterState
//!  watch ─┘                     a pass is under way: when it has planned
//! ```
//!
//! So no watch waits for a pass, nor does the replica half, which shares the watch of
//! pods. The ConfigMap of the expander `priority` is watched too if its namespace is
//! given.

mod watched;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use flyball_nodes::ports::{ExpanderConfiguration, NodesReader};
use flyball_nodes::state::ClusterState;
use tokio::sync::watch;
use tokio::task::block_in_place;

use self::watched::StateKind;
use crate::priorities;
use crate::slim::{
    ClaimObject, CsiDriverObject, CsiNodeObject, DaemonSetObject, NamespaceObject, NodeObject,
    StorageCapacityObject, StorageClassObject, VolumeAttachmentObject, VolumeObject,
};
use crate::watch::{Change, KnownIds, Slim, Watches};

/// Watches of the cluster for the nodes half. They end when the last clone is dropped.
#[derive(Clone)]
pub struct ClusterWatch {
    inner: Arc<Inner>,
}

struct Inner {
    state: Arc<SharedState>,
    priorities: Option<priorities::LatestConfiguration>,
    watches: Watches,
    pod_watch: Arc<Watches>,
}

impl ClusterWatch {
    /// Starts the watches of all kinds except pods, which `pod_watch` adds to `state`.
    pub(crate) fn new(
        mut watches: Watches,
        state: Arc<SharedState>,
        pod_watch: Arc<Watches>,
        priorities: Option<&str>,
    ) -> Self {
        let priorities =
            priorities.map(|namespace| priorities::watch_config_map(namespace, &mut watches));
        watch_kind::<NamespaceObject>(&mut watches, &state);
        watch_kind::<NodeObject>(&mut watches, &state);
        watch_kind::<DaemonSetObject>(&mut watches, &state);
        watch_kind::<ClaimObject>(&mut watches, &state);
        watch_kind::<VolumeObject>(&mut watches, &state);
        watch_kind::<StorageClassObject>(&mut watches, &state);
        watch_kind::<CsiDriverObject>(&mut watches, &state);
        watch_kind::<CsiNodeObject>(&mut watches, &state);
        watch_kind::<StorageCapacityObject>(&mut watches, &state);
        watch_kind::<VolumeAttachmentObject>(&mut watches, &state);
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

    /// Waits until the first list of each kind is complete.
    pub async fn synced(&self) {
        self.inner.watches.synced().await;
        self.inner.pod_watch.synced().await;
        if let Some(latest) = &self.inner.priorities {
            let _ = latest.clone().wait_for(Option::is_some).await;
        }
    }

    /// Returns a receiver that changes when a pod has become unschedulable, to wake the
    /// loop.
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
        // A plan may take long: other tasks of this thread continue on another one.
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

/// Watches all objects of a kind and applies changes to the state.
fn watch_kind<T: StateKind>(watches: &mut Watches, state: &Arc<SharedState>) {
    let mut known = KnownIds::default();
    let state = Arc::clone(state);
    watches.add(move |event| {
        known.changes(event, |change: Change<Slim<T>>| match change {
            Change::Apply(Slim { object, .. }) => state.change(move |state| object.apply(state)),
            Change::Delete(id) => state.change(move |state| T::delete(state, &id)),
        });
    });
}

/// A queued change of the state.
type Pending = Box<dyn FnOnce(&mut ClusterState) + Send>;

/// The state, which a pass locks, and the queue of changes that arrive meanwhile.
#[derive(Default)]
pub(crate) struct SharedState {
    state: Mutex<ClusterState>,
    /// Changes in order of arrival. Whoever has locked the state applies them, unless it is
    /// held.
    pending: Mutex<Vec<Pending>>,
    /// Whether a pass is under way, which must see one cluster.
    held: AtomicBool,
    /// Incremented when pods have become unschedulable.
    waiting: watch::Sender<u64>,
}

impl SharedState {
    /// Applies a change: at once, or, if the state is locked or held, when it is released.
    pub(crate) fn change(&self, change: impl FnOnce(&mut ClusterState) + Send + 'static) {
        lock(&self.pending).push(Box::new(change));
        self.apply_pending();
    }

    /// Runs `work` on the state, after applying all queued changes unless it is held.
    pub(crate) fn with<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        let result = {
            let mut state = lock(&self.state);
            if !self.is_held() {
                self.apply_changes(&mut state);
            }
            work(&mut state)
        };
        self.apply_pending();
        result
    }

    /// Applies all queued changes. Later ones stay queued until [`Self::release`].
    fn hold(&self) {
        let mut state = lock(&self.state);
        self.apply_changes(&mut state);
        self.held.store(true, Ordering::Release);
    }

    fn release(&self) {
        self.held.store(false, Ordering::Release);
        self.apply_pending();
    }

    fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Applies the queued changes, unless the state is held or locked. Whoever has locked it
    /// calls this after unlocking, and so applies the changes queued before.
    fn apply_pending(&self) {
        while !self.is_held() && !lock(&self.pending).is_empty() {
            let mut state = match self.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(error)) => error.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            // A pass may have begun since.
            if self.is_held() {
                return;
            }
            self.apply_changes(&mut state);
        }
    }

    fn apply_changes(&self, state: &mut ClusterState) {
        let changes = std::mem::take(&mut *lock(&self.pending));
        for change in changes {
            change(state);
        }
        // Only wakes the loop, which reads the pods itself.
        if state.has_new_unschedulable() {
            self.waiting.send_modify(|count| *count += 1);
        }
    }
}

/// Ignores poisoning: a panic while it was locked left at worst one outdated object.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flyball_nodes::state::ClusterState;
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
        // Until the list is complete, objects that it has not contained yet stay.
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
            // The same thread: waiting for the state would be a deadlock.
            apply("b")?;
            shared.change(|state| NodeObject::delete(state, "a"));
            assert_eq!(names(state), ["a"], "a pass sees one cluster");
            Ok::<_, serde_json::Error>(())
        })?;
        // Applied when the pass ended, without a further change.
        assert_eq!(names(&super::lock(&shared.state)), ["b"]);

        shared.hold();
        apply("c")?;
        shared.with(|state| assert_eq!(names(state), ["b"], "a pass looks again"));
        shared.release();
        assert_eq!(names(&super::lock(&shared.state)), ["b", "c"]);
        Ok(())
    }
}
