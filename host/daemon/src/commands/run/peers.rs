//! Other autoscalers of nodes in the cluster.

use std::time::Duration;

use flyball_kubernetes::{Client, LeaderOptions, PeerFinding, PeerLeases};
use tokio::task::JoinHandle;

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
