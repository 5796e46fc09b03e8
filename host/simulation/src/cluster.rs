//! The embedded cluster behind the ports of the production loops.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_decision::time::Timestamp;
use flyball_nodes::cloud::{CloudError, CloudProvider, NodeGroup};
use flyball_nodes::ports::{
    EvictError, Eviction, NodeChange, NodeEvent, NodesReader, NodesWriter, StatusDocument,
    WriteError,
};
use flyball_nodes::state::ClusterState;
use flyball_replicas::ports::{
    Autoscaler, NoRowsLeft, Observation, Question, Reader, Report, ScaleIntent, Writer,
};

use crate::scenario::{Scenario, ScenarioError};
use crate::world::nodes::{Nodes, unknown};
use crate::world::{DueSwap, InvalidLoad, Totals, World};

/// A simulated cluster: reader, writer and cloud in one; clones share it.
///
/// It has no clock. Callers pass the time, as the loops do with every call: the world
/// then moves to that time.
#[derive(Clone)]
pub struct Cluster {
    world: Arc<Mutex<World>>,
}

impl Cluster {
    /// Creates the cluster of a scenario, at its start.
    ///
    /// # Errors
    /// If a file that the scenario names can't be used.
    pub fn new(scenario: &Scenario) -> Result<Self, ScenarioError> {
        let world = World::new(scenario)?;
        Ok(Self {
            world: Arc::new(Mutex::new(world)),
        })
    }

    /// Moves the world to `now`, but not beyond the scenario's end.
    ///
    /// # Errors
    /// If the load of a workload is not valid: the world then stops.
    pub fn advance_to(&self, now: Timestamp) -> Result<(), InvalidLoad> {
        let mut world = self.world();
        world.advance_to(now);
        world
            .failure()
            .map_or(Ok(()), |failure| Err(failure.clone()))
    }

    /// Returns the swaps of policies that are due, each once. The caller carries them
    /// out.
    #[must_use]
    pub fn take_due_swaps(&self) -> Vec<DueSwap> {
        self.world().take_due_swaps()
    }

    /// Returns the time to which the world has moved.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.world().now()
    }

    /// Reports whether it has nodes. Without them, pods start without being scheduled.
    #[must_use]
    pub fn has_nodes(&self) -> bool {
        self.world().nodes().is_some()
    }

    /// Returns the current totals of all workloads.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.world().totals()
    }

    fn order(
        &self,
        now: Timestamp,
        group: &str,
        give: impl FnOnce(&mut Nodes) -> Result<(), CloudError>,
    ) -> Result<(), CloudError> {
        let mut world = self.world();
        world.advance_to(now);
        world.nodes_mut().map_or_else(|| Err(unknown(group)), give)
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        // No code panics in the middle of a change of the world.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader for Cluster {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        self.world().autoscalers()
    }

    async fn observe(
        &self,
        now: Timestamp,
        questions: &[Question],
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        let mut world = self.world();
        world.advance_to(now);
        let observe = |question| Ok(world.observe(now, question));
        questions.iter().map(observe).collect()
    }
}

impl Writer for Cluster {
    async fn scale(&self, now: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        let mut world = self.world();
        world.advance_to(now);
        intents.iter().map(|intent| world.scale(intent)).collect()
    }

    async fn report(&self, now: Timestamp, reports: Vec<Report>) {
        let mut world = self.world();
        world.advance_to(now);
        reports.into_iter().for_each(|report| world.report(report));
    }
}

impl NodesReader for Cluster {
    fn synced(&self) -> bool {
        true
    }

    fn with_state<T>(&self, work: impl FnOnce(&mut ClusterState) -> T) -> T {
        let mut world = self.world();
        match world.nodes_mut() {
            Some(nodes) => work(nodes.state()),
            None => work(&mut ClusterState::new()),
        }
    }
}

impl NodesWriter for Cluster {
    fn leads(&self) -> bool {
        true
    }

    /// Events are in the records: nothing else reads them here.
    async fn publish(&self, now: Timestamp, _: Vec<NodeEvent>) {
        self.world().advance_to(now);
    }

    async fn update_node(&self, now: Timestamp, change: NodeChange) -> Result<(), WriteError> {
        let mut world = self.world();
        world.advance_to(now);
        world.update_node(&change)
    }

    async fn evict(&self, now: Timestamp, eviction: Eviction) -> Result<(), EvictError> {
        let mut world = self.world();
        world.advance_to(now);
        world.evict(&eviction)
    }

    async fn delete_node(&self, now: Timestamp, name: &str, uid: &str) -> Result<(), WriteError> {
        let mut world = self.world();
        world.advance_to(now);
        world.delete_node(name, uid)
    }

    async fn write_status(&self, now: Timestamp, status: StatusDocument) -> Result<(), WriteError> {
        let mut world = self.world();
        world.advance_to(now);
        world.write_status(status);
        Ok(())
    }

    async fn read_status(&self) -> Result<Option<StatusDocument>, WriteError> {
        Ok(self.world().status().cloned())
    }
}

impl CloudProvider for Cluster {
    async fn node_groups(&self, now: Timestamp) -> Result<Vec<Arc<NodeGroup>>, CloudError> {
        let mut world = self.world();
        world.advance_to(now);
        let nodes = world.nodes();
        Ok(nodes.map_or_else(Vec::new, |nodes| nodes.node_groups()))
    }

    async fn increase_size(
        &self,
        now: Timestamp,
        group: &str,
        delta: u32,
    ) -> Result<(), CloudError> {
        self.order(now, group, |nodes| nodes.increase(now, group, delta))
    }

    async fn delete_instances(
        &self,
        now: Timestamp,
        group: &str,
        provider_ids: &[Arc<str>],
    ) -> Vec<Result<(), CloudError>> {
        let mut world = self.world();
        world.advance_to(now);
        match world.nodes_mut() {
            Some(nodes) => nodes.delete(now, group, provider_ids),
            None => vec![Err(unknown(group)); provider_ids.len()],
        }
    }

    async fn decrease_target_size(
        &self,
        now: Timestamp,
        group: &str,
        delta: u32,
    ) -> Result<(), CloudError> {
        self.order(now, group, |nodes| nodes.decrease(group, delta))
    }
}
