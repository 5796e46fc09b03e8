//! The daemon's HTTP interface: liveness, readiness, policies, autoscalers and records.
//! It is read-only.

pub mod answers;
mod connections;
pub mod hosts;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flyball_decision::key::ObjectKey;
use flyball_replicas::ports::Autoscaler;
use flyball_replicas::record::DecisionRecord;
use flyball_sandbox::Registry;
use serde::{Deserialize, Serialize, Serializer};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use self::answers::{Form, LEADER, MAX_BYTES, MAX_RECORDS};
use self::hosts::Hosts;
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
    /// The daemon that leads while this one does not. `None` without an election.
    pub other_leader: Option<watch::Receiver<Option<String>>>,
    /// Hosts that requests for more than the probes may be for.
    pub hosts: Hosts,
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
pub async fn serve(listener: TcpListener, api: Api, stop: StopSignal) {
    let probes = probes(Arc::clone(&api.readiness));
    let hosts = api.hosts.clone();
    let other_leader = api.other_leader.clone();
    let router = Router::new()
        .route("/v1/policies", get(policies))
        .route("/v1/autoscalers", get(autoscalers))
        .route("/v1/records", get(records))
        .route("/v1/node-records", get(node_records))
        .route("/v1/nodes", get(nodes))
        .route_layer(middleware::map_response_with_state(
            other_leader,
            name_leader,
        ))
        .route_layer(middleware::from_fn_with_state(hosts, hosts::check))
        .with_state(Arc::new(api));
    connections::serve(listener, router.merge(probes), stop).await;
}

/// Serves only the probes until the stop: they may be public.
pub async fn serve_probes(listener: TcpListener, readiness: Arc<Readiness>, stop: StopSignal) {
    connections::serve(listener, probes(readiness), stop).await;
}

fn probes(readiness: Arc<Readiness>) -> Router {
    Router::new()
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .with_state(readiness)
}

/// Reports whether all tasks move that must.
async fn healthz() -> Response {
    let stalled = flyball_tasks::stalled();
    if stalled.is_empty() {
        return "ok\n".into_response();
    }
    let lines = stalled.iter().map(|stalled| format!("{stalled}\n"));
    let text = String::from_iter(lines);
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

async fn readyz(State(readiness): State<Arc<Readiness>>) -> Response {
    let missing = readiness.missing();
    if missing.is_empty() {
        return "ok\n".into_response();
    }
    let text = format!("waiting for {}\n", missing.join(", "));
    (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
}

/// Adds who leads to an answer of a daemon that does not.
async fn name_leader(
    State(other_leader): State<Option<watch::Receiver<Option<String>>>>,
    mut response: Response,
) -> Response {
    let leader = other_leader.and_then(|leader| leader.borrow().clone());
    let leader = leader.and_then(|leader| HeaderValue::from_str(&leader).ok());
    if let Some(leader) = leader {
        response.headers_mut().insert(LEADER, leader);
    }
    response
}

async fn policies(State(api): State<Arc<Api>>) -> Response {
    let policies = api.registry.status().into_iter().map(Arc::new);
    answers::in_order(policies.collect(), Form::Array, MAX_BYTES)
}

async fn autoscalers(State(api): State<Arc<Api>>) -> Response {
    let autoscalers = (api.autoscalers)().into_iter();
    let autoscalers = autoscalers.map(|autoscaler| Arc::new(Described(autoscaler)));
    answers::in_order(autoscalers.collect(), Form::Array, MAX_BYTES)
}

/// An autoscaler, which is serialized as [`describe`] says.
struct Described(Arc<Autoscaler>);

impl Serialize for Described {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        describe(&self.0).serialize(serializer)
    }
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
    let object = query.object.as_deref().map(object_key).transpose();
    let (limit, object) = match (row_limit(query.limit), object) {
        (Ok(limit), Ok(object)) => (limit, object),
        (Err(error), _) | (_, Err(error)) => return bad_request(&error),
    };
    let found = match &object {
        Some(object) => {
            let of_object = |record: &DecisionRecord| record.object == *object;
            api.rings.replicas.find(limit, of_object)
        }
        None => api.rings.replicas.latest(limit),
    };
    answers::latest_last(found, Form::Lines, MAX_BYTES)
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
    match row_limit(query.limit) {
        Ok(limit) => answers::latest_last(api.rings.nodes.latest(limit), Form::Lines, MAX_BYTES),
        Err(error) => bad_request(&error),
    }
}

fn row_limit(limit: usize) -> anyhow::Result<usize> {
    anyhow::ensure!(
        limit <= MAX_RECORDS,
        "limit={limit} is too many records: at most {MAX_RECORDS} are served at once"
    );
    Ok(limit)
}

fn bad_request(error: &anyhow::Error) -> Response {
    (StatusCode::BAD_REQUEST, format!("{error}\n")).into_response()
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NodesQuery {
    name: Option<String>,
}

/// Returns where nodes stand: why each stays, since when it has not been needed, or how far
/// its removal is.
async fn nodes(State(api): State<Arc<Api>>, Query(query): Query<NodesQuery>) -> Response {
    let nodes = api.rings.standings(query.name.as_deref());
    let nodes = nodes.into_iter().map(Arc::new);
    answers::in_order(nodes.collect(), Form::Array, MAX_BYTES)
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
