//! A [`ClusterState`] that watches change while passes read it.
//!
//! ```text
//!  watch ─┐                     no pass is under way: at once
//!  watch ─┼─▶ queue of changes ────────────────────────────────────▶ ClusterState
//!  watch ─┘                     a pass is under way: when it has planned
//! ```
//!
//! So no watch waits for a pass.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};

use crate::state::ClusterState;

/// A queued change of the state.
type Change = Box<dyn FnOnce(&mut ClusterState) + Send>;

/// The state, which a pass locks, and the queue of changes that arrive meanwhile.
pub struct QueuedState {
    state: Mutex<ClusterState>,
    /// Changes in order of arrival. Whoever has locked the state applies them, unless it
    /// is held.
    queue: Mutex<Vec<Change>>,
    /// Whether a pass is under way, which must see one cluster.
    held: AtomicBool,
    /// Called when pods have become unschedulable, or a drained node has changed.
    wake: Box<dyn Fn() + Send + Sync>,
}

impl QueuedState {
    /// Wraps a state. `wake` is called when pods have become unschedulable or a drained
    /// node has changed, with the state locked.
    pub fn new(state: ClusterState, wake: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            state: Mutex::new(state),
            queue: Mutex::default(),
            held: AtomicBool::default(),
            wake: Box::new(wake),
        }
    }

    /// Applies a change: at once, or, if the state is locked or held, when it is released.
    /// Never waits for a pass.
    pub fn change(&self, change: impl FnOnce(&mut ClusterState) + Send + 'static) {
        lock(&self.queue).push(Box::new(change));
        self.apply_queue();
    }

    /// Runs `work` on the state, after applying all queued changes unless it is held.
    pub fn with<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        let result = {
            let mut state = lock(&self.state);
            if !self.is_held() {
                self.apply_changes(&mut state);
            }
            work(&mut state)
        };
        self.apply_queue();
        result
    }

    /// Applies all queued changes. Later ones stay queued until [`Self::release`].
    pub fn hold(&self) {
        let mut state = lock(&self.state);
        self.apply_changes(&mut state);
        self.held.store(true, Ordering::Release);
    }

    /// Ends [`Self::hold`], and applies what was queued meanwhile.
    pub fn release(&self) {
        {
            // Locked first: otherwise a watch could lock it and apply the whole queue.
            let mut state = lock(&self.state);
            self.held.store(false, Ordering::Release);
            self.apply_changes(&mut state);
        }
        self.apply_queue();
    }

    fn is_held(&self) -> bool {
        self.held.load(Ordering::Acquire)
    }

    /// Applies the queued changes, unless the state is held or locked. Whoever has locked
    /// it calls this after unlocking, and so applies the changes queued before.
    fn apply_queue(&self) {
        while !self.is_held() && !lock(&self.queue).is_empty() {
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
        let changes = std::mem::take(&mut *lock(&self.queue));
        for change in changes {
            change(state);
        }
        // Only wakes the loop, which reads the state itself.
        if state.has_new_unschedulable() || state.has_drain_change() {
            (self.wake)();
        }
    }
}

impl Default for QueuedState {
    /// An empty cluster; nothing is woken.
    fn default() -> Self {
        Self::new(ClusterState::new(), || {})
    }
}

/// Ignores poisoning: a panic while it was locked left at worst one outdated object.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flyball_placement::Node;

    use super::QueuedState;
    use crate::state::{ClusterState, NodeFacts};

    fn add(name: &str) -> impl FnOnce(&mut ClusterState) + use<> {
        let node = Arc::new(Node {
            name: name.into(),
            ..Node::default()
        });
        move |state| {
            state.apply_node(NodeFacts {
                node,
                ..NodeFacts::default()
            });
        }
    }

    fn names(state: &ClusterState) -> Vec<String> {
        let nodes = state.nodes();
        nodes.map(|node| node.facts.node.name.to_string()).collect()
    }

    #[test]
    fn changes_wait_for_a_pass_and_no_watch_does() {
        let queued = QueuedState::default();
        queued.change(add("a"));
        queued.with(|state| {
            assert_eq!(names(state), ["a"]);
            // The same thread: waiting for the state would be a deadlock.
            queued.change(add("b"));
            queued.change(|state| state.delete_node("a"));
            assert_eq!(names(state), ["a"], "a pass sees one cluster");
        });
        // Applied when the pass ended, without a further change.
        assert_eq!(names(&super::lock(&queued.state)), ["b"]);

        queued.hold();
        queued.change(add("c"));
        queued.with(|state| assert_eq!(names(state), ["b"], "a pass looks again"));
        queued.release();
        assert_eq!(names(&super::lock(&queued.state)), ["b", "c"]);
    }
}
