//! Fuzzing of everything that is read from outside: mutations of real inputs, which must
//! not panic, take memory out of proportion or make messages beyond their limits.
//!
//! As a test, each target runs some cases of one seed. `cargo xtask fuzz` runs them for a
//! time, from a seed of its own; `docs/development.md` says how to repeat a case. The
//! program has no coverage feedback.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod corpus;
mod mutate;
mod run;
mod targets;

use run::fuzz;

macro_rules! targets {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                fuzz(stringify!($name), &corpus::$name(), targets::$name);
            }
        )*
    };
}

targets! {
    autoscalers,
    components,
    dumps,
    metrics,
    quantities,
    records,
    scenarios,
    schemas,
    selectors,
}
