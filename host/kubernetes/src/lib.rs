//! Flyball in a Kubernetes cluster.
//!
//! Watches keep slim copies of the cluster's objects ([`Caches`]), from which
//! [`KubernetesReader`] answers the core's questions; [`KubernetesWriter`]
//! carries its intents out, only while it is leader. The half that orders nodes has
//! [`ClusterWatch`] and [`KubernetesNodesWriter`] in their places. [`crd_yaml`] is the custom
//! resource definition of `ReplicaAutoscaler`.
//!
//! Nothing is decided here, and nothing is measured here: metrics come from a
//! [`flyball_core::ports::MetricsSource`].

mod cache;
mod client;
mod cluster;
mod crd;
mod dump;
mod events;
mod kinds;
mod lease;
mod nodes_writer;
mod pod_watch;
pub mod priorities;
mod reader;
pub mod request;
mod resource;
mod scale;
mod selectors;
pub mod slim;
mod status;
mod watch;
mod writer;

pub use self::cache::Caches;
pub use self::client::{ConnectError, ConnectOptions, connect};
pub use self::cluster::ClusterWatch;
pub use self::crd::crd_yaml;
pub use self::dump::{Dump, DumpError};
pub use self::kinds::{Kind, KindError, Kinds};
pub use self::lease::{Election, LeaderOptions, elect_leader, sole_leader};
pub use self::nodes_writer::KubernetesNodesWriter;
pub use self::pod_watch::watch_for_both;
pub use self::reader::KubernetesReader;
pub use self::resource::ReplicaAutoscaler;
pub use self::status::StatusObject;
pub use self::writer::KubernetesWriter;
/// A connection to an API server.
pub use kube::Client;
