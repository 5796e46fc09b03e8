//! `cargo xtask` as a user runs it.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod cluster;
mod image;
