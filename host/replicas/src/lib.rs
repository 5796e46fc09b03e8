//! Decisions about replicas as functions on plain data.
//!
//! observe → decide → guard → act → record: [`ports`] read the cluster and carry intents
//! out, [`pipeline`] makes a proposal from (snapshot, now) by asking policies, [`guard`]
//! turns the proposal into a verdict, and [`record`] holds all of it. [`control`] is the
//! loop.
//!
//! This crate does no I/O, reads no clock, and depends neither on the Kubernetes API's
//! types nor on Wasm: time is an argument, and the cluster is behind ports.

pub mod control;
pub mod guard;
pub mod history;
pub mod labels;
pub mod memory;
pub mod observe;
pub mod options;
pub mod pipeline;
pub mod pods;
pub mod ports;
pub mod record;
mod replay;
pub mod rows;
pub mod selector;
pub mod spec;
pub mod status;
