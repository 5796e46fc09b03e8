//! Decisions during reloads and after a restart.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use flyball_decision::context::Context;
use flyball_decision::policy::{ConfigurationsInUse, PolicyEngine as _, kind};
use flyball_decision::replica::{ReplicaInput, Target};
use flyball_decision::time::Timestamp;
use flyball_sandbox::{PolicySource, PolicyState, digest};

use super::{Home, ask, ask_at, reason, status, wait_for_answer, wait_for_failure, wait_until};

#[test]
fn a_restart_keeps_the_last_good_one_and_starts_beside_any_file() {
    let home = Home::new();
    home.put("web.wasm", &home.plain["two"]);
    home.put("hpa.wasm", &home.plain["two"]);
    drop(home.start());

    home.put("web.wasm", b"");
    home.put("hpa.wasm", &home.hostile["decide_loop"]);
    for (guest, component) in home.hostile.iter() {
        home.put(&format!("{guest}.wasm"), component);
    }
    let registry = home.start();
    for name in ["web", "hpa"] {
        assert_eq!(ask(&registry, name), Ok(2), "{name}");
        let source = PolicySource::LastGood(home.file(&format!("{name}.wasm")));
        let status = status(&registry, name).unwrap();
        assert_eq!(status.source, Some(source));
        assert!(matches!(status.state, PolicyState::Failed { .. }));
    }
    // Hostile guests become active if neither loading nor a trial decision reveals them.
    let active: BTreeSet<String> = registry
        .status()
        .into_iter()
        .filter(|status| status.state == PolicyState::Active)
        .map(|status| status.name)
        .collect();
    let harmless = [
        "answer_nan",
        "answer_zero",
        "chance",
        "code_missing",
        "configuration_demanding",
        "log_flood",
        "nan_bits",
        "refusal",
        "state_in_static",
        "trap_at_metric",
        "trap_at_own_answer",
        "trap_at_thirteen",
        "trap_in_team_a",
    ];
    assert_eq!(active, harmless.map(String::from).into());

    home.put("web.wasm", &home.plain["three"]);
    wait_for_answer(&registry, "web", 3);
}

#[test]
fn a_swap_that_would_invalidate_a_configuration_is_refused() {
    let home = Home::new();
    home.put("web.wasm", &home.plain["two"]);
    let registry = home.start();
    let in_use = |configuration: &str| {
        let texts = BTreeSet::from([configuration.into()]);
        let in_use = ConfigurationsInUse::from([("team-b".into(), texts)]);
        registry.set_configurations_in_use(BTreeMap::from([("web".into(), in_use)]));
    };
    in_use("{}");
    home.put("web.wasm", &home.hostile["configuration_demanding"]);
    wait_for_failure(
        &registry,
        "web",
        "a configuration in use does not fit its schema",
    );
    assert!(reason(&registry, "web").unwrap().contains("ceiling"));
    assert_eq!(ask(&registry, "web"), Ok(2));

    in_use(r#"{"ceiling": 5}"#);
    wait_until("the swap", || {
        let state = status(&registry, "web").map(|status| status.state);
        state == Some(PolicyState::Active)
    });
    let context = Context {
        configuration: r#"{"ceiling": 5}"#.into(),
        ..Context::default()
    };
    let policy = registry.policy(kind::REPLICA, "web").unwrap();
    let outcome = policy.decide(&context, &ReplicaInput::default());
    assert_eq!(outcome.answer.unwrap().replicas, Some(3));
}

#[test]
fn a_policy_that_traps_again_and_again_is_quarantined_for_longer_and_longer() {
    let home = Home::new();
    home.put("web.wasm", &home.hostile["trap_at_thirteen"]);
    home.put("other.wasm", &home.plain["two"]);
    let registry = home.start();
    let ask = |seconds: i64, replicas| {
        ask_at(&registry, "web", Timestamp(seconds * 1_000), replicas)
            .map_err(|failure| failure.code())
    };
    assert_eq!(ask(0, 12), Ok(3));
    for second in 1..=3 {
        assert_eq!(ask(second, 13), Err("PolicyTrapped"));
    }
    assert_eq!(ask(4, 12), Err("PolicyQuarantined"));
    let PolicyState::Quarantined { until, reason } = status(&registry, "web").unwrap().state else {
        panic!("not quarantined");
    };
    assert!(reason.contains("PolicyTrapped"), "{reason}");
    let first = until.since(Timestamp(3_000)) / 1_000;
    assert!(first > 0);

    // After the quarantine it traps at once: the next quarantine is longer.
    assert_eq!(ask(3 + first, 13), Err("PolicyTrapped"));
    assert_eq!(ask(3 + first + first, 12), Err("PolicyQuarantined"));
    assert_eq!(
        ask_at(&registry, "other", until, 13),
        Ok(2),
        "the policy beside it"
    );

    // After the next one it behaves: earlier failures no longer count.
    let later = 3 + 10 * first;
    assert_eq!(ask(later, 12), Ok(3));
    assert_eq!(ask(later, 13), Err("PolicyTrapped"));
    assert_eq!(ask(later, 12), Ok(3));

    // Other code starts without failures.
    for _ in 0..3 {
        assert_eq!(ask(later, 13), Err("PolicyTrapped"));
    }
    home.put("web.wasm", &home.plain["two"]);
    wait_until("the quarantine to end", || ask(later, 13) == Ok(2));
}

#[test]
fn a_policy_is_quarantined_for_the_object_for_which_it_traps_and_for_no_other() {
    let home = Home::new();
    home.put("web.wasm", &home.hostile["trap_at_thirteen"]);
    let registry = home.start();
    let events = registry.subscribe();
    let ask = |second: i64, name: &str, current_replicas| {
        let context = Context {
            now: Timestamp(second * 1_000),
            ..Context::default()
        };
        let target = Target {
            kind: "Deployment".into(),
            namespace: "default".into(),
            name: name.into(),
            ..Target::default()
        };
        let input = ReplicaInput {
            target: Arc::new(target),
            current_replicas,
            ..ReplicaInput::default()
        };
        let policy = registry.policy(kind::REPLICA, "web").unwrap();
        let answer = policy.decide(&context, &input).answer;
        answer.map_err(|failure| failure.code())
    };
    // Its answers for one object do not offset failures for the other.
    for second in 0..3 {
        assert_eq!(ask(second, "bad", 13), Err("PolicyTrapped"));
        assert_eq!(ask(second, "good", 12).unwrap().replicas, Some(3));
    }
    assert_eq!(ask(3, "bad", 12), Err("PolicyQuarantined"));
    assert_eq!(ask(3, "good", 12).unwrap().replicas, Some(3));
    let PolicyState::Quarantined { reason, .. } = status(&registry, "web").unwrap().state else {
        panic!("not quarantined");
    };
    assert!(
        reason.starts_with("Deployment default/bad: PolicyTrapped"),
        "{reason}"
    );

    // Three traps in a row, of three objects, quarantine none of them.
    for name in ["one", "two", "three"] {
        assert_eq!(ask(4, name, 13), Err("PolicyTrapped"));
    }
    for name in ["one", "two", "three"] {
        assert_eq!(ask(5, name, 12).unwrap().replicas, Some(3));
    }

    // A second object is quarantined as well, without an event as long as the first one
    // is.
    for second in 6..9 {
        assert_eq!(ask(second, "worse", 13), Err("PolicyTrapped"));
    }
    assert_eq!(ask(9, "worse", 12), Err("PolicyQuarantined"));
    let PolicyState::Quarantined { reason, .. } = status(&registry, "web").unwrap().state else {
        panic!("not quarantined");
    };
    assert!(
        reason.starts_with("Deployment default/worse and 1 more: "),
        "{reason}"
    );
    let published: Vec<_> = events.try_iter().map(|event| event.to_string()).collect();
    assert_eq!(published.len(), 1, "{published:?}");
    assert!(
        published[0].contains("Deployment default/bad"),
        "{published:?}"
    );

    assert_eq!(ask(40, "bad", 12).unwrap().replicas, Some(3));
    assert_eq!(ask(40, "worse", 12).unwrap().replicas, Some(3));
    assert_eq!(status(&registry, "web").unwrap().state, PolicyState::Active);
}

#[test]
fn decisions_under_way_finish_on_the_old_code() {
    let home = Home::new();
    home.put("web.wasm", &home.plain["two"]);
    let registry = home.start();
    let held = registry.policy(kind::REPLICA, "web").unwrap();
    let answers = BTreeMap::from([
        (digest(&home.plain["two"]), 2),
        (digest(&home.plain["three"]), 3),
    ]);

    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // The record names exactly the code that made each decision.
        let asking = scope.spawn(|| {
            let mut versions = BTreeSet::new();
            while !done.load(Ordering::Relaxed) {
                let policy = registry.policy(kind::REPLICA, "web").unwrap();
                let outcome = policy.decide(&Context::default(), &ReplicaInput::default());
                let digest = policy.version().digest.to_string();
                assert_eq!(outcome.answer.unwrap().replicas, Some(answers[&digest]));
                versions.insert(digest);
            }
            versions
        });
        for (guest, replicas) in [("three", 3), ("two", 2), ("three", 3)] {
            home.put("web.wasm", &home.plain[guest]);
            wait_for_answer(&registry, "web", replicas);
        }
        done.store(true, Ordering::Relaxed);
        assert_eq!(asking.join().unwrap().len(), 2);
    });

    let outcome = held.decide(&Context::default(), &ReplicaInput::default());
    assert_eq!(outcome.answer.unwrap().replicas, Some(2));
    assert_eq!(*held.version().digest, *digest(&home.plain["two"]));
    assert_eq!(ask(&registry, "web"), Ok(3));
}
