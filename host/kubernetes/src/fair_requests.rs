//! Sends many requests at a time, so that requests that hang delay others of their own
//! namespace, and nothing else for long.
//!
//! - A request that takes too long is given up.
//! - A free place goes to the namespace that has used the places for the shortest time, in
//!   this call and in those before it. Results that weigh a lot count as time too. After a
//!   call in which all requests were begun, nobody owes anything: what was used while there
//!   was room for everybody kept nobody waiting.
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
    /// Weight of the results of a namespace above which it begins no request in a call. So
    /// much weight counts as the time of a request that hangs.
    pub weight: usize,
    /// Weight of the results of all namespaces above which no request is begun in a call.
    pub weight_of_all: usize,
}

/// Why a request has no result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Undone {
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// The results of its namespace before weigh too much.
    #[error(
        "not sent, since the other answers for the namespace are too large together: it is sent \
         first next time"
    )]
    NoRoom,
    /// The results of all namespaces before weigh too much.
    #[error(
        "not sent, since the answers for other namespaces are too large together: it is sent \
         first next time"
    )]
    NoRoomForAll,
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
    /// microseconds. None of it counts after a call in which all requests were begun.
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
    /// Time used in this call, and what counts as such for the weight, in microseconds.
    used: i64,
    /// Weight of the results so far.
    weight: usize,
}

impl RequestLimits {
    /// Returns the time as which a weight counts, in microseconds.
    fn time_of(&self, weight: usize) -> i64 {
        let weight = i64::try_from(weight).unwrap_or(i64::MAX);
        let limit = i64::try_from(self.weight).unwrap_or(i64::MAX).max(1);
        micros(self.request).saturating_mul(weight) / limit
    }
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
        let mut weight_of_all = 0_usize;
        loop {
            while running.len() < limits.concurrency
                && weight_of_all <= limits.weight_of_all
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
                let weight = answer.as_ref().map_or(0, &weight);
                weight_of_all = weight_of_all.saturating_add(weight);
                turn.running -= 1;
                turn.weight = turn.weight.saturating_add(weight);
                let used = micros(time).saturating_add(limits.time_of(weight));
                turn.used = turn.used.saturating_add(used);
                order.extend(turn.place(namespace, &limits));
            }
            results.insert(key, answer.map_err(|_| Undone::Late(limits.request)));
        }
        for turn in turns.values_mut() {
            let undone = std::mem::take(&mut turn.waiting).into_iter();
            let reason = if turn.weight > limits.weight {
                Undone::NoRoom
            } else if weight_of_all > limits.weight_of_all {
                Undone::NoRoomForAll
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
                (Err(_), Some(known)) => known,
                (Err(_), None) => Standing::Waiting(call),
            };
            past.undone.insert(hash, (standing, now));
        }
        let is_left = |result: &Result<T, Undone>| {
            matches!(result, Err(Undone::NotBegun(_) | Undone::NoRoomForAll))
        };
        if !results.values().any(is_left) {
            past.used
                .retain(|namespace, _| !turns.contains_key(&**namespace));
            return;
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
mod tests;
