//! The daemon's HTTP interface: liveness, readiness, policies, autoscalers and records.
//! It is read-only.

use std::collections::BTreeSet;
use std::sync::Arc;

use anyhow::Context as _;
use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use flyball_decision::key::ObjectKey;
use flyball_replicas::ports::Autoscaler;
use flyball_replicas::record::DecisionRecord;
use flyball_sandbox::Registry;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::clock::StopSignal;
use crate::rings::Rings;

/// Data behind the interface.
pub struct Api {
    /// Readiness of the daemon.
    pub readiness: Arc<Readiness>,
    /// The latest records.
    pub rings: Arc<Rings>,
    /// The policies.
    pub registry: Arc<Registry>,
    /// The known autoscalers.
    pub autoscalers: Box<dyn Fn() -> Vec<Arc<Autoscaler>> + Send + Sync>,
}

/// Parts that the daemon waits for before it is ready.
#[derive(Debug)]
pub struct Readiness(watch::Sender<BTreeSet<&'static str>>);

impl Readiness {
    /// Creates a readiness that waits for these parts.
    pub fn waiting_for(parts: &[&'static str]) -> Arc<Self> {
        Arc::new(Self(watch::Sender::new(parts.iter().copied().collect())))
    }

    /// Marks a part as ready.
    pub fn done(&self, part: &str) {
        self.0.send_if_modified(|parts| parts.remove(part));
    }

    /// Waits until all parts are ready.
    pub async fn all_done(&self) {
        // The sender lives as long as `self`.
        let _ = self.0.subscribe().wait_for(BTreeSet::is_empty).await;
    }

    /// Waits until this part is ready.
    pub async fn part_done(&self, part: &str) {
        let mut parts = self.0.subscribe();
        // The sender lives as long as `self`.
        let _ = parts.wait_for(|parts| !parts.contains(part)).await;
    }

    fn missing(&self) -> Vec<&'static str> {
        self.0.borrow().iter().copied().collect()
    }
}

/// Serves everything until the stop.
pub async fn serve(listener: TcpListener, api: Api, stop: StopSignal) -> anyhow::Result<()> {
    let probes = probes(Arc::clone(&api.readiness));
    let router = Router::new()
        .route("/v1/policies", get(policies))
        .route("/v1/autoscalers", get(autoscalers))
        .route("/v1/records", get(records))
        .route("/v1/node-records", get(node_records))
        .route("/v1/nodes", get(nodes))
        .with_state(Arc::new(api));
    serve_router(listener, router.merge(probes), stop).await
}

/// Serves only the probes until the stop: they may be public.
pub async fn serve_probes(
    listener: TcpListener,
    readiness: Arc<Readiness>,
    stop: StopSignal,
) -> anyhow::Result<()> {
    serve_router(listener, probes(readiness), stop).await
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    stop: StopSignal,
) -> anyhow::Result<()> {
    axum::serve(listener, router)
        .with_graceful_shutdown(stop.stopped())
        .await
        .context("the HTTP interface failed")
}

fn probes(readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz))
        .with_state(readiness)
}

async fn readyz(State(readiness): State<Arc<Readiness>>) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let text = format!("waiting for {}\n", missing.join(", "));
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn policies(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(json!(api.registry.status()))
}

async fn autoscalers(State(api): State<Arc<Api>>) -> Json<Value> {
    Json(
        (api.autoscalers)()
            .iter()
            .map(|autoscaler| describe(autoscaler))
            .collect(),
    )
}

fn describe(autoscaler: &Autoscaler) -> Value {
    json!({
        "namespace": autoscaler.key.namespace,
        "name": autoscaler.key.name,
        "generation": autoscaler.generation,
        "spec": autoscaler.spec,
        "status": autoscaler.status,
    })
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordsQuery {
    object: Option<String>,
    #[serde(default = "default_limit")]
    limit: usize,
}

fn default_limit() -> usize {
    100
}

/// Returns the latest records as lines of JSON, oldest first.
async fn records(State(api): State<Arc<Api>>, Query(query): Query<RecordsQuery>) -> Response {
    let object = match query.object.as_deref().map(object_key).transpose() {
        Ok(object) => object,
        Err(error) => return (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response(),
    };
    let found = match &object {
        Some(object) => {
            let of_object = |record: &DecisionRecord| record.object == *object;
            api.rings.replicas.find(query.limit, of_object)
        }
        None => api.rings.replicas.latest(query.limit),
    };
    lines(&found)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodeRecordsQuery {
    #[serde(default = "default_limit")]
    limit: usize,
}

/// Returns the latest records of node decisions as lines of JSON, oldest first.
async fn node_records(
    State(api): State<Arc<Api>>,
    Query(query): Query<NodeRecordsQuery>,
) -> Response {
    lines(&api.rings.nodes.latest(query.limit))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodesQuery {
    name: Option<String>,
}

/// Returns where nodes stand: why each stays, since when it has not been needed, or how far
/// its removal is.
async fn nodes(State(api): State<Arc<Api>>, Query(query): Query<NodesQuery>) -> Json<Value> {
    Json(json!(api.rings.standings(query.name.as_deref())))
}

/// Formats records, given latest first, as lines of JSON, oldest first.
fn lines<R: Serialize>(latest: &[R]) -> Response {
    let mut body = String::new();
    let records = latest.iter().rev();
    for line in records.filter_map(|record| serde_json::to_string(record).ok()) {
        body += &line;
        body.push('\n');
    }
    ([(header::CONTENT_TYPE, "application/x-ndjson")], body).into_response()
}

/// Parses NAMESPACE/NAME.
pub fn object_key(text: &str) -> anyhow::Result<ObjectKey> {
    match text.split_once('/') {
        Some((namespace, name))
            if !namespace.is_empty() && !name.is_empty() && !name.contains('/') =>
        {
            Ok(ObjectKey {
                namespace: namespace.into(),
                name: name.into(),
            })
        }
        _ => anyhow::bail!("{text:?} names no object: write NAMESPACE/NAME, such as default/web"),
    }
}
