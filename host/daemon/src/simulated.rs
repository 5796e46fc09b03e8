//! The embedded cluster under the daemon's loops in paced time, for `flyball run
//! --cluster sim:FILE` and `flyball demo`.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context as _;
use flyball_decision::memory::InMemoryStore;
use flyball_decision::time::Timestamp;
use flyball_nodes::options::NodeOptions;
use flyball_replicas::options::ReplicaOptions;
use flyball_sandbox::Registry;
use flyball_simulation::RunRecorder;
use flyball_simulation::time::ClockMap;
use flyball_simulation::{
    Cluster, Journal, LoopSetup, Loops, PolicySwapper, Progress, Run, Scenario,
};

use crate::clock::{PacedClock, StopSignal};

/// A scenario that is run in paced time.
pub struct Simulated {
    scenario: Scenario,
    cluster: Cluster,
    journal: Arc<Journal>,
}

/// Options of the loops.
#[derive(Default)]
pub struct LoopOptions {
    /// Options of the loop over autoscalers. `None` if it does not run.
    pub replica: Option<ReplicaOptions>,
    /// Options of the loop over node groups. `None` if it does not run.
    pub nodes: Option<NodeOptions>,
}

impl Simulated {
    /// Creates the scenario's world at its start. Records are forwarded to `recorders`.
    pub fn new(scenario: Scenario, recorders: Vec<Arc<dyn RunRecorder>>) -> anyhow::Result<Self> {
        let cluster = Cluster::new(&scenario)?;
        Ok(Self {
            scenario,
            cluster,
            journal: Arc::new(Journal::new(recorders)),
        })
    }

    /// Returns the embedded cluster.
    pub fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// Runs the scenario, `speed` times as fast as real time, until its end or the stop.
    /// Calls `on_sync` with the progress whenever time has advanced.
    pub async fn play(
        &self,
        speed: f64,
        options: LoopOptions,
        policies: &Arc<Registry>,
        stop: StopSignal,
        on_sync: impl Fn(&Progress) + Send + Sync,
    ) -> anyhow::Result<Run> {
        let failure = Mutex::new(None);
        let on_move = |at: Timestamp| {
            if let Err(error) = self.cluster.advance_to(at) {
                *failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
                return false;
            }
            self.swap_what_is_due(policies);
            on_sync(&Progress::of(&self.scenario, &self.cluster, &self.journal));
            true
        };
        // Swaps that are due at the start come before the first decision.
        self.swap_what_is_due(policies);
        let (start, end) = (self.scenario.start, self.scenario.end());
        let map = ClockMap::new(start, speed).context("the speed must be above 0")?;
        let clock = PacedClock::new(start, end, map, stop, on_move);
        let setup = LoopSetup {
            replica: options.replica,
            nodes: options.nodes,
            engine: Arc::clone(policies) as _,
            recorder: Arc::clone(&self.journal) as _,
            store: Arc::new(InMemoryStore::default()),
        };
        let mut loops = Loops::new(&self.cluster, &clock, setup);
        loops.run().await;
        drop(loops);
        drop(clock);
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error.into()),
            None => Ok(named_by_policies(Run::collect(
                "",
                &self.scenario,
                env!("CARGO_PKG_VERSION").into(),
                &self.cluster,
                &self.journal,
            ))),
        }
    }

    fn swap_what_is_due(&self, policies: &Arc<Registry>) {
        for swap in self.cluster.take_due_swaps() {
            if let Err(error) = Swapper(policies).swap(&swap.name, &swap.file) {
                tracing::warn!(policy = swap.name, error, "the scenario's swap was refused");
            }
        }
    }
}

/// Labels a run with the names of the policies that decided in it.
pub fn named_by_policies(mut run: Run) -> Run {
    let policies = run.journal.uses.versions.iter();
    let names: BTreeSet<&str> = policies.map(|used| &*used.version.name).collect();
    run.label = Vec::from_iter(names).join(", ");
    run
}

/// Carries out a scenario's swaps in a registry.
pub struct Swapper<'a>(pub &'a Registry);

impl PolicySwapper for Swapper<'_> {
    fn swap(&self, name: &str, file: &std::path::Path) -> Result<(), String> {
        let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
        self.0
            .install(name, &bytes)
            .map(drop)
            .map_err(|error| error.to_string())
    }
}
