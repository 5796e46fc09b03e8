//! Reads many things at a time, so that reads that hang delay what their own namespace
//! reads, and nothing else for long.
//!
//! - A read that takes too long is given up.
//! - A free place goes to the namespace that has used the places for the shortest time, in
//!   this call and in those before.
//! - Within a namespace, what was not begun in the call before comes first, and what came
//!   too late comes last.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tokio::time::{Instant, timeout};

/// Time after which it is forgotten how a namespace or a read did.
const MEMORY: Duration = Duration::from_secs(600);

/// Limits of the reads of a call.
#[derive(Clone, Copy, Debug)]
pub struct ReadLimits {
    /// Maximum number of reads at a time.
    pub concurrency: usize,
    /// Maximum number of reads of one namespace at a time.
    pub per_namespace: usize,
    /// Time limit of a read.
    pub read: Duration,
    /// Time after the begin of a call from which on no read is begun.
    pub begin: Duration,
}

/// Why something was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    /// It took too long.
    #[error("no answer within {0:?}")]
    Late(Duration),
    /// It was not begun in time.
    #[error("not asked within {0:?}, since other requests took long: it is asked first next time")]
    NotBegun(Duration),
}

/// Reads things with these keys, call after call.
#[derive(Debug)]
pub struct FairReads {
    limits: ReadLimits,
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
    /// Things that were not read last time, by the hash of their key.
    unread: BTreeMap<u64, (Standing, Instant)>,
}

/// How something did that was not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Standing {
    /// Not begun since this call.
    Waiting(u64),
    /// Nothing is known of it, or it was read.
    Fine,
    /// Begun last in this call, and too late.
    Late(u64),
}

/// The reads of a namespace in a call.
struct Turn<K> {
    waiting: VecDeque<K>,
    running: usize,
    /// Time used in calls before, in microseconds.
    before: i64,
    /// Time used in this call, in microseconds.
    used: i64,
}

impl FairReads {
    /// Creates reads with these limits, of which nothing is known.
    #[must_use]
    pub fn new(limits: ReadLimits) -> Self {
        Self {
            limits,
            hasher: RandomState::new(),
            past: Mutex::default(),
        }
    }

    /// Reads all of these, each with its namespace. Equal keys are read once.
    pub async fn read<'a, K, T, F>(
        &self,
        wanted: impl IntoIterator<Item = (&'a str, K)>,
        read: impl Fn(K) -> F,
    ) -> BTreeMap<K, Result<T, Unread>>
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
                let answer = timeout(limits.read, read(key.clone()));
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
                order.extend(turn.place(namespace, &limits));
            }
            results.insert(key, answer.map_err(|_| Unread::Late(limits.read)));
        }
        for turn in turns.values_mut() {
            let unread = std::mem::take(&mut turn.waiting).into_iter();
            results.extend(unread.map(|key| (key, Err(Unread::NotBegun(limits.begin)))));
        }
        self.remember(&turns, &results);
        results
    }

    /// Returns what each namespace reads, in its order.
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
            let standing = past.unread.get(&self.hasher.hash_one(&key));
            let standing = standing.map_or(Standing::Fine, |(standing, _)| *standing);
            keys.entry(namespace).or_default().insert((standing, key));
        }
        let turns = keys.into_iter().map(|(namespace, keys)| {
            let turn = Turn {
                waiting: keys.into_iter().map(|(_, key)| key).collect(),
                running: 0,
                before: past.used.get(namespace).map_or(0, |(used, _)| *used),
                used: 0,
            };
            (namespace, turn)
        });
        turns.collect()
    }

    /// Notes what became of a call.
    fn remember<K: Hash, T>(
        &self,
        turns: &BTreeMap<&str, Turn<K>>,
        results: &BTreeMap<K, Result<T, Unread>>,
    ) {
        let now = Instant::now();
        let mut past = self.past();
        let call = past.calls;
        for (key, result) in results {
            let hash = self.hasher.hash_one(key);
            let known = past.unread.get(&hash).map(|(standing, _)| *standing);
            let standing = match (result, known) {
                (Ok(_), _) => {
                    past.unread.remove(&hash);
                    continue;
                }
                (Err(Unread::Late(_)), _) => Standing::Late(call),
                (Err(Unread::NotBegun(_)), Some(known)) => known,
                (Err(Unread::NotBegun(_)), None) => Standing::Waiting(call),
            };
            past.unread.insert(hash, (standing, now));
        }
        let read = micros(self.limits.read);
        let all = turns.values().map(|turn| turn.used);
        let all = all.fold(0_i64, i64::saturating_add);
        let mean = all / i64::try_from(turns.len()).unwrap_or(i64::MAX).max(1);
        for (namespace, turn) in turns {
            let used = turn.before.saturating_add(turn.used.saturating_sub(mean));
            // Who hangs a lot is not held back for ever, and nobody saves up more than one
            // read that hangs.
            let used = used.clamp(-read, read.saturating_mul(4));
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
        self.unread.retain(|_, (_, at)| is_fresh(at));
    }
}

impl<K> Turn<K> {
    /// Returns its place among the namespaces that may begin a read. What is running counts
    /// as if it hung. `None` if it may not begin one.
    fn place<'a>(&self, namespace: &'a str, limits: &ReadLimits) -> Option<(i64, &'a str)> {
        if self.waiting.is_empty() || self.running >= limits.per_namespace {
            return None;
        }
        let running = i64::try_from(self.running).unwrap_or(i64::MAX);
        let running = running.saturating_mul(micros(limits.read));
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

    use super::{FairReads, ReadLimits, Unread};

    const LIMITS: ReadLimits = ReadLimits {
        concurrency: 6,
        per_namespace: 4,
        read: Duration::from_millis(400),
        begin: Duration::from_millis(400),
    };

    #[tokio::test]
    async fn no_namespace_takes_more_than_its_share_of_the_places() {
        let reads = FairReads::new(LIMITS);
        let namespaces = ["a", "b", "c"];
        let wanted = namespaces.iter().flat_map(|namespace| {
            let keys = 0..if *namespace == "a" { 40 } else { 5 };
            keys.map(move |number| (*namespace, (*namespace, number)))
        });
        let running = RefCell::new(BTreeMap::<&str, usize>::new());
        let most = RefCell::new(BTreeMap::<&str, usize>::new());
        let read = |(namespace, _): (&'static str, i32)| {
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
        let results = reads.read(wanted, read).await;
        assert_eq!(results.len(), 50);
        assert!(results.values().all(Result::is_ok), "{results:?}");
        let most = most.into_inner();
        assert_eq!((most["all"], most["a"]), (6, 4));
        assert!(most["b"] <= 4 && most["c"] <= 4, "{most:?}");
    }

    #[tokio::test]
    async fn what_was_not_begun_comes_first_and_what_came_too_late_last() {
        let limits = ReadLimits {
            concurrency: 1,
            ..LIMITS
        };
        let reads = FairReads::new(limits);
        let begun = RefCell::new(Vec::new());
        let call = async |hangs: u32| {
            let read = |key: u32| {
                begun.borrow_mut().push(key);
                async move {
                    if key == hangs {
                        std::future::pending::<()>().await;
                    }
                }
            };
            let results = reads.read((0..4).map(|key| ("a", key)), read).await;
            (results, begun.take())
        };
        let (results, begun) = call(1).await;
        assert_eq!(begun, [0, 1]);
        assert_eq!(results[&0], Ok(()));
        assert_eq!(results[&1], Err(Unread::Late(limits.read)));
        assert_eq!(results[&2], Err(Unread::NotBegun(limits.begin)));
        assert_eq!(call(1).await.1, [2, 3, 0, 1]);
        // It hangs no more.
        assert_eq!(call(9).await.1, [0, 2, 3, 1]);
        assert_eq!(call(9).await.1, [0, 1, 2, 3]);
    }

    #[tokio::test]
    async fn a_place_goes_to_the_namespace_that_has_used_them_least() {
        // No second read follows one that hangs.
        let limits = ReadLimits {
            begin: LIMITS.read / 2,
            concurrency: 4,
            ..LIMITS
        };
        let reads = FairReads::new(limits);
        // Six namespaces hang; the last one in order does not.
        let namespaces = ["a", "b", "c", "d", "e", "f", "z"];
        let wanted = || namespaces.map(|name| (name, name));
        let read = |name: &'static str| async move {
            if name != "z" {
                std::future::pending::<()>().await;
            }
        };
        let first = reads.read(wanted(), read).await;
        assert!(first["z"].is_err(), "{first:?}");
        for call in 0..4 {
            let results = reads.read(wanted(), read).await;
            assert!(results["z"].is_ok(), "call {call}: {results:?}");
        }
    }
}
