//! Clouds that node groups live in, each a module that implements
//! [`flyball_core::nodes::cloud::CloudProvider`].
//!
//! A provider reports what the cloud has and carries out orders. It decides
//! nothing: which node group grows, and by how much, is the core's business.

pub mod aws;
mod spec;

pub use spec::{NodeGroupSpec, SpecError};
