//! What the tests and benchmarks of all crates share: a real Kubernetes
//! control plane ([`Cluster`]), an AWS on this machine ([`Aws`]), waiting for
//! something to come true ([`wait_for`]) and reporting the figures of benchmarks
//! ([`mod@bench`]).
//!
//! Nothing here knows a crate of the host: tests reach the cluster with
//! `kubectl` or with the kubeconfig that [`Cluster::kubeconfig`] names, and AWS
//! with `aws` or at [`Aws::endpoint`].

mod aws;
pub mod bench;
pub mod binaries;
mod cluster;
pub mod vectors;
mod wait;

pub use aws::Aws;
pub use cluster::{Cluster, ClusterOptions};
pub use wait::wait_for;
