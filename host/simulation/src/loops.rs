//! The production loops on a simulated cluster, sharing one clock.

use std::sync::Arc;

use flyball_decision::memory::StateStore;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::ports::{Clock, DecisionPorts};
use flyball_decision::recorder::Recorder;
use flyball_decision::time::Timestamp;
use flyball_nodes::control::NodeLoop;
use flyball_nodes::options::NodeOptions;
use flyball_replicas::control::ReplicaLoop;
use flyball_replicas::options::ReplicaOptions;

use crate::cluster::Cluster;
use crate::recorders::RunRecorder;

/// Options and ports of the loops.
#[derive(Clone)]
pub struct LoopSetup {
    /// Options of the loop over autoscalers. `None` if it does not run.
    pub replica: Option<ReplicaOptions>,
    /// Options of the loop over node groups. `None` if it does not run.
    pub nodes: Option<NodeOptions>,
    /// Finds policies.
    pub engine: Arc<dyn PolicyEngine>,
    /// Takes the records of both loops.
    pub recorder: Arc<dyn RunRecorder>,
    /// Stores the states of policies.
    pub store: Arc<dyn StateStore>,
}

impl LoopSetup {
    /// Returns the ports of the loop whose records this recorder takes.
    fn ports<R>(&self, recorder: Arc<dyn Recorder<R>>) -> DecisionPorts<R> {
        DecisionPorts {
            engine: Arc::clone(&self.engine),
            recorder,
            store: Arc::clone(&self.store),
        }
    }
}

/// The loops. Without nodes there is none over node groups.
pub struct Loops<C> {
    replicas: Option<ReplicaLoop<Cluster, Cluster, C>>,
    nodes: Option<NodeLoop<Cluster, Cluster, Cluster, C>>,
    clock: C,
}

impl<C: Clock + Clone> Loops<C> {
    /// Creates the loops.
    pub fn new(cluster: &Cluster, clock: C, setup: LoopSetup) -> Self {
        let cluster = || cluster.clone();
        let options = setup.nodes.clone().filter(|_| cluster().has_nodes());
        let nodes = options.map(|options| {
            NodeLoop::new(
                options,
                cluster(),
                cluster(),
                cluster(),
                clock.clone(),
                setup.ports(Arc::clone(&setup.recorder) as _),
            )
        });
        let replicas = setup.replica.clone().map(|options| {
            ReplicaLoop::new(
                options,
                cluster(),
                cluster(),
                clock.clone(),
                setup.ports(Arc::clone(&setup.recorder) as _),
            )
        });
        Self {
            replicas,
            nodes,
            clock,
        }
    }

    /// Runs until the clock ends. Each loop does what is due at a time before time
    /// advances, the one over autoscalers first.
    pub async fn run(&mut self) {
        loop {
            let now = self.clock.now();
            // Without a loop only the world's time advances.
            let mut next = Timestamp(i64::MAX);
            if let Some(replicas) = &mut self.replicas {
                next = next.min(replicas.tick(now).await);
            }
            if let Some(nodes) = &mut self.nodes {
                next = next.min(nodes.tick(now).await);
            }
            if !self.clock.sleep_until(next).await {
                return;
            }
        }
    }
}
