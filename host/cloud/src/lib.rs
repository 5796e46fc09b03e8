//! Cloud providers. Each is a module that implements
//! [`flyball_nodes::cloud::CloudProvider`].
//!
//! A provider reports the cloud's node groups and carries out orders. The core decides
//! which node group grows, and by how much.

pub mod aws;
mod spec;

pub use spec::{NodeGroupSpec, SpecError};
