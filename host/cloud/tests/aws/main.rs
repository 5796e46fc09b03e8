//! AWS Auto Scaling: what is asked of it and read from it.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod moto;
mod vectors;
