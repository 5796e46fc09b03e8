//! A real control plane, and an AWS simulated by moto. This module boots the instances:
//! it creates a Node for each instance of a group.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flyball_test_support::{Aws, Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::support::{Daemon, WAIT_TIMEOUT, Workshop, wait_for};

/// Returns a Deployment `web` of pods of which ten fit on a node, and a budget that lets so many
/// of them be disrupted at a time.
pub fn web(replicas: u32, max_unavailable: u32) -> String {
    format!(
        "
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: {replicas}
  selector: {{matchLabels: {{run: web}}}}
  template:
    metadata: {{labels: {{run: web}}}}
    spec:
      containers: [{{name: web, image: x, resources: {{requests: {{cpu: 200m}}}}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec:
  maxUnavailable: {max_unavailable}
  selector: {{matchLabels: {{run: web}}}}
"
    )
}

/// A cluster and its cloud.
pub struct World {
    pub workshop: Workshop,
    pub cluster: Cluster,
    pub aws: Aws,
    /// The groups.
    groups: Mutex<BTreeMap<String, Group>>,
    /// Whether instances become nodes.
    pub boots: AtomicBool,
}

/// What is known of a group.
struct Group {
    /// Cpus of a node.
    cpus: u32,
    /// Smallest size that it has had while nodes were booted.
    smallest: u32,
}

impl World {
    pub fn new() -> Self {
        Self {
            workshop: Workshop::new(),
            cluster: Cluster::start(ClusterOptions::default()).unwrap(),
            aws: Aws::start().unwrap(),
            groups: Mutex::default(),
            boots: AtomicBool::new(true),
        }
    }

    /// Creates a node group with its minimum, desired and maximum size.
    pub fn group(&self, name: &str, sizes: (u32, u32, u32), tags: &[&str]) {
        self.aws.create_group(name, sizes, tags).unwrap();
        self.add_group(name, 2, sizes.1);
    }

    /// Creates a node group of an instance type, whose nodes have this number of cpus.
    pub fn group_of(&self, kind: (&str, u32), name: &str, sizes: (u32, u32, u32), tags: &[&str]) {
        let (instance_type, cpus) = kind;
        let created = self.aws.create_group_of(instance_type, name, sizes, tags);
        created.unwrap();
        self.add_group(name, cpus, sizes.1);
    }

    fn add_group(&self, name: &str, cpus: u32, smallest: u32) {
        let group = Group { cpus, smallest };
        self.groups.lock().unwrap().insert(name.to_owned(), group);
    }

    /// Deletes the groups and their instances.
    pub fn delete_groups(&self) {
        let groups = std::mem::take(&mut *self.groups.lock().unwrap());
        for name in groups.keys() {
            self.aws.delete_group(name).unwrap();
        }
    }

    /// Returns the smallest size that a group has had while nodes were booted.
    pub fn smallest_size(&self, group: &str) -> u32 {
        self.groups.lock().unwrap()[group].smallest
    }

    /// Starts the node half, and waits until it is ready.
    pub fn daemon(&self, args: &[&str]) -> Daemon {
        let args = [&["--records=records.jsonl"], args].concat();
        let daemon = Daemon::spawn(self.command(&self.cluster.kubeconfig(), &args));
        daemon.wait_until_ready();
        daemon
    }

    /// Returns the command that runs the node half.
    pub fn command(&self, kubeconfig: &Path, args: &[&str]) -> Command {
        let common = [
            "run",
            "--http=127.0.0.1:0",
            "--log-format=json",
            "--controllers=nodes",
            "--scan-interval=1s",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
        ];
        let mut command = self.workshop.command(&[&common, args].concat());
        command.envs(self.aws.environment());
        command
    }

    /// Creates a Node for each instance without one, and deletes those whose instances are
    /// gone, until `work` is done.
    pub fn with_boots<T>(&self, work: impl FnOnce() -> T) -> T {
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut booted = BTreeSet::new();
                while !done.load(Ordering::Relaxed) {
                    if self.boots.load(Ordering::Relaxed) {
                        self.boot(&mut booted);
                    }
                    std::thread::sleep(Duration::from_millis(500));
                }
            });
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
            done.store(true, Ordering::Relaxed);
            result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    fn boot(&self, booted: &mut BTreeSet<String>) {
        let mut groups = self.groups.lock().unwrap();
        let mut instances = BTreeSet::new();
        for (name, group) in &mut *groups {
            let size = self.aws.size(name).unwrap();
            group.smallest = size.desired.min(group.smallest);
            for (id, zone) in size.instances {
                if booted.insert(id.clone()) {
                    let node = node(&id, &zone, group.cpus).to_string();
                    self.cluster.apply(&node).unwrap();
                }
                instances.insert(id);
            }
        }
        drop(groups);
        // As the cloud's controller does with Nodes whose instances are gone.
        for gone in booted.difference(&instances) {
            let _ = self
                .cluster
                .kubectl(&["delete", "node", gone, "--ignore-not-found"]);
        }
        booted.retain(|id| instances.contains(id));
    }

    /// Returns the desired capacity of a group.
    pub fn desired(&self, group: &str) -> u64 {
        self.aws.size(group).unwrap().desired.into()
    }

    /// Scales a Deployment.
    pub fn scale(&self, deployment: &str, replicas: u32) {
        let deployment = format!("deployment/{deployment}");
        let replicas = format!("--replicas={replicas}");
        self.cluster
            .kubectl(&["scale", &deployment, &replicas])
            .unwrap();
    }

    /// Waits until this number of pods runs.
    pub fn wait_for_pods(&self, count: usize) {
        wait_for(&format!("{count} running pods"), WAIT_TIMEOUT, || {
            let args = [
                "get",
                "pods",
                "--field-selector=status.phase=Running",
                "-o",
                "name",
            ];
            let running = self.cluster.kubectl(&args).unwrap_or_default();
            running.lines().count() == count
        });
    }

    /// Waits until this number of nodes is ready, and has no taint.
    pub fn wait_for_ready_nodes(&self, count: usize) {
        let path = "-o=jsonpath={range .items[*]}{.spec.taints}\
                    {.status.conditions[?(@.type==\"Ready\")].status}{\"\\n\"}{end}";
        wait_for(&format!("{count} ready nodes"), WAIT_TIMEOUT, || {
            let nodes = self.cluster.kubectl(&["get", "nodes", path]);
            let nodes = nodes.unwrap_or_default();
            nodes.lines().count() == count && nodes.lines().all(|node| node == "True")
        });
    }

    /// Ends the kubelet of a node, so that the node is not ready.
    pub fn stop_kubelet(&self, node: &str) {
        let is_ours = ["annotate", "node", node, "kwok.x-k8s.io/status=custom"];
        self.cluster.kubectl(&is_ours).unwrap();
        let now = jiff::Timestamp::now().round(jiff::Unit::Second).unwrap();
        let condition = json!({
            "type": "Ready",
            "status": "Unknown",
            "reason": "NodeStatusUnknown",
            "lastTransitionTime": now.to_string(),
        });
        let patch = json!({ "status": { "conditions": [condition] } }).to_string();
        self.cluster
            .kubectl(&["patch", "node", node, "--subresource=status", "-p", &patch])
            .unwrap();
    }

    /// Returns the messages of the events with a reason, one a line.
    pub fn events(&self, reason: &str) -> Vec<String> {
        let reason = format!("--field-selector=reason={reason}");
        let path = "-o=jsonpath={range .items[*]}{.involvedObject.kind} {.message}{\"\\n\"}{end}";
        let text = self
            .cluster
            .kubectl(&["get", "events", "-A", &reason, path])
            .unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// Returns the Node of an instance.
fn node(id: &str, zone: &str, cpus: u32) -> Value {
    let capacity = json!({ "cpu": cpus.to_string(), "memory": "4Gi", "pods": "110" });
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": id,
            "annotations": { "kwok.x-k8s.io/node": "fake" },
            "labels": { "kubernetes.io/hostname": id, "topology.kubernetes.io/zone": zone },
        },
        "spec": { "providerID": format!("aws:///{zone}/{id}") },
        "status": {
            "addresses": [{ "type": "InternalIP", "address": "127.0.0.1" }],
            "allocatable": capacity,
            "capacity": capacity,
        },
    })
}
