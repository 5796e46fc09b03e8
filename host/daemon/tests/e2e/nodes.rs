//! From a pod that fits nowhere to a node that runs it: a real control plane, and
//! an AWS played by moto. What boots the instances is here: for each one of the
//! group it creates the Node, and no more.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use flyball_test_support::{Aws, Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::support::{Daemon, Workshop, wait_for};

const GROUP: &str = "nodes";
const MINUTES: Duration = Duration::from_secs(180);
/// Pods of the walkthrough's Deployment that fit on a node.
const PODS_A_NODE: u32 = 10;

/// The Deployment of the walkthrough.
const PHP_APACHE: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: php-apache}
spec:
  replicas: 2
  selector: {matchLabels: {run: php-apache}}
  template:
    metadata:
      labels: {run: php-apache}
    spec:
      containers:
      - name: php-apache
        image: registry.k8s.io/hpa-example
        resources: {requests: {cpu: 200m}}
";

/// A cluster and its cloud.
struct World {
    workshop: Workshop,
    cluster: Cluster,
    aws: Aws,
    /// Whether instances become nodes.
    boots: AtomicBool,
}

impl World {
    fn new(sizes: (u32, u32, u32), tags: &[&str]) -> Self {
        let world = Self {
            workshop: Workshop::new(),
            cluster: Cluster::start(ClusterOptions::default()).unwrap(),
            aws: Aws::start().unwrap(),
            boots: AtomicBool::new(true),
        };
        world.aws.create_group(GROUP, sizes, tags).unwrap();
        world.cluster.apply(PHP_APACHE).unwrap();
        world
    }

    fn daemon(&self, args: &[&str]) -> Daemon {
        let kubeconfig = self.cluster.kubeconfig();
        let common = [
            "run",
            "--http=127.0.0.1:0",
            "--log-format=json",
            "--controllers=nodes",
            "--scan-interval=1s",
            "--records=records.jsonl",
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
        ];
        let mut command = self.workshop.command(&[&common, args].concat());
        command.envs(self.aws.environment());
        let daemon = Daemon::spawn(command);
        daemon.wait_until_ready();
        daemon
    }

    /// Creates the Node of each instance that has none, until `work` is done.
    fn with_boots<T>(&self, work: impl FnOnce() -> T) -> T {
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
        let group = self.aws.group(GROUP).unwrap();
        for instance in group["Instances"].as_array().unwrap() {
            let id = instance["InstanceId"].as_str().unwrap();
            if booted.insert(id.to_owned()) {
                self.cluster.apply(&node(instance).to_string()).unwrap();
            }
        }
    }

    fn desired(&self) -> u64 {
        self.aws.group(GROUP).unwrap()["DesiredCapacity"]
            .as_u64()
            .unwrap()
    }

    fn scale(&self, replicas: u32) {
        let replicas = format!("--replicas={replicas}");
        self.cluster
            .kubectl(&["scale", "deployment/php-apache", &replicas])
            .unwrap();
    }

    /// Waits until so many pods run.
    fn wait_for_pods(&self, count: usize) {
        wait_for(&format!("{count} running pods"), MINUTES, || {
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

    /// What the events with a reason say, one a line.
    fn events(&self, reason: &str) -> Vec<String> {
        let reason = format!("--field-selector=reason={reason}");
        let path = "-o=jsonpath={range .items[*]}{.involvedObject.kind} {.message}{\"\\n\"}{end}";
        let text = self
            .cluster
            .kubectl(&["get", "events", &reason, path])
            .unwrap();
        text.lines().map(str::to_owned).collect()
    }
}

/// The Node that an instance becomes: 2 CPUs, so that ten pods fit.
fn node(instance: &Value) -> Value {
    let id = instance["InstanceId"].as_str().unwrap();
    let zone = instance["AvailabilityZone"].as_str().unwrap();
    let capacity = json!({ "cpu": "2", "memory": "4Gi", "pods": "110" });
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

/// The lines of the walkthrough, each logged.
fn expect_the_walkthroughs_lines(daemon: &Daemon, max: u32) {
    for line in [
        format!("Best option to resize: {GROUP}"),
        format!("Estimated 1 nodes needed in {GROUP}"),
        format!("Final scale-up plan: [{{{GROUP} 2->3 (max: {max})}}]"),
        format!("Scale-up: setting group {GROUP} size to 3"),
    ] {
        daemon.wait_for(&line, |daemon| daemon.logged(&[("message", &line)]));
    }
}

#[test]
fn a_pod_that_fits_nowhere_gets_a_node_and_runs() {
    let world = World::new((2, 2, 10), &[]);
    world.with_boots(|| {
        world.wait_for_pods(2);
        let daemon = world.daemon(&["--nodes=2:4:nodes", "--expander=least-waste"]);
        let full = 2 * PODS_A_NODE;
        world.scale(full);
        world.wait_for_pods(full as usize);
        assert_eq!(world.desired(), 2, "nodes that have room are enough");

        world.scale(full + 2);
        world.wait_for_pods(full as usize + 2);
        assert_eq!(world.desired(), 3);
        expect_the_walkthroughs_lines(&daemon, 4);
        let events = world.events("TriggeredScaleUp");
        let expected = "Pod pod triggered scale-up: [{nodes 2->3 (max: 4)}]";
        // A pass may have come between the two pods.
        assert!(
            !events.is_empty() && events.iter().all(|event| event == expected),
            "{events:?}"
        );

        // The flag's bound holds, whatever the group's own is.
        world.scale(6 * PODS_A_NODE);
        world.wait_for_pods(4 * PODS_A_NODE as usize);
        wait_for("events of what has no room", MINUTES, || {
            let events = world.events("NotTriggerScaleUp");
            events
                .iter()
                .any(|event| event.contains("max node group size reached"))
        });
        assert_eq!(world.desired(), 4);

        let why = world
            .workshop
            .succeed(&["why", "nodes", "--server", &daemon.url]);
        assert!(
            why.contains("nodes 2->3") && why.contains("least-waste"),
            "{why}"
        );
        let why = world
            .workshop
            .succeed(&["why", "nodes", "--records", "records.jsonl"]);
        assert!(why.contains("max node group size reached"), "{why}");
        world.workshop.succeed(&["replay", "records.jsonl"]);
    });
}

#[test]
fn a_group_found_by_its_tags_grows_once_also_across_a_restart() {
    let tags = [
        "k8s.io/cluster-autoscaler/enabled=true",
        "k8s.io/cluster-autoscaler/test=owned",
    ];
    let world = World::new((2, 2, 6), &tags);
    let discovery = "--node-group-auto-discovery=asg:tag=\
        k8s.io/cluster-autoscaler/enabled,k8s.io/cluster-autoscaler/test=owned";
    world.with_boots(|| {
        world.wait_for_pods(2);
        world.boots.store(false, Ordering::Relaxed);
        let mut daemon = world.daemon(&[discovery]);
        let pods = 2 * PODS_A_NODE + 1;
        world.scale(pods);
        wait_for("the order", MINUTES, || world.desired() == 3);
        expect_the_walkthroughs_lines(&daemon, 6);
        assert_eq!(daemon.terminate(), Some(0));

        // The instance has not joined, the pod still waits: that is known to a new
        // daemon from the cloud alone.
        let daemon = world.daemon(&[discovery]);
        let coming = "on their way";
        daemon.wait_for("a decision", |daemon| {
            let server = ["why", "nodes", "--server", &daemon.url];
            world.workshop.run(&server).stdout.contains(coming)
        });
        std::thread::sleep(Duration::from_secs(5));
        assert_eq!(world.desired(), 3, "ordered twice");
        world.boots.store(true, Ordering::Relaxed);
        world.wait_for_pods(pods as usize);
        assert_eq!(world.desired(), 3);
    });
}
