//! Decisions, and the outcome of each kind of misbehaviour.

use flyball_decision::policy::{Policy as _, PolicyFailure};
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET, Engine, EngineOptions};

use super::{context, decide, failure, input, load};
use crate::guest::Guest;

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
    // Answers with the content of its memory, then changes it.
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
