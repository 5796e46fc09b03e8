//! Columns of recorded inputs: one entry for each row.
//!
//! A record of an earlier release lacks the columns that were added since. They are
//! filled with the mark that the policy contract has for "unknown". A column of another
//! length is an error: no policy is asked about it.

mod scale_down;

use std::sync::Arc;

use crate::expander::{ExpanderInput, OptionColumns};
use crate::replica::{MetricInput, PodColumns, ReplicaInput, UNKNOWN_POD};
use crate::scale_down::NO_ROW;
use crate::time::Timestamp;

/// A column with too few or too many entries.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column} has {entries} entries for {rows} rows")]
pub struct RaggedColumn {
    /// Name of the column in JSON.
    pub column: &'static str,
    /// Number of its entries.
    pub entries: usize,
    /// Number of rows.
    pub rows: usize,
}

/// Fills a missing column with a mark.
fn complete<T: Clone>(
    column: &'static str,
    entries: &mut Vec<T>,
    rows: usize,
    mark: T,
) -> Result<(), RaggedColumn> {
    if entries.is_empty() {
        entries.resize(rows, mark);
    }
    has_rows(column, entries, rows)
}

fn has_rows<T>(column: &'static str, entries: &[T], rows: usize) -> Result<(), RaggedColumn> {
    if entries.len() == rows {
        return Ok(());
    }
    Err(RaggedColumn {
        column,
        entries: entries.len(),
        rows,
    })
}

fn absent_or<T>(column: &'static str, entries: &[T], rows: usize) -> Result<(), RaggedColumn> {
    match entries {
        [] => Ok(()),
        _ => has_rows(column, entries, rows),
    }
}

impl ReplicaInput {
    /// Fills columns that a record of an earlier release lacks.
    ///
    /// # Errors
    /// A column has another number of entries than there are rows.
    pub fn complete(&mut self) -> Result<(), RaggedColumn> {
        Arc::make_mut(&mut self.pods).complete()?;
        let pods = self.pods.len();
        for metric in &mut self.metrics {
            Arc::make_mut(metric).complete(pods)?;
        }
        Ok(())
    }
}

impl PodColumns {
    fn complete(&mut self) -> Result<(), RaggedColumn> {
        let rows = self.len();
        let unknown = Timestamp::UNKNOWN;
        complete(
            "readyTransitionMs",
            &mut self.ready_transition_ms,
            rows,
            unknown,
        )?;
        complete("startMs", &mut self.start_ms, rows, unknown)?;
        complete("deletionMs", &mut self.deletion_ms, rows, unknown)
    }
}

impl MetricInput {
    fn complete(&mut self, pods: usize) -> Result<(), RaggedColumn> {
        let rows = self.value.len();
        // The values of an `Object` or `External` metric are of no pod.
        if matches!(&*self.source, "Object" | "External") {
            absent_or("pod", &self.pod, rows)?;
            absent_or("timestampMs", &self.timestamp_ms, rows)?;
            absent_or("windowMs", &self.window_ms, rows)?;
        } else {
            complete("pod", &mut self.pod, rows, UNKNOWN_POD)?;
            complete(
                "timestampMs",
                &mut self.timestamp_ms,
                rows,
                Timestamp::UNKNOWN,
            )?;
            complete("windowMs", &mut self.window_ms, rows, 0)?;
        }
        // Only metrics of a resource have requests.
        absent_or("request", &self.request, pods)
    }
}

impl ExpanderInput {
    /// Fills columns that a record of an earlier release lacks.
    ///
    /// # Errors
    /// A column has another number of entries than there are rows.
    pub fn complete(&mut self) -> Result<(), RaggedColumn> {
        Arc::make_mut(&mut self.options).complete()
    }
}

impl OptionColumns {
    fn complete(&mut self) -> Result<(), RaggedColumn> {
        let rows = self.len();
        complete("state", &mut self.state, rows, 0)?;
        for (column, counts) in [
            ("nodeCount", &mut self.node_count),
            ("podCount", &mut self.pod_count),
            ("currentSize", &mut self.current_size),
            ("minSize", &mut self.min_size),
            ("maxSize", &mut self.max_size),
        ] {
            complete(column, counts, rows, 0)?;
        }
        for (column, amounts) in [
            ("requestedCpu", &mut self.requested_cpu),
            ("requestedMemory", &mut self.requested_memory),
            ("requestedGpu", &mut self.requested_gpu),
            ("capacityCpu", &mut self.capacity_cpu),
            ("capacityMemory", &mut self.capacity_memory),
            ("capacityGpu", &mut self.capacity_gpu),
            ("allocatableCpu", &mut self.allocatable_cpu),
            ("allocatableMemory", &mut self.allocatable_memory),
            ("allocatableGpu", &mut self.allocatable_gpu),
        ] {
            complete(column, amounts, rows, 0)?;
        }
        complete("nodePrice", &mut self.node_price, rows, None)?;
        complete("podPrice", &mut self.pod_price, rows, None)?;
        complete("zone", &mut self.zone, rows, NO_ROW)?;
        complete("instanceType", &mut self.instance_type, rows, NO_ROW)?;
        let parts = self.part_option.len();
        has_rows("partNodeGroup", &self.part_node_group, parts)?;
        has_rows("partNodeCount", &self.part_node_count, parts)
    }
}
