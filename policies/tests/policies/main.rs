//! The built-in policies as they are embedded.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod reproduce;
mod size;
