//! Scale-down: which nodes are not needed, which of them go now, and how they leave.
//!
//! [`plan`] decides, in the simulation and with the policies; `drain` carries it out, step
//! by step. [`tracker`] is what is kept from pass to pass.

mod budgets;
mod candidates;
pub(crate) mod delays;
mod disruption;
pub(crate) mod drain;
pub mod explain;
mod judge;
mod limits;
mod load;
pub mod moves;
pub mod plan;
mod recent_removals;
mod removals;
mod simulate;
pub mod timers;
pub mod tracker;
pub(crate) mod wishes;

pub use crate::options::{ScaleDownMode, ScaleDownOptions};
pub use crate::reasons;

pub use self::plan::{ScaleDownContext, ScaleDownPlan, plan_scale_down};
pub use self::tracker::ScaleDownTracker;
