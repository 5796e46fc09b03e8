//! Inputs of scale-down policies for native tests, put together in a few lines.

mod check;
mod moves;
mod nodes;
mod pods;
mod tables;

pub use self::moves::{MoveSpec, ScaleDownMovesBuilder};
pub use self::nodes::ScaleDownNodesBuilder;
pub use self::pods::{ScaleDownPodSpec, ScaleDownPodsBuilder};
pub use self::tables::{GroupSpec, ScaleDownNodeSpec};
