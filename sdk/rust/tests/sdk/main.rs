//! The SDK from outside.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod contract;
mod policy;
