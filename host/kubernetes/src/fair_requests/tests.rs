//! Whose requests are sent when, and that no namespace keeps others waiting for long.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::time::Duration;

use flyball_test_support::cases;
use proptest::collection::vec;
use proptest::prelude::*;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep, sleep_until};

use super::{FairRequests, RequestLimits, Undone};

const LIMITS: RequestLimits = RequestLimits {
    concurrency: 6,
    per_namespace: 4,
    request: Duration::from_millis(400),
    begin: Duration::from_millis(400),
    weight: 100,
    weight_of_all: usize::MAX,
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
async fn large_results_of_others_are_waited_for_once() {
    let limits = RequestLimits {
        concurrency: 2,
        per_namespace: 1,
        weight_of_all: 300,
        ..LIMITS
    };
    let requests = FairRequests::new(limits);
    // In the first call, others have what all may have before the last one's turn.
    let namespaces = ["a", "b", "c", "d", "e", "z"];
    let wanted = || namespaces.into_iter().map(|name| (name, name));
    let send = |name: &'static str| async move { name };
    let weight = |name: &&str| if *name == "z" { 1 } else { 100 };
    let results = requests.send(wanted(), send, weight).await;
    assert_eq!(results["z"], Err(Undone::NoRoomForAll), "{results:?}");
    for call in 0..4 {
        let results = requests.send(wanted(), send, weight).await;
        assert_eq!(results["z"], Ok("z"), "call {call}: {results:?}");
        let done = results.values().filter(|result| result.is_ok()).count();
        assert!(done < 6, "call {call}: all {done} fit");
    }
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

/// Limits of the metrics APIs, but for weights.
const METRICS: RequestLimits = RequestLimits {
    concurrency: 16,
    per_namespace: 4,
    request: Duration::from_secs(2),
    begin: Duration::from_secs(8),
    weight: usize::MAX,
    weight_of_all: usize::MAX,
};

/// Time between the begins of two calls.
const SYNC_PERIOD: Duration = Duration::from_secs(15);

/// Number of calls in which tenants hang and fail.
const CALLS: u32 = 6;

/// Namespaces that are innocent: the first, one in the middle and the last.
const INNOCENT: [&str; 3] = ["a", "tenant-050-a", "z"];

/// What a request does.
#[derive(Clone, Copy, Debug)]
enum Conduct {
    /// It is answered after so many milliseconds.
    Answered(u64),
    /// It fails after so many milliseconds.
    Failing(u64),
    Hanging,
}

impl Conduct {
    /// Returns whether it succeeded.
    async fn play(self) -> bool {
        let (time, succeeds) = match self {
            Self::Answered(time) => (time, true),
            Self::Failing(time) => (time, false),
            Self::Hanging => std::future::pending().await,
        };
        if time > 0 {
            sleep(Duration::from_millis(time)).await;
        }
        succeeds
    }
}

/// A namespace whose requests hang or fail.
#[derive(Clone, Debug)]
struct Tenant {
    requests: Vec<Conduct>,
    /// A bit for each call in which all of them are answered at once.
    idle: u8,
}

fn conduct() -> impl Strategy<Value = Conduct> {
    prop_oneof![
        2 => (0..20_u64).prop_map(Conduct::Answered),
        3 => (20..2_000_u64).prop_map(Conduct::Answered),
        2 => (0..2_000_u64).prop_map(Conduct::Failing),
        4 => Just(Conduct::Hanging),
    ]
}

fn tenant() -> impl Strategy<Value = Tenant> {
    let requests = prop_oneof![vec(Just(Conduct::Hanging), 1..9), vec(conduct(), 1..9)];
    let idle = prop_oneof![3 => Just(0_u8), 1 => any::<u8>()];
    (requests, idle).prop_map(|(requests, idle)| Tenant { requests, idle })
}

fn tenants() -> impl Strategy<Value = Vec<Tenant>> {
    prop_oneof![vec(tenant(), 100_usize), vec(tenant(), 0..100_usize)]
}

/// The times of the requests of each innocent namespace, in milliseconds.
fn innocent() -> impl Strategy<Value = Vec<Vec<u64>>> {
    vec(vec(0..=100_u64, 1..4), INNOCENT.len())
}

/// Namespace and number of a request.
type Key<'a> = (&'a str, usize);

/// Returns the requests of a call. Without the number of an attack's call, each tenant has one,
/// which is answered at once.
fn conducts<'a>(
    tenants: &'a [(String, Tenant)],
    innocent: &[Vec<u64>],
    attack: Option<u32>,
) -> BTreeMap<Key<'a>, Conduct> {
    let mut conducts = BTreeMap::new();
    for (name, tenant) in tenants {
        let is_idle = attack.is_none_or(|call| (tenant.idle >> call) & 1 == 1);
        let most = if attack.is_some() { usize::MAX } else { 1 };
        for (number, conduct) in tenant.requests.iter().take(most).enumerate() {
            let conduct = if is_idle {
                Conduct::Answered(0)
            } else {
                *conduct
            };
            conducts.insert((&**name, number), conduct);
        }
    }
    for (name, times) in INNOCENT.into_iter().zip(innocent) {
        for (number, time) in times.iter().enumerate() {
            conducts.insert((name, number), Conduct::Answered(*time));
        }
    }
    conducts
}

/// The places that are taken, and the most that were, of all and of one namespace.
#[derive(Default)]
struct Places<'a> {
    taken: RefCell<BTreeMap<&'a str, usize>>,
    most: Cell<(usize, usize)>,
}

/// A place, which is free again when it is dropped.
struct Place<'p, 'a> {
    places: &'p Places<'a>,
    namespace: &'a str,
}

impl<'a> Places<'a> {
    fn take(&self, namespace: &'a str) -> Place<'_, 'a> {
        let mut taken = self.taken.borrow_mut();
        *taken.entry(namespace).or_default() += 1;
        let (all, of_one) = self.most.get();
        let all = all.max(taken.values().sum());
        self.most.set((all, of_one.max(taken[namespace])));
        Place {
            places: self,
            namespace,
        }
    }
}

impl Drop for Place<'_, '_> {
    fn drop(&mut self) {
        let mut taken = self.places.taken.borrow_mut();
        *taken.entry(self.namespace).or_default() -= 1;
    }
}

/// Makes calls, at first without an attack.
async fn play<'a>(tenants: &'a [(String, Tenant)], innocent: &[Vec<u64>], quiet: u32) {
    let requests = FairRequests::new(METRICS);
    // In how many calls, one after the other, a request was not answered.
    let mut missed = BTreeMap::<Key<'a>, u32>::new();
    for call in 0..quiet + CALLS {
        let begin = Instant::now();
        let conducts = conducts(tenants, innocent, call.checked_sub(quiet));
        let places = Places::default();
        let wanted = conducts.keys().map(|key| (key.0, *key));
        let send = |key: Key<'a>| {
            let (place, conduct) = (places.take(key.0), conducts[&key]);
            async move {
                let _place = place;
                conduct.play().await
            }
        };
        let answers = requests.send(wanted, send, |_| 0).await;
        let (all, of_one) = places.most.get();
        assert!(all <= METRICS.concurrency, "{all} requests at a time");
        assert!(of_one <= METRICS.per_namespace, "{of_one} of a namespace");
        assert!(begin.elapsed() < SYNC_PERIOD, "call {call} is late");
        for (key, answer) in answers {
            if !INNOCENT.contains(&key.0) {
                continue;
            }
            let missed = missed.entry(key).or_default();
            *missed = if answer == Ok(true) { 0 } else { *missed + 1 };
            assert!(*missed < 2, "call {call}: {key:?}: {answer:?} again");
        }
        sleep_until(begin + SYNC_PERIOD).await;
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(48)))]

    /// Also if the innocent ones used more than others while nobody was kept waiting.
    #[test]
    fn an_innocent_request_is_answered_within_two_periods_whatever_others_do(
        tenants in tenants(), innocent in innocent(), quiet in 0..90_u32,
    ) {
        let named = tenants.into_iter().enumerate();
        let tenants: Vec<_> = named.map(|(n, tenant)| (format!("tenant-{n:03}"), tenant)).collect();
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
        runtime.unwrap().block_on(play(&tenants, &innocent, quiet));
    }
}
