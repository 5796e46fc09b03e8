//! A [`ClusterState`] that watches change while passes read it.
//!
//! ```text
//!  watch ─┐                     no pass is under way: at once
//!  watch ─┼─▶ queue of changes ────────────────────────────────────▶ ClusterState
//!  watch ─┘                     a pass is under way: when it has planned
//! ```
//!
//! So no watch waits for a pass.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};

use crate::state::ClusterState;

/// Number of queued objects above which their index is freed with them.
const KEPT_PLACES: usize = 1024;

/// A queued change of the state.
type Change = Box<dyn FnOnce(&mut ClusterState) + Send>;

/// An object of the cluster, or another part of the state that changes as a whole.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct QueuedObject {
    /// Its kind.
    pub kind: &'static str,
    /// Its id among all objects of the kind.
    pub id: Arc<str>,
}

/// The state, which a pass locks, and the queue of changes that arrive meanwhile.
pub struct QueuedState {
    state: Mutex<ClusterState>,
    /// Whoever has locked the state applies the changes, unless it is held.
    queue: Mutex<Queue>,
    /// Whether a pass is under way, which must see one cluster.
    held: AtomicBool,
    /// Called when pods have become unschedulable, or a drained node has changed.
    wake: Box<dyn Fn() + Send + Sync>,
}

/// Changes in order of arrival. Of each object, there are only those that still matter, so
/// the queue takes no more memory than the objects that change during a pass.
#[derive(Default)]
struct Queue {
    changes: BTreeMap<u64, Queued>,
    /// The key in `changes` of each object.
    places: HashMap<QueuedObject, u64>,
    /// The next key.
    next: u64,
}

/// The changes of an object.
struct Queued {
    /// The object was deleted before the last change, under whose id another one has come.
    deletion: Option<Change>,
    last: Change,
    is_deletion: bool,
}

impl Queue {
    fn push(&mut self, object: Option<QueuedObject>, is_deletion: bool, last: Change) {
        let place = object.as_ref().and_then(|object| self.places.get(object));
        let before = place.and_then(|place| self.changes.remove(place));
        let deletion = match before {
            _ if is_deletion => None,
            Some(before) if before.is_deletion => Some(before.last),
            Some(before) => before.deletion,
            None => None,
        };
        if let Some(object) = object {
            self.places.insert(object, self.next);
        }
        let queued = Queued {
            deletion,
            last,
            is_deletion,
        };
        self.changes.insert(self.next, queued);
        self.next += 1;
    }
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
        self.push(None, false, Box::new(change));
    }

    /// As [`Self::change`], with a change that sets all that is known of an object. It
    /// replaces the object's changes that are queued, and goes to the end of the queue: what
    /// a list does may depend on which changes come after its begin.
    pub fn apply(
        &self,
        object: QueuedObject,
        change: impl FnOnce(&mut ClusterState) + Send + 'static,
    ) {
        self.push(Some(object), false, Box::new(change));
    }

    /// As [`Self::apply`], with a change that removes an object. An object that comes under
    /// its id later is another one.
    pub fn delete(
        &self,
        object: QueuedObject,
        change: impl FnOnce(&mut ClusterState) + Send + 'static,
    ) {
        self.push(Some(object), true, Box::new(change));
    }

    fn push(&self, object: Option<QueuedObject>, is_deletion: bool, change: Change) {
        lock(&self.queue).push(object, is_deletion, change);
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
        while !self.is_held() && !lock(&self.queue).changes.is_empty() {
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
        let changes = {
            let mut queue = lock(&self.queue);
            if queue.places.len() > KEPT_PLACES {
                queue.places = HashMap::new();
            } else {
                queue.places.clear();
            }
            std::mem::take(&mut queue.changes)
        };
        for queued in changes.into_values() {
            if let Some(deletion) = queued.deletion {
                deletion(state);
            }
            (queued.last)(state);
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
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use flyball_decision::key::ObjectKey;
    use flyball_decision::time::Timestamp;
    use flyball_placement::{Node, Pod};
    use proptest::prelude::*;

    use super::{QueuedObject, QueuedState};
    use crate::state::{ClusterState, GonePod, NodeFacts, PodFacts};

    fn node(name: &str, version: u8) -> NodeFacts {
        NodeFacts {
            node: Arc::new(Node {
                name: name.into(),
                unschedulable: version.is_multiple_of(2),
                ..Node::default()
            }),
            uid: format!("{name}-{version}").into(),
            ..NodeFacts::default()
        }
    }

    fn add(name: &str) -> impl FnOnce(&mut ClusterState) + use<> {
        let facts = node(name, 0);
        move |state| state.apply_node(facts)
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

    /// What happens to an object, or to the state.
    #[derive(Clone, Copy, Debug)]
    enum Happens {
        Node(u8, Option<u8>),
        /// A pod of this number, on this node, is there with this deletionTimestamp, or is
        /// gone.
        Pod(u8, Option<u8>, Option<i64>),
        Gone(u8),
        Hold,
        Release,
    }

    fn happens() -> impl Strategy<Value = Happens> {
        let pod = (0_u8..4, any::<bool>(), prop::option::of(0_i64..100));
        prop_oneof![
            3 => (0_u8..3, prop::option::weighted(0.7, 0_u8..4))
                .prop_map(|(number, version)| Happens::Node(number, version)),
            // A pod stays where it is bound.
            6 => pod.prop_map(|(number, bound, deletion)| {
                Happens::Pod(number, bound.then_some(number % 3), deletion)
            }),
            3 => (0_u8..4).prop_map(Happens::Gone),
            1 => Just(Happens::Hold),
            1 => Just(Happens::Release),
        ]
    }

    fn object(kind: &'static str, id: &str) -> QueuedObject {
        QueuedObject {
            kind,
            id: id.into(),
        }
    }

    /// A pod of this number, of which there were so many before.
    fn pod(number: u8, before: usize, node: Option<u8>, deletion: Option<i64>) -> PodFacts {
        PodFacts {
            uid: format!("{number}-{before}").into(),
            key: ObjectKey {
                namespace: "default".into(),
                name: number.to_string().into(),
            },
            created: Timestamp(i64::from(number)),
            deletion: deletion.map(Timestamp),
            unschedulable: node.is_none(),
            node: node.map(|node| format!("node-{node}").into()),
            ..PodFacts::default()
        }
    }

    /// Returns what a pass reads.
    fn read(state: &ClusterState, with_times: bool) -> Vec<String> {
        let nodes = state.nodes().map(|node| {
            let name = &node.facts.node.name;
            let mut pods: Vec<_> = state
                .pods_on(name)
                .map(|pod| format!("{} {:?}", pod.uid, pod.facts.deletion))
                .collect();
            pods.sort();
            let time = node.last_pod_change.filter(|_| with_times);
            format!("{name} {} {time:?} {pods:?}", node.facts.uid)
        });
        let mut read: Vec<String> = nodes.collect();
        let mut waiting: Vec<String> = state
            .unschedulable()
            .flat_map(|(_, pods)| pods.map(|pod| pod.uid.to_string()))
            .collect();
        waiting.sort();
        read.push(format!(
            "{waiting:?} {:?} {}",
            state.size(),
            state.pod_count()
        ));
        read
    }

    proptest! {
        #[test]
        fn a_queue_gives_the_state_that_its_changes_give_one_after_the_other(
            all in prop::collection::vec(happens(), 0..60),
        ) {
            let (queued, mut plain) = (QueuedState::default(), ClusterState::new());
            for number in 0..3 {
                let facts = node(&format!("node-{number}"), 4);
                plain.apply_node(facts.clone());
                queued.change(|state| state.apply_node(facts));
            }
            let (mut last, mut gone) = (BTreeMap::new(), [0_usize; 4]);
            let mut are_nodes_deleted = false;
            for happens in all {
                match happens {
                    Happens::Hold => queued.hold(),
                    Happens::Release => queued.release(),
                    Happens::Node(number, Some(version)) => {
                        let facts = node(&format!("node-{number}"), version);
                        plain.apply_node(facts.clone());
                        let key = object("Node", &facts.node.name);
                        queued.apply(key, |state| state.apply_node(facts));
                    }
                    Happens::Node(number, None) => {
                        are_nodes_deleted = true;
                        let name = format!("node-{number}");
                        plain.delete_node(&name);
                        let key = object("Node", &name);
                        queued.delete(key, move |state| state.delete_node(&name));
                    }
                    Happens::Pod(number, node, deletion) => {
                        // It is neither unbound nor kept.
                        let known: Option<&PodFacts> = last.get(&number);
                        let known_node = known.and_then(|known| known.node.as_ref());
                        let node = node.or(known_node.map(|_| number % 3));
                        let known_deletion = known.and_then(|known| known.deletion);
                        let deletion = deletion.max(known_deletion.map(|known| known.0));
                        let facts = pod(number, gone[usize::from(number)], node, deletion);
                        last.insert(number, facts.clone());
                        plain.apply_pod(facts.clone(), &Pod::default());
                        queued.apply(object("Pod", &facts.uid), |state| {
                            state.apply_pod(facts, &Pod::default());
                        });
                    }
                    Happens::Gone(number) => {
                        let Some(facts) = last.remove(&number) else {
                            continue;
                        };
                        gone[usize::from(number)] += 1;
                        plain.delete_pod(&facts.uid);
                        let gone = GonePod::from(&facts);
                        let key = object("Pod", &gone.uid);
                        queued.delete(key, move |state| state.delete_gone_pod(&gone));
                    }
                }
                let queue = super::lock(&queued.queue);
                let objects = 7 + gone.iter().sum::<usize>();
                prop_assert!(queue.changes.len() <= objects, "one place for each object");
            }
            queued.release();
            let times = !are_nodes_deleted;
            prop_assert_eq!(queued.with(|state| read(state, times)), read(&plain, times));
        }
    }
}
