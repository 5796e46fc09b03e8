//! Figures of runs as cells of tables.

use flyball_simulation::{NodeSummary, RemovalSummary, Summary};

use crate::text::{count, share};

/// Headings of the [`cells`], except for the first column, which the
/// table adds.
pub const COLUMNS: [&str; 8] = [
    "requests lost",
    "share of load lost",
    "above target",
    "replica-hours",
    "changes",
    "biggest swing",
    "most replicas",
    "p95 utilization",
];

/// Formats the figures.
#[must_use]
pub fn cells(summary: &Summary) -> [String; 8] {
    let none = || "–".to_owned();
    [
        count(summary.unserved),
        share(summary.unserved, summary.offered),
        summary.above_target_hours.map_or_else(none, hours),
        format!("{:.1}", summary.replica_hours),
        summary.changes.to_string(),
        summary.biggest_swing.to_string(),
        summary.most_replicas.to_string(),
        summary
            .p95_utilization
            .map_or_else(none, |percent| format!("{percent}%")),
    ]
}

/// Headings of the [`node_cells`], except for the first column, which the
/// table adds.
pub const NODE_COLUMNS: [&str; 6] = [
    "most nodes",
    "node-hours",
    "cost",
    "orders",
    "most pending",
    "pods waited",
];

/// Formats the figures.
#[must_use]
pub fn node_cells(summary: &NodeSummary) -> [String; 6] {
    [
        format!("{:.0}", summary.most_nodes),
        format!("{:.1}", summary.node_hours),
        summary
            .cost
            .map_or_else(|| "–".to_owned(), |cost| format!("{cost:.2}")),
        summary.orders.to_string(),
        summary.most_pending.to_string(),
        hours(summary.pending_hours),
    ]
}

/// Headings of the [`removal_cells`], except for the first column, which the table adds.
pub const REMOVAL_COLUMNS: [&str; 6] = [
    "nodes removed",
    "pods moved per node",
    "evictions per hour",
    "drains taken back",
    "pending after a drain",
    "pods lost",
];

/// Formats the figures.
#[must_use]
pub fn removal_cells(summary: &RemovalSummary) -> [String; 6] {
    [
        summary.nodes.to_string(),
        summary
            .moved_per_node
            .map_or_else(|| "–".to_owned(), |moved| format!("{moved:.1}")),
        format!("{:.1}", summary.evictions_per_hour),
        summary.taken_back.to_string(),
        summary.pending.to_string(),
        summary.lost.to_string(),
    ]
}

fn hours(hours: f64) -> String {
    if hours < 1.0 {
        return format!("{:.1} min", hours * 60.0);
    }
    format!("{hours:.2} h")
}
