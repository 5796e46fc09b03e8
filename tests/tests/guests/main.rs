//! Guests compiled from source, through the real sandbox: those of each contract version,
//! and the hostile ones.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod contracts;
mod expanders;
mod hostile;
mod scale_down;
mod verdicts;
mod wishes;
