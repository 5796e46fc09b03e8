//! Would the scheduler put this pod on this node?
//!
//! The filters of kube-scheduler 1.36 over slim types: [`Pod`] and [`Node`] are
//! plain data with names; a [`Cluster`] interns them, holds which pods run where,
//! and answers [`Cluster::check`] for a pod and a node. Everything is incremental:
//! what a check needs is counted when pods and nodes come and go, not when it is
//! asked. [`Cluster::mark`] and [`Cluster::rollback`] let a planner add nodes and
//! place pods, look, and take it all back.
//!
//! Nothing here reads Kubernetes' API types, a clock or a network, and nothing is
//! guessed: what can't be judged is said to be so ([`Misfit::Unjudged`]).

mod cluster;
mod intern;
mod labels;
mod misfit;
mod node;
pub mod pack;
mod pod;
mod resources;
mod volumes;

pub use self::cluster::{Bonds, ClassId, Cluster, Count, Diagnosis, Mark, NodeId};
pub use self::labels::{LabelSelector, Labels, Operator, Requirement};
pub use self::misfit::{Misfit, Plugin, Reason, Stage, Unjudged};
pub use self::node::{Effect, Node, Taint};
pub use self::pod::{
    AffinityTerm, HostPort, NodeSelectorTerm, Pod, Protocol, SpreadConstraint, Toleration,
    TolerationOperator,
};
pub use self::resources::Resources;
pub use self::volumes::{
    BeyondLimit, Claim, ClaimRef, CsiDriver, CsiNode, CsiNodeDriver, Disk, Owner, PersistentVolume,
    PodClaim, PodVolumes, StorageCapacity, StorageClass, StorageObject, VolumeAttachment,
    VolumeSource,
};

/// A text that many objects share.
pub type Name = std::sync::Arc<str>;
