//! The control plane and the cloud that all cells share.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flyball_test_support::Faults;
use serde_json::Value;

use crate::journal::Journal;
use crate::lost_lease::LEASE;
use crate::nodes_world::World;
use crate::proxy::Proxy;
use crate::support::{Daemon, wait_for};

/// Maximum time of one step of a cell.
const LIMIT: Duration = Duration::from_secs(180);

const STATUS: &str = "/api/v1/namespaces/kube-system/configmaps/cluster-autoscaler-status";

pub struct Stage {
    pub world: World,
    pub journal: Arc<Journal>,
    pub proxy: Proxy,
    faults: Faults,
    kubeconfig: PathBuf,
    groups: AtomicUsize,
}

impl Stage {
    pub fn new() -> Self {
        let world = World::new();
        let journal = Arc::<Journal>::default();
        let proxy = Proxy::with_journal(&world.cluster, Some(Arc::clone(&journal)));
        let of_cloud = Arc::clone(&journal);
        let faults = Faults::start(&world.aws, move |call| of_cloud.fate(call));
        Self {
            kubeconfig: proxy.kubeconfig(&world.workshop),
            faults: faults.unwrap(),
            world,
            journal,
            proxy,
            groups: AtomicUsize::new(0),
        }
    }

    /// Returns a name that no group has had.
    pub fn new_group(&self) -> String {
        format!("group-{}", self.groups.fetch_add(1, Ordering::Relaxed))
    }

    /// Starts a daemon on one of two machines, each with a directory in which it finds the
    /// compiled policies again. Waits until it is ready.
    pub fn daemon(&self, machine: &str, args: &[&str]) -> Daemon {
        let mut command = self.world.command(&self.kubeconfig, args);
        command.env("AWS_ENDPOINT_URL", &self.faults.endpoint);
        command.env("FLYBALL_STATE_DIR", self.world.workshop.path(machine));
        let daemon = Daemon::spawn(command);
        daemon.wait_until_ready();
        daemon
    }

    /// Returns the objects at a path.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let list = self.proxy.get(path).unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    pub fn nodes(&self) -> Vec<Value> {
        self.list("/api/v1/nodes")
    }

    /// Returns names of pods and of their nodes.
    pub fn pods(&self) -> Vec<(String, String)> {
        let pods = self.list("/api/v1/namespaces/default/pods");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let pods = pods.iter();
        pods.map(|pod| {
            (
                text(&pod["metadata"]["name"]),
                text(&pod["spec"]["nodeName"]),
            )
        })
        .collect()
    }

    /// Number of pods that run, and whether there are no others.
    pub fn run_exactly(&self, count: usize) -> bool {
        let pods = self.list("/api/v1/namespaces/default/pods");
        let runs = |pod: &Value| {
            pod["status"]["phase"] == "Running" && pod["metadata"]["deletionTimestamp"].is_null()
        };
        pods.len() == count && pods.iter().all(runs)
    }

    pub fn has_status(&self) -> bool {
        self.proxy.get(STATUS).is_some()
    }

    pub fn has_leader(&self) -> bool {
        let lease = self.proxy.get(LEASE).unwrap_or_default();
        lease["spec"]["holderIdentity"].is_string()
    }

    #[track_caller]
    pub fn wait_for(&self, what: &str, condition: impl FnMut() -> bool) {
        wait_for(what, LIMIT, condition);
    }

    /// Deletes everything of a cell.
    pub fn clear(&self) {
        const APPS: &str = "/apis/apps/v1/namespaces/default/deployments";
        const BUDGETS: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets";
        self.proxy.delete(APPS);
        self.wait_for("the end of all Deployments", || {
            let sets = "/apis/apps/v1/namespaces/default/replicasets";
            self.list(APPS).is_empty() && self.list(sets).is_empty()
        });
        for path in [
            BUDGETS,
            "/api/v1/namespaces/default/pods?gracePeriodSeconds=0",
            "/api/v1/nodes",
            "/api/v1/namespaces/kube-system/events",
            "/api/v1/namespaces/default/events",
            LEASE,
            STATUS,
        ] {
            self.proxy.delete(path);
        }
        self.world.delete_groups();
        self.wait_for("an empty cluster", || {
            self.nodes().is_empty() && self.pods().is_empty()
        });
    }
}
