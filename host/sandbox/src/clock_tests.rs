//! Tests of the wall-clock backstop on an overloaded machine, where time passes much
//! faster than fuel is used.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, OptionColumns};
use flyball_decision::policy::{Budget, Policy as _, PolicyFailure};
use flyball_tests::guests;

use crate::engine::{DEFAULT_BUDGET, Engine, EngineOptions};
use crate::error::LoadError;
use crate::policy::CompiledPolicy;
use crate::registry::{PolicyState, Registry, RegistryOptions};

fn engine() -> Engine {
    Engine::new(&EngineOptions::default()).unwrap()
}

fn fuel(fuel_base: u64) -> Budget {
    Budget {
        fuel_base,
        ..DEFAULT_BUDGET
    }
}

/// Runs `what` as on an overloaded machine.
fn overwhelmed<T>(engine: &Engine, what: impl FnOnce() -> T) -> T {
    /// Stops the thread even if a test fails.
    struct Done<'a>(&'a AtomicBool);
    impl Drop for Done<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                engine.wasmtime().increment_epoch();
            }
        });
        let _done = Done(&done);
        what()
    })
}

#[test]
fn the_clock_ends_a_ranking_that_fuel_does_not() {
    let engine = engine();
    let endless = &guests::components("expanders").unwrap()["endless"];
    let budget = fuel(1_000_000_000_000);
    let policy = CompiledPolicy::load(&engine, "endless", endless, budget).unwrap();
    let options = OptionColumns {
        node_group: vec!["group-0".into()],
        ..OptionColumns::default()
    };
    let input = ExpanderInput {
        options: Arc::new(options),
        cluster_node_count: None,
    };
    let outcome = overwhelmed(&engine, || policy.rank(&Context::default(), &input));
    let failure = outcome.answer.unwrap_err();
    assert!(
        matches!(&failure, PolicyFailure::Interrupted(message) if message.contains("took longer than")),
        "{failure}"
    );
    assert!(outcome.usage.fuel < outcome.usage.fuel_budget);
}

#[test]
fn the_clock_ends_a_start_that_fuel_does_not() {
    let engine = engine();
    let components = guests::components("hostile").unwrap();
    for guest in ["start_loop", "start_section_loop"] {
        let load = || {
            let budget = fuel(1_000_000_000_000);
            CompiledPolicy::load(&engine, guest, &components[guest], budget)
        };
        let error = overwhelmed(&engine, load).unwrap_err();
        assert!(
            matches!(
                error,
                LoadError::Describe {
                    failure: PolicyFailure::Interrupted(_),
                    ..
                }
            ),
            "{guest}: {error}"
        );
        assert!(error.may_pass(), "{guest}");
    }
}

/// A file that failed for a reason of its own is not tried again: it would fail again.
#[test]
fn a_file_that_only_the_clock_was_against_is_looked_at_again() {
    let engine = engine();
    let directory = tempfile::tempdir().unwrap();
    let slow = &guests::components("hostile").unwrap()["describe_slow"];
    std::fs::write(directory.path().join("slow.wasm"), slow).unwrap();
    let options = RegistryOptions {
        directory: Some(directory.path().into()),
        default_budget: fuel(50_000_000_000),
        rescan: Duration::from_secs(3_600),
        ..RegistryOptions::default()
    };
    let registry = overwhelmed(&engine, || {
        let registry = Registry::open(&engine, options, &[]).unwrap();
        registry.rescan();
        registry
    });
    let state = || registry.status().remove(0).state;
    match state() {
        PolicyState::Failed { reason } => {
            assert!(reason.contains("itself: PolicyInterrupted"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    registry.rescan();
    assert_eq!(state(), PolicyState::Active);

    let trapped = LoadError::Describe {
        failure: PolicyFailure::Trapped(String::new()),
        last_log_line: String::new(),
    };
    assert!(!trapped.may_pass());
}
