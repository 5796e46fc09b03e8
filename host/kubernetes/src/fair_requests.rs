//! Sends many requests at a time, so that requests that hang delay others of their own
//! namespace, and nothing else for long.
//!
//! - A request that takes too long is given up.
//! - A free place goes to the namespace that has used the places for the shortest time, in
//!   this call and in those before.
//! - Within a namespace, what was not begun in the call before comes first, and what came
//!   too late comes last.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher as _, Hash, Hasher, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use flyball_decision::key::ObjectKey;
use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

/// Time after which it is forgotten how a namespace or a request did.
const MEMORY: Duration = Duration::from_secs(600);

/// Limits of the requests of a call.
#[derive(Clone, Copy, Debug)]
pub struct RequestLimits {
    /// Maximum number of requests at a time.
    pub concurrency: usize,
    /// Maximum number of requests of one namespace at a time.
    pub per_namespace: usize,
    /// Time limit of a request.
    pub request: Duration,
    /// Time after the begin of a call from which on no request is begun.
    pub begin: Duration,
    /// Weight of the results of a namespace above which it begins no request in a call.
    pub weight: usize,
}

/// Why a request has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The results before weigh too much.
    #[error(
        "not sent, since the other answers for the namespace are too large together: it is sent \
         first next time"
    )]
    NoRoom,
    /// It was not begun in time.
    #[error("not sent within {0:?}, since other requests took long: it is sent first next time")]
    NotBegun(Duration),
}

/// Sends requests, call after call.
#[derive(Debug)]
pub struct FairRequests {
    limits: RequestLimits,
    /// Its keys are of this process, so that nobody can choose names that collide.
    hasher: RandomState,
    past: Mutex<Past>,
}

/// What is known of the calls before.
#[derive(Debug, Default)]
struct Past {
    /// Number of calls.
    calls: u64,
    /// Time for which a namespace used the places, less an equal part of what all used, in
    /// microseconds.
    used: BTreeMap<String, (i64, Instant)>,
    /// Requests without a result last time, by the hash of their key.
    undone: BTreeMap<u64, (Standing, Instant)>,
}

/// How a request without a result did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Not begun since this call.
    Waiting(u64),
    /// Nothing is known of it, or it had a result.
    Fine,
    /// Begun last in this call, and too late.
    Late(u64),
}

/// The requests of a namespace in a call.
struct Turn<K> {
    waiting: VecDeque<K>,
    running: usize,
    /// Time used in calls before, in microseconds.
    before: i64,
    /// Time used in this call, in microseconds.
    used: i64,
    /// Weight of the results so far.
    weight: usize,
}

impl FairRequests {
    /// Limits requests, of which nothing is known yet.
    #[must_use]
    pub fn new(limits: RequestLimits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            past: Mutex::default(),
        }
    }

    /// Sends all of these, each with its namespace. Equal keys are sent once. `weight`
    /// is about the memory that a result takes.
    pub async fn send<'a, K, T, F>(
        &self,
        wanted: impl IntoIterator<Item = (&'a str, K)>,
        send: impl Fn(K) -> F,
        weight: impl Fn(&T) -> usize,
    ) -> BTreeMap<K, Result<T, Undone>>
    where
        K: Ord + Hash + Clone,
        F: Future<Output = T>,
    {
        let limits = self.limits;
        let begin = Instant::now();
        let mut turns = self.turns(begin, wanted);
        let mut order: BTreeSet<(i64, &str)> = turns
            .iter()
            .filter_map(|(namespace, turn)| turn.place(namespace, &limits))
            .collect();
        let mut results = BTreeMap::new();
        let mut running = FuturesUnordered::new();
        loop {
            while running.len() < limits.concurrency
                && begin.elapsed() < limits.begin
                && let Some((_, namespace)) = order.pop_first()
                && let Some(turn) = turns.get_mut(namespace)
                && let Some(key) = turn.waiting.pop_front()
            {
                turn.running += 1;
                order.extend(turn.place(namespace, &limits));
                let answer = timeout(limits.request, send(key.clone()));
                let started = Instant::now();
                running.push(async move { (namespace, key, answer.await, started.elapsed()) });
            }
            let Some((namespace, key, answer, time)) = running.next().await else {
                break;
            };
            if let Some(turn) = turns.get_mut(namespace) {
                if let Some(place) = turn.place(namespace, &limits) {
                    order.remove(&place);
                }
                turn.running -= 1;
                turn.used = turn.used.saturating_add(micros(time));
                turn.weight = turn
                    .weight
                    .saturating_add(answer.as_ref().map_or(0, &weight));
                order.extend(turn.place(namespace, &limits));
            }
            results.insert(key, answer.map_err(|_| Undone::Late(limits.request)));
        }
        for turn in turns.values_mut() {
            let undone = std::mem::take(&mut turn.waiting).into_iter();
            let reason = if turn.weight > limits.weight {
                Undone::NoRoom
            } else {
                Undone::NotBegun(limits.begin)
            };
            results.extend(undone.map(|key| (key, Err(reason))));
        }
        self.remember(&turns, &results);
        results
    }

    /// Sends a request for each of these objects, as [`Self::send`] does. Results are at the
    /// index of their object.
    pub(crate) async fn send_each<'a, O, T, F>(
        &self,
        objects: &'a [O],
        key: impl Fn(&'a O) -> &'a ObjectKey,
        send: impl Fn(&'a O) -> F,
        weight: impl Fn(&T) -> usize,
    ) -> Vec<Result<T, Undone>>
    where
        F: Future<Output = T>,
    {
        let keyed = |object| Keyed {
            key: key(object),
            object,
        };
        let wanted = objects.iter().map(keyed);
        let wanted = wanted.map(|keyed| (&*keyed.key.namespace, keyed));
        let send = |keyed: Keyed<'a, O>| send(keyed.object);
        let mut results = self.send(wanted, send, weight).await;
        let not_sent = Undone::NotBegun(self.limits.begin);
        let result = |object| results.remove(&keyed(object)).unwrap_or(Err(not_sent));
        objects.iter().map(result).collect()
    }

    /// Returns the requests of each namespace, in their order.
    fn turns<'a, K: Ord + Hash>(
        &self,
        now: Instant,
        wanted: impl IntoIterator<Item = (&'a str, K)>,
    ) -> BTreeMap<&'a str, Turn<K>> {
        let mut past = self.past();
        past.calls += 1;
        past.forget(now);
        let mut keys: BTreeMap<&str, BTreeSet<(Standing, K)>> = BTreeMap::new();
        for (namespace, key) in wanted {
            let standing = past.undone.get(&self.hasher.hash_one(&key));
            let standing = standing.map_or(Standing::Fine, |(standing, _)| *standing);
            keys.entry(namespace).or_default().insert((standing, key));
        }
        let turns = keys.into_iter().map(|(namespace, keys)| {
            let turn = Turn {
                waiting: keys.into_iter().map(|(_, key)| key).collect(),
                running: 0,
                before: past.used.get(namespace).map_or(0, |(used, _)| *used),
                used: 0,
                weight: 0,
            };
            (namespace, turn)
        });
        turns.collect()
    }

    /// Notes what became of a call.
    fn remember<K: Hash, T>(
        &self,
        turns: &BTreeMap<&str, Turn<K>>,
        results: &BTreeMap<K, Result<T, Undone>>,
    ) {
        let now = Instant::now();
        let mut past = self.past();
        let call = past.calls;
        for (key, result) in results {
            let hash = self.hasher.hash_one(key);
            let known = past.undone.get(&hash).map(|(standing, _)| *standing);
            let standing = match (result, known) {
                (Ok(_), _) => {
                    past.undone.remove(&hash);
                    continue;
                }
                (Err(Undone::Late(_)), _) => Standing::Late(call),
                // It would be late again only if it hangs, which takes no room.
                (Err(Undone::NoRoom), Some(Standing::Late(_))) => Standing::Waiting(call),
                (Err(Undone::NotBegun(_) | Undone::NoRoom), Some(known)) => known,
                (Err(Undone::NotBegun(_) | Undone::NoRoom), None) => Standing::Waiting(call),
            };
            past.undone.insert(hash, (standing, now));
        }
        let longest = micros(self.limits.request);
        let all = turns.values().map(|turn| turn.used);
        let all = all.fold(0_i64, i64::saturating_add);
        let mean = all / i64::try_from(turns.len()).unwrap_or(i64::MAX).max(1);
        for (namespace, turn) in turns {
            let used = turn.before.saturating_add(turn.used.saturating_sub(mean));
            // Who hangs a lot is not held back for ever, and nobody saves up more than one
            // request that hangs.
            let used = used.clamp(-longest, longest.saturating_mul(4));
            past.used.insert((*namespace).to_owned(), (used, now));
        }
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        self.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Past {
    fn forget(&mut self, now: Instant) {
        let is_fresh = |at: &Instant| now.duration_since(*at) < MEMORY;
        self.used.retain(|_, (_, at)| is_fresh(at));
        self.undone.retain(|_, (_, at)| is_fresh(at));
    }
}

/// An object that is identified by its key alone.
struct Keyed<'a, O> {
    key: &'a ObjectKey,
    object: &'a O,
}

impl<O> Clone for Keyed<'_, O> {
    fn clone(&self) -> Self {
        Self { ..*self }
    }
}

impl<O> PartialEq for Keyed<'_, O> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<O> Eq for Keyed<'_, O> {}

impl<O> PartialOrd for Keyed<'_, O> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<O> Ord for Keyed<'_, O> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key.cmp(other.key)
    }
}

impl<O> Hash for Keyed<'_, O> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl<K> Turn<K> {
    /// Returns its place among the namespaces that may begin a request. What is running counts
    /// as if it hung. `None` if it may not begin one.
    fn place<'a>(&self, namespace: &'a str, limits: &RequestLimits) -> Option<(i64, &'a str)> {
        let is_full = self.running >= limits.per_namespace || self.weight > limits.weight;
        if self.waiting.is_empty() || is_full {
            return None;
        }
        let running = i64::try_from(self.running).unwrap_or(i64::MAX);
        let running = running.saturating_mul(micros(limits.request));
        let used = self.before.saturating_add(self.used);
        Some((used.saturating_add(running), namespace))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::{FairRequests, RequestLimits, Undone};

    const LIMITS: RequestLimits = RequestLimits {
        concurrency: 6,
        per_namespace: 4,
        request: Duration::from_millis(400),
        begin: Duration::from_millis(400),
        weight: 100,
    };

    #[tokio::test]
    async fn no_namespace_takes_more_than_its_share_of_the_places() {
        let requests = FairRequests::new(LIMITS);
        let namespaces = ["a", "b", "c"];
        let wanted = namespaces.iter().flat_map(|namespace| {
            let keys = 0..if *namespace == "a" { 40 } else { 5 };
            keys.map(move |number| (*namespace, (*namespace, number)))
        });
        let running = RefCell::new(BTreeMap::<&str, usize>::new());
        let most = RefCell::new(BTreeMap::<&str, usize>::new());
        let send = |(namespace, _): (&'static str, i32)| {
            let (running, most) = (&running, &most);
            async move {
                *running.borrow_mut().entry(namespace).or_default() += 1;
                for (name, now) in [
                    (namespace, running.borrow()[namespace]),
                    ("all", running.borrow().values().sum()),
                ] {
                    let mut most = most.borrow_mut();
                    let most = most.entry(name).or_default();
                    *most = now.max(*most);
                }
                tokio::task::yield_now().await;
                *running.borrow_mut().entry(namespace).or_default() -= 1;
            }
        };
        let results = requests.send(wanted, send, |()| 0).await;
        assert_eq!(results.len(), 50);
        assert!(results.values().all(Result::is_ok), "{results:?}");
        let most = most.into_inner();
        assert_eq!((most["all"], most["a"]), (6, 4));
        assert!(most["b"] <= 4 && most["c"] <= 4, "{most:?}");
    }

    #[tokio::test]
    async fn what_was_not_begun_comes_first_and_what_came_too_late_last() {
        let limits = RequestLimits {
            concurrency: 1,
            ..LIMITS
        };
        let requests = FairRequests::new(limits);
        let begun = RefCell::new(Vec::new());
        let call = async |hangs: u32| {
            let send = |key: u32| {
                begun.borrow_mut().push(key);
                async move {
                    if key == hangs {
                        std::future::pending::<()>().await;
                    }
                }
            };
            let results = requests.send((0..4).map(|key| ("a", key)), send, |()| 0);
            let results = results.await;
            (results, begun.take())
        };
        let (results, begun) = call(1).await;
        assert_eq!(begun, [0, 1]);
        assert_eq!(results[&0], Ok(()));
        assert_eq!(results[&1], Err(Undone::Late(limits.request)));
        assert_eq!(results[&2], Err(Undone::NotBegun(limits.begin)));
        assert_eq!(call(1).await.1, [2, 3, 0, 1]);
        // It hangs no more.
        assert_eq!(call(9).await.1, [0, 2, 3, 1]);
        assert_eq!(call(9).await.1, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn large_results_leave_the_rest_of_their_namespace_to_the_next_call() {
        let limits = RequestLimits {
            concurrency: 2,
            per_namespace: 1,
            ..LIMITS
        };
        let requests = FairRequests::new(limits);
        let wanted = || [("a", 0), ("a", 1), ("a", 2), ("b", 3), ("b", 4)];
        let send = |key: u32| async move { key };
        let weight = |key: &u32| if *key < 3 { 60 } else { 1 };
        let results = requests.send(wanted(), send, weight).await;
        let undone = Err(Undone::NoRoom);
        assert_eq!(results[&2], undone);
        assert_eq!(results.values().filter(|result| result.is_ok()).count(), 4);
        let results = requests.send(wanted(), send, weight).await;
        assert_eq!((results[&2], results[&1]), (Ok(2), undone));

        // One that came too late does not wait for ever behind those that are large.
        let slow = |key: u32| async move {
            if key == 1 {
                std::future::pending::<()>().await;
            }
            key
        };
        let results = requests.send(wanted(), slow, weight).await;
        assert_eq!(results[&1], Err(Undone::Late(limits.request)));
        let results = requests.send(wanted(), send, weight).await;
        assert_eq!(results[&1], undone);
        let results = requests.send(wanted(), send, weight).await;
        assert_eq!(results[&1], Ok(1));
    }

    #[tokio::test]
    async fn a_place_goes_to_the_namespace_that_has_used_them_least() {
        // No second request follows one that hangs.
        let limits = RequestLimits {
            begin: LIMITS.request / 2,
            concurrency: 4,
            ..LIMITS
        };
        let requests = FairRequests::new(limits);
        // Six namespaces hang; the last one in order does not.
        let namespaces = ["a", "b", "c", "d", "e", "f", "z"];
        let wanted = || namespaces.map(|name| (name, name));
        let send = |name: &'static str| async move {
            if name != "z" {
                std::future::pending::<()>().await;
            }
        };
        let first = requests.send(wanted(), send, |()| 0).await;
        assert!(first["z"].is_err(), "{first:?}");
        for call in 0..4 {
            let results = requests.send(wanted(), send, |()| 0).await;
            assert!(results["z"].is_ok(), "call {call}: {results:?}");
        }
    }
}
