//! Guests compiled from source, through the real sandbox: those of each contract version,
//! the hostile ones, and new policies made from the templates.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod contracts;
mod expanders;
mod hostile;
mod scale_down;
mod templates;
mod verdicts;
mod wishes;
