//! Common parts of the tests and benchmarks of all crates: a real Kubernetes control
//! plane ([`Cluster`]), a simulated AWS ([`Aws`]) and faults of its calls ([`Faults`]),
//! waiting for a condition ([`wait_for`]), numbers of cases ([`cases()`]),
//! and reporting the figures of benchmarks ([`mod@bench`]).
//!
//! It depends on no crate of the host: tests reach the cluster with `kubectl` or with the
//! kubeconfig that [`Cluster::kubeconfig`] names, and AWS with `aws` or at
//! [`Aws::endpoint`].

mod aws;
pub mod bench;
pub mod binaries;
mod cases;
mod cluster;
mod faults;
mod folders;
mod processes;
pub mod vectors;
mod wait;

pub use aws::{Aws, GroupSize};
pub use cases::cases;
pub use cluster::{Cluster, ClusterOptions};
pub use faults::{Call, Fate, Faults};
pub use folders::empty_folder;
pub use processes::processes_that_name;
pub use wait::wait_for;
