//! Runs a guest once, confined: a fresh store, its limits, and the failure if there is
//! one.

use flyball_decision::policy::{Budget, PolicyFailure, Usage};
use flyball_decision::text::readable;
use wasmtime::{Store, Trap, WasmBacktrace};

use crate::engine::{self, Engine};
use crate::guest::{self, Guest, OverLimit};

/// Bytes that may cross from the guest to the host in one call.
const OUTPUT_BYTES: usize = 1 << 20;
/// What wasmtime says of an input that exceeds the canonical ABI's limits.
const ENCODING_LIMITS: [&str; 4] = [
    "too large to copy into wasm",
    "byte length too large",
    "byte length overflow",
    "size overflow copying",
];
/// Names of Rust's own functions begin with these. They say how a panic ends a guest, not
/// where it began.
const OF_RUST: [&str; 8] = [
    "core::", "std::", "alloc::", "<core::", "<std::", "<alloc::", "__rust", "rust_",
];
const COMPONENT_HANDLES: usize = 1_000;
const FRAMES: usize = 4;
/// Maximum bytes of a function's name in a failure: the guest's file chooses the name.
const FUNCTION_NAME_BYTES: usize = 128;

/// The part of a policy's memory from which an input is so large that it may be at fault if
/// memory runs out: 1 / this.
const LARGE_INPUT: u64 = 4;

/// Size of what a guest is asked.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct InputSize {
    /// Rows, which fuel is granted for.
    pub rows: u64,
    /// Estimate of the bytes that it takes in the guest's memory.
    pub bytes: u64,
}

/// Runs `body` in a fresh store with the budget for an input of this size.
pub(crate) fn run<T>(
    engine: &Engine,
    budget: &Budget,
    input: InputSize,
    body: impl FnOnce(&mut Store<Guest>) -> wasmtime::Result<T>,
) -> Run<T> {
    let slot = engine.slot();
    let fuel_budget = engine::fuel(budget, input.rows);
    let mut store = Store::new(engine.wasmtime(), Guest::new(budget.memory_bytes));
    store.limiter(|guest| guest);
    store.set_hostcall_fuel(OUTPUT_BYTES);
    store.set_max_component_handles(COMPONENT_HANDLES);
    store.set_epoch_deadline(engine::epochs(budget, fuel_budget));
    let outcome = store.set_fuel(fuel_budget).and_then(|()| body(&mut store));
    let paid = guest::take_size_fuel(&mut store);
    let left = store.get_fuel().unwrap_or(0);
    let mut guest = store.into_data();
    let outcome = outcome.and_then(|answer| paid.map(|()| answer));
    let outcome = outcome.map_err(|error| {
        let panic = guest.log.take_panic();
        let failure = failure(&error, panic, fuel_budget, budget);
        match guest.wanted_more_memory {
            true => unless_too_large(failure, input, budget),
            false => failure,
        }
    });
    drop(slot);
    let usage = Usage {
        fuel: fuel_budget.saturating_sub(left),
        fuel_budget,
        memory_bytes: u64::try_from(guest.memory).unwrap_or(u64::MAX),
    };
    Run {
        usage,
        outcome,
        log: guest.log.finish(),
    }
}

/// Usage, log and outcome of a run.
pub(crate) struct Run<T> {
    pub usage: Usage,
    pub outcome: Result<T, PolicyFailure>,
    pub log: Vec<(u32, String)>,
}

/// `panic`: the message of the panic that the guest logged last.
fn failure(
    error: &wasmtime::Error,
    panic: Option<String>,
    fuel: u64,
    budget: &Budget,
) -> PolicyFailure {
    if let Some(over) = error.downcast_ref::<OverLimit>() {
        return PolicyFailure::OverLimit(over.to_string());
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::OutOfFuel) => {
            let place = place(error);
            PolicyFailure::OutOfFuel(format!(
                "it used up its fuel of {fuel}{place}: unless it loops without end, raise its \
                 budget with --policy-budget"
            ))
        }
        Some(Trap::Interrupt) => {
            let ms = engine::backstop_ms(budget, fuel);
            PolicyFailure::Interrupted(format!("it took longer than {ms} ms{}", place(error)))
        }
        Some(trap) => {
            let trap = trap.to_string();
            let what = trap.strip_prefix("wasm trap: ").unwrap_or(&trap);
            let what = panic.as_deref().unwrap_or(what);
            PolicyFailure::Trapped(format!("{what}{}", place(error)))
        }
        None => without_trap(error),
    }
}

/// Returns the failure of a guest that wanted more memory than it may have: it is the
/// input's fault if that takes a large part of the memory.
fn unless_too_large(failure: PolicyFailure, input: InputSize, budget: &Budget) -> PolicyFailure {
    let (bytes, limit) = (input.bytes, budget.memory_bytes);
    if bytes < limit / LARGE_INPUT {
        return failure;
    }
    PolicyFailure::InputTooLarge(format!(
        "its input takes some {bytes} bytes of the {limit} bytes of memory that it may have: {}",
        failure.message()
    ))
}

/// Recognizes failures for which wasmtime has no types.
fn without_trap(error: &wasmtime::Error) -> PolicyFailure {
    let text = error.root_cause().to_string();
    if text.contains("too much data") {
        return PolicyFailure::OverLimit(format!("its output exceeds {OUTPUT_BYTES} bytes"));
    }
    if ENCODING_LIMITS.iter().any(|limit| text.contains(limit)) {
        return PolicyFailure::InputTooLarge(text);
    }
    if text.contains("resource limit exceeded") || text.contains("limit exceeded") {
        return PolicyFailure::OverLimit(text);
    }
    PolicyFailure::InvalidAnswer(text)
}

/// Returns the innermost functions of a trap that are not Rust's own.
fn place(error: &wasmtime::Error) -> String {
    let Some(trace) = error.downcast_ref::<WasmBacktrace>() else {
        return String::new();
    };
    let names: Vec<String> = trace
        .frames()
        .iter()
        .filter_map(|frame| frame.func_name())
        .map(|name| {
            // Without the hash at the end.
            let mut name = format!("{:#}", rustc_demangle::demangle(name));
            readable(&mut name, FUNCTION_NAME_BYTES);
            name
        })
        .filter(|name| !OF_RUST.iter().any(|prefix| name.starts_with(prefix)))
        .take(FRAMES)
        .collect();
    if names.is_empty() {
        String::new()
    } else {
        format!(", in {}", names.join(" from "))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

    use flyball_decision::policy::{Budget, PolicyFailure};
    use wasmtime::component::{Component, Linker};

    use super::{InputSize, run};
    use crate::engine::{DEFAULT_BUDGET, Engine, EngineOptions};

    const WHEN_CALLED: &str = r#"(func (export "f") (loop (br 0)))"#;
    const WHEN_STARTED: &str = r#"(func (export "f")) (func $start (loop (br 0))) (start $start)"#;

    /// Runs an endless loop; `deadline` shortens the backstop, in epochs.
    fn endless(module: &str, budget: Budget, deadline: Option<u64>) -> PolicyFailure {
        let engine = Engine::new(&EngineOptions::default()).unwrap();
        let text = format!(
            r#"(component
                (core module $m {module})
                (core instance $i (instantiate $m))
                (func (export "f") (canon lift (core func $i "f"))))"#
        );
        let bytes = wat::parse_str(text).unwrap();
        let component = Component::from_binary(engine.wasmtime(), &bytes).unwrap();
        let linker = Linker::new(engine.wasmtime());
        let run = run(&engine, &budget, InputSize::default(), |store| {
            if let Some(deadline) = deadline {
                store.set_epoch_deadline(deadline);
            }
            let instance = linker.instantiate(&mut *store, &component)?;
            let function = instance.get_typed_func::<(), ()>(&mut *store, "f")?;
            function.call(store, ())
        });
        run.outcome.unwrap_err()
    }

    #[test]
    fn fuel_ends_a_loop_long_before_the_clock() {
        let budget = Budget {
            time_ms: 1,
            ..DEFAULT_BUDGET
        };
        for module in [WHEN_CALLED, WHEN_STARTED] {
            let failure = endless(module, budget, None);
            assert!(matches!(failure, PolicyFailure::OutOfFuel(_)), "{failure}");
        }
    }

    #[test]
    fn the_clock_ends_what_fuel_does_not() {
        let budget = Budget {
            fuel_base: u64::MAX / 2,
            ..DEFAULT_BUDGET
        };
        for module in [WHEN_CALLED, WHEN_STARTED] {
            let failure = endless(module, budget, Some(3));
            assert!(
                matches!(failure, PolicyFailure::Interrupted(_)),
                "{failure}"
            );
        }
    }
}
