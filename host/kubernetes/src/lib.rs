//! Access to a Kubernetes cluster: watches, reads and writes.
//!
//! For the replica half, watches keep slim copies of the cluster's objects
//! ([`Caches`]). [`KubernetesReader`] reads from them what the core asks for, and
//! [`KubernetesWriter`] carries out its intents while this process is leader. The nodes
//! half has [`ClusterWatch`] and [`KubernetesNodesWriter`] instead. [`crd_yaml`]
//! returns the custom resource definition of `ReplicaAutoscaler`.
//!
//! What the replica half keeps ([`Autoscalers`], [`Pods`], [`Selectors`]) is public so that
//! fuzzing can read it from a text, without an API server. So is [`ambiguous_selector`], whose
//! messages it checks.
//!
//! This crate makes no decisions and fetches no metrics, which come from a
//! [`flyball_replicas::ports::MetricsSource`].

mod cache;
mod client;
mod cluster;
mod configuration_watch;
mod crd;
mod dump;
mod events;
mod fair_requests;
mod identity;
mod kinds;
mod lease;
mod nodes_writer;
mod peer_leases;
mod pod_watch;
mod presence;
mod reader;
pub mod request;
mod resource;
mod scale;
mod selectors;
pub mod slim;
mod status;
mod watch;
mod writer;

pub use self::cache::{Autoscalers, Caches, Pods};
pub use self::client::{ConnectError, ConnectOptions, connect, connect_without_retries};
pub use self::cluster::{ClusterWatch, ClusterWatchOptions};
pub use self::crd::crd_yaml;
pub use self::dump::{Dump, DumpError};
pub use self::fair_requests::{FairRequests, RequestLimits, Undone};
pub use self::kinds::{Kind, KindError, Kinds};
pub use self::lease::{Election, ElectionEnded, LeaderOptions, Leadership, elect_leader};
pub use self::nodes_writer::KubernetesNodesWriter;
pub use self::peer_leases::{PeerFinding, PeerLeases};
pub use self::pod_watch::watch_for_both;
pub use self::presence::{Presence, PresenceFinding};
pub use self::reader::{KubernetesReader, ambiguous_selector};
pub use self::resource::ReplicaAutoscaler;
pub use self::selectors::{MatchedGroups, Others, Selectors, TooManyComparisons};
pub use self::writer::KubernetesWriter;
/// A connection to an API server.
pub use kube::Client;
