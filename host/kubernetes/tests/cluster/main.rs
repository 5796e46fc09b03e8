//! Tests of reader and writer on a real control plane.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod apiserver;
mod deploy;
mod fixture;
mod observe;
mod resource;
mod restart;
mod scale_down;
mod write;
mod write_nodes;
