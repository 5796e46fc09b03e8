//! Configurations in use, and versions that they keep from being activated.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flyball_decision::context::Context;
use flyball_decision::policy::{ConfigurationsInUse, PolicyEngine as _, PolicyFailure, kind};
use flyball_decision::replica::ReplicaInput;
use flyball_decision::time::Timestamp;
use flyball_sandbox::{PolicyState, Registry};
use flyball_tasks::{beats, watch_thread};
use serde_json::{Value, json};

use super::{Home, ask, eventually, reason, status};
use crate::guest::Guest;

/// Takes a configuration with a `window` of that JSON type.
fn window_of(kind: &str, replicas: i64) -> Vec<u8> {
    Guest {
        schema: json!({"type": "object", "properties": {"window": {"type": kind}}}).to_string(),
        replicas: Some(replicas),
        ..Guest::default()
    }
    .build()
}

/// Configurations of objects that use the policy `mine`, of one namespace.
fn in_use(configurations: &[&str]) -> BTreeMap<String, ConfigurationsInUse> {
    in_use_by(&[("team-a", configurations)])
}

/// Configurations of objects that use the policy `mine`, by namespace.
fn in_use_by(namespaces: &[(&str, &[&str])]) -> BTreeMap<String, ConfigurationsInUse> {
    let mut in_use = ConfigurationsInUse::new();
    for (namespace, configurations) in namespaces {
        let configurations = configurations.iter().map(|text| Arc::from(*text));
        in_use.insert(Arc::from(*namespace), configurations.collect());
    }
    BTreeMap::from([("mine".to_owned(), in_use)])
}

#[test]
fn a_swap_that_would_invalidate_a_configuration_is_refused() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    registry.set_configurations_in_use(in_use(&[r#"{"window": "5m"}"#]));
    home.write("mine.wasm", &window_of("integer", 2));
    registry.rescan();
    let reason = reason(&registry, "mine");
    assert!(
        reason.contains("a configuration in use") && reason.contains("/window"),
        "{reason}"
    );
    assert_eq!(ask(&registry, "mine"), Some(1));

    // Nor is it activated at a restart, before objects are known again.
    drop(registry);
    let registry = home.restart();
    assert_eq!(ask(&registry, "mine"), Some(1));

    // The object is edited: the same file is tried again.
    registry.set_configurations_in_use(in_use(&[r#"{"window": 300}"#]));
    eventually("the swap", || ask(&registry, "mine") == Some(2));
}

/// The error quotes a value that is longer than an error may be.
#[test]
fn a_file_that_a_long_configuration_keeps_out_is_tried_with_another_one() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    let long = json!({"window": "5m".repeat(1_000)}).to_string();
    registry.set_configurations_in_use(in_use(&[long.as_str()]));
    home.write("mine.wasm", &window_of("integer", 2));
    registry.rescan();
    let refused = reason(&registry, "mine");
    assert!(
        refused.contains("a configuration in use") && refused.contains("/window"),
        "{refused}"
    );
    assert!(refused.len() <= 1024 && refused.ends_with('…'), "{refused}");

    registry.set_configurations_in_use(in_use(&[r#"{"window": 300}"#]));
    eventually("the swap", || ask(&registry, "mine") == Some(2));
}

#[test]
fn a_file_put_there_during_a_restart_waits_for_the_configurations_in_use() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    drop(home.open());
    home.write("mine.wasm", &window_of("integer", 2));
    for _ in 0..2 {
        let registry = home.restart();
        assert_eq!(status(&registry, "mine").state, PolicyState::Pending);
        assert_eq!(ask(&registry, "mine"), Some(1), "the last good one");

        // The configuration of an object that was not known before the restart.
        registry.set_configurations_in_use(in_use(&[r#"{"window": "5m"}"#]));
        registry.rescan();
        assert!(reason(&registry, "mine").contains("/window"));
        assert_eq!(ask(&registry, "mine"), Some(1));
    }

    // Set before the first read, it has the same effect.
    let registry = home.start(Duration::from_secs(3600));
    registry.set_configurations_in_use(in_use(&[r#"{"window": "5m"}"#]));
    registry.rescan();
    assert!(reason(&registry, "mine").contains("/window"));
    assert_eq!(ask(&registry, "mine"), Some(1));

    registry.set_configurations_in_use(BTreeMap::new());
    registry.rescan();
    assert_eq!(ask(&registry, "mine"), Some(2));
    assert_eq!(status(&registry, "mine").state, PolicyState::Active);
}

#[test]
fn an_object_that_fits_no_version_is_refused_alone() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    let (good, bad) = (r#"{"window": "5m"}"#, r#"{"window": [5]}"#);
    registry.set_configurations_in_use(in_use(&[bad, good]));
    home.write("mine.wasm", &window_of("string", 2));
    registry.rescan();
    assert_eq!(status(&registry, "mine").state, PolicyState::Active);

    let decide = |configuration: &str| {
        let context = Context {
            configuration: configuration.into(),
            ..Context::default()
        };
        let policy = registry.policy(kind::REPLICA, "mine").unwrap();
        policy.decide(&context, &ReplicaInput::default()).answer
    };
    for _ in 0..4 {
        assert_eq!(decide(good).unwrap().replicas, Some(2));
        let refused = decide(bad).unwrap_err();
        assert!(
            matches!(&refused, PolicyFailure::Refused(message)
                if message.starts_with("InvalidConfiguration: `/window`: ")),
            "{refused}"
        );
    }
    let listed = status(&registry, "mine");
    assert_eq!(
        (listed.decisions, listed.failures),
        (4, 0),
        "not the policy's"
    );

    home.write("mine.wasm", &window_of("integer", 3));
    registry.rescan();
    assert!(reason(&registry, "mine").contains("5m"));
    assert_eq!(decide(good).unwrap().replicas, Some(2));
}

#[test]
fn a_configuration_that_a_version_fails_with_keeps_no_other_object_from_it() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    let (good, bad) = (r#"{"window": "5m"}"#, r#"{"window": "hours"}"#);
    registry.set_configurations_in_use(in_use(&[bad]));
    // Traps if the configuration is as long as the second one.
    let traps = format!(
        "(if (i32.eq (i32.load offset=20 (local.get $arguments)) (i32.const {}))
            (then (unreachable)))",
        bad.len()
    );
    let guest = Guest {
        decide: traps,
        schema: json!({"type": "object"}).to_string(),
        ..Guest::default()
    };
    home.write("mine.wasm", &guest.build());
    registry.rescan();
    let refused = reason(&registry, "mine");
    let words = "failed its canary decision with the configuration sha256:";
    assert!(refused.starts_with(words), "{refused}");
    assert!(!refused.contains("hours"), "{refused}");
    assert_eq!(ask(&registry, "mine"), Some(1), "the last good one");

    // The version works with another configuration: only the one object stays behind.
    registry.set_configurations_in_use(in_use(&[good, bad]));
    eventually("the swap", || ask(&registry, "mine") == Some(3));
    let context = Context {
        configuration: bad.into(),
        ..Context::default()
    };
    let policy = registry.policy(kind::REPLICA, "mine").unwrap();
    assert!(
        policy
            .decide(&context, &ReplicaInput::default())
            .answer
            .is_err()
    );
    let before = policy.predecessors();
    let answer = before[0].decide(&context, &ReplicaInput::default()).answer;
    assert_eq!(answer.unwrap().replicas, Some(1));
}

#[test]
fn what_is_told_of_a_configuration_is_its_digest_where_others_read_it() {
    let home = Home::new();
    let registry = home.open();
    let configuration = json!({"window": "sesame", "zones": "z".repeat(600)}).to_string();
    // No version of it decides, so each object's condition says why.
    registry.set_configurations_in_use(in_use(&[configuration.as_str()]));
    let assert_told_by_digest = |guest: &Guest| {
        home.write("mine.wasm", &guest.build());
        registry.rescan();
        let missing = registry.policy(kind::REPLICA, "mine").err().unwrap();
        let message = missing.message();
        assert!(
            message.contains("sha256:") && message.contains("PolicyTrapped"),
            "{message}"
        );
        assert!(!message.contains("sesame"), "{message}");
    };
    assert_told_by_digest(&Guest {
        decide: "(unreachable)".to_owned(),
        schema: json!({"type": "object"}).to_string(),
        ..Guest::default()
    });
    assert!(!reason(&registry, "mine").contains("sesame"));

    // The operator reads the panic, shortened.
    assert_told_by_digest(&panics_with_its_configuration());
    let refused = reason(&registry, "mine");
    assert!(refused.contains("panicked at") && refused.contains("sesame"));
    assert!(refused.len() <= 1024 && refused.ends_with('…'), "{refused}");
}

/// Returns a policy that quotes its configuration in a panic, below functions with long
/// names: what is known of the failure is longer than an error may be.
fn panics_with_its_configuration() -> Guest {
    let name = "function_".repeat(15);
    let definitions = format!(
        r#"(data (i32.const 60000) "panicked at ")
        (func ${name} (param $arguments i32) (param $depth i32)
            (if (local.get $depth)
                (then (call ${name}
                    (local.get $arguments)
                    (i32.sub (local.get $depth) (i32.const 1)))))
            (memory.copy
                (i32.const 60012)
                (i32.load offset=16 (local.get $arguments))
                (i32.load offset=20 (local.get $arguments)))
            (call $log
                (i32.const 1)
                (i32.const 60000)
                (i32.add (i32.const 12) (i32.load offset=20 (local.get $arguments))))
            (unreachable))"#
    );
    Guest {
        decide: format!("(call ${name} (local.get $arguments) (i32.const 3))"),
        definitions,
        schema: json!({"type": "object"}).to_string(),
        ..Guest::default()
    }
}

#[test]
fn few_of_many_configurations_are_tried() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    let texts: Vec<String> = (10..74).map(|n| format!("{{\"n\":{n}}}")).collect();
    let traps = format!(
        "(if (i32.eq (i32.load offset=20 (local.get $arguments)) (i32.const {}))
            (then (unreachable)))",
        texts[0].len()
    );
    let guest = Guest {
        decide: traps,
        schema: json!({"type": "object"}).to_string(),
        ..Guest::default()
    };
    let mut many: Vec<&str> = texts.iter().map(String::as_str).collect();
    many.push("{}");
    registry.set_configurations_in_use(in_use(&many));
    home.write("mine.wasm", &guest.build());
    registry.rescan();
    assert!(reason(&registry, "mine").starts_with("failed its canary decision"));
    registry.set_configurations_in_use(in_use(&many[1..]));
    eventually("the swap", || ask(&registry, "mine") == Some(3));
}

/// While a version is judged, the files of all policies wait.
#[test]
fn configurations_that_take_long_keep_those_of_their_namespace_from_being_checked() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    // Two patterns for 6,000 bytes take 960,000 steps, so that 21 of these are checked.
    let text = "a".repeat(6_000);
    let heavy: Vec<String> = (10..50)
        .map(|n| json!({"n": n, "text": text}).to_string())
        .collect();
    let heavy: Vec<&str> = heavy.iter().map(String::as_str).collect();
    let light: Vec<String> = (10..50).map(|n| json!({"n": n}).to_string()).collect();
    let light: Vec<&str> = light.iter().map(String::as_str).collect();
    let two_patterns = json!({"allOf": [{"pattern": "a"}, {"pattern": "a|b"}]});
    let guest = Guest {
        schema: json!({"properties": {"n": {"maximum": 48}, "text": two_patterns}}).to_string(),
        replicas: Some(2),
        ..Guest::default()
    };
    // The last of each namespace does not fit.
    let both = in_use_by(&[("team-a", &heavy[..]), ("team-b", &light[..])]);
    registry.set_configurations_in_use(both);
    home.write("mine.wasm", &guest.build());
    registry.rescan();
    assert!(reason(&registry, "mine").contains("/n"));
    let both = in_use_by(&[("team-a", &heavy[..]), ("team-b", &light[..39])]);
    registry.set_configurations_in_use(both);
    registry.rescan();
    assert_eq!(status(&registry, "mine").state, PolicyState::Active);
    assert_eq!(ask(&registry, "mine"), Some(2));
}

#[test]
fn an_operator_lets_a_version_take_over_whatever_configurations_there_are() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.start_with(Duration::from_secs(3600), |options| {
        options.accept_any_configuration.insert("mine".to_owned());
    });
    registry.rescan();
    registry.set_configurations_in_use(in_use(&[r#"{"window": "5m"}"#]));
    home.write("mine.wasm", &window_of("integer", 2));
    registry.rescan();
    assert_eq!(ask(&registry, "mine"), Some(2));

    // It must still be able to decide.
    let broken = Guest {
        decide: "(unreachable)".to_owned(),
        schema: json!({"type": "object"}).to_string(),
        ..Guest::default()
    };
    home.write("mine.wasm", &broken.build());
    registry.rescan();
    assert!(reason(&registry, "mine").starts_with("failed its canary decision"));
    assert_eq!(ask(&registry, "mine"), Some(2));
}

/// Checks take no fuel, so those of one namespace are bounded at a time.
#[test]
fn configurations_that_take_long_to_check_keep_other_namespaces_from_nothing() {
    let home = Home::new();
    let alternatives = vec![json!({"type": "string"}); 99];
    let any = [alternatives, vec![json!({"type": "integer"})]].concat();
    let schema = json!({
        "type": "object",
        "properties": {"items": {"type": "array", "items": {"anyOf": any}}},
    });
    let guest = Guest {
        schema: schema.to_string(),
        replicas: Some(3),
        ..Guest::default()
    };
    home.write("mine.wasm", &guest.build());
    let registry = home.open();
    let policy = registry.policy(kind::REPLICA, "mine").unwrap();
    let decide = |namespace: &str, number: usize, now: i64| {
        let items = vec![0; 3000];
        let context = Context {
            configuration: json!({"number": number, "items": items}).to_string().into(),
            now: Timestamp(now),
            ..Context::default()
        };
        let mut input = ReplicaInput::default();
        Arc::make_mut(&mut input.target).namespace = namespace.into();
        policy
            .decide(&context, &input)
            .answer
            .map(|answer| answer.replicas)
    };
    let put_off = (0..40).find_map(|number| Some((number, decide("a", number, 1).err()?)));
    let (number, failure) = put_off.unwrap();
    assert!(number > 20, "{number}");
    assert!(failure.is_from_outside() && !failure.is_left_to_predecessor());
    assert_eq!(failure.code(), "PolicyNotAsked");
    assert_eq!(decide("a", 0, 1), Ok(Some(3)), "known to fit");
    assert_eq!(decide("b", 50, 1), Ok(Some(3)));
    assert_eq!(decide("a", number, 2), Ok(Some(3)));
}

#[test]
fn checks_of_all_policies_and_namespaces_share_the_steps_of_a_tick() {
    let home = Home::new();
    let two_patterns = json!({"allOf": [{"pattern": "a"}, {"pattern": "a|b"}]});
    let guest = Guest {
        schema: json!({"properties": {"text": two_patterns}}).to_string(),
        ..Guest::default()
    };
    let names = ["mine", "other"];
    for name in names {
        home.write(&format!("{name}.wasm"), &guest.build());
    }
    let registry = home.open();
    let policies = names.map(|name| registry.policy(kind::REPLICA, name).unwrap());
    // Each takes 960,000 steps.
    let text = "a".repeat(6_000);
    let is_decided = |namespace: &str, number: usize, now: i64| {
        let configuration = json!({"of": [namespace, number, now], "text": text});
        let context = Context {
            configuration: configuration.to_string().into(),
            now: Timestamp(now),
            ..Context::default()
        };
        let mut input = ReplicaInput::default();
        Arc::make_mut(&mut input.target).namespace = namespace.into();
        let policy = &policies[number % policies.len()];
        match policy.decide(&context, &input).answer {
            Ok(_) => true,
            Err(failure) => {
                assert_eq!(failure.code(), "PolicyNotAsked");
                false
            }
        }
    };
    // The configurations of each tick are new.
    let tick = |now: i64| {
        ["a", "b", "c", "d"].map(|namespace| {
            let decided = (0..60).filter(|number| is_decided(namespace, *number, now));
            decided.count()
        })
    };
    let [a, b, c, d] = tick(1);
    assert_eq!((a, b, d), (21, 21, 0));
    assert!((1..=12).contains(&c), "{c}");
    let [.., c, d] = tick(2);
    assert!(c > 0 && d > 0, "put off, so they come first: {c} {d}");
}

/// Asks with a configuration that does not fit. Returns whether it was checked: each check is
/// a beat, and the policy is not asked.
fn is_checked(registry: &Registry, namespace: &str, configuration: &Value) -> bool {
    let context = Context {
        configuration: configuration.to_string().into(),
        ..Context::default()
    };
    let mut input = ReplicaInput::default();
    Arc::make_mut(&mut input.target).namespace = namespace.into();
    let policy = registry.policy(kind::REPLICA, "mine").unwrap();
    let before = beats();
    let failure = policy.decide(&context, &input).answer.unwrap_err();
    assert_eq!(failure.code(), "PolicyRefused", "{failure}");
    beats() > before
}

/// The watchdog ends the process if a tick makes many checks without a beat.
#[test]
fn each_check_of_a_configuration_is_a_beat() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    let is_checked = |window: i64| is_checked(&registry, "a", &json!({"window": window}));
    watch_thread("check test", || {
        assert!(is_checked(1));
        assert!(is_checked(2));
        assert!(!is_checked(1), "it is known");
    });
}

#[test]
fn a_namespace_with_many_configurations_has_only_its_own_checked_again() {
    let home = Home::new();
    home.write("mine.wasm", &window_of("string", 1));
    let registry = home.open();
    let small = json!({"window": 1});
    // 16 MiB of configurations are remembered, which 280 of these exceed.
    let padding = "a".repeat(60 << 10);
    let large = |number: usize| json!({"window": number, "padding": padding});
    watch_thread("memory test", || {
        assert!(is_checked(&registry, "a", &small));
        assert!((0..280).all(|number| is_checked(&registry, "b", &large(number))));
        assert!(!is_checked(&registry, "a", &small));
        assert!(is_checked(&registry, "b", &large(0)));
    });
}
