//! Fuel of a tick: a policy that takes long for the objects of one namespace keeps those of
//! others from nothing.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flyball_decision::replay::{Replay, replay};
use flyball_replicas::record::DecisionRecord;
use flyball_report::document::Documented as _;
use flyball_test_support::cases;
use proptest::prelude::*;
use serde_json::json;

use crate::to;
use crate::world::{Policy, World, policy};

fn slow(fuel: u64) -> Policy {
    policy("slow", |_, _| Ok(to(5))).fuel(fuel)
}

fn uses_slow() -> serde_json::Value {
    json!({ "policies": [{ "name": "slow" }] })
}

/// A world with a budget of 10 units a tick.
fn world(policies: impl IntoIterator<Item = Policy>) -> World {
    let mut world = World::new(policies);
    world.options(|options| options.policy_tick_fuel = NonZero::new(10).unwrap());
    world
}

/// Returns the objects that were decided since the record `from`.
fn decided(world: &World, from: usize) -> Vec<String> {
    let records = world.records();
    records[from..]
        .iter()
        .map(|record| record.object.name.to_string())
        .collect()
}

#[test]
fn what_is_over_the_budget_comes_first_in_the_next_tick() {
    let mut world = world([slow(6), policy("hpa", |_, _| Ok(to(4))).fuel(6)]);
    for name in ["n0", "n1", "n2", "n3", "n4"] {
        world.add_in("noisy", name, uses_slow());
    }
    // Another policy in that namespace, and the same one in another.
    world.add_in("noisy", "other", json!({}));
    world.add_in("calm", "z", uses_slow());
    let observed = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&observed);
    world.observe(move |_, _| {
        counter.fetch_add(1, Ordering::Relaxed);
    });

    assert_eq!(world.tick(0), 0, "the rest follows at once");
    assert_eq!(decided(&world, 0), ["n0", "n1", "other", "z"]);
    assert_eq!((world.replicas("z"), world.replicas("n2")), (5, 3));
    assert_eq!(
        observed.swap(0, Ordering::Relaxed),
        7,
        "nothing is known yet"
    );
    // One that comes now and is before them in the list comes after them.
    world.add_in("noisy", "m", uses_slow());
    assert_eq!(world.tick(0), 0);
    assert_eq!(decided(&world, 4), ["n2", "n3"]);
    assert_eq!(observed.load(Ordering::Relaxed), 2, "none in vain");
    assert_eq!(world.tick(0), 15_000);
    assert_eq!(decided(&world, 6), ["n4", "m"]);

    let since = |record: &Arc<DecisionRecord>| record.put_off_since.map(|at| at.0);
    let waited: Vec<_> = world.records().iter().map(since).collect();
    assert_eq!(
        waited,
        [None, None, None, None, Some(0), Some(0), Some(0), Some(0)]
    );
    for record in world.records() {
        let line = serde_json::to_string(&record).unwrap();
        let read = serde_json::from_str::<DecisionRecord>(&line).unwrap();
        assert_eq!(read, *record);
        let name = &record.policies[0].name;
        assert_eq!(replay(&read, |_| Some(world.policy(name))), Replay::Same);
    }
    assert!(
        !world
            .events("n2")
            .iter()
            .any(|event| event.contains("PutOff"))
    );
}

#[test]
fn an_object_that_is_late_says_why() {
    let mut world = world([slow(20)]);
    for name in ["n0", "n1"] {
        world.add_in("noisy", name, uses_slow());
    }
    world.tick(0);
    // As if the first decision had taken longer than a sync period.
    world.tick(15_000);
    let events = world.events("n1");
    assert!(
        events
            .iter()
            .any(|event| event.starts_with("DecisionPutOff: ")),
        "{events:?}"
    );
    assert_eq!(world.events("n0").len(), 1);
    let record = world
        .records()
        .into_iter()
        .find(|record| *record.object.name == *"n1");
    let text = record.unwrap().document().to_string();
    let line = "put off: other objects of namespace noisy had used up the fuel, rows or bytes of";
    assert!(text.contains(line), "{text}");
}

#[test]
fn versions_before_and_fallbacks_count_as_well() {
    use flyball_decision::policy::PolicyFailure::Trapped;
    let fails = |digest: &str| {
        let trap = policy("slow", |_, _| Err(Trapped("unreachable".to_owned())));
        trap.digest(digest).fuel(2)
    };
    let newest = fails("third").after([fails("second"), slow(6).digest("first")]);
    let mut world = world([newest]);
    for name in ["n0", "n1"] {
        world.add_in("noisy", name, uses_slow());
    }
    assert_eq!(world.tick(0), 0);
    assert_eq!(decided(&world, 0), ["n0"]);
}

/// An object of a namespace: how much fuel its decisions take.
fn objects() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(prop_oneof![Just(1_u64), Just(4), Just(30)], 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    /// Whatever the policies of one namespace take, the objects of another are decided in the
    /// same tick, and in the same way, as if they were alone.
    #[test]
    fn what_a_namespace_takes_keeps_no_other_waiting(
        noisy in objects(),
        calm in objects(),
        ticks in prop::collection::vec(0_i64..20_000, 1..12),
    ) {
        let run = |noisy: &[u64]| {
            let asks = |fuel: u64| {
                let name = format!("takes-{fuel}");
                policy(&name, |_, input| Ok(to(i64::from(input.current_replicas) + 1))).fuel(fuel)
            };
            let mut world = world([1, 4, 30].map(asks));
            for (namespace, objects) in [("noisy", noisy), ("quiet", &*calm)] {
                for (row, fuel) in objects.iter().enumerate() {
                    let uses = json!({ "policies": [{ "name": format!("takes-{fuel}") }] });
                    world.add_in(namespace, &format!("{namespace}-{row}"), uses);
                }
            }
            let mut now = 0;
            let mut seen = 0;
            let mut decided = Vec::new();
            for after in &ticks {
                now += after;
                world.tick(now);
                let records = world.records();
                let quiet = records[seen..].iter().filter(|r| *r.object.namespace == *"quiet");
                decided.push(quiet.map(|r| (r.object.name.to_string(), r.verdict.to)).collect::<Vec<_>>());
                seen = records.len();
            }
            decided
        };
        prop_assert_eq!(run(&noisy), run(&[]));
    }
}
