//! One crash and what follows.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use super::checks::{self, Crash};
use super::rows::{Restart, Row, Scene};
use super::stage::Stage;
use crate::journal::{CloudFault, Trap};
use crate::nodes_world::web;
use crate::support::Daemon;

/// Pods beside those with the budget. Ten of both fit on a node.
const LOAD_PODS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: load}
spec:
  replicas: LOAD
  selector: {matchLabels: {run: load}}
  template:
    metadata: {labels: {run: load}}
    spec:
      containers: [{name: load, image: x, resources: {requests: {cpu: 200m}}}]
";

/// Tags of the group of small nodes, below [`TEMPLATE`].
const SMALL_TAGS: [&str; 3] = [
    "resources/cpu=2",
    "resources/memory=4Gi",
    "label/node.kubernetes.io/instance-type=t3.small",
];

const TEMPLATE: &str = "k8s.io/cluster-autoscaler/node-template";

const PRICES: &str = "
- {instanceType: m5.xlarge, price: 0.192}
- {instanceType: t3.small, price: 0.0208}
";

const BUDGET: &str = "/apis/policy/v1/namespaces/default/poddisruptionbudgets/web";

/// Message of the event about a Node that outlives its instance.
const LINGERS: &str = "the Node is still there 5 minutes after its instance";

/// Pods of the Deployment with the budget.
const WEB: u32 = 6;

/// Load with which two nodes are needed, and are used by more than half.
const HIGH: u32 = 10;

/// Load with which two nodes are needed.
const BACK: u32 = 8;

/// Load with which one node is full.
const FULL: u32 = 4;

pub struct Cell<'a> {
    pub stage: &'a Stage,
    pub row: &'a Row,
    pub restart: Restart,
    /// Whether it waits for what takes minutes.
    pub is_patient: bool,
    /// What goes wrong with the cloud instead of a crash.
    pub fault: Option<CloudFault>,
    pub group: String,
    /// Whether the API server's view of the budget has ever been below it.
    budget_broken: AtomicBool,
}

impl<'a> Cell<'a> {
    pub fn new(stage: &'a Stage, row: &'a Row, restart: Restart, is_patient: bool) -> Self {
        Self {
            stage,
            row,
            restart,
            is_patient,
            fault: None,
            group: stage.new_group(),
            budget_broken: AtomicBool::new(false),
        }
    }

    /// Runs it. Returns the outcome in words, and panics if something does not hold.
    pub fn run(&self) -> String {
        let world = &self.stage.world;
        let (nodes, load) = match self.row.scene {
            Scene::ScaleUp => (1, FULL),
            Scene::Replacement => (1, HIGH),
            _ => (2, HIGH),
        };
        world.boots.store(true, Ordering::Relaxed);
        match self.row.scene {
            Scene::Replacement => {
                let tags = SMALL_TAGS.map(|tag| format!("{TEMPLATE}/{tag}"));
                let tags = tags.each_ref().map(String::as_str);
                world.group_of(("m5.xlarge", 4), &self.group, (0, 1, 1), &[]);
                world.group_of(("t3.small", 2), &self.small(), (0, 0, 2), &tags);
            }
            _ => world.group(&self.group, (1, nodes, 2), &[]),
        }
        world.with_boots(|| {
            // The scheduler spreads the pods evenly over the nodes that it knows.
            world.wait_for_ready_nodes(nodes as usize);
            let pods = LOAD_PODS.replace("LOAD", &load.to_string());
            let pods = format!("{}---{pods}", web(WEB, 1));
            world.cluster.apply(&pods).unwrap();
            self.wait_for_pods(load);
            let done = AtomicBool::new(false);
            std::thread::scope(|scope| {
                scope.spawn(|| self.watch_budget(&done));
                let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                    let (crash, successor) = self.crash();
                    self.wait_for_end();
                    checks::outcome(self, &crash, &successor)
                }));
                done.store(true, Ordering::Relaxed);
                outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })
    }

    /// Whether it waits until a Node that outlives its instance is reported. To a daemon that
    /// starts ten minutes later, that is due at once.
    pub fn reports_the_node(&self) -> bool {
        self.is_patient || self.restart == Restart::Later
    }

    /// The group of small nodes, one of which replaces a large one.
    pub fn small(&self) -> String {
        format!("{}-small", self.group)
    }

    pub fn is_budget_broken(&self) -> bool {
        self.budget_broken.load(Ordering::Relaxed)
    }

    /// Starts the first daemon, kills it at the write of the row, and starts the next.
    fn crash(&self) -> (Crash, Daemon) {
        let (stage, row) = (self.stage, self.row);
        let first = self.daemon("first", "--clock-offset=0s");
        stage.wait_for("a status", || stage.has_status());
        let standby = (self.restart == Restart::OtherLeader).then(|| {
            stage.wait_for("a leader", || stage.has_leader());
            self.daemon("other", "--clock-offset=-2s")
        });
        if row.scene == Scene::Cordoned {
            self.cordon();
        }
        let pods = stage.pods();
        if let Some(fault) = self.fault {
            stage.journal.set_fault(fault);
            self.begin();
            return (Crash { pods, before: 0 }, first);
        }
        stage.journal.set_trap(Trap {
            texts: row.texts.iter().map(|text| (*text).to_owned()).collect(),
            number: row.number,
            is_carried_out: row.is_carried_out,
            victim: first.id(),
        });
        self.begin();
        stage.journal.wait_for_the_kill(row.name);
        drop(first);
        let before = stage.journal.entries().len();
        if row.scene == Scene::LoadReturns {
            stage.world.scale("load", BACK);
            let count = (WEB + BACK) as usize;
            stage.wait_for("the load", || stage.pods().len() == count);
        }
        if row.scene == Scene::NodeStays {
            // It ends with its instance.
            let nodes = stage.nodes();
            let gone = nodes.iter().find(|node| checks::has_hard_taint(node));
            stage.world.stop_kubelet(name(gone.unwrap()));
        }
        let successor = match standby {
            Some(standby) => {
                let leads = [("message", "leadership changed")];
                standby.wait_for("leadership", |standby| standby.logged(&leads));
                standby
            }
            None if self.restart == Restart::Later => self.daemon("first", "--clock-offset=10m"),
            None => self.daemon("first", "--clock-offset=0s"),
        };
        (Crash { pods, before }, successor)
    }

    /// Changes the load so that the daemon begins to act.
    fn begin(&self) {
        let (stage, world) = (self.stage, &self.stage.world);
        match self.row.scene {
            Scene::ScaleUp => {
                world.boots.store(false, Ordering::Relaxed);
                world.scale("load", BACK);
            }
            Scene::NodeStays => {
                world.boots.store(false, Ordering::Relaxed);
                world.scale("load", 0);
            }
            Scene::TakenBack | Scene::Cordoned => {
                world.scale("load", 0);
                stage.wait_for("a tainted node", || {
                    stage.nodes().iter().any(checks::has_hard_taint)
                });
                world.scale("load", BACK);
            }
            Scene::Drain | Scene::LongTimer | Scene::LoadReturns | Scene::Replacement => {
                world.scale("load", 0);
            }
        }
    }

    /// Cordons a node.
    fn cordon(&self) {
        let nodes = self.stage.nodes();
        let cluster = &self.stage.world.cluster;
        cluster.kubectl(&["cordon", name(&nodes[0])]).unwrap();
    }

    fn daemon(&self, machine: &str, offset: &str) -> Daemon {
        let nodes = match self.row.scene {
            Scene::Replacement => format!("--nodes=0:1:{}", self.group),
            _ => format!("--nodes=1:2:{}", self.group),
        };
        // A change of leader takes up to 17 s.
        let unneeded = match (self.row.scene, self.restart) {
            (Scene::LongTimer, Restart::OtherLeader) => "--scale-down-unneeded-time=45s",
            (Scene::LongTimer, _) => "--scale-down-unneeded-time=15s",
            _ => "--scale-down-unneeded-time=3s",
        };
        // Time for the load to return.
        let after_taint = match self.row.scene {
            Scene::TakenBack | Scene::Cordoned => "--node-delete-delay-after-taint=15s",
            _ => "--node-delete-delay-after-taint=1s",
        };
        let mut args = vec![
            &*nodes,
            unneeded,
            after_taint,
            "--scale-down-delay-after-add=0s",
            "--scale-down-delay-after-failure=0s",
            "--initial-node-group-backoff-duration=3s",
            "--max-node-group-backoff-duration=3s",
            offset,
        ];
        if self.restart == Restart::OtherLeader {
            args.push("--leader-elect");
        }
        let prices = self.stage.world.workshop.write("prices.yaml", PRICES);
        let prices = format!("--node-prices={}", prices.display());
        let small = format!("--nodes=0:2:{}", self.small());
        if self.row.scene == Scene::Replacement {
            args.extend([
                &*prices,
                &*small,
                "--scale-down-policies=drain-rules,utilization,consolidate",
                "--replacement-stable-time=2s",
                "--replacement-min-pod-age=0s",
            ]);
        }
        self.stage.daemon(machine, &args)
    }

    /// Waits until the drain or the order has ended in the way of the row.
    fn wait_for_end(&self) {
        let (stage, world) = (self.stage, &self.stage.world);
        match self.row.scene {
            Scene::ScaleUp => {
                stage.wait_for("the order", || world.desired(&self.group) == 2);
                some_passes();
                world.boots.store(true, Ordering::Relaxed);
                self.wait_for_pods(BACK);
            }
            Scene::NodeStays => {
                some_passes();
                if self.is_patient && self.restart != Restart::Later {
                    std::thread::sleep(Duration::from_secs(290));
                }
                if self.reports_the_node() {
                    stage.wait_for("the Node to be reported", || {
                        let events = world.events("ScaleDownFailed");
                        events.iter().any(|event| event.contains(LINGERS))
                    });
                }
                world.boots.store(true, Ordering::Relaxed);
                self.wait_for_one_node();
            }
            Scene::LoadReturns | Scene::TakenBack => self.wait_for_pods(BACK),
            Scene::Cordoned => stage.wait_for("the taint to be taken off", || {
                !stage.nodes().iter().any(checks::has_hard_taint)
            }),
            Scene::Drain | Scene::LongTimer => self.wait_for_one_node(),
            Scene::Replacement => {
                stage.wait_for("the small node", || world.desired(&self.small()) == 1);
                stage.wait_for("the large node to go", || world.desired(&self.group) == 0);
                self.wait_for_one_node();
            }
        }
        // Nothing follows.
        some_passes();
    }

    /// Waits until all pods run, and this number of those of the load.
    fn wait_for_pods(&self, load: u32) {
        let count = (WEB + load) as usize;
        self.stage
            .wait_for("the pods", || self.stage.run_exactly(count));
    }

    fn wait_for_one_node(&self) {
        let stage = self.stage;
        stage.wait_for("one node", || stage.nodes().len() == 1);
        self.wait_for_pods(0);
    }

    /// Looks at the budget all the time, from when its pods were healthy first.
    fn watch_budget(&self, done: &AtomicBool) {
        let mut was_healthy = false;
        while !done.load(Ordering::Relaxed) {
            let budget = self.stage.proxy.get(BUDGET).unwrap_or_default();
            let status = &budget["status"];
            let number = |field: &str| status[field].as_i64().unwrap_or_default();
            let is_known = number("expectedPods") == i64::from(WEB)
                && status["observedGeneration"] == budget["metadata"]["generation"];
            if is_known {
                let is_healthy = number("currentHealthy") >= number("desiredHealthy");
                let is_broken = was_healthy && !is_healthy;
                self.budget_broken.fetch_or(is_broken, Ordering::Relaxed);
                was_healthy |= is_healthy;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
    }
}

/// Waits for some passes: there is one every second.
fn some_passes() {
    std::thread::sleep(Duration::from_secs(4));
}

/// Returns the names of pods on a node.
pub fn pods_on<'a>(pods: &'a [(String, String)], node: &str) -> BTreeSet<&'a str> {
    let pods = pods.iter().filter(|(_, on)| on == node);
    pods.map(|(name, _)| &**name).collect()
}

/// Returns the name of an object.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}
