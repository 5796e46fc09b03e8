//! `nodes/memory-5000`: peak memory for 5,000 nodes and 150,000 pods, including the first
//! list, of a separate process that watches a server over HTTP, has the sandbox, and runs
//! passes. `nodes/memory-5000-both`: the same with the replica half, which decides about
//! 100 autoscalers of 100 pods each. `nodes/memory-5000-owners`: both, with the owners of
//! the pods, the empty ReplicaSets of earlier versions, and a PodDisruptionBudget each.

use std::convert::Infallible;
use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use flyball_decision::memory::InMemoryStore;
use flyball_decision::policy::PolicyEngine;
use flyball_decision::ports::DecisionPorts;
use flyball_decision::recorder::Recorder;
use flyball_decision::time::Timestamp;
use flyball_kubernetes::{
    Caches, ClusterWatch, ClusterWatchOptions, KubernetesReader, watch_for_both,
};
use flyball_nodes::control::NodeLoop;
use flyball_nodes::options::NodeOptions;
use flyball_nodes::ports::NodesReader as _;
use flyball_replicas::control::ReplicaLoop;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::ports::{
    MetricAnswer, MetricQuestion, MetricsSource, ObservationError, Report, ScaleIntent, Writer,
};
use flyball_replicas::record::DecisionRecord;
use flyball_test_support::bench::report;
use futures::stream::{self, StreamExt as _};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::large::{NODES, PER_OWNER, PODS, node_object, owner_name, running_pod};
use crate::world::{NOW, Nobody, Willing, engine};

/// Set in the child: the server to watch.
const SERVER: &str = "FLYBALL_BENCH_SERVER";
/// Set in the child if both halves run.
const BOTH: &str = "FLYBALL_BENCH_BOTH";
/// Set in the child if it watches what scale-down reads.
const OWNERS: &str = "FLYBALL_BENCH_OWNERS";

const AUTOSCALERS: usize = 100;

const MIB: f64 = 1024.0 * 1024.0;

pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
    let address = listener.local_addr()?;
    let router = Router::new().fallback(answer);
    runtime.spawn(async move { axum::serve(listener, router).await });
    let nodes = measure(&address, &[])?;
    report("nodes/memory-5000", nodes.peak, "MiB", Some(400.0))?;
    report("nodes/memory-5000-first-list", nodes.list, "s", None)?;
    let both = measure(&address, &[BOTH])?;
    report("nodes/memory-5000-both", both.peak, "MiB", Some(150.0))?;
    let owners = measure(&address, &[BOTH, OWNERS])?;
    report("nodes/memory-5000-owners", owners.peak, "MiB", Some(200.0))
}

/// Output of a child.
#[derive(Serialize, Deserialize)]
struct Figures {
    /// Peak memory in MiB.
    peak: f64,
    /// Time of the first list in seconds.
    list: f64,
}

fn measure(address: &SocketAddr, variables: &[&str]) -> anyhow::Result<Figures> {
    let mut child = Command::new(std::env::current_exe()?);
    child.env(SERVER, format!("http://{address}"));
    for variable in variables {
        child.env(variable, "");
    }
    let child = child.output()?;
    let printed = String::from_utf8_lossy(&child.stdout);
    ensure!(
        child.status.success(),
        "the child failed: {}",
        String::from_utf8_lossy(&child.stderr)
    );
    Ok(serde_json::from_str(printed.trim())?)
}

/// Writes the API server's answer, generated while it is sent.
async fn answer(uri: Uri) -> Response {
    if let Some(answer) = answer_about_deployments(uri.path()) {
        return answer.to_string().into_response();
    }
    if uri.path() == "/version" {
        let version = json!({ "major": "1", "minor": "36", "gitVersion": "v1.36.3",
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "",
            "compiler": "gc", "platform": "linux/amd64" });
        return version.to_string().into_response();
    }
    let (kind, objects): (&str, Box<dyn Iterator<Item = Value> + Send>) = match uri.path() {
        "/api/v1/pods" => ("Pod", Box::new((0..PODS).map(|row| running_pod(row, 0)))),
        "/api/v1/nodes" => ("Node", Box::new((0..NODES).map(node_object))),
        "/apis/flyball.dev/v1alpha1/replicaautoscalers" => (
            "ReplicaAutoscaler",
            Box::new((0..AUTOSCALERS).map(autoscaler)),
        ),
        "/apis/apps/v1/replicasets" => ("ReplicaSet", Box::new(replica_sets())),
        "/apis/policy/v1/poddisruptionbudgets" => {
            ("PodDisruptionBudget", Box::new(owner_rows().map(budget)))
        }
        _ => ("Other", Box::new(std::iter::empty())),
    };
    // As the API server writes them: the type first.
    let line =
        |kind: &str, object: &Value| format!("{{\"type\":\"{kind}\",\"object\":{object}}}\n");
    let end = json!({
        "apiVersion": "v1",
        "kind": kind,
        "metadata": { "resourceVersion": "1001",
                      "annotations": { "k8s.io/initial-events-end": "true" } },
    });
    let added = objects.map(move |object| line("ADDED", &object));
    let lines = added.chain([line("BOOKMARK", &end)]);
    // The watch stays open.
    let lines = stream::iter(lines.map(Ok::<_, Infallible>)).chain(stream::pending());
    Body::from_stream(lines).into_response()
}

/// The first pod of each owner.
fn owner_rows() -> impl Iterator<Item = usize> + Send {
    (0..PODS).step_by(PER_OWNER)
}

/// Empty ReplicaSets of earlier versions, for each owner: the default
/// revisionHistoryLimit of a Deployment.
const HISTORY: usize = 10;

/// Returns the owners of the pods, and the ReplicaSets of earlier versions.
fn replica_sets() -> impl Iterator<Item = Value> + Send {
    owner_rows().flat_map(|row| (0..=HISTORY).map(move |version| replica_set(row, version)))
}

fn replica_set(row: usize, version: usize) -> Value {
    let pod = running_pod(row, 0);
    let owner = &pod["metadata"]["ownerReferences"][0];
    let (name, uid) = (text(&owner["name"]), text(&owner["uid"]));
    let (name, uid, replicas) = match version {
        0 => (name.to_owned(), uid.to_owned(), PER_OWNER),
        _ => (format!("{name}-{version}"), format!("{uid}-{version}"), 0),
    };
    json!({
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": { "name": name, "namespace": "default", "uid": uid, "generation": 1,
                      "resourceVersion": "1000", "labels": pod["metadata"]["labels"] },
        "spec": { "replicas": replicas,
                  "template": { "metadata": pod["metadata"], "spec": pod["spec"] } },
        "status": { "replicas": replicas, "readyReplicas": replicas },
    })
}

/// Returns the budget of the pods of one owner.
fn budget(row: usize) -> Value {
    let name = owner_name(row / PER_OWNER);
    json!({
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-pdb-{row}"),
                      "generation": 1, "resourceVersion": "1000" },
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": { "app": name } } },
        "status": { "observedGeneration": 1, "disruptionsAllowed": 1, "currentHealthy": PER_OWNER,
                    "desiredHealthy": PER_OWNER - 1, "expectedPods": PER_OWNER },
    })
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Returns an autoscaler for the pods of one owner.
fn autoscaler(row: usize) -> Value {
    let name = owner_name(row);
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
    let per_pod = json!({ "type": "AverageValue", "averageValue": "10" });
    let external = json!({ "metric": { "name": "queue" }, "target": per_pod });
    let metric = json!({ "type": "External", "external": external });
    json!({
        "apiVersion": "flyball.dev/v1alpha1",
        "kind": "ReplicaAutoscaler",
        "metadata": { "name": name, "namespace": "default", "uid": format!("uid-ra-{row}"),
                      "generation": 1, "resourceVersion": "1000" },
        "spec": { "scaleTargetRef": target, "maxReplicas": 2 * PER_OWNER, "metrics": [metric] },
    })
}

/// Serves the kind Deployment, and the scale of each one.
fn answer_about_deployments(path: &str) -> Option<Value> {
    let resource = |name: &str, kind: &str| {
        json!({ "name": name, "singularName": "", "namespaced": true, "kind": kind,
                "verbs": ["get"] })
    };
    if path == "/apis/apps/v1" {
        let resources = [
            resource("deployments", "Deployment"),
            resource("deployments/scale", "Scale"),
        ];
        return Some(json!({ "kind": "APIResourceList", "apiVersion": "v1",
            "groupVersion": "apps/v1", "resources": resources }));
    }
    let name = path.strip_prefix("/apis/apps/v1/namespaces/default/deployments/")?;
    let name = name.strip_suffix("/scale")?;
    Some(json!({
        "apiVersion": "autoscaling/v1",
        "kind": "Scale",
        "metadata": { "name": name, "namespace": "default", "resourceVersion": "1000" },
        "spec": { "replicas": PER_OWNER },
        "status": { "replicas": PER_OWNER, "selector": format!("app={name}") },
    }))
}

/// Reports whether this process is the one to be measured.
pub fn is_child() -> bool {
    std::env::var_os(SERVER).is_some()
}

/// Loads the cluster, and prints the peak memory.
pub fn hold() -> anyhow::Result<()> {
    let server = std::env::var(SERVER)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = engine()?;
        let client = kube::Client::try_from(kube::Config::new(server.parse()?))?;
        let start = Instant::now();
        let options = ClusterWatchOptions {
            configurations: &[],
            scale_down: std::env::var_os(OWNERS).is_some(),
        };
        let (caches, watch) = match std::env::var_os(BOTH) {
            Some(_) => {
                let (caches, watch) = watch_for_both(client.clone(), options).await;
                (Some(caches), watch)
            }
            None => (None, ClusterWatch::start(client.clone(), options).await),
        };
        let synced = async {
            watch.synced().await;
            if let Some(caches) = &caches {
                caches.synced().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(300), synced)
            .await
            .context("the cluster was not listed in time")?;
        let list = start.elapsed().as_secs_f64();
        let known = watch.with_state(|state| (state.size().nodes as usize, state.pod_count()));
        if known != (NODES, PODS) {
            bail!("the watch knows {known:?}");
        }
        if let Some(caches) = caches {
            decide_about_replicas(client, caches, Arc::clone(&engine)).await?;
        }
        let mut control = NodeLoop::new(
            NodeOptions::default(),
            watch,
            Willing::default(),
            Nobody,
            Nobody,
            DecisionPorts {
                engine,
                recorder: Arc::new(Nobody),
                store: Arc::new(InMemoryStore::default()),
            },
        );
        for tick in 0..3 {
            control.tick(NOW.plus(tick * 10_000)).await;
        }
        let peak = peak()? / MIB;
        println!("{}", serde_json::to_string(&Figures { peak, list })?);
        Ok(())
    })
}

/// Runs three syncs of the replica half.
async fn decide_about_replicas(
    client: kube::Client,
    caches: Caches,
    engine: Arc<dyn PolicyEngine>,
) -> anyhow::Result<()> {
    let decided = Arc::new(Decided::default());
    let mut control = ReplicaLoop::new(
        ReplicaOptions::default(),
        KubernetesReader::new(client, caches, Nobody),
        Nobody,
        Nobody,
        DecisionPorts {
            engine,
            recorder: Arc::clone(&decided) as _,
            store: Arc::new(InMemoryStore::default()),
        },
    );
    for tick in 0..3 {
        control.tick(NOW.plus(tick * 15_000)).await;
    }
    let pods = decided.0.load(Ordering::Relaxed);
    ensure!(
        pods >= AUTOSCALERS * PER_OWNER,
        "decisions about {pods} pods"
    );
    Ok(())
}

/// Counts the pods of the decisions' inputs.
#[derive(Default)]
struct Decided(AtomicUsize);

impl Recorder<DecisionRecord> for Decided {
    fn record(&self, record: &Arc<DecisionRecord>) {
        let input = record.input.as_ref();
        let pods = input.map_or(0, |input| input.pods.state.len());
        self.0.fetch_add(pods, Ordering::Relaxed);
    }
}

impl MetricsSource for Nobody {
    async fn measure(
        &self,
        questions: &[MetricQuestion<'_>],
    ) -> Vec<Result<MetricAnswer, ObservationError>> {
        // The same number as the existing pods.
        let value = i64::try_from(PER_OWNER * 10_000).unwrap_or(i64::MAX);
        let answer = |_: &MetricQuestion<'_>| Ok(MetricAnswer::Values([value].into()));
        questions.iter().map(answer).collect()
    }
}

impl Writer for Nobody {
    async fn scale(&self, _: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        intents.iter().map(|_| Ok(())).collect()
    }

    async fn report(&self, _: Timestamp, _: Vec<Report>) {}
}

/// Returns the peak memory of this process, in bytes.
pub fn peak() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.context("no VmHWM in /proc/self/status")?.parse()?;
    Ok(kib * 1024.0)
}

impl<R> Recorder<R> for Nobody {
    fn record(&self, _: &Arc<R>) {}
}
