//! A policy from bytes to decisions: what is refused and in which words, and how
//! each kind of misbehaviour ends.

use std::sync::Arc;

use flyball_core::policy::{Policy as _, PolicyFailure, PolicyOutcome, ReplicaPolicy as _};
use flyball_core::replica::{Context, MetricInput, PodColumns, ReplicaDecision, ReplicaInput};
use flyball_core::time::Timestamp;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions, LoadError};
use serde_json::json;

use crate::guest::Guest;

fn engine() -> Engine {
    Engine::new(&EngineOptions::default()).unwrap()
}

fn load(guest: &Guest) -> Result<CompiledPolicy, LoadError> {
    CompiledPolicy::load(&engine(), "guest", &guest.build(), DEFAULT_BUDGET)
}

fn input(pods: usize, metrics: usize) -> ReplicaInput {
    let metric = Arc::new(MetricInput {
        source: "Resource".into(),
        name: "cpu".into(),
        pod: (0..u32::try_from(pods).unwrap()).collect(),
        value: vec![100; pods],
        ..MetricInput::default()
    });
    ReplicaInput {
        pods: Arc::new(PodColumns {
            state: vec![18; pods],
            ready_transition_ms: vec![0; pods],
            start_ms: vec![0; pods],
            deletion_ms: vec![i64::MIN; pods],
        }),
        metrics: vec![metric; metrics],
        ..ReplicaInput::default()
    }
}

fn context() -> Context {
    Context {
        now: Timestamp(1_000),
        configuration: "{}".into(),
        ..Context::default()
    }
}

fn decide(guest: &Guest) -> PolicyOutcome<ReplicaDecision> {
    load(guest).unwrap().decide(&context(), &input(2, 1))
}

fn failure(decide_body: &str) -> PolicyFailure {
    let guest = Guest {
        decide: decide_body.into(),
        ..Guest::default()
    };
    decide(&guest).answer.unwrap_err()
}

fn refused(bytes: &[u8]) -> String {
    CompiledPolicy::load(&engine(), "guest", bytes, DEFAULT_BUDGET)
        .unwrap_err()
        .to_string()
}

#[test]
fn a_policy_describes_itself_and_decides() {
    let guest = Guest {
        replicas: Some(7),
        state: Some("kept".into()),
        proposals: 1,
        leading: Some(0),
        decide: "(call $log (i32.const 3) (i32.const 0) (i32.const 0))".into(),
        ..Guest::default()
    };
    let policy = load(&guest).unwrap();
    assert_eq!(policy.description().name, "guest");
    assert_eq!(policy.description().kinds, ["replica"]);
    assert_eq!(&*policy.version().contract, "0.1.0-draft");
    assert_eq!(&*policy.version().version, "1.2.3");
    assert!(policy.version().digest.starts_with("sha256:"));

    let outcome = policy.decide(&context(), &input(2, 1));
    let decision = outcome.answer.clone().unwrap();
    assert_eq!(decision.replicas, Some(7));
    assert_eq!(decision.reason.code, "Fixed");
    assert_eq!(decision.state.as_deref(), Some("kept"));
    assert_eq!((decision.proposals.len(), decision.leading), (1, Some(0)));
    assert_eq!(outcome.log, [(3, String::new())]);
    assert_eq!(outcome.usage.fuel_budget, 5_000_000 + 4 * 10_000);
    assert!(outcome.usage.fuel > 0 && outcome.usage.memory_bytes == 2 << 16);
    assert_eq!(
        policy.decide(&context(), &input(2, 1)),
        outcome,
        "equal inputs, equal outcomes"
    );
}

#[test]
fn every_decision_starts_afresh() {
    // Answers with what it finds in its memory, then leaves something there.
    let decide = "(i64.store (i32.const 208) (i64.add (i64.load (i32.const 208)) (i64.const 1)))";
    let policy = load(&Guest {
        decide: decide.into(),
        ..Guest::default()
    })
    .unwrap();
    for _ in 0..20 {
        let decision = policy.decide(&context(), &input(0, 0)).answer.unwrap();
        assert_eq!(decision.replicas, Some(4));
    }
}

#[test]
fn decisions_wait_for_their_turn() {
    let options = EngineOptions {
        concurrency: 1,
        ..EngineOptions::default()
    };
    let engine = Engine::new(&options).unwrap();
    let bytes = Guest::default().build();
    let policy = CompiledPolicy::load(&engine, "guest", &bytes, DEFAULT_BUDGET).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!(policy.decide(&context(), &input(3, 1)).answer.is_ok());
                }
            });
        }
    });
}

#[test]
fn misbehaviour_ends_as_what_it_is() {
    let unreachable = failure("(unreachable)");
    assert!(
        matches!(&unreachable, PolicyFailure::Trapped(m) if m.contains("`unreachable`")),
        "{unreachable}"
    );
    let endless = failure("(loop (br 0))");
    assert!(matches!(endless, PolicyFailure::OutOfFuel(_)), "{endless}");
    let memory = failure("(loop (drop (memory.grow (i32.const 16))) (br 0))");
    assert!(matches!(memory, PolicyFailure::OverLimit(_)), "{memory}");
    let wild = failure("(drop (i32.load (i32.const -4)))");
    assert!(matches!(wild, PolicyFailure::Trapped(_)), "{wild}");
    let output = failure("(i32.store (i32.const 236) (i32.const 0x7fffffff))");
    assert!(
        matches!(output, PolicyFailure::InvalidAnswer(_)),
        "{output}"
    );

    let deep = Guest {
        definitions: "(func $deep (param i64) (result i64) \
            (i64.add (i64.const 1) (call $deep (local.get 0))))"
            .into(),
        decide: "(local.set $n (call $deep (i64.const 1)))".into(),
        ..Guest::default()
    };
    let deep = decide(&deep).answer.unwrap_err();
    assert!(
        matches!(&deep, PolicyFailure::Trapped(m) if m.contains("stack")),
        "{deep}"
    );

    let table = Guest {
        definitions: "(table $t 1 funcref)".into(),
        decide: "(loop (drop (table.grow $t (ref.null func) (i32.const 5000))) (br 0))".into(),
        ..Guest::default()
    };
    let table = decide(&table).answer.unwrap_err();
    assert!(matches!(table, PolicyFailure::OverLimit(_)), "{table}");

    let refuses = Guest {
        error: Some(("MissingInput", "no history")),
        ..Guest::default()
    };
    let refusal = decide(&refuses).answer.unwrap_err();
    assert_eq!(
        refusal,
        PolicyFailure::Refused("MissingInput: no history".into())
    );
}

#[test]
fn answers_are_held_to_the_contract() {
    let invalid = |guest: Guest| match decide(&guest).answer.unwrap_err() {
        PolicyFailure::InvalidAnswer(message) => message,
        other => panic!("{other}"),
    };
    let negative = invalid(Guest {
        replicas: Some(-1),
        ..Guest::default()
    });
    assert!(negative.starts_with("replicas is -1"), "{negative}");
    invalid(Guest {
        replicas: Some(1 << 31),
        ..Guest::default()
    });
    let state = invalid(Guest {
        state: Some("x".repeat(1025)),
        ..Guest::default()
    });
    assert!(state.starts_with("state has 1025 bytes"), "{state}");
    invalid(Guest {
        proposals: 2,
        ..Guest::default()
    });
    invalid(Guest {
        proposals: 1,
        leading: Some(1),
        ..Guest::default()
    });
    invalid(Guest {
        leading: Some(0),
        ..Guest::default()
    });
    invalid(Guest {
        sentence: "x".repeat(5_000),
        ..Guest::default()
    });
    invalid(Guest {
        code: "not camel".into(),
        ..Guest::default()
    });
    assert!(
        decide(&Guest {
            replicas: Some(0),
            ..Guest::default()
        })
        .answer
        .is_ok()
    );
    assert!(
        decide(&Guest {
            replicas: None,
            ..Guest::default()
        })
        .answer
        .is_ok()
    );
}

/// A policy repeats what the spec says: however long that is, it has to decide.
#[test]
fn long_texts_of_the_spec_keep_no_built_in_from_deciding() {
    let [(name, hpa)] = flyball_policies::BUILTIN else {
        panic!("more built-in policies than hpa")
    };
    let policy = CompiledPolicy::load(&engine(), name, hpa, DEFAULT_BUDGET).unwrap();
    let metric = MetricInput {
        source: "External".into(),
        name: "queue_depth".into(),
        selector: "resource.labels.cluster=production,".repeat(40),
        target_type: "Value".into(),
        target_value: Some(1_000),
        value: vec![5_000],
        ..MetricInput::default()
    };
    let input = ReplicaInput {
        current_replicas: 2,
        ready_replicas: 2,
        metrics: vec![Arc::new(metric.clone())],
        ..input(2, 0)
    };
    let decision = policy.decide(&context(), &input).answer.unwrap();
    assert_eq!(decision.replicas, Some(10));
    assert!(
        decision
            .reason
            .sentence
            .starts_with("external metric queue_depth(resource")
    );

    let failed = MetricInput {
        error: "metricsUnavailable".into(),
        message: format!("unable to get external metric {}", metric.selector),
        ..metric
    };
    let input = ReplicaInput {
        metrics: vec![Arc::new(failed)],
        ..input
    };
    let decision = policy.decide(&context(), &input).answer.unwrap();
    assert_eq!(decision.replicas, None);
}

#[test]
fn texts_cannot_steer_a_terminal() {
    let guest = Guest {
        sentence: "fine\u{1b}[2J\npolicy other retired".into(),
        ..Guest::default()
    };
    let decision = decide(&guest).answer.unwrap();
    assert_eq!(decision.reason.sentence, "fine [2J policy other retired");
}

#[test]
fn a_log_flood_is_cut_and_counted() {
    let line = "(call $log (i32.const 1) (i32.const 512) (i32.const 2000))";
    let guest = Guest {
        decide: line.repeat(100),
        ..Guest::default()
    };
    let outcome = decide(&guest);
    assert!(outcome.answer.is_ok());
    assert_eq!(outcome.log.len(), 33);
    assert!(outcome.log.iter().all(|(_, line)| line.len() <= 520));
    assert_eq!(outcome.log.last().unwrap().1, "68 more lines dropped");

    let endless = format!("(loop {line} (br 0))").replace("2000", "60000");
    let flood = failure(&endless);
    assert!(matches!(flood, PolicyFailure::OverLimit(_)), "{flood}");
}

#[test]
fn what_is_no_policy_is_refused_in_plain_words() {
    assert!(refused(b"#!/bin/sh").starts_with("not WebAssembly"));
    assert!(refused(b"").starts_with("not WebAssembly"));
    assert!(refused(&wat::parse_str("(module)").unwrap()).contains("core module"));
    assert!(refused(&wat::parse_str("(component)").unwrap()).contains("no policy"));
    let whole = Guest::default().build();
    for length in [12, whole.len() / 2, whole.len() - 1] {
        let text = refused(&whole[..length]);
        assert!(
            text.starts_with("truncated") || text.starts_with("not a valid"),
            "{text}"
        );
    }
    let foreign = wat::parse_str(
        r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance))
            (import "flyball:policy/log@0.1.0-draft" (instance))
            (instance $i)
            (export "flyball:policy/replica@0.1.0-draft" (instance $i)))"#,
    );
    assert!(refused(&foreign.unwrap()).starts_with("it imports wasi:clocks/wall-clock@0.2.0:"));
    let silent = wat::parse_str(
        r#"(component (instance $i) (export "flyball:policy/replica@0.1.0-draft" (instance $i)))"#,
    );
    assert!(refused(&silent.unwrap()).starts_with("it exports no flyball:policy/description"));
    let newer = wat::parse_str(
        r#"(component (instance $i) (export "flyball:policy/replica@7.0.0" (instance $i)))"#,
    );
    assert_eq!(
        refused(&newer.unwrap()),
        "built for flyball:policy@7.0.0, this host supports 0.1.0-draft: rebuild it with a \
         flyball-policy SDK for one of them"
    );
    let hollow = wat::parse_str(
        r#"(component (instance $i)
            (export "flyball:policy/description@0.1.0-draft" (instance $i))
            (export "flyball:policy/replica@0.1.0-draft" (instance $i)))"#,
    );
    let hollow = refused(&hollow.unwrap());
    assert!(
        hollow.starts_with("does not fit flyball:policy@0.1.0-draft"),
        "{hollow}"
    );
}

#[test]
fn bad_descriptions_are_refused() {
    let text = |guest: Guest| load(&guest).unwrap_err().to_string();
    let version = text(Guest {
        version: "one".into(),
        ..Guest::default()
    });
    assert!(
        version.contains("version `one` is not a semantic version"),
        "{version}"
    );
    let long = text(Guest {
        version: format!("1.0.0-{}", "x".repeat(5_000)),
        ..Guest::default()
    });
    assert!(long.contains("version has 5006 bytes"), "{long}");
    let kinds = text(Guest {
        kinds: vec!["replica", "expander"],
        ..Guest::default()
    });
    assert!(
        kinds.contains("kinds name `expander`, which it does not export"),
        "{kinds}"
    );
    let none = text(Guest {
        kinds: vec![],
        ..Guest::default()
    });
    assert!(none.contains("kinds lack `replica`"), "{none}");
    let json = text(Guest {
        schema: "{".into(),
        ..Guest::default()
    });
    assert!(json.contains("configuration-schema is not JSON"), "{json}");
    let schema = text(Guest {
        schema: r#"{"type": "number-ish"}"#.into(),
        ..Guest::default()
    });
    assert!(
        schema.contains("configuration-schema is no JSON Schema"),
        "{schema}"
    );
    let remote = text(Guest {
        schema: r#"{"$ref": "http://localhost/x"}"#.into(),
        ..Guest::default()
    });
    assert!(
        remote.contains("configuration-schema is no JSON Schema"),
        "{remote}"
    );
    let trap = text(Guest {
        describe: "(unreachable)".into(),
        ..Guest::default()
    });
    assert!(
        trap.contains("failed while describing itself: PolicyTrapped"),
        "{trap}"
    );
    let start = text(Guest {
        start: "(loop (br 0))".into(),
        ..Guest::default()
    });
    assert!(
        start.contains("failed while describing itself: PolicyOutOfFuel"),
        "{start}"
    );
    let greedy = text(Guest {
        pages: 1024,
        ..Guest::default()
    });
    assert!(greedy.contains("PolicyOverLimit"), "{greedy}");
}

#[test]
fn configurations_are_checked_and_the_field_is_named() {
    let schema = json!({
        "type": "object",
        "properties": {"window": {"type": "object", "properties": {"seconds": {"type": "integer"}}}},
        "additionalProperties": false,
    });
    let policy = load(&Guest {
        schema: schema.to_string(),
        ..Guest::default()
    })
    .unwrap();
    let check = |value: serde_json::Value| policy.check_configuration(value.as_object().unwrap());
    assert_eq!(check(json!({"window": {"seconds": 3}})), Ok(()));
    let wrong = check(json!({"window": {"seconds": "three"}}))
        .unwrap_err()
        .to_string();
    assert!(wrong.starts_with("`/window/seconds`: "), "{wrong}");
    let unknown = check(json!({"widow": {}})).unwrap_err().to_string();
    assert!(unknown.contains("widow"), "{unknown}");

    let plain = load(&Guest::default()).unwrap();
    let taken = plain
        .check_configuration(json!({"a": 1}).as_object().unwrap())
        .unwrap_err();
    assert_eq!(
        taken.to_string(),
        "the policy takes no configuration, but `a` is set"
    );
}

#[test]
fn damaged_compiled_code_is_never_trusted() {
    let directory = tempfile::tempdir().unwrap();
    let cache = directory.path().join("compiled");
    let options = EngineOptions {
        cache_directory: Some(cache.clone()),
        ..EngineOptions::default()
    };
    let bytes = Guest::default().build();
    let answer = || {
        let engine = Engine::new(&options).unwrap();
        let policy = CompiledPolicy::load(&engine, "guest", &bytes, DEFAULT_BUDGET).unwrap();
        policy
            .decide(&context(), &input(1, 1))
            .answer
            .unwrap()
            .replicas
    };
    assert_eq!(answer(), Some(3));
    let files = || -> Vec<_> {
        let entries = std::fs::read_dir(&cache)
            .unwrap()
            .map(|entry| entry.unwrap().path());
        entries
            .filter(|path| path.extension().is_some_and(|one| one == "cwasm"))
            .collect()
    };
    let [file] = files().try_into().unwrap();
    let code = std::fs::read(&file).unwrap();
    assert_eq!(answer(), Some(3), "from the cache");

    let flipped: Vec<u8> = code
        .iter()
        .enumerate()
        .map(|(i, b)| if i == 5_000 { !b } else { *b })
        .collect();
    for damaged in [flipped.as_slice(), &code[..code.len() / 2], &[], &[0; 64]] {
        std::fs::write(&file, damaged).unwrap();
        assert_eq!(answer(), Some(3));
        assert_eq!(std::fs::read(&file).unwrap(), code, "it was rebuilt");
    }
    // Another key: nothing made under the old one counts.
    std::fs::write(cache.join("key"), "short").unwrap();
    assert_eq!(answer(), Some(3));
    assert_ne!(std::fs::read(&file).unwrap(), code);

    // A key that others can have put there is not taken.
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(cache.join("key"), [7; 64]).unwrap();
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(answer(), Some(3));
    assert_ne!(std::fs::read(cache.join("key")).unwrap(), [7; 64]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&cache.join("key"))), (0o700, 0o600));
}
