//! The production loops on a simulated cluster, sharing one clock.

use flyball_core::control::{ReplicaLoop, ReplicaOptions};
use flyball_core::nodes::control::NodeLoop;
use flyball_core::nodes::options::NodeOptions;
use flyball_core::ports::{Clock, DecisionPorts};
use flyball_core::time::Timestamp;

use crate::cluster::Cluster;

/// Options and ports of the loops.
#[derive(Clone)]
pub struct LoopSetup {
    /// Options of the loop over autoscalers. `None` if it does not run.
    pub replica: Option<ReplicaOptions>,
    /// Options of the loop over node groups. `None` if it does not run.
    pub nodes: Option<NodeOptions>,
    /// Ports of both loops.
    pub ports: DecisionPorts,
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
        let options = setup.nodes.filter(|_| cluster().has_nodes());
        let nodes = options.map(|options| {
            NodeLoop::new(
                options,
                cluster(),
                cluster(),
                cluster(),
                clock.clone(),
                setup.ports.clone(),
            )
        });
        let replicas = setup.replica.map(|options| {
            ReplicaLoop::new(options, cluster(), cluster(), clock.clone(), setup.ports)
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
