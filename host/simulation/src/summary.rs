//! Figures for comparing runs.

use flyball_decision::time::Timestamp;

use crate::run::{NodesRun, Run, WorkloadRun};
use crate::scenario::ScaleDownModeSpec;
use crate::timeline::{Removals, Tally};

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
    /// Figures of removals. `None` if scale-down is off and nothing was removed.
    pub removals: Option<RemovalSummary>,
}

/// Figures of the nodes that were removed on purpose.
#[derive(Clone, Debug, PartialEq)]
pub struct RemovalSummary {
    /// Number of removed nodes.
    pub nodes: u64,
    /// Number of pods moved for each of them. `None` if no node was removed.
    pub moved_per_node: Option<f64>,
    /// Number of evictions per hour of the run.
    pub evictions_per_hour: f64,
    /// Number of drains that were taken back.
    pub taken_back: u64,
    /// Number of pods that fitted on no node after a drain took others away.
    pub pending: u64,
    /// Number of pods that were lost with a removed node.
    pub lost: u64,
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
            removals: self.removal_summary(&fleet.removals),
        })
    }

    fn removal_summary(&self, removals: &Removals) -> Option<RemovalSummary> {
        let spec = self.scenario.node_autoscaler.scale_down.as_ref();
        let is_on = spec.is_some_and(|spec| spec.mode != ScaleDownModeSpec::Off);
        if !is_on && removals.is_empty() {
            return None;
        }
        let hours = self.scenario.duration.seconds() / 3600.0;
        Some(RemovalSummary {
            nodes: removals.nodes.len() as u64,
            moved_per_node: removals.moved_per_node(),
            evictions_per_hour: removals.evictions as f64 / hours,
            taken_back: removals.taken_back,
            pending: removals.pending,
            lost: removals.lost,
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
