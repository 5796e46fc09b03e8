//! Common parts of the tests and benchmarks of all crates: a real Kubernetes control
//! plane ([`Cluster`]), a simulated AWS ([`Aws`]), waiting for a condition ([`wait_for`])
//! and reporting the figures of benchmarks ([`mod@bench`]).
//!
//! It depends on no crate of the host: tests reach the cluster with `kubectl` or with the
//! kubeconfig that [`Cluster::kubeconfig`] names, and AWS with `aws` or at
//! [`Aws::endpoint`].

mod aws;
pub mod bench;
pub mod binaries;
mod cluster;
pub mod vectors;
mod wait;

pub use aws::Aws;
pub use cluster::{Cluster, ClusterOptions};
pub use wait::wait_for;
