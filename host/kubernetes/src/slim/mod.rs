//! Kubernetes' objects cut down to what scheduling reads.
//!
//! An object is read from JSON into a slim structure of its own fields
//! ([`PodObject`], [`NodeObject`], [`ClaimObject`], [`DaemonSetObject`] …), never
//! into a typed one, and from there becomes what `flyball-placement` and the core's
//! `ClusterState` take. What the scheduler's arithmetic makes of requests is here;
//! nothing is decided here.

mod convert;
mod csi;
mod daemon_set;
mod defaults;
mod facts;
mod node;
mod observed;
mod pod;
mod requests;
mod storage;
mod time;
mod volumes;

pub use self::csi::{CsiDriverObject, CsiNodeObject, StorageCapacityObject};
pub use self::daemon_set::DaemonSetObject;
pub use self::node::{NamespaceObject, NodeObject};
pub use self::pod::{ObjectMetadata, PodObject};
pub use self::storage::{ClaimObject, StorageClassObject, VolumeAttachmentObject, VolumeObject};
