//! A cluster with two groups of nodes at moto, and nodes of no group that take their pods.

use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use flyball_test_support::{Aws, Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::UNNEEDED_TIME;
use crate::aws_proxy::AwsProxy;
use crate::observer::Observer;
use crate::progress::Progress;
use crate::support::{Daemon, Workshop};

/// The file that the daemon writes its records to.
pub const RECORDS: &str = "records.jsonl";

/// Annotation of a node that must stay.
const DISABLED: &str = "cluster-autoscaler.kubernetes.io/scale-down-disabled";

/// Number of nodes of no group: with 110 pods each, they take those of all others.
const STAYING: u32 = 30;

/// Time without a change after which a wait is in vain.
const MAX_STALLED: Duration = Duration::from_secs(120);

/// Time between two looks at what is waited for.
const POLL: Duration = Duration::from_millis(200);

/// A node group whose nodes are full of pods by their number, and hardly used.
pub struct Group {
    pub name: &'static str,
    pub nodes: u32,
    pub pods_a_node: u32,
    /// Whether its nodes must stay until they are let go.
    is_disabled: bool,
}

/// Nodes that are let go one after the other.
pub const FEW: Group = Group {
    name: "few",
    nodes: 24,
    pods_a_node: 3,
    is_disabled: true,
};

/// Nodes that go at once.
pub const MANY: Group = Group {
    name: "many",
    nodes: 100,
    pods_a_node: 30,
    is_disabled: false,
};

/// A cluster and its cloud.
pub struct World {
    pub workshop: Workshop,
    pub cluster: Cluster,
    pub aws: AwsProxy,
    pub observer: Observer,
    progress: Progress,
    moto: Aws,
    /// Nodes that were deleted after their instances.
    deleted: Mutex<Vec<String>>,
}

impl World {
    /// Starts all and runs the pods: first on the nodes of the groups, which are then full.
    pub fn new() -> anyhow::Result<Self> {
        let progress = Progress::start();
        progress.begin("starting the control plane");
        let cluster = Cluster::start(ClusterOptions {
            fast_controllers: true,
            ..ClusterOptions::default()
        })?;
        progress.begin("starting the cloud");
        let moto = Aws::start()?;
        let world = Self {
            workshop: Workshop::new(),
            aws: AwsProxy::start(moto.endpoint())?,
            observer: Observer::start(&cluster)?,
            cluster,
            progress,
            moto,
            deleted: Mutex::default(),
        };
        let mut pods = 0;
        for group in [&FEW, &MANY] {
            let size = group.nodes;
            let step = format!("creating the {size} nodes of group {}", group.name);
            world.progress.begin(&step);
            world.moto.create_group(group.name, (0, size, size), &[])?;
            let nodes = world.nodes_of(group)?;
            let nodes = nodes
                .iter()
                .map(|name| node(name, group.pods_a_node, group.is_disabled));
            world.create(nodes.collect())?;
            let replicas = size * group.pods_a_node;
            world.create(vec![deployment(group.name, replicas)])?;
            pods += replicas as usize;
            world.wait_for("running pods", pods, |world| {
                world.observer.seen().running.len()
            })?;
        }
        let step = format!("creating {STAYING} nodes that stay");
        world.progress.begin(&step);
        let staying = (0..STAYING).map(|index| node(&format!("stays-{index}"), 110, false));
        world.create(staying.collect())?;
        Ok(world)
    }

    fn create(&self, items: Vec<Value>) -> anyhow::Result<()> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": items });
        self.cluster.apply(&list.to_string())
    }

    /// Names of the nodes of a group: the ids of its instances.
    pub fn nodes_of(&self, group: &Group) -> anyhow::Result<Vec<String>> {
        let group = self.moto.group(group.name)?;
        let instances = group["Instances"].as_array().context("no instances")?;
        let ids = instances
            .iter()
            .filter_map(|one| one["InstanceId"].as_str());
        Ok(ids.map(str::to_owned).collect())
    }

    /// Starts a daemon for one group, and waits until it is ready.
    pub fn daemon(
        &self,
        group: &Group,
        kubeconfig: &Path,
        parallelism: u32,
    ) -> anyhow::Result<Daemon> {
        let kubeconfig = kubeconfig.to_str().context("a folder that is no text")?;
        let args: [&str; 11] = [
            "run",
            "--http=127.0.0.1:0",
            "--log-format=json",
            "--controllers=nodes",
            "--scale-down-delay-after-add=0s",
            &format!("--records={RECORDS}"),
            &format!("--nodes=0:{}:{}", group.nodes, group.name),
            &format!("--scale-down-unneeded-time={}s", UNNEEDED_TIME.as_secs()),
            &format!("--max-scale-down-parallelism={parallelism}"),
            &format!("--max-drain-parallelism={parallelism}"),
            &format!("--kubeconfig={kubeconfig}"),
        ];
        let mut command = self.workshop.command(&args);
        command
            .envs(self.moto.environment())
            .env("AWS_ENDPOINT_URL", self.aws.url());
        let step = format!("starting the daemon for group {}", group.name);
        self.progress.begin(&step);
        let daemon = Daemon::spawn(command);
        daemon.wait_until_ready();
        Ok(daemon)
    }

    /// Lets a node go that had to stay.
    pub fn let_go(&self, node: &str) -> anyhow::Result<()> {
        self.progress.begin(&format!("node {node} may go"));
        let annotations = json!({ "metadata": { "annotations": { DISABLED: null } } });
        self.observer.patch_node(node, &annotations)
    }

    /// Waits until all instances of a group are terminated.
    pub fn wait_for_terminations(&self, group: &Group) -> anyhow::Result<()> {
        let what = format!("terminated nodes of group {}", group.name);
        self.wait_for(&what, group.nodes as usize, |world| {
            // It is tried again.
            let _ = world.delete_terminated();
            world.aws.terminated().len()
        })
    }

    /// Deletes the Nodes whose instances are terminated, as the cloud's controller does.
    pub fn delete_terminated(&self) -> anyhow::Result<()> {
        let mut deleted = self
            .deleted
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        for node in self.aws.terminated().into_keys() {
            if !deleted.contains(&node) {
                self.observer.delete_node(&node)?;
                deleted.push(node);
            }
        }
        Ok(())
    }

    /// Forgets what was observed of nodes that have left.
    pub fn forget(&self) {
        self.aws.forget();
    }

    /// Waits until there are so many of something, for as long as their number changes.
    fn wait_for(
        &self,
        what: &str,
        count: usize,
        current: impl Fn(&Self) -> usize,
    ) -> anyhow::Result<()> {
        let what = format!("{count} {what}");
        self.progress.begin(&format!("waiting for {what}"));
        let (mut last, mut changed) = (0, Instant::now());
        loop {
            let now = current(self);
            if now == count {
                return Ok(());
            }
            if std::mem::replace(&mut last, now) != now {
                changed = Instant::now();
            }
            let stalled = changed.elapsed();
            ensure!(stalled < MAX_STALLED, "{now} of {what} for {stalled:?}");
            let step = format!("waiting for {what}: {now}");
            self.progress.set(&step);
            thread::sleep(POLL);
        }
    }
}

/// Returns the Node of an instance, with room for a number of pods.
fn node(name: &str, pods: u32, is_disabled: bool) -> Value {
    let zone = Aws::ZONE;
    let capacity = json!({ "cpu": "16", "memory": "64Gi", "pods": pods.to_string() });
    let mut annotations = json!({ "kwok.x-k8s.io/node": "fake" });
    if is_disabled {
        annotations[DISABLED] = "true".into();
    }
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "annotations": annotations,
            "labels": { "kubernetes.io/hostname": name, "topology.kubernetes.io/zone": zone },
        },
        "spec": { "providerID": format!("aws:///{zone}/{name}") },
        "status": { "allocatable": capacity, "capacity": capacity },
    })
}

/// Returns a Deployment of small pods.
fn deployment(name: &str, replicas: u32) -> Value {
    let labels = json!({ "run": name });
    let container = json!({
        "name": "web",
        "image": "registry.k8s.io/hpa-example",
        "resources": { "requests": { "cpu": "100m" } },
    });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": name, "namespace": "default" },
        "spec": {
            "replicas": replicas,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": { "containers": [container] } },
        },
    })
}
