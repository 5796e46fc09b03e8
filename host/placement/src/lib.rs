//! Placement: whether kube-scheduler would put a pod on a node.
//!
//! Implements the filters of kube-scheduler 1.36 over slim types: [`Pod`] and [`Node`]
//! are plain data. A [`Cluster`] interns them, records which pods run on which node,
//! and runs the filters for a pod and a node ([`Cluster::check`]). The counts that a
//! check needs are updated when pods and nodes are added or removed, not when the check
//! runs. With [`Cluster::mark`] and [`Cluster::rollback`] a planner can add nodes,
//! place pods, inspect the result and undo it.
//!
//! This crate reads no Kubernetes API types, no clock and no network. It does not
//! guess: a pod that no filter here can judge is reported as such
//! ([`Misfit::Unjudged`]).

mod cluster;
mod condition;
mod intern;
mod labels;
mod misfit;
mod node;
pub mod pack;
mod pod;
mod resources;
mod storage_objects;
mod volumes;

pub use self::cluster::{Bonds, ClassId, Cluster, Count, Diagnosis, Mark, NodeId};
pub use self::labels::{LabelSelector, Labels, NodeSelectorTerm, Operator, Requirement};
pub use self::misfit::{Misfit, Plugin, Reason, Stage, Unjudged};
pub use self::node::{Effect, Node, Taint};
pub use self::pod::{
    AffinityTerm, HostPort, Pod, Protocol, SpreadConstraint, Toleration, TolerationOperator,
};
pub use self::resources::Resources;
pub use self::storage_objects::{
    Claim, ClaimRef, CsiDriver, CsiNode, CsiNodeDriver, Disk, Owner, PersistentVolume, PodClaim,
    PodVolumes, StorageCapacity, StorageClass, StorageObject, VolumeAttachment, VolumeSource,
};
pub use self::volumes::BeyondLimit;

/// A string that many objects share.
pub type Name = std::sync::Arc<str>;
