//! Runs a scenario from its start to its end in virtual time, through the production
//! loops, and compares several policies under the same load.

mod policies;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use flyball_decision::key::ObjectKey;
use flyball_decision::memory::InMemoryStore;
use flyball_decision::policy::{PolicyEngine, PolicyFailure};
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;
use flyball_nodes::options::NodeOptions;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::record::DecisionRecord;
use flyball_replicas::spec::PolicyRef;

pub use policies::check_policies;

use crate::cluster::Cluster;
use crate::journal::{Entries, Journal, NodeEntries};
use crate::loops::{LoopSetup, Loops};
use crate::recorders::RunRecorder;
use crate::scenario::{EventSpec, Scenario, ScenarioError};
use crate::timeline::{Fleet, Tally, Timeline};
use crate::world::{DueSwap, InvalidLoad, Totals};

/// Replaces policies at once, for a scenario's swaps.
pub trait PolicySwapper: Send + Sync {
    /// Activates the component in `file` under `name` from the next decision on.
    ///
    /// # Errors
    /// If it is refused: the active version stays.
    fn swap(&self, name: &str, file: &Path) -> Result<(), String>;
}

/// Options of a run.
#[derive(Default)]
pub struct Options<'a> {
    /// Options of the replica loop; the sync period is the scenario's.
    pub replica: ReplicaOptions,
    /// Options of the node loop, unless the scenario sets them.
    pub nodes: NodeOptions,
    /// Receive every record.
    pub recorders: Vec<Arc<dyn RunRecorder>>,
    /// Carries out the scenario's swaps.
    pub swapper: Option<&'a dyn PolicySwapper>,
    /// Called after every sync.
    pub progress: Option<&'a (dyn Fn(&Progress) + Send + Sync)>,
}

/// Progress of a run.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Virtual time.
    pub at: Timestamp,
    /// Virtual time since the start, in milliseconds.
    pub elapsed_ms: i64,
    /// Length of the run, in milliseconds.
    pub duration_ms: i64,
    /// Current totals of all workloads.
    pub totals: Totals,
    /// The last decision.
    pub last: Option<Arc<DecisionRecord>>,
}

/// Why a run did not finish.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The scenario can't be used.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// The load of a workload is not valid.
    #[error(transparent)]
    Load(#[from] InvalidLoad),
    /// The scenario names a policy that does not exist.
    #[error("{field}: {}", .failure.message())]
    Policy {
        /// Path of the field with the name.
        field: String,
        /// Why it can't be asked.
        failure: PolicyFailure,
    },
    /// The scenario swaps policies, but there is no swapper.
    #[error("scenario {0:?} swaps policies, which cannot be done here")]
    NoSwapper(String),
}

/// A policy in a comparison.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contender {
    /// Label in tables and plots.
    pub label: String,
    /// Policies in place of those of every autoscaler. Empty to keep the autoscalers'
    /// own.
    pub policies: Vec<PolicyRef>,
    /// The expanders in place of the scenario's. Empty to keep the scenario's.
    pub expanders: Vec<PolicyRef>,
    /// The chain of scale-down policies in place of the scenario's. Empty to keep the
    /// scenario's. With a chain, scale-down is on unless the scenario says otherwise.
    pub scale_down: Vec<PolicyRef>,
}

/// Result of a finished run.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// Label in tables and plots.
    pub label: String,
    /// The scenario.
    pub scenario: Scenario,
    /// Version of the host.
    pub host_version: Arc<str>,
    /// All workloads, in the scenario's order.
    pub workloads: Vec<WorkloadRun>,
    /// Summary of the decisions about replicas.
    pub journal: Entries,
    /// Result for the nodes. `None` if the scenario has no nodes.
    pub nodes: Option<NodesRun>,
    /// Swaps of policies, and their errors.
    pub swaps: Vec<(DueSwap, Result<(), String>)>,
}

/// Result for the nodes.
#[derive(Clone, Debug, PartialEq)]
pub struct NodesRun {
    /// Timeline and sums.
    pub fleet: Fleet,
    /// Summary of the decisions about nodes.
    pub journal: NodeEntries,
}

/// Result for a workload.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadRun {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Timeline.
    pub timeline: Timeline,
    /// Sums over the run.
    pub tally: Tally,
}

/// Runs a scenario from its start to its end.
///
/// # Errors
/// If the scenario can't be used or names policies that do not exist, or the load of a
/// workload is not valid.
pub fn simulate(
    label: &str,
    scenario: &Scenario,
    engine: Arc<dyn PolicyEngine>,
    options: &Options<'_>,
) -> Result<Run, RunError> {
    let mut events = scenario.events.iter();
    let swaps = events.any(|event| matches!(event, EventSpec::SwapPolicy { .. }));
    if swaps && options.swapper.is_none() {
        return Err(RunError::NoSwapper(scenario.name.clone()));
    }
    check_policies(scenario, &*engine)?;
    let cluster = Cluster::new(scenario)?;
    cluster.advance_to(scenario.start)?;
    let journal = Arc::new(Journal::new(options.recorders.clone()));
    let clock = VirtualClock {
        scenario,
        options,
        cluster: &cluster,
        journal: &journal,
        state: Mutex::default(),
    };
    clock.pass(scenario.start)?;
    let setup = LoopSetup {
        replica: Some(ReplicaOptions {
            sync_period_ms: scenario.sync_period.0,
            ..options.replica.clone()
        }),
        nodes: Some(scenario.node_autoscaler.options(&options.nodes)),
        engine,
        recorder: Arc::clone(&journal) as _,
        store: Arc::new(InMemoryStore::default()),
    };
    let mut loops = Loops::new(&cluster, &clock, setup);
    // Nothing in virtual time waits: no runtime is needed.
    pollster::block_on(loops.run());
    drop(loops);
    let state = clock.state.into_inner();
    let state = state.unwrap_or_else(PoisonError::into_inner);
    cluster.advance_to(scenario.end())?;
    let host_version = Arc::clone(&options.replica.host_version);
    let mut run = Run::collect(label, scenario, host_version, &cluster, &journal);
    run.swaps = state.swaps;
    Ok(run)
}

/// Runs the same load under each of the contenders. The scenario's swaps are left out,
/// since they would change the contenders.
///
/// # Errors
/// As [`simulate`].
pub fn compare(
    scenario: &Scenario,
    contenders: &[Contender],
    engine: &Arc<dyn PolicyEngine>,
    options: &Options<'_>,
) -> Result<Vec<Run>, RunError> {
    let run = |contender: &Contender| {
        let scenario = scenario.under(contender);
        simulate(&contender.label, &scenario, Arc::clone(engine), options)
    };
    contenders.iter().map(run).collect()
}

impl Scenario {
    /// Returns the same scenario with the contender's policies in place of its own, and
    /// without swaps.
    fn under(&self, contender: &Contender) -> Self {
        let mut scenario = self.clone();
        let replace = |own: &mut Vec<PolicyRef>, by: &[PolicyRef]| {
            if !by.is_empty() {
                *own = by.to_vec();
            }
        };
        let (policies, expanders) = (&contender.policies, &contender.expanders);
        replace(&mut scenario.node_autoscaler.expanders, expanders);
        if !contender.scale_down.is_empty() {
            let scale_down = &mut scenario.node_autoscaler.scale_down;
            scale_down.get_or_insert_default().policies = contender.scale_down.clone();
        }
        for workload in &mut scenario.workloads {
            if let Some(autoscaler) = &mut workload.autoscaler {
                replace(&mut autoscaler.policies, policies);
            }
        }
        scenario.events.retain_mut(|event| {
            if let EventSpec::ChangeAutoscaler { autoscaler, .. } = event {
                replace(&mut autoscaler.policies, policies);
            }
            !matches!(event, EventSpec::SwapPolicy { .. })
        });
        scenario
    }
}

impl Run {
    /// Collects the result of a cluster so far, no matter who drove it.
    #[must_use]
    pub fn collect(
        label: &str,
        scenario: &Scenario,
        host_version: Arc<str>,
        cluster: &Cluster,
        journal: &Journal,
    ) -> Self {
        let world = cluster.world();
        let workloads = world.histories().map(|(key, timeline, tally)| WorkloadRun {
            key: key.clone(),
            timeline: timeline.clone(),
            tally: tally.clone(),
        });
        Self {
            label: label.to_owned(),
            scenario: scenario.clone(),
            host_version,
            workloads: workloads.collect(),
            journal: journal.entries(),
            nodes: world.nodes().map(|nodes| NodesRun {
                fleet: nodes.fleet().clone(),
                journal: journal.node_entries(),
            }),
            swaps: Vec::new(),
        }
    }
}

impl Progress {
    /// Returns the progress of a cluster, no matter who drives it.
    #[must_use]
    pub fn of(scenario: &Scenario, cluster: &Cluster, journal: &Journal) -> Self {
        let at = cluster.now();
        Self {
            at,
            elapsed_ms: at.since(scenario.start).max(0),
            duration_ms: scenario.duration.0,
            totals: cluster.totals(),
            last: journal.last(),
        }
    }
}

/// Clock in virtual time: a wait ends at once, with the world moved to its end.
struct VirtualClock<'a> {
    scenario: &'a Scenario,
    options: &'a Options<'a>,
    cluster: &'a Cluster,
    journal: &'a Journal,
    state: Mutex<ClockState>,
}

#[derive(Default)]
struct ClockState {
    now: Timestamp,
    swaps: Vec<(DueSwap, Result<(), String>)>,
}

impl VirtualClock<'_> {
    /// Moves the world to `at`, and carries out the swaps that are due.
    fn pass(&self, at: Timestamp) -> Result<(), InvalidLoad> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.now = at;
        self.cluster.advance_to(at)?;
        for swap in self.cluster.take_due_swaps() {
            if let Some(swapper) = self.options.swapper {
                let outcome = swapper.swap(&swap.name, &swap.file);
                state.swaps.push((swap, outcome));
            }
        }
        if let Some(progress) = self.options.progress {
            progress(&Progress::of(self.scenario, self.cluster, self.journal));
        }
        Ok(())
    }
}

impl Clock for VirtualClock<'_> {
    fn now(&self) -> Timestamp {
        self.state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .now
    }

    async fn sleep_until(&self, at: Timestamp) -> bool {
        let end = self.scenario.end();
        self.pass(at.min(end)).is_ok() && at <= end
    }
}
