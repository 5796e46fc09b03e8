//! Kubernetes' objects cut down to what scheduling reads.
//!
//! An object is read from JSON into a slim structure of its own fields
//! ([`PodObject`], [`NodeObject`], [`NamespaceObject`]), never into a typed one,
//! and from there becomes what `flyball-placement` takes. What the scheduler's
//! arithmetic makes of requests is here; nothing is decided here.

mod convert;
mod defaults;
mod node;
mod pod;
mod requests;

pub use self::node::{NamespaceObject, NodeObject};
pub use self::pod::{ObjectMetadata, PodObject};
