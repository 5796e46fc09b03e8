//! Columns of the tables that scale-down policies judge.

use std::sync::Arc;

use super::{RaggedColumn, complete, has_rows};
use crate::scale_down::{
    GroupColumns, MoveColumns, NO_ROW, NONE, NodeColumns, PodColumns, PodNodeColumns,
    ScaleDownMovesInput, ScaleDownNodesInput, ScaleDownPodsInput,
};

impl ScaleDownPodsInput {
    /// Fills columns that a record of an earlier release lacks.
    ///
    /// # Errors
    /// A column has another number of entries than there are rows.
    pub fn complete(&mut self) -> Result<(), RaggedColumn> {
        Arc::make_mut(&mut self.groups).complete()?;
        Arc::make_mut(&mut self.nodes).complete()?;
        Arc::make_mut(&mut self.pods).complete()
    }
}

impl ScaleDownNodesInput {
    /// Fills columns that a record of an earlier release lacks.
    ///
    /// # Errors
    /// A column has another number of entries than there are rows.
    pub fn complete(&mut self) -> Result<(), RaggedColumn> {
        Arc::make_mut(&mut self.groups).complete()?;
        Arc::make_mut(&mut self.nodes).complete()
    }
}

impl ScaleDownMovesInput {
    /// Fills columns that a record of an earlier release lacks.
    ///
    /// # Errors
    /// A column has another number of entries than there are rows.
    pub fn complete(&mut self) -> Result<(), RaggedColumn> {
        Arc::make_mut(&mut self.groups).complete()?;
        Arc::make_mut(&mut self.nodes).complete()?;
        Arc::make_mut(&mut self.moves).complete()
    }
}

impl GroupColumns {
    fn complete(&mut self) -> Result<(), RaggedColumn> {
        let rows = self.len();
        for (column, counts) in [
            ("state", &mut self.state),
            ("minSize", &mut self.min_size),
            ("maxSize", &mut self.max_size),
            ("targetSize", &mut self.target_size),
            ("readyNodes", &mut self.ready_nodes),
        ] {
            complete(column, counts, rows, 0)?;
        }
        for (column, figures) in [
            ("nodePrice", &mut self.node_price),
            ("price", &mut self.price),
            ("cost", &mut self.cost),
            ("utilizationThreshold", &mut self.utilization_threshold),
            (
                "gpuUtilizationThreshold",
                &mut self.gpu_utilization_threshold,
            ),
        ] {
            complete(column, figures, rows, None)?;
        }
        complete("unneededTimeMs", &mut self.unneeded_time_ms, rows, NONE)?;
        complete("unreadyTimeMs", &mut self.unready_time_ms, rows, NONE)?;
        complete(
            "ignoreDaemonSets",
            &mut self.ignore_daemon_sets,
            rows,
            NO_ROW,
        )
    }
}

impl PodNodeColumns {
    fn complete(&mut self) -> Result<(), RaggedColumn> {
        let rows = self.len();
        complete("zone", &mut self.zone, rows, NO_ROW)?;
        complete("instanceType", &mut self.instance_type, rows, NO_ROW)?;
        complete("createdMs", &mut self.created_ms, rows, NONE)?;
        complete("price", &mut self.price, rows, None)
    }
}

impl PodColumns {
    fn complete(&mut self) -> Result<(), RaggedColumn> {
        let rows = self.len();
        // A namespace cannot be made up.
        has_rows("namespace", &self.namespace, rows)?;
        for (column, numbers) in [
            ("state", &mut self.state),
            ("ownerKind", &mut self.owner_kind),
            ("budgets", &mut self.budgets),
        ] {
            complete(column, numbers, rows, 0)?;
        }
        complete("ownerReplicas", &mut self.owner_replicas, rows, NO_ROW)?;
        complete("priority", &mut self.priority, rows, 0)?;
        complete("deletionCost", &mut self.deletion_cost, rows, 0)?;
        for (column, requests) in [
            ("cpu", &mut self.cpu),
            ("memory", &mut self.memory),
            ("gpu", &mut self.gpu),
        ] {
            complete(column, requests, rows, 0)?;
        }
        for (column, times) in [
            ("createdMs", &mut self.created_ms),
            ("deletionMs", &mut self.deletion_ms),
            ("graceMs", &mut self.grace_ms),
        ] {
            complete(column, times, rows, NONE)?;
        }
        complete(
            "disruptionsAllowed",
            &mut self.disruptions_allowed,
            rows,
            NO_ROW,
        )
    }
}

impl NodeColumns {
    fn complete(&mut self) -> Result<(), RaggedColumn> {
        let rows = self.len();
        complete("zone", &mut self.zone, rows, NO_ROW)?;
        complete("instanceType", &mut self.instance_type, rows, NO_ROW)?;
        complete("state", &mut self.state, rows, 0)?;
        complete("podCount", &mut self.pod_count, rows, 0)?;
        for (column, amounts) in [
            ("createdMs", &mut self.created_ms),
            ("unreadySinceMs", &mut self.unready_since_ms),
            ("podsChangedMs", &mut self.pods_changed_ms),
            ("unneededSinceMs", &mut self.unneeded_since_ms),
            ("allocatableCpu", &mut self.allocatable_cpu),
            ("allocatableMemory", &mut self.allocatable_memory),
            ("allocatableGpu", &mut self.allocatable_gpu),
        ] {
            complete(column, amounts, rows, NONE)?;
        }
        for (column, requests) in [
            ("requestedCpu", &mut self.requested_cpu),
            ("requestedMemory", &mut self.requested_memory),
            ("requestedGpu", &mut self.requested_gpu),
            ("daemonSetCpu", &mut self.daemon_set_cpu),
            ("daemonSetMemory", &mut self.daemon_set_memory),
            ("daemonSetGpu", &mut self.daemon_set_gpu),
            ("mirrorCpu", &mut self.mirror_cpu),
            ("mirrorMemory", &mut self.mirror_memory),
            ("mirrorGpu", &mut self.mirror_gpu),
        ] {
            complete(column, requests, rows, 0)?;
        }
        complete("price", &mut self.price, rows, None)?;
        complete("cost", &mut self.cost, rows, 0.0)
    }
}

impl MoveColumns {
    fn complete(&mut self) -> Result<(), RaggedColumn> {
        let rows = self.len();
        let leaving = self.leaving_end.last().map_or(0, |end| *end as usize);
        has_rows("leavingNode", &self.leaving_node, leaving)?;
        complete("comingEnd", &mut self.coming_end, rows, 0)?;
        let coming = self.coming_end.last().map_or(0, |end| *end as usize);
        has_rows("comingGroup", &self.coming_group, coming)?;
        has_rows("comingCount", &self.coming_count, coming)?;
        for (column, counts) in [
            ("podCount", &mut self.pod_count),
            ("exhaustedBudgets", &mut self.exhausted_budgets),
        ] {
            complete(column, counts, rows, 0)?;
        }
        complete("cost", &mut self.cost, rows, 0.0)?;
        complete("youngestPodMs", &mut self.youngest_pod_ms, rows, NONE)?;
        complete("highestPriority", &mut self.highest_priority, rows, 0)?;
        complete("priceBefore", &mut self.price_before, rows, None)?;
        complete("priceAfter", &mut self.price_after, rows, None)
    }
}
