//! Tests of the embedded cluster: scenarios, nodes, and whole runs.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod drains;
mod leaders;
mod reference;
mod removals;
mod run;
mod scenario;
mod simulated_nodes;
mod support;
mod with_nodes;
