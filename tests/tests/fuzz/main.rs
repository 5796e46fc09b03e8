//! Fuzzing of everything that is read from outside: mutations of real inputs, and clusters
//! whose objects select each other. None may panic, take memory out of proportion or make
//! messages beyond their limits.
//!
//! As a test, each target runs some cases of one seed. `cargo xtask fuzz` runs them for a
//! time, from a seed of its own; `docs/development.md` says how to repeat a case. The
//! program has no coverage feedback.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod corpus;
mod crowds;
mod mutate;
mod run;
mod targets;

use run::{Inputs, fuzz};

macro_rules! targets {
    ($($name:ident,)*) => {
        $(
            #[test]
            fn $name() {
                let inputs = Inputs::mutations(corpus::$name());
                fuzz(stringify!($name), &inputs, targets::$name);
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

#[test]
fn crowds() {
    fuzz("crowds", &Inputs::clusters(crowds::crowds), targets::dumps);
}
