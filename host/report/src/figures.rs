//! Figures of runs as cells of tables.

use flyball_simulation::{NodeSummary, RemovalSummary, Summary};

use crate::text::{count, share};

/// A column of a table of figures.
#[derive(Clone, Copy, Debug)]
pub struct Column<'a> {
    /// Heading, in lower case.
    pub heading: &'a str,
    /// What its cells mean, as a phrase.
    pub meaning: &'a str,
}

/// Creates columns from their headings and meanings.
pub(crate) const fn columns<'a, const N: usize>(of: [(&'a str, &'a str); N]) -> [Column<'a>; N] {
    let mut columns = [Column {
        heading: "",
        meaning: "",
    }; N];
    let mut index = 0;
    while index < N {
        (columns[index].heading, columns[index].meaning) = of[index];
        index += 1;
    }
    columns
}

/// Columns of the [`cells`], except for the first column, which the table adds.
pub const COLUMNS: [Column<'static>; 8] = columns([
    ("requests lost", "requests that no pod could serve"),
    ("share lost", "requests lost as a part of all requests"),
    (
        "above target",
        "time with a cpu usage more than a tenth above its target, summed over workloads",
    ),
    ("replica-hours", "replicas times hours"),
    ("changes", "changes of spec.replicas"),
    (
        "biggest swing",
        "the largest change of spec.replicas, in replicas",
    ),
    ("most pods", "the maximum of spec.replicas"),
    (
        "p95 cpu",
        "95th percentile of the cpu usage over time, in percent of the request",
    ),
]);

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

/// Columns of the [`node_cells`], except for the first column, which the table adds.
pub const NODE_COLUMNS: [Column<'static>; 6] = columns([
    ("most nodes", "the largest number of Ready nodes"),
    ("node-hours", "hours of instances that are paid"),
    ("cost", "their cost, in the unit of the prices"),
    ("orders", "orders that the cloud accepted"),
    (
        "most pending",
        "the largest number of pods that waited for a node at one time",
    ),
    (
        "pods waited",
        "time that pods waited for nodes, summed over pods",
    ),
]);

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

/// Columns of the [`removal_cells`], except for the first column, which the table adds.
pub const REMOVAL_COLUMNS: [Column<'static>; 6] = columns([
    ("nodes removed", "nodes that were drained and removed"),
    (
        "pods moved per node",
        "evicted pods for each removed node, on average",
    ),
    ("evictions per hour", "evictions per hour of the run"),
    (
        "drains taken back",
        "drains that were ended without a removal",
    ),
    (
        "pending after a drain",
        "evicted pods that then fitted on no node",
    ),
    ("pods lost", "pods that ended with a removed node"),
]);

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
