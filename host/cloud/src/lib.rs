//! Cloud providers. Each is a module that implements
//! [`flyball_nodes::cloud::CloudProvider`].
//!
//! A provider reports the cloud's node groups and carries out orders. The nodes half decides
//! which node group grows, and by how much.

mod any;
pub mod aws;
mod prices;
mod spec;

pub use any::{Cloud, conventions_of};
pub use prices::{NodePrices, PricesError};
pub use spec::{NodeGroupSpec, SpecError};
