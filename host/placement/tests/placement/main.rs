//! Placement, compared with plain restatements of the rules, and with the results of
//! kube-scheduler and Cluster Autoscaler.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod choosing;
mod not_in;
mod packing;
mod packing_each;
mod rebuild;
mod unjudged;
mod vectors;
