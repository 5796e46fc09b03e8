//! What a Flyball policy is written against.
//!
//! A policy is one function: what the host knows goes in, a decision and its
//! reason come out. It is compiled to a WebAssembly component by `flyball policy
//! build`, and runs natively in `cargo test`.
//!
//! ```
//! use flyball_policy::{Decision, Replica};
//!
//! fn decide(input: &Replica) -> Decision {
//!     let Some(load) = input.metrics().next().and_then(|metric| metric.utilization()) else {
//!         return Decision::hold("there is no load to go by");
//!     };
//!     let wanted = f64::from(input.ready()) * load / 0.6;
//!     Decision::to(wanted.ceil() as i64).because("Load", format!("{:.0}% used", load * 100.0))
//! }
//!
//! flyball_policy::replica_policy! {
//!     summary: "Aims at a utilization of 60%",
//!     decide: decide,
//! }
//! # fn main() {}
//! ```
//!
//! An expander, which says which node group should grow, is one function too: see
//! [`expander_policy!`], [`Expander`] and [`Ranking`].
//!
//! The crate does no I/O, and there is no clock: time, seed, history and state
//! come in with the input, so that a decision can be recorded and made again.

#[doc(hidden)]
pub mod bindings;
mod builder;
mod decision;
mod expander;
mod expander_builder;
mod given;
#[cfg(any(target_arch = "wasm32", test))]
mod heap;
pub mod log;
mod macros;
mod metric;
mod pod;
mod ranking;
mod reason;
mod replica;
#[doc(hidden)]
pub mod runtime;
mod time;
mod want;

pub use bindings::replica::exports::flyball::policy::replica::Metric as MetricColumns;
pub use builder::{MetricSpec, PodSpec, ReplicaBuilder};
pub use decision::{Decision, Proposal};
pub use expander::{Expander, Resources, ScaleOption};
pub use expander_builder::{ExpanderBuilder, OptionSpec};
pub use given::{NoConfig, NoState};
pub use metric::{Metric, Request, Sample, Source, Target};
pub use pod::{Phase, Pod, Ready};
pub use ranking::Ranking;
pub use reason::{Answer, Reason, Refusal};
pub use replica::Replica;
pub use time::Time;
pub use want::{Granted, Want};
