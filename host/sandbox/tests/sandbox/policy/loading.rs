//! Refusals while loading, and their messages.

use flyball_decision::policy::Policy as _;
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions};
use serde_json::{Value, json};

use super::{context, input, load, refused};
use crate::guest::Guest;

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
        remote.contains("configuration-schema refers to \"http://localhost/x\""),
        "{remote}"
    );
    let pattern = text(Guest {
        schema: r#"{"pattern": "(a{100}){1000}"}"#.into(),
        ..Guest::default()
    });
    assert!(
        pattern.contains("configuration-schema is no JSON Schema"),
        "{pattern}"
    );
    let trap = text(Guest {
        describe: "(unreachable)".into(),
        ..Guest::default()
    });
    assert!(
        trap.contains("failed while describing itself: PolicyTrapped"),
        "{trap}"
    );
    // Its own name is the first text in its memory, as a panic's message would be.
    let panicked = text(Guest {
        describe: "(call $log (i32.const 0) (i32.const 512) (i32.const 5)) (unreachable)".into(),
        ..Guest::default()
    });
    assert!(panicked.ends_with("; it said: guest"), "{panicked}");
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

/// Each level of such a configuration may be checked several times by each level above:
/// the cost depends on the configuration alone.
#[test]
fn a_configuration_that_takes_too_long_to_check_is_refused() {
    let node = json!({"properties": {"inner": {"$ref": "#"}}});
    let policy = load(&Guest {
        schema: json!({"oneOf": [node, node, node]}).to_string(),
        ..Guest::default()
    })
    .unwrap();
    let nested = |depth: usize| {
        let innermost = json!({"inner": 0});
        let value = (1..depth).fold(innermost, |inner, _| json!({ "inner": inner }));
        let configuration = value.as_object().unwrap().clone();
        let fault = policy.check_configuration(&configuration).unwrap_err();
        fault.to_string()
    };
    assert!(nested(3).contains("oneOf"), "checked, and no one of them");
    for depth in [25, 100] {
        let fault = nested(depth);
        assert!(fault.starts_with("`/`: it takes more than"), "{fault}");
    }
}

/// The errors of alternatives are collected, each with a copy of what is at fault and of its
/// path.
#[test]
fn it_is_not_said_where_a_configuration_does_not_fit_if_that_takes_too_long() {
    let lists = json!({"additionalProperties": {"items": {"type": "string"}}});
    let policy = load(&Guest {
        schema: json!({"anyOf": [lists]}).to_string(),
        ..Guest::default()
    })
    .unwrap();
    let check = |name: &str, items: Vec<Value>| {
        let fields = [(name.to_owned(), Value::from(items))];
        let checked = policy.check_configuration(&fields.into_iter().collect());
        checked.map_err(|fault| fault.to_string())
    };
    let long = "n".repeat(30_000);
    assert_eq!(check(&long, vec![json!(""); 10_000]), Ok(()));
    assert!(check("n", vec![json!(0)]).unwrap_err().contains("anyOf"));
    let fault = check(&long, vec![json!(0); 10_000]).unwrap_err();
    assert!(fault.starts_with("`/`: it does not fit"), "{fault}");
}

/// Whatever draft a part of a schema names: the steps of such checks are not known.
#[test]
fn formats_are_not_checked() {
    let draft = "http://json-schema.org/draft-07/schema#";
    let policy = load(&Guest {
        schema: json!({"properties": {
            "pattern": {"$schema": draft, "type": "string", "format": "regex"},
            "mail": {"type": "string", "format": "email"},
        }})
        .to_string(),
        ..Guest::default()
    })
    .unwrap();
    let check = |configuration: Value| {
        let checked = policy.check_configuration(configuration.as_object().unwrap());
        checked.map_err(|fault| fault.to_string())
    };
    assert_eq!(check(json!({"pattern": "(", "mail": "a"})), Ok(()));
    assert!(check(json!({"pattern": 1})).is_err());
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
    // Another key: files made with the old one are not used.
    std::fs::write(cache.join("key"), "short").unwrap();
    assert_eq!(answer(), Some(3));
    assert_ne!(std::fs::read(&file).unwrap(), code);

    // A key that others may have written is not used.
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::write(cache.join("key"), [7; 64]).unwrap();
    std::fs::set_permissions(&cache, std::fs::Permissions::from_mode(0o777)).unwrap();
    assert_eq!(answer(), Some(3));
    assert_ne!(std::fs::read(cache.join("key")).unwrap(), [7; 64]);
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&cache), mode(&cache.join("key"))), (0o700, 0o600));
}
