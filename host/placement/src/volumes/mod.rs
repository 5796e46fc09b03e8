//! The filters that read the volumes of pods and the cluster's storage objects
//! (VolumeRestrictions, NodeVolumeLimits, VolumeBinding, VolumeZone).
//!
//! Volumes of an in-tree plugin count as volumes of its CSI driver on nodes whose
//! CSINode lists the plugin as migrated (`translate`).

mod binding;
mod csi_nodes;
mod filters;
mod limits;
mod store;
mod translate;

pub(crate) use self::filters::Mounting;
pub use self::limits::BeyondLimit;
pub(crate) use self::store::{NodeLabels, Storage};
