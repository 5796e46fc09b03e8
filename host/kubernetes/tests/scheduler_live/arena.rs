//! A control plane on which small clusters are built one after another, and our view of
//! it.

mod draining;
mod growing;

pub use self::draining::created_again;

use std::time::{Duration, Instant};

use flyball_kubernetes::slim::PodObject;
use flyball_kubernetes::{ClusterWatch, ClusterWatchOptions, ConnectOptions, connect};
use flyball_nodes::ports::NodesReader as _;
use flyball_nodes::state::{ClusterState, PodPhase};
use flyball_placement::{self as placement, Diagnosis};
use flyball_test_support::{Cluster, ClusterOptions, wait_for};
use futures::future::try_join_all;
use k8s_openapi::api::core::v1::{Node, Pod, PodCondition};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::generate::{Fate, NAMESPACES, Scenario};

const MINUTE: Duration = Duration::from_secs(60);

/// Label of every node: the number of its cluster.
pub const ROUND: &str = "example.com/round";

const RUNTIME_CLASS: &str = r#"
apiVersion: node.k8s.io/v1
kind: RuntimeClass
metadata: { name: heavy }
handler: heavy
overhead: { podFixed: { cpu: 250m, memory: 100Mi } }
"#;

/// For pods that precede others in the queue and preempt none.
const PRIORITY_CLASS: &str = r#"
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: { name: first }
value: 1000
preemptionPolicy: Never
"#;

/// Our result for a pod before it is created.
pub struct Prediction {
    /// Names of the nodes that it fits on.
    pub fits: Vec<String>,
    pub diagnosis: Diagnosis,
}

/// The scheduler's result for a pod.
pub enum Verdict {
    /// The scheduler bound it to this node.
    Bound(String),
    /// The scheduler found no node, with this message.
    Unschedulable(String),
    /// The pod has scheduling gates.
    Gated,
}

pub struct Arena {
    runtime: tokio::runtime::Runtime,
    client: Client,
    watch: ClusterWatch,
    cluster: Cluster,
}

impl Arena {
    pub fn start() -> Self {
        let cluster = Cluster::start(ClusterOptions::default()).unwrap();
        cluster.apply(RUNTIME_CLASS).unwrap();
        cluster.apply(PRIORITY_CLASS).unwrap();
        for (name, labels) in NAMESPACES {
            let labels: Value = serde_json::from_str(labels).unwrap();
            let metadata = json!({ "name": name, "labels": labels });
            let namespace =
                json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": metadata });
            cluster.apply(&namespace.to_string()).unwrap();
        }
        for (name, _) in NAMESPACES {
            let account = ["get", "serviceaccount", "default", "--namespace", name];
            let account = || cluster.kubectl(&account).map(Some);
            wait_for("the service account of pods", MINUTE, account).unwrap();
        }
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let options = ConnectOptions {
            kubeconfig: Some(cluster.kubeconfig()),
            ..ConnectOptions::default()
        };
        let (client, watch) = runtime.block_on(async {
            let client = connect(&options).await.unwrap();
            let watch = ClusterWatch::start(client.clone(), ClusterWatchOptions::default()).await;
            watch.synced().await;
            (client, watch)
        });
        Self {
            runtime,
            client,
            watch,
            cluster,
        }
    }

    /// Builds a cluster, and returns once both the scheduler and we know all of it.
    pub fn build(&self, scenario: &Scenario, round: usize) {
        self.runtime.block_on(async {
            let nodes = &scenario.nodes;
            try_join_all(nodes.iter().map(|node| self.create_node(node)))
                .await
                .unwrap();
            let bound = scenario.bound.iter();
            let bound = bound.map(|(pod, fate)| self.create_bound(pod, *fate));
            let bound = try_join_all(bound).await.unwrap();
            // In order, since the scheduler is only checked for the last one.
            for node in nodes {
                self.finish_node(node, round).await.unwrap();
            }
            self.wait_until_scheduler_knows(nodes, round).await;
            let round = round.to_string();
            self.wait_for_state("all of a cluster", |state| {
                let mut labels = state.nodes().map(|node| node.facts.node.labels.get(ROUND));
                let known = |(uid, fate): &(String, Fate)| {
                    let facts = state.pod(uid)?.facts;
                    Some(match fate {
                        Fate::Stays => true,
                        Fate::Terminates => facts.deletion.is_some(),
                        Fate::Succeeds => facts.phase == PodPhase::Succeeded,
                    })
                };
                let whole = labels.all(|label| label.is_some_and(|label| **label == *round))
                    && state.nodes().count() == nodes.len()
                    && state.pod_count() == bound.len()
                    && bound.iter().all(|pod| known(pod) == Some(true));
                whole.then_some(())
            })
            .await;
        });
    }

    /// Deletes everything.
    pub fn clear(&self) {
        self.runtime.block_on(async {
            let (now, all) = (
                DeleteParams::default().grace_period(0),
                ListParams::default(),
            );
            let namespaces = NAMESPACES.iter().map(|(name, _)| *name).chain(["default"]);
            let pods: Vec<_> = namespaces.map(|name| self.pods(name)).collect();
            let gone = pods.iter().map(|pods| pods.delete_collection(&now, &all));
            try_join_all(gone).await.unwrap();
            self.nodes().delete_collection(&now, &all).await.unwrap();
        });
    }

    /// Returns our result for a pod.
    pub fn predict(&self, pod: &Value) -> Prediction {
        let pod = written(pod);
        self.watch.with_state(|state| {
            let class = state.cluster_mut().class(&pod);
            let cluster = state.cluster();
            let fits = cluster.node_ids().filter(|node| cluster.fits(class, *node));
            let fits = fits.filter_map(|node| Some(cluster.node(node)?.name.to_string()));
            Prediction {
                fits: fits.collect(),
                diagnosis: cluster.diagnose(class, cluster.node_ids()),
            }
        })
    }

    /// Creates the pod and waits for the scheduler's result. Deletes a pod that is not
    /// bound. Also returns whether the pod that the API server stored equals the one
    /// that we read from the manifest.
    pub fn submit(&self, pod: &Value) -> (Verdict, bool) {
        self.runtime.block_on(async {
            let (namespace, name) = names(pod);
            let stored = self.create_pod(pod).await.unwrap();
            let uid = stored.metadata.uid.clone().unwrap();
            let gated = condition(&stored)
                .is_some_and(|it| it.reason.as_deref() == Some("SchedulingGated"));
            let object: PodObject = serde_json::from_value(json!(stored)).unwrap();
            let as_written = self.watch.with_state(|state| {
                let cluster = state.cluster_mut();
                cluster.class(&object.into_pod()) == cluster.class(&written(pod))
            });
            let node = self
                .wait_for_state("a decision of the scheduler", |state| {
                    let facts = state.pod(&uid)?.facts;
                    let decided = gated || facts.node.is_some() || facts.unschedulable;
                    decided.then(|| facts.node.clone())
                })
                .await;
            if let Some(node) = node {
                return (Verdict::Bound(node.to_string()), as_written);
            }
            let verdict = if gated {
                Verdict::Gated
            } else {
                let stored = self.pods(namespace).get(name).await.unwrap();
                let message = condition(&stored).and_then(|it| it.message.clone());
                Verdict::Unschedulable(message.unwrap_or_default())
            };
            self.delete_now(namespace, name).await;
            (verdict, as_written)
        })
    }

    /// Returns all relevant objects, as kubectl prints them.
    pub fn dump(&self) -> String {
        let args = ["get", "nodes,pods,namespaces", "-A", "-o", "json"];
        let dump: Value = serde_json::from_str(&self.cluster.kubectl(&args).unwrap()).unwrap();
        dump.to_string()
    }

    fn nodes(&self) -> Api<Node> {
        Api::all(self.client.clone())
    }

    fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    async fn create_node(&self, node: &Value) -> kube::Result<()> {
        let node: Node = serde_json::from_value(node.clone()).unwrap();
        self.nodes().create(&PostParams::default(), &node).await?;
        Ok(())
    }

    /// Sets labels and taints, which removes the API server's taint of a node that is
    /// not ready.
    async fn finish_node(&self, node: &Value, round: usize) -> kube::Result<()> {
        let name = node["metadata"]["name"].as_str().unwrap();
        let patch = json!({
            "metadata": { "labels": { ROUND: round.to_string() } },
            "spec": { "taints": node["spec"]["taints"] },
        });
        let (params, patch) = (PatchParams::default(), Patch::Merge(&patch));
        self.nodes().patch(name, &params, &patch).await?;
        Ok(())
    }

    async fn create_pod(&self, pod: &Value) -> kube::Result<Pod> {
        let typed: Pod = serde_json::from_value(pod.clone()).unwrap();
        let created = self
            .pods(names(pod).0)
            .create(&PostParams::default(), &typed)
            .await;
        if created.is_err() {
            eprintln!("the API server refuses {pod}");
        }
        created
    }

    async fn create_bound(&self, pod: &Value, fate: Fate) -> kube::Result<(String, Fate)> {
        let stored = self.create_pod(pod).await?;
        let (namespace, name) = names(pod);
        let pods = self.pods(namespace);
        match fate {
            Fate::Stays => {}
            // There is no kubelet that ends it.
            Fate::Terminates => {
                pods.delete(name, &DeleteParams::default()).await?;
            }
            Fate::Succeeds => {
                let status = json!({ "status": { "phase": "Succeeded" } });
                let (params, patch) = (PatchParams::default(), Patch::Merge(&status));
                pods.patch_status(name, &params, &patch).await?;
            }
        }
        Ok((stored.metadata.uid.unwrap(), fate))
    }

    async fn delete_now(&self, namespace: &str, name: &str) {
        let now = DeleteParams::default().grace_period(0);
        self.pods(namespace).delete(name, &now).await.unwrap();
    }

    /// Creates pods that don't fit on the last node because of its size only. The
    /// scheduler names that reason once it knows the node. It receives nodes in order
    /// and pods in order, but maybe a pod before a node.
    async fn wait_until_scheduler_knows(&self, nodes: &[Value], round: usize) {
        let Some(last) = nodes.last().map(|node| &node["metadata"]["name"]) else {
            return;
        };
        for attempt in 0.. {
            let name = format!("scout-{round}-{attempt}");
            let scout = json!({
                "apiVersion": "v1",
                "kind": "Pod",
                "metadata": { "name": name, "namespace": NAMESPACES[0].0 },
                "spec": {
                    "nodeSelector": { "kubernetes.io/hostname": last, ROUND: round.to_string() },
                    "tolerations": [{ "operator": "Exists" }],
                    "containers": [{
                        "name": "main",
                        "image": "none",
                        "resources": { "requests": { "cpu": "1000" } },
                    }],
                },
            });
            let uid = self.create_pod(&scout).await.unwrap().metadata.uid.unwrap();
            self.wait_for_state("the scheduler to look", |state| {
                state.pod(&uid)?.facts.unschedulable.then_some(())
            })
            .await;
            let stored = self.pods(NAMESPACES[0].0).get(&name).await.unwrap();
            let message = condition(&stored).and_then(|it| it.message.clone());
            self.delete_now(NAMESPACES[0].0, &name).await;
            if message.is_some_and(|message| message.contains("Insufficient cpu")) {
                return;
            }
        }
    }

    /// Waits until our view of the cluster meets a condition.
    async fn wait_for_state<T>(
        &self,
        what: &str,
        mut probe: impl FnMut(&ClusterState) -> Option<T>,
    ) -> T {
        let start = Instant::now();
        loop {
            if let Some(found) = self.watch.with_state(|state| probe(state)) {
                return found;
            }
            assert!(start.elapsed() < MINUTE, "waited in vain for {what}");
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
}

/// Reads a pod from a manifest, with the API server's defaults.
fn written(pod: &Value) -> placement::Pod {
    let mut object: PodObject = serde_json::from_value(pod.clone()).unwrap();
    object.fill_in_defaults();
    object.into_pod()
}

/// Namespace and name.
fn names(pod: &Value) -> (&str, &str) {
    let text = |key: &str| pod["metadata"][key].as_str().unwrap();
    (text("namespace"), text("name"))
}

/// Returns the condition PodScheduled.
fn condition(pod: &Pod) -> Option<&PodCondition> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    conditions
        .iter()
        .find(|condition| condition.type_ == "PodScheduled")
}
