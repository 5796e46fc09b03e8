//! Proxy of moto that notes when instances are terminated.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use anyhow::Context as _;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use axum::http::request::Parts;
use axum::http::{self, StatusCode};
use axum::response::{IntoResponse, Response};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const TERMINATE: &str = "Action=TerminateInstanceInAutoScalingGroup";

/// The proxy. It runs until it is dropped.
pub struct AwsProxy {
    url: String,
    shared: Arc<Shared>,
    _runtime: Runtime,
}

struct Shared {
    agent: ureq::Agent,
    endpoint: String,
    terminated: Mutex<BTreeMap<String, SystemTime>>,
}

impl AwsProxy {
    pub fn start(endpoint: &str) -> anyhow::Result<Self> {
        let runtime = Runtime::new()?;
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        let shared = Arc::new(Shared {
            agent: config.build().into(),
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            terminated: Mutex::default(),
        });
        let router = Router::new().fallback(pass).with_state(Arc::clone(&shared));
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        let url = format!("http://{}", listener.local_addr()?);
        runtime.spawn(async move { axum::serve(listener, router).await });
        Ok(Self {
            url,
            shared,
            _runtime: runtime,
        })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    /// Returns when the termination of each instance was requested.
    pub fn terminated(&self) -> BTreeMap<String, SystemTime> {
        self.shared.terminated().clone()
    }

    pub fn forget(&self) {
        self.shared.terminated().clear();
    }
}

impl Shared {
    fn terminated(&self) -> MutexGuard<'_, BTreeMap<String, SystemTime>> {
        self.terminated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends a request to moto, and notes it afterwards if it was a termination.
    fn send(&self, head: &Parts, body: &Bytes) -> anyhow::Result<http::Response<Vec<u8>>> {
        let arrived = SystemTime::now();
        let mut request = http::Request::builder()
            .method(head.method.clone())
            .uri(format!("{}{}", self.endpoint, head.uri));
        for (name, value) in &head.headers {
            if ![HOST, CONTENT_LENGTH, TRANSFER_ENCODING].contains(name) {
                request = request.header(name, value);
            }
        }
        let (answer, mut body_of_answer) = self.agent.run(request.body(&body[..])?)?.into_parts();
        let mut passed = http::Response::builder().status(answer.status);
        if let Some(kind) = answer.headers.get(http::header::CONTENT_TYPE) {
            passed = passed.header(http::header::CONTENT_TYPE, kind);
        }
        let text = String::from_utf8_lossy(body);
        if answer.status.is_success() && text.contains(TERMINATE) {
            let mut parameters = text.split('&');
            let instance = parameters.find_map(|one| one.strip_prefix("InstanceId="));
            let instance = instance.context("a termination of no instance")?;
            self.terminated()
                .entry(instance.to_owned())
                .or_insert(arrived);
        }
        Ok(passed.body(body_of_answer.read_to_vec()?)?)
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let sent = async {
        let body = to_bytes(body, usize::MAX).await?;
        tokio::task::spawn_blocking(move || shared.send(&head, &body)).await?
    };
    match sent.await {
        Ok(answer) => answer.map(Body::from),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}
