//! The production loops on a simulated cluster, on one clock.

use flyball_core::control::{ReplicaLoop, ReplicaOptions};
use flyball_core::nodes::control::NodeLoop;
use flyball_core::nodes::options::NodeOptions;
use flyball_core::ports::{Clock, DecisionPorts};
use flyball_core::time::Timestamp;

use crate::cluster::Cluster;

/// What the loops are given.
#[derive(Clone)]
pub struct Equipment {
    /// Options of the loop over autoscalers. `None` if it does not run.
    pub replica: Option<ReplicaOptions>,
    /// Options of the loop over node groups. `None` if it does not run.
    pub nodes: Option<NodeOptions>,
    /// What both decide with.
    pub ports: DecisionPorts,
}

/// The loops. The one over node groups is left out where there are no nodes.
pub struct Loops<C> {
    replicas: Option<ReplicaLoop<Cluster, Cluster, C>>,
    nodes: Option<NodeLoop<Cluster, Cluster, Cluster, C>>,
    clock: C,
}

impl<C: Clock + Clone> Loops<C> {
    /// Loops that have seen nothing yet.
    pub fn new(cluster: &Cluster, clock: C, equipment: Equipment) -> Self {
        let cluster = || cluster.clone();
        let options = equipment.nodes.filter(|_| cluster().has_nodes());
        let nodes = options.map(|options| {
            NodeLoop::new(
                options,
                cluster(),
                cluster(),
                cluster(),
                clock.clone(),
                equipment.ports.clone(),
            )
        });
        let replicas = equipment.replica.map(|options| {
            ReplicaLoop::new(
                options,
                cluster(),
                cluster(),
                clock.clone(),
                equipment.ports,
            )
        });
        Self {
            replicas,
            nodes,
            clock,
        }
    }

    /// Runs until the clock has no more time. Each loop does what is due at a time
    /// before time goes on, the one over autoscalers first.
    pub async fn run(&mut self) {
        loop {
            let now = self.clock.now();
            // Without a loop all that is left is the world's time.
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
