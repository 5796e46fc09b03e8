//! Slim Kubernetes objects: only the fields that scheduling uses.
//!
//! An object is deserialized from JSON into a slim structure ([`PodObject`],
//! [`NodeObject`], [`ClaimObject`], [`DaemonSetObject`] …), never into the full type,
//! and then converted for `flyball-placement` and the core's `ClusterState`. Requests
//! are summed here like in the scheduler. This module makes no decisions.

mod annotations;
mod budget;
mod convert;
mod csi;
mod daemon_set;
mod defaults;
mod drain;
mod facts;
mod node;
mod observed;
mod owner;
mod pod;
mod requests;
mod storage;
mod text;
mod time;
mod volumes;

pub use self::budget::BudgetObject;
pub use self::csi::{CsiDriverObject, CsiNodeObject, StorageCapacityObject};
pub use self::daemon_set::DaemonSetObject;
pub use self::node::{NamespaceObject, NodeObject};
pub use self::owner::{
    JobObject, ReplicaSetObject, ReplicationControllerObject, StatefulSetObject,
};
pub use self::pod::{ObjectMetadata, PodObject};
pub use self::storage::{ClaimObject, StorageClassObject, VolumeAttachmentObject, VolumeObject};
