//! Proxy of the API server that keeps requests, can hold them back, like a slow network or a
//! hanging server, and notes writes in a journal.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use flyball_test_support::Cluster;
use futures::StreamExt as _;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::journal::Journal;
use crate::support::Workshop;

/// The proxy, with an administrator's rights. It runs until it is dropped.
pub struct Proxy {
    url: String,
    shared: Arc<Shared>,
    runtime: tokio::runtime::Runtime,
}

struct Shared {
    client: Client,
    /// Texts of the requests that are held back.
    held: watch::Sender<Vec<String>>,
    /// Text of the requests whose answers were last cut.
    cut: watch::Sender<String>,
    /// Text of the requests that are answered with 429.
    put_off: Mutex<Option<String>>,
    seen: Mutex<Vec<Seen>>,
    /// Minor version that `/version` names instead of the API server's own.
    minor: Mutex<Option<&'static str>>,
    /// Sees all writes.
    journal: Option<Arc<Journal>>,
}

/// A request that arrived.
#[derive(Clone)]
pub struct Seen {
    /// METHOD PATH?QUERY.
    pub line: String,
    #[allow(dead_code, reason = "only the benchmark of drains reads it")]
    pub body: Bytes,
}

impl Proxy {
    pub fn start(cluster: &Cluster) -> Self {
        Self::with_journal(cluster, None)
    }

    /// Starts a proxy whose writes, other than those of leases, are noted in a journal.
    pub fn with_journal(cluster: &Cluster, journal: Option<Arc<Journal>>) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let client = runtime.block_on(client(cluster));
        let shared = Arc::new(Shared {
            client,
            held: watch::Sender::default(),
            cut: watch::Sender::default(),
            put_off: Mutex::default(),
            seen: Mutex::default(),
            minor: Mutex::default(),
            journal,
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            url,
            shared,
            runtime,
        }
    }

    /// Gets an object with an administrator's rights, which is much faster than by kubectl.
    /// `None` if it does not exist.
    pub fn get(&self, path: &str) -> Option<Value> {
        let request = axum::http::Request::get(path).body(Vec::new()).unwrap();
        let answer = self.shared.client.request(request);
        self.runtime.block_on(answer).ok()
    }

    /// Writes a kubeconfig for the proxy.
    pub fn kubeconfig(&self, workshop: &Workshop) -> PathBuf {
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{ "name": "proxy", "cluster": { "server": self.url } }],
            "users": [{ "name": "proxy", "user": {} }],
            "contexts": [{ "name": "proxy", "context": { "cluster": "proxy", "user": "proxy" } }],
            "current-context": "proxy",
        });
        workshop.write("proxy.json", config.to_string())
    }

    /// Deletes an object, or all objects of a list. Does nothing if there is none.
    pub fn delete(&self, path: &str) {
        let request = axum::http::Request::delete(path).body(Vec::new()).unwrap();
        let answer = self.shared.client.request::<Value>(request);
        // An error means that there is none, which the caller sees.
        let _ = self.runtime.block_on(answer);
    }

    /// Names another minor version of Kubernetes from now on, on which clients choose how
    /// they list.
    pub fn pretend_minor(&self, minor: &'static str) {
        *self.shared.minor.lock().unwrap() = Some(minor);
    }

    /// Holds back requests whose METHOD PATH?QUERY contains the text, from now on.
    pub fn hold(&self, text: &str) {
        self.hold_all(&[text]);
    }

    /// Holds back requests whose METHOD PATH?QUERY contains one of the texts, from now on.
    pub fn hold_all(&self, texts: &[&str]) {
        self.shared.seen.lock().unwrap().clear();
        let texts = texts.iter().map(|text| (*text).to_owned());
        self.shared.held.send_replace(texts.collect());
    }

    /// Answers requests whose METHOD PATH?QUERY contains the text with 429, like a busy API
    /// server, from now on.
    #[allow(dead_code, reason = "only the tests of a lost lease need it")]
    pub fn put_off(&self, text: &str) {
        self.shared.seen.lock().unwrap().clear();
        *self.shared.put_off.lock().unwrap() = Some(text.to_owned());
    }

    /// Ends the answers that are being sent to requests whose METHOD PATH?QUERY contains the
    /// text, such as those to watches.
    pub fn cut(&self, text: &str) {
        self.shared.cut.send_replace(text.to_owned());
    }

    /// Releases all requests.
    pub fn release(&self) {
        self.shared.held.send_replace(Vec::new());
    }

    /// Reports whether such a request arrived since requests were last held back.
    pub fn saw(&self, text: &str) -> bool {
        !self.requests(text).is_empty()
    }

    /// Returns METHOD PATH?QUERY of each such request since requests were last held back.
    pub fn requests(&self, text: &str) -> Vec<String> {
        let seen = self.shared.seen.lock().unwrap();
        let lines = seen.iter().map(|seen| &seen.line);
        lines.filter(|line| line.contains(text)).cloned().collect()
    }

    /// Returns the requests since requests were last held back.
    #[allow(dead_code, reason = "only the benchmark of drains reads it")]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }
}

async fn client(cluster: &Cluster) -> Client {
    let file = Kubeconfig::read_from(cluster.kubeconfig()).unwrap();
    let options = KubeConfigOptions::default();
    let config = Config::from_custom_kubeconfig(file, &options).await;
    let mut config = config.unwrap();
    // Whether a refused request is repeated is up to who sent it.
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let line = format!("{} {}", head.method, head.uri);
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let seen = Seen {
        line: line.clone(),
        body: body.clone(),
    };
    shared.seen.lock().unwrap().push(seen);
    let is_free = |held: &Vec<String>| !held.iter().any(|text| line.contains(text));
    // The sender lives as long as the proxy.
    let _ = shared.held.subscribe().wait_for(is_free).await;
    let minor = *shared.minor.lock().unwrap();
    if let Some(minor) = minor.filter(|_| line == "GET /version") {
        let mut version = serde_json::to_value(shared.client.apiserver_version().await.unwrap());
        version.as_mut().unwrap()["minor"] = json!(minor);
        return axum::Json(version.unwrap()).into_response();
    }
    let put_off = shared.put_off.lock().unwrap().clone();
    if put_off.is_some_and(|text| line.contains(&text)) {
        let later = [("retry-after", "1")];
        return (StatusCode::TOO_MANY_REQUESTS, later, "later").into_response();
    }
    let is_noted = head.method != Method::GET && !line.contains("/leases");
    let journal = shared.journal.as_ref().filter(|_| is_noted);
    let write = journal.map(|journal| {
        let write = format!("{line} {}", String::from_utf8_lossy(&body));
        (journal, write)
    });
    if let Some((journal, write)) = &write
        && !journal.arrives(write)
    {
        return (StatusCode::BAD_GATEWAY, "lost").into_response();
    }
    let mut forwarded = axum::http::Request::builder()
        .method(head.method)
        .uri(head.uri)
        .body(kube::client::Body::from(body))
        .unwrap();
    for name in ["accept", "content-type"] {
        if let Some(value) = head.headers.get(name) {
            forwarded.headers_mut().insert(name, value.clone());
        }
    }
    match shared.client.send(forwarded).await {
        Ok(answer) => {
            let is_accepted = answer.status().is_success();
            if let Some((journal, write)) = write
                && !journal.carried_out(write, is_accepted)
            {
                return (StatusCode::BAD_GATEWAY, "lost").into_response();
            }
            let end = until_cut(shared.cut.subscribe(), line);
            let answer = answer.map(|body| {
                let data = Body::new(body).into_data_stream();
                Body::from_stream(data.take_until(end))
            });
            answer.into_response()
        }
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// Waits until answers to a request are cut, from now on.
async fn until_cut(mut cut: watch::Receiver<String>, line: String) {
    while cut.changed().await.is_ok() {
        if line.contains(cut.borrow().as_str()) {
            return;
        }
    }
}
