//! From Kubernetes' objects to placements, held against what kube-scheduler and Cluster
//! Autoscaler themselves said.
#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod estimates;
mod scheduler;
