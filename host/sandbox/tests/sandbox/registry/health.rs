//! Quarantine, and budgets that are nearly used up.

use std::collections::BTreeMap;

use flyball_decision::context::Context;
use flyball_decision::policy::{Budget, Policy as _, PolicyFailure};
use flyball_decision::replica::ReplicaInput;
use flyball_decision::time::Timestamp;
use flyball_sandbox::{
    DEFAULT_BUDGET, Engine, EngineOptions, PolicyEvent, PolicyState, Registry, RegistryOptions,
};

use super::{Home, ask, ask_at, replicas, status};
use crate::guest::Guest;

#[test]
fn repeated_misbehaviour_leads_to_quarantine_until_a_swap() {
    let home = Home::new();
    // Behaves in the trial, whose seed is 1; misbehaves with the seed 0.
    let decide = "(if (i64.eqz (i64.load offset=8 (local.get $arguments))) (then (unreachable)))";
    home.write(
        "mine.wasm",
        &Guest {
            decide: decide.into(),
            ..Guest::default()
        }
        .build(),
    );
    let registry = home.open();
    let events = registry.subscribe();
    for second in 100..103 {
        assert!(matches!(
            ask_at(&registry, "mine", second),
            Err(PolicyFailure::Trapped(_))
        ));
    }
    let kept = ask_at(&registry, "mine", 103).unwrap_err();
    assert!(
        matches!(&kept, PolicyFailure::Quarantined(m) if m.contains("PolicyTrapped")),
        "{kept}"
    );
    let PolicyState::Quarantined { until, .. } = status(&registry, "mine").state else {
        panic!()
    };
    assert_eq!(until, Timestamp(132_000));
    assert!(matches!(
        events.try_recv().unwrap(),
        PolicyEvent::Quarantined { .. }
    ));
    assert!(
        matches!(
            ask_at(&registry, "mine", 132),
            Err(PolicyFailure::Trapped(_))
        ),
        "tried again"
    );
    assert!(matches!(
        ask_at(&registry, "mine", 191),
        Err(PolicyFailure::Quarantined(_))
    ));
    let listed = status(&registry, "mine");
    assert_eq!((listed.decisions, listed.failures), (4, 4));

    home.write("mine.wasm", &replicas(9));
    registry.rescan();
    assert_eq!(ask_at(&registry, "mine", 133), Ok(Some(9)));
    assert_eq!(status(&registry, "mine").state, PolicyState::Active);
}

#[test]
fn budgets_are_set_by_name_and_closeness_is_told() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let count = "(loop $again (local.set $n (i64.add (local.get $n) (i64.const 1)))
        (br_if $again (i64.lt_u (local.get $n) (i64.const 10000))))";
    let bytes = Guest {
        decide: count.into(),
        ..Guest::default()
    }
    .build();
    let spent = {
        let registry = Registry::fixed(&engine, &[("mine", &bytes)], &[]).unwrap();
        let policy = registry.compiled("mine").unwrap();
        policy
            .decide(&Context::default(), &ReplicaInput::default())
            .usage
            .fuel
    };
    let tight = Budget {
        fuel_base: spent + spent / 10,
        ..DEFAULT_BUDGET
    };
    let options = RegistryOptions {
        budgets: BTreeMap::from([("mine".to_owned(), tight)]),
        ..RegistryOptions::default()
    };
    let registry = Registry::open(&engine, options, &[("mine", &bytes), ("hpa", &bytes)]).unwrap();
    let events = registry.subscribe();
    for name in ["mine", "mine", "hpa"] {
        assert_eq!(ask(&registry, name), Some(3));
    }
    assert!(status(&registry, "mine").near_budget && !status(&registry, "hpa").near_budget);
    let published: Vec<_> = events.try_iter().collect();
    assert!(
        matches!(published.as_slice(), [PolicyEvent::NearBudget { .. }]),
        "once: {published:?}"
    );
}
