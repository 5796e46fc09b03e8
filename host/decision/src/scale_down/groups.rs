//! Node groups, which all scale-down questions have in common.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Bits of [`GroupColumns::state`].
pub mod group_state {
    /// Its nodes are spot instances.
    pub const SPOT: u32 = 1;
    /// Its nodes are on-demand instances. Neither this nor [`SPOT`]: mixed, or not known.
    pub const ON_DEMAND: u32 = 2;
    /// The group is all-or-none: the host removes all its nodes together.
    pub const ALL_OR_NONE: u32 = 4;
}

/// The node groups that rows of other tables name, a row each.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GroupColumns {
    /// Name.
    pub name: Vec<Arc<str>>,
    /// Bits of [`group_state`].
    pub state: Vec<u32>,
    /// Lower bound of nodes that the host enforces.
    pub min_size: Vec<u32>,
    /// Upper bound of nodes that the host enforces.
    pub max_size: Vec<u32>,
    /// Nodes that the cloud is asked for.
    pub target_size: Vec<u32>,
    /// Nodes that are ready.
    pub ready_nodes: Vec<u32>,
    /// Price of one node for an hour. `None` if it is not known.
    pub node_price: Vec<Option<f64>>,
    /// Price of all its nodes for an hour. `None` if a price is not known.
    pub price: Vec<Option<f64>>,
    /// Cost of moving all pods of its nodes. `None` if it is not known, as while pods and
    /// nodes are judged.
    pub cost: Vec<Option<f64>>,
    /// Its own threshold of utilization, from 0 to 1. `None` if it has none.
    pub utilization_threshold: Vec<Option<f64>>,
    /// Its own threshold for nodes with GPUs.
    pub gpu_utilization_threshold: Vec<Option<f64>>,
    /// How long its nodes must have been unneeded, in milliseconds; -1 if the group sets
    /// nothing.
    pub unneeded_time_ms: Vec<i64>,
    /// The same for nodes that are not ready.
    pub unready_time_ms: Vec<i64>,
    /// Whether DaemonSet pods are left out of the utilization: 1 yes, 0 no, -1 if the
    /// group sets nothing.
    pub ignore_daemon_sets: Vec<i32>,
}

count_rows!(GroupColumns by name);

impl GroupColumns {
    /// Returns whether a row is the same in other columns.
    #[must_use]
    pub fn is_same_row(&self, row: usize, other: &Self) -> bool {
        fn same<T: PartialEq>(own: &[T], other: &[T], row: usize) -> bool {
            own.get(row) == other.get(row)
        }
        same(&self.name, &other.name, row)
            && same(&self.state, &other.state, row)
            && same(&self.min_size, &other.min_size, row)
            && same(&self.max_size, &other.max_size, row)
            && same(&self.target_size, &other.target_size, row)
            && same(&self.ready_nodes, &other.ready_nodes, row)
            && same(&self.node_price, &other.node_price, row)
            && same(&self.price, &other.price, row)
            && same(&self.cost, &other.cost, row)
            && same(
                &self.utilization_threshold,
                &other.utilization_threshold,
                row,
            )
            && same(
                &self.gpu_utilization_threshold,
                &other.gpu_utilization_threshold,
                row,
            )
            && same(&self.unneeded_time_ms, &other.unneeded_time_ms, row)
            && same(&self.unready_time_ms, &other.unready_time_ms, row)
            && same(&self.ignore_daemon_sets, &other.ignore_daemon_sets, row)
    }
}
