//! The built-in policies in the real sandbox, held against what Kubernetes' and Cluster
//! Autoscaler's own code decided.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod expanders;
mod hpa;
mod removals;
mod scale_down;
