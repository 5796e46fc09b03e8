//! What the objects of a namespace and their policy do to the objects of others.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::policy::{Budget, PolicyEngine as _, PolicyFailure, PolicyUser, kind};
use flyball_decision::replica::{ReplicaInput, Target};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{
    DEFAULT_BUDGET, Engine, EngineOptions, PolicyEvent, Registry, RegistryOptions,
};
use flyball_test_support::cases;
use proptest::prelude::*;

use crate::guest::Guest;

/// Decides, or misbehaves in a way that its seed chooses: it traps, loops, logs without end,
/// wants all memory there is, or answers with what is no text.
fn fickle() -> Guest {
    let when = |seed: u32, then: &str| {
        let is_chosen =
            format!("(i64.eq (i64.load offset=8 (local.get $arguments)) (i64.const {seed}))");
        format!("(if {is_chosen} (then {then}))")
    };
    let cases = [
        "(unreachable)",
        "(loop (br 0))",
        "(loop $again (call $log (i32.const 3) (i32.const 0) (i32.const 5000)) (br $again))",
        "(loop $again (drop (memory.grow (i32.const 1))) (br $again))",
        "(i32.store (i32.const 236) (i32.const 0x7fffffff))",
    ];
    let cases = (2..).zip(cases).map(|(seed, then)| when(seed, then));
    Guest {
        decide: cases.collect(),
        ..Guest::default()
    }
}

/// A question about an object.
#[derive(Clone, Debug)]
struct Step {
    namespace: &'static str,
    object: u32,
    /// 0 and 1: it behaves; from 2 on, it misbehaves.
    seed: u64,
    /// Milliseconds since the step before.
    after: i64,
}

struct World {
    registry: Registry,
    now: i64,
}

impl World {
    /// Creates a registry of `fickle` alone, which each of these objects uses.
    fn new(engine: &Engine, bytes: &[u8], users: &[(&str, u32)]) -> Self {
        let budget = Budget {
            fuel_base: 50_000,
            memory_bytes: 1 << 20,
            ..DEFAULT_BUDGET
        };
        let options = RegistryOptions {
            budgets: BTreeMap::from([("fickle".to_owned(), budget)]),
            ..RegistryOptions::default()
        };
        let registry = Registry::open(engine, options, &[("fickle", bytes)]).unwrap();
        let user = |&(namespace, object): &(&str, u32)| PolicyUser {
            object: target(namespace, object).to_string(),
            namespace: namespace.into(),
            is_asked: true,
        };
        let users = users.iter().map(user).collect();
        registry.set_policy_users(BTreeMap::from([("fickle".to_owned(), users)]));
        Self { registry, now: 0 }
    }

    fn take(&mut self, step: &Step) -> Result<Option<i64>, PolicyFailure> {
        self.now += step.after;
        let context = Context {
            now: Timestamp(self.now),
            seed: step.seed,
            ..Context::default()
        };
        let input = ReplicaInput {
            target: Arc::new(target(step.namespace, step.object)),
            ..ReplicaInput::default()
        };
        let policy = self.registry.policy(kind::REPLICA, "fickle").unwrap();
        policy
            .decide(&context, &input)
            .answer
            .map(|decision| decision.replicas)
    }
}

fn target(namespace: &str, object: u32) -> Target {
    Target {
        kind: "Deployment".into(),
        namespace: namespace.into(),
        name: format!("web-{object}"),
        ..Target::default()
    }
}

fn engine(home: &tempfile::TempDir) -> Engine {
    // Compiled once.
    let options = EngineOptions {
        cache_directory: Some(home.path().join("compiled")),
        ..EngineOptions::default()
    };
    Engine::new(&options).unwrap()
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let seed = prop_oneof![2 => Just(1_u64), 3 => 2_u64..7];
    let step = (prop::bool::weighted(0.7), 0_u32..8, seed, 0_i64..20_000);
    let step = step.prop_map(|(is_noisy, object, seed, after)| Step {
        namespace: if is_noisy { "noisy" } else { "calm" },
        object,
        seed,
        after,
    });
    prop::collection::vec(step, 0..200)
}

/// Whatever is asked in one namespace, and however the policy answers there, another
/// namespace gets the answers that it gets alone, as long as the policy is not quarantined
/// for all. It never is, because a third namespace uses it that is never asked.
#[test]
fn what_happens_in_a_namespace_does_not_change_anothers_answers() {
    let home = tempfile::tempdir().unwrap();
    let (engine, bytes) = (engine(&home), fickle().build());
    let objects = ["noisy", "calm"].map(|namespace| (0..8).map(move |object| (namespace, object)));
    let mut users: Vec<_> = objects.into_iter().flatten().collect();
    users.push(("quiet", 0));
    proptest!(ProptestConfig::with_cases(cases(48)), |(steps in steps())| {
        let mut beside = World::new(&engine, &bytes, &users);
        let mut alone = World::new(&engine, &bytes, &users);
        for step in &steps {
            let answer = beside.take(step);
            match step.namespace {
                "calm" => prop_assert_eq!(answer, alone.take(step), "{:?}", step),
                _ => alone.now += step.after,
            }
        }
    });
}

/// Thirty misbehaviours in a row, all of one tenant's objects.
#[test]
fn a_namespace_in_which_everything_fails_is_quarantined_alone() {
    let home = tempfile::tempdir().unwrap();
    let objects = (0..40).map(|object| ("noisy", object));
    let users: Vec<_> = objects.chain([("calm", 0)]).collect();
    let mut world = World::new(&engine(&home), &fickle().build(), &users);
    let events = world.registry.subscribe();
    let step = |namespace, object, seed, after| Step {
        namespace,
        object,
        seed,
        after,
    };
    assert_eq!(world.take(&step("noisy", 39, 1, 0)), Ok(Some(3)));
    for object in 0..30 {
        let failure = world.take(&step("noisy", object, 2, 0)).unwrap_err();
        assert_eq!(failure.code(), "PolicyTrapped");
    }
    let held = world.take(&step("noisy", 38, 1, 1_000)).unwrap_err();
    let text = "PolicyQuarantined: for the objects of its namespace until 1970-01-01T00:00:30Z, after: \
        PolicyTrapped: ";
    assert!(held.to_string().starts_with(text), "{held}");
    assert_eq!(
        world.take(&step("calm", 0, 1, 0)),
        Ok(Some(3)),
        "another tenant"
    );
    let later = world.take(&step("noisy", 38, 1, 15_000)).unwrap_err();
    assert_eq!(later, held, "the same text at each sync");
    let published: Vec<_> = events.try_iter().map(|event| event.to_string()).collect();
    assert_eq!(published.len(), 1, "{published:?}");
    let text = "quarantined until 1970-01-01T00:00:30Z: all objects of namespace noisy";
    assert!(published[0].contains(text), "{published:?}");

    // Those that failed last do not come first, and cannot prolong it.
    let waits = world.take(&step("noisy", 0, 2, 15_000)).unwrap_err();
    assert_eq!(waits.code(), "PolicyQuarantined", "{waits}");
    assert_eq!(world.take(&step("noisy", 39, 1, 0)), Ok(Some(3)));
    let tried = world.take(&step("noisy", 0, 2, 0)).unwrap_err();
    assert_eq!(tried.code(), "PolicyTrapped");
    assert_eq!(world.take(&step("noisy", 38, 1, 0)), Ok(Some(3)));
    let others = |event: &PolicyEvent| matches!(event, PolicyEvent::Quarantined { .. });
    assert!(!events.try_iter().any(|event| others(&event)));
}

#[test]
fn an_input_that_does_not_fit_leads_to_no_quarantine() {
    let home = tempfile::tempdir().unwrap();
    let world = World::new(&engine(&home), &Guest::default().build(), &[("calm", 0)]);
    let policy = world.registry.policy(kind::REPLICA, "fickle").unwrap();
    let input = ReplicaInput {
        target: Arc::new(target("calm", 0)),
        ..crate::policy::input(50_000, 1)
    };
    for second in 0..10 {
        let context = Context {
            now: Timestamp(second * 1_000),
            ..Context::default()
        };
        let failure = policy.decide(&context, &input).answer.unwrap_err();
        assert_eq!(failure.code(), "PolicyInputTooLarge", "{failure}");
    }
}
