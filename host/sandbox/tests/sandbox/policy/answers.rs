//! Checks of policies' answers and their size.

use std::sync::Arc;

use flyball_decision::policy::{Policy as _, PolicyFailure};
use flyball_decision::replica::{MetricInput, ReplicaInput};
use flyball_sandbox::{CompiledPolicy, DEFAULT_BUDGET};

use super::{context, decide, engine, failure, input, load};
use crate::guest::Guest;

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
    for code in ["not camel", "123", "1stOfAll", "Dotted.Code", "Größer"] {
        let message = invalid(Guest {
            code: code.into(),
            ..Guest::default()
        });
        assert!(message.starts_with("reason.code is"), "{message}");
    }
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

/// All reasons of an answer may point at the same texts, which takes no instructions.
#[test]
fn texts_of_an_answer_take_fuel_and_have_a_limit() {
    const REASONS: u64 = 21;
    let asked = |arguments: usize| {
        let guest = Guest {
            proposals: 20,
            arguments,
            ..Guest::default()
        };
        load(&guest).unwrap().decide(&context(), &input(1, 20))
    };
    let (short, long) = (asked(0), asked(2));
    assert!(short.answer.is_ok());
    assert_eq!(long.answer.unwrap().proposals.len(), 20);
    let bytes = REASONS * 2 * (64 + 1024 + 2 * 24);
    let fuel = long.usage.fuel - short.usage.fuel;
    let least = 10 * (bytes - 1024);
    assert!(fuel >= least, "{fuel} units, at least {least}");

    let failure = asked(32).answer.unwrap_err();
    assert_eq!(failure.code(), "PolicyInvalidAnswer", "{failure}");
    let words = "its texts have 764414 bytes together";
    assert!(failure.message().starts_with(words), "{failure}");

    // A refusal is shortened only after it was copied.
    let refuses = |message: String| {
        let message: &'static str = message.leak();
        Guest {
            error: Some(("Unsupported", message)),
            ..Guest::default()
        }
    };
    let [short, long] = [10, 20_000].map(|bytes| decide(&refuses("x".repeat(bytes))));
    assert_eq!(long.answer.unwrap_err().code(), "PolicyRefused");
    assert!(long.usage.fuel - short.usage.fuel >= 10 * (20_000 - 1024));
}

/// The API server accepts no condition and no event without one.
#[test]
fn an_answer_without_a_code_gets_one() {
    let decision = decide(&Guest {
        code: String::new(),
        ..Guest::default()
    });
    assert_eq!(decision.answer.unwrap().reason.code, "PolicyDecided");
}

/// A policy repeats a text of the spec: it must decide however long the text is.
#[test]
fn long_texts_of_the_spec_keep_no_built_in_from_deciding() {
    let mut builtin = flyball_policies::BUILTIN.iter();
    let (name, hpa) = builtin.find(|(name, _)| *name == "hpa").unwrap();
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
    assert_eq!(
        decision.reason.sentence,
        "fine\\u{1b}[2J policy other retired"
    );
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
