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
//! A scale-down policy has up to three functions, of which it needs one: what happens to
//! the pods of a node that may leave, which nodes may leave, and which moves are worth
//! their price. See [`scale_down_policy!`], [`ScaleDownPods`], [`ScaleDownNodes`] and
//! [`ScaleDownMoves`].
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
mod rows;
#[doc(hidden)]
pub mod runtime;
mod scale_down_builder;
mod scale_down_group;
mod scale_down_moves;
mod scale_down_nodes;
mod scale_down_pods;
mod time;
mod verdicts;
mod want;

pub use bindings::replica::exports::flyball::policy::replica::Metric as MetricColumns;
pub use builder::{MetricSpec, PodSpec, ReplicaBuilder};
pub use decision::{Decision, Proposal};
pub use expander::{Expander, Purchase, Resources, ScaleOption};
pub use expander_builder::{ExpanderBuilder, OptionSpec};
pub use given::{NoConfig, NoState};
pub use metric::{Metric, Request, Sample, Source, Target};
pub use pod::{Phase, Pod, Ready};
pub use ranking::Ranking;
pub use reason::{Answer, Reason, Refusal};
pub use replica::Replica;
pub use scale_down_builder::{
    GroupSpec, MoveSpec, ScaleDownMovesBuilder, ScaleDownNodeSpec, ScaleDownNodesBuilder,
    ScaleDownPodSpec, ScaleDownPodsBuilder,
};
pub use scale_down_group::{Group, JudgedNode};
pub use scale_down_moves::{JudgedMove, MoveVerdict, MoveVerdicts, ScaleDownMoves};
pub use scale_down_nodes::{NodeVerdict, NodeVerdicts, ScaleDownNodes};
pub use scale_down_pods::{
    JudgedPod, OwnerKind, PodNode, PodVerdict, PodVerdicts, SafeToEvict, ScaleDownPods,
};
pub use time::Time;
pub use want::{Granted, Want};
