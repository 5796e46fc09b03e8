//! How a policy is asked, and what remains of it: the types of the policy contract, the
//! port through which policies are found, asking with fallback, and a policy's part in a
//! record, which can be replayed.
//!
//! ```text
//! question ──▶ ask ──▶ part ──▶ record ──▶ recorder, ring ──▶ recorded inputs (trials)
//!                                  └─────▶ replay
//! ```
//!
//! Every kind of policy goes this way. What a decision is about, and what its record has
//! beside the policies' parts, is left to the crates that decide. This crate does no I/O
//! and reads no clock: time is an argument.

pub mod ask;
pub mod columns;
pub mod context;
pub mod event;
pub mod expander;
pub mod hash;
pub mod key;
pub mod memory;
pub mod part;
pub mod policy;
pub mod ports;
pub mod quantity;
pub mod question;
pub mod recorded;
pub mod recorder;
pub mod replay;
pub mod replica;
pub mod ring;
pub mod row_wish;
pub mod scale_down;
pub mod text;
pub mod time;
