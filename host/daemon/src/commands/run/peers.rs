//! Other daemons, and other autoscalers of nodes, in the cluster.

use std::collections::BTreeSet;
use std::time::Duration;

use flyball_kubernetes::{Client, LeaderOptions, PeerFinding, PeerLeases, PresenceFinding};
use tokio::task::JoinHandle;

use crate::cli::{Controller, Nodes, NodesMode};

/// Time between two looks at the leases.
const INTERVAL: Duration = Duration::from_secs(60);

/// A task that logs the names of other autoscalers. It ends when this is dropped.
pub struct PeerWatch(JoinHandle<()>);

impl PeerWatch {
    /// Starts the task. `own` is the lease of this process.
    pub fn start(client: Client, namespace: &str, own: Option<&LeaderOptions>) -> Self {
        let leases = PeerLeases::new(client, namespace, own);
        Self(tokio::spawn(log_peers(leases)))
    }
}

impl Drop for PeerWatch {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn log_peers(mut leases: PeerLeases) {
    loop {
        for finding in leases.look().await {
            match finding {
                PeerFinding::Held { .. } => tracing::warn!("{finding}"),
                PeerFinding::Released { .. } | PeerFinding::Forbidden { .. } => {
                    tracing::info!("{finding}");
                }
            }
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Returns the names of the controllers by which this daemon changes the cluster.
pub fn controllers(args: &Nodes) -> BTreeSet<&'static str> {
    let orders_nodes = args.runs(Controller::Nodes) && args.nodes_mode != NodesMode::Observe;
    let replicas = args.runs(Controller::Replicas).then_some("replicas");
    let nodes = orders_nodes.then_some("nodes");
    replicas.into_iter().chain(nodes).collect()
}

/// Logs what is new about a daemon that is not in this one's election.
pub fn log_presence(finding: PresenceFinding) {
    match finding {
        PresenceFinding::Gone { .. } => tracing::info!("{finding}"),
        PresenceFinding::Beside { .. } | PresenceFinding::Leads { .. } => {
            tracing::warn!("{finding}");
        }
    }
}
