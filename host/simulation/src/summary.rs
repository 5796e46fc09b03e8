//! Figures for comparing runs.

use flyball_decision::time::Timestamp;

use crate::run::{NodesRun, Run, WorkloadRun};
use crate::timeline::Tally;

/// Figures of a run, or of one workload of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// Name of the run or workload.
    pub label: String,
    /// Number of requests.
    pub offered: f64,
    /// Number of requests that were not served.
    pub unserved: f64,
    /// Hours that cpu usage was more than a tenth above its target, summed over
    /// workloads. `None` if no autoscaler has a target for cpu.
    pub above_target_hours: Option<f64>,
    /// Replicas times hours.
    pub replica_hours: f64,
    /// Changes of spec.replicas.
    pub changes: u64,
    /// The largest change of spec.replicas.
    pub biggest_swing: i64,
    /// Maximum number of replicas.
    pub most_replicas: i32,
    /// 95th percentile of cpu usage over time, in percent of the request.
    pub p95_utilization: Option<usize>,
}

impl Summary {
    fn new(label: &str, tally: &Tally) -> Self {
        Self {
            label: label.to_owned(),
            offered: tally.offered,
            unserved: tally.unserved,
            above_target_hours: tally.above_target_seconds.map(|seconds| seconds / 3600.0),
            replica_hours: tally.replica_seconds / 3600.0,
            changes: tally.changes,
            biggest_swing: tally.biggest_swing,
            most_replicas: tally.most_replicas,
            p95_utilization: tally.utilization.percentile(0.95),
        }
    }
}

/// Figures of a run's nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct NodeSummary {
    /// Maximum number of Ready nodes.
    pub most_nodes: f64,
    /// Paid instance-hours.
    pub node_hours: f64,
    /// Their cost. `None` if no price is known.
    pub cost: Option<f64>,
    /// Number of orders that the cloud accepted.
    pub orders: u64,
    /// Maximum number of pods waiting for a node at one time.
    pub most_pending: u32,
    /// Hours that pods waited for nodes, summed over pods.
    pub pending_hours: f64,
}

impl Run {
    /// Returns the time since the start of the run, in milliseconds.
    #[must_use]
    pub fn since_start(&self, at: Timestamp) -> i64 {
        at.since(self.scenario.start)
    }

    /// Returns the figures of the nodes. Returns `None` if the scenario has no nodes.
    #[must_use]
    pub fn node_summary(&self) -> Option<NodeSummary> {
        let NodesRun { fleet, journal } = self.nodes.as_ref()?;
        Some(NodeSummary {
            most_nodes: fleet.ready().into_iter().fold(0.0, f64::max),
            node_hours: fleet.paid_hours(),
            cost: fleet.has_prices().then(|| fleet.cost()),
            orders: journal.orders,
            most_pending: fleet.most_pending,
            pending_hours: fleet.pending_seconds / 3600.0,
        })
    }

    /// Returns the figures of all workloads together.
    #[must_use]
    pub fn summary(&self) -> Summary {
        let tallies = self.workloads.iter().map(|workload| &workload.tally);
        Summary::new(&self.label, &Tally::sum(tallies))
    }

    /// Returns the figures of each workload.
    pub fn workload_summaries(&self) -> impl Iterator<Item = Summary> {
        self.workloads.iter().map(WorkloadRun::summary)
    }
}

impl WorkloadRun {
    fn summary(&self) -> Summary {
        let label = format!("{}/{}", self.key.namespace, self.key.name);
        Summary::new(&label, &self.tally)
    }
}
