//! Autoscaling decisions as functions on plain data.
//!
//! observe → decide → guard → act → record: [`ports`] read the cluster and carry intents
//! out, [`pipeline`] makes a proposal from (snapshot, now) by asking policies through
//! [`policy::PolicyEngine`], [`guard`] turns the proposal into a verdict, and [`record`]
//! holds all of it.
//!
//! This crate does no I/O, reads no clock, and depends neither on the Kubernetes API's
//! types nor on Wasm: time is an argument, and the cluster is behind ports.

pub mod ask;
pub mod control;
pub mod document;
pub mod explain;
pub mod guard;
pub mod hash;
pub mod history;
pub mod labels;
pub mod memory;
pub mod nodes;
pub mod observe;
pub mod part;
pub mod pipeline;
pub mod pods;
pub mod policy;
pub mod ports;
pub mod quantity;
pub mod question;
pub mod record;
pub mod recorded;
pub mod recorder;
pub mod replay;
pub mod replica;
pub mod ring;
pub mod selector;
pub mod spec;
pub mod status;
pub mod time;
