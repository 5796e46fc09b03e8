//! The production loop on a cluster in memory, a cloud that accepts every order, and the
//! expanders in their sandbox.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use flyball_decision::memory::InMemoryStore;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::ports::{Clock, DecisionPorts};
use flyball_decision::recorder::Recorder;
use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, CloudProvider, NodeGroup};
use flyball_nodes::control::NodeLoop;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::ports::{NodeEvent, NodesReader, NodesWriter};
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::state::ClusterState;
use flyball_sandbox::{Engine, EngineOptions, Registry, RegistryOptions};

/// Time of the first pass: long after every object was created.
pub const NOW: Timestamp = Timestamp(1_800_000_000_000);

pub fn engine() -> anyhow::Result<Arc<dyn PolicyEngine>> {
    let engine = Engine::new(&EngineOptions::default())?;
    let options = RegistryOptions::default();
    let registry = Registry::open(&engine, options, flyball_policies::BUILTIN)?;
    Ok(Arc::new(registry))
}

/// A cluster and its node groups.
#[derive(Clone)]
pub struct World {
    pub state: Arc<Mutex<ClusterState>>,
    pub groups: Arc<Vec<Arc<NodeGroup>>>,
}

impl World {
    pub fn new(state: ClusterState, mut groups: Vec<Arc<NodeGroup>>) -> Self {
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        Self {
            state: Arc::new(Mutex::new(state)),
            groups: Arc::new(groups),
        }
    }

    pub fn state(&self) -> MutexGuard<'_, ClusterState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Creates a loop over it that has not run yet.
    pub fn control(&self, options: &NodeOptions, engine: &Arc<dyn PolicyEngine>) -> Control {
        control(options, self.clone(), Arc::clone(&self.groups), engine)
    }
}

/// Creates a loop that has not run yet.
pub fn control<R: NodesReader>(
    options: &NodeOptions,
    reader: R,
    groups: Arc<Vec<Arc<NodeGroup>>>,
    engine: &Arc<dyn PolicyEngine>,
) -> Control<R> {
    let records = Arc::new(Last::default());
    let ports = DecisionPorts {
        engine: Arc::clone(engine),
        recorder: Arc::clone(&records) as _,
        store: Arc::new(InMemoryStore::default()),
    };
    let control = NodeLoop::new(
        options.clone(),
        reader,
        Willing(groups),
        Nobody,
        Nobody,
        ports,
    );
    Control { control, records }
}

pub struct Control<R = World> {
    control: NodeLoop<R, Willing, Nobody, Nobody>,
    records: Arc<Last>,
}

impl<R: NodesReader> Control<R> {
    /// Runs one tick, and returns its time.
    pub fn tick(&mut self, now: Timestamp) -> Duration {
        let start = Instant::now();
        pollster::block_on(self.control.tick(now));
        start.elapsed()
    }

    /// Returns the record of the last pass that made a decision.
    pub fn decided(&self) -> anyhow::Result<Arc<NodeDecisionRecord>> {
        let last = self.records.0.lock();
        let last = last.unwrap_or_else(PoisonError::into_inner).clone();
        let record = last.context("nothing was decided")?;
        // With a policy that fails, all nodes stay.
        let mut needed = record.scale_down.iter().flat_map(|down| &down.needed);
        let failed = needed.find(|node| &*node.stay.code == "PolicyFailed");
        if let Some(node) = failed {
            bail!("{}: {}", node.node, node.stay.message);
        }
        Ok(record)
    }
}

impl NodesReader for World {
    fn synced(&self) -> bool {
        true
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        work(&mut self.state())
    }
}

/// Accepts every order, and creates no instance.
#[derive(Default)]
pub struct Willing(Arc<Vec<Arc<NodeGroup>>>);

impl CloudProvider for Willing {
    async fn node_groups(&self, _: Timestamp) -> Result<Vec<Arc<NodeGroup>>, CloudError> {
        Ok(self.0.to_vec())
    }

    async fn increase_size(&self, _: Timestamp, _: &str, _: u32) -> Result<(), CloudError> {
        Ok(())
    }

    async fn delete_instances(
        &self,
        _: Timestamp,
        _: &str,
        ids: &[Arc<str>],
    ) -> Vec<Result<(), CloudError>> {
        vec![Ok(()); ids.len()]
    }

    async fn decrease_target_size(&self, _: Timestamp, _: &str, _: u32) -> Result<(), CloudError> {
        Ok(())
    }
}

/// Is the leader, discards events, and never waits.
pub struct Nobody;

impl NodesWriter for Nobody {
    fn leads(&self) -> bool {
        true
    }

    async fn publish(&self, _: Timestamp, _: Vec<NodeEvent>) {}
}

impl Clock for Nobody {
    fn now(&self) -> Timestamp {
        NOW
    }

    async fn sleep_until(&self, _: Timestamp) -> bool {
        false
    }
}

#[derive(Default)]
struct Last(Mutex<Option<Arc<NodeDecisionRecord>>>);

impl Recorder<NodeDecisionRecord> for Last {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(record));
    }
}
