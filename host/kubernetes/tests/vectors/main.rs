//! Placements from Kubernetes objects, compared with the results of kube-scheduler and
//! Cluster Autoscaler.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod estimates;
mod scheduler;
