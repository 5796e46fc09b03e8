//! `nodes/memory-5000`: the most memory that 5,000 nodes and 150,000 pods take, the
//! first list included, in a process of its own that watches a server over HTTP, has
//! the sandbox, and does its passes.

use std::convert::Infallible;
use std::fs;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use axum::Router;
use axum::body::Body;
use axum::http::Uri;
use axum::response::{IntoResponse as _, Response};
use flyball_core::memory::InMemoryStore;
use flyball_core::nodes::control::NodeLoop;
use flyball_core::nodes::options::NodeOptions;
use flyball_core::nodes::ports::NodesReader as _;
use flyball_core::ports::DecisionPorts;
use flyball_core::recorder::{Record, Recorder};
use flyball_kubernetes::ClusterWatch;
use flyball_test_support::bench::report;
use futures::stream::{self, StreamExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::large::{NODES, PODS, node_object, running_pod};
use crate::world::{NOW, Nobody, Willing, engine};

/// Set in the child: the server to watch.
const SERVER: &str = "FLYBALL_BENCH_SERVER";

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
    let itself = std::env::current_exe()?;
    let child = Command::new(itself)
        .env(SERVER, format!("http://{address}"))
        .output()?;
    let printed = String::from_utf8_lossy(&child.stdout);
    ensure!(
        child.status.success(),
        "the child failed: {}",
        String::from_utf8_lossy(&child.stderr)
    );
    let figures: Value = serde_json::from_str(printed.trim())?;
    let figure = |name: &str| figures[name].as_f64().context("no figure");
    report("nodes/memory-5000", figure("peak")?, "MiB", Some(400.0))?;
    report("nodes/memory-5000-first-list", figure("list")?, "s", None)
}

/// What the API server answers, made while it is sent.
async fn answer(uri: Uri) -> Response {
    if uri.path() == "/version" {
        let version = json!({ "major": "1", "minor": "36", "gitVersion": "v1.36.3",
            "gitCommit": "", "gitTreeState": "clean", "buildDate": "", "goVersion": "",
            "compiler": "gc", "platform": "linux/amd64" });
        return version.to_string().into_response();
    }
    let (kind, objects): (&str, Box<dyn Iterator<Item = Value> + Send>) = match uri.path() {
        "/api/v1/pods" => ("Pod", Box::new((0..PODS).map(|row| running_pod(row, 0)))),
        "/api/v1/nodes" => ("Node", Box::new((0..NODES).map(node_object))),
        _ => ("Other", Box::new(std::iter::empty())),
    };
    let added = objects.map(|object| json!({ "type": "ADDED", "object": object }));
    let end = json!({ "type": "BOOKMARK", "object": {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": { "resourceVersion": "1001",
                      "annotations": { "k8s.io/initial-events-end": "true" } },
    } });
    let lines = added.chain([end]).map(|event| format!("{event}\n"));
    // The watch stays open.
    let lines = stream::iter(lines.map(Ok::<_, Infallible>)).chain(stream::pending());
    Body::from_stream(lines).into_response()
}

/// Whether this process is the one that is measured.
pub fn is_child() -> bool {
    std::env::var_os(SERVER).is_some()
}

/// Holds the cluster, and prints the most memory that it took to come to that.
pub fn hold() -> anyhow::Result<()> {
    let server = std::env::var(SERVER)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let engine = engine()?;
        let client = kube::Client::try_from(kube::Config::new(server.parse()?))?;
        let start = Instant::now();
        let watch = ClusterWatch::start(client, None).await;
        tokio::time::timeout(Duration::from_secs(300), watch.synced())
            .await
            .context("the cluster was not listed in time")?;
        let list = start.elapsed().as_secs_f64();
        let known = watch.with_state(|state| (state.size().nodes as usize, state.pod_count()));
        if known != (NODES, PODS) {
            bail!("the watch knows {known:?}");
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
        println!("{}", json!({ "peak": peak, "list": list }));
        Ok(())
    })
}

/// The most memory that this process has had, in bytes.
fn peak() -> anyhow::Result<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.split_whitespace().next());
    let kib: f64 = kib.context("no VmHWM in /proc/self/status")?.parse()?;
    Ok(kib * 1024.0)
}

impl Recorder for Nobody {
    fn record(&self, _: &Record) {}
}
