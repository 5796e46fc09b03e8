//! Test server for custom.metrics.k8s.io and external.metrics.k8s.io, registered with the
//! API server as an adapter is.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Json, Response};
use axum::serve::Listener;
use flyball_test_support::Cluster;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ServerConfig, crypto};
use tokio_rustls::server::TlsStream;

use crate::support::{WAIT_TIMEOUT, wait_for};
use crate::test_cluster::TestCluster;

const CUSTOM: &str = "custom.metrics.k8s.io/v1beta2";
const EXTERNAL: &str = "external.metrics.k8s.io/v1beta1";

/// Serves both APIs until it is dropped.
pub struct MetricsApis {
    known: Arc<Mutex<Known>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Known {
    /// Items of the answers, by path after `/apis/`.
    items: BTreeMap<String, Vec<Value>>,
    /// Requested paths with their queries.
    asked: Vec<String>,
}

impl MetricsApis {
    /// Serves the APIs without any metric, and waits until the API server forwards
    /// requests.
    pub fn serve(test_cluster: &TestCluster) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let known = Arc::new(Mutex::new(Known::default()));
        let router = Router::new()
            .fallback(answer)
            .with_state(Arc::clone(&known));
        let listener = runtime.block_on(TlsListener::bind(&test_cluster.cluster));
        let port = listener.tcp.local_addr().unwrap().port();
        runtime.spawn(async move { axum::serve(listener, router).await });
        for api in [CUSTOM, EXTERNAL] {
            let (group, version) = api.split_once('/').unwrap();
            test_cluster.apply(&registration(group, version, port));
            let service = format!("apiservice/{version}.{group}");
            let path = ".status.conditions[?(@.type==\"Available\")].status";
            wait_for(&service, WAIT_TIMEOUT, || {
                test_cluster.field(&service, path) == "True"
            });
        }
        Self {
            known,
            _runtime: runtime,
        }
    }

    /// Sets the values of an external metric, one for each series.
    pub fn set_external(&self, metric: &str, series: &[Value]) {
        let item =
            |value: &Value| json!({ "metricName": metric, "timestamp": NOW, "value": value });
        let items = series.iter().map(item).collect();
        self.set(format!("{EXTERNAL}/namespaces/default/{metric}"), items);
    }

    /// Sets the values of a metric of the pods.
    pub fn set_pods(&self, metric: &str, values: &[(&str, &str)]) {
        let items = values
            .iter()
            .map(|(pod, value)| described("Pod", pod, value));
        let path = format!("{CUSTOM}/namespaces/default/pods/*/{metric}");
        self.set(path, items.collect());
    }

    /// Sets the value of a metric of a Service.
    pub fn set_service(&self, service: &str, metric: &str, value: &str) {
        let path = format!("{CUSTOM}/namespaces/default/services/{service}/{metric}");
        self.set(path, vec![described("Service", service, value)]);
    }

    /// Sets the value of a metric of a namespace.
    pub fn set_namespace(&self, namespace: &str, metric: &str, value: &str) {
        let path = format!("{CUSTOM}/namespaces/{namespace}/metrics/{metric}");
        self.set(path, vec![described("Namespace", namespace, value)]);
    }

    /// Reports whether a path with this text was requested.
    pub fn were_asked(&self, path_and_query: &str) -> bool {
        let asked = &self.known.lock().unwrap().asked;
        asked.iter().any(|line| line.ends_with(path_and_query))
    }

    fn set(&self, path: String, items: Vec<Value>) {
        self.known.lock().unwrap().items.insert(path, items);
    }
}

const NOW: &str = "2026-01-01T00:00:00Z";

fn described(kind: &str, name: &str, value: &str) -> Value {
    json!({
        "describedObject": { "kind": kind, "namespace": "default", "name": name },
        "metric": { "name": "any" },
        "timestamp": NOW,
        "value": value,
    })
}

async fn answer(State(known): State<Arc<Mutex<Known>>>, uri: Uri) -> Response {
    // The API server may encode more characters than necessary.
    let uri = uri.to_string().replace("%2A", "*");
    let path = uri.split_once('?').map_or(&*uri, |(path, _)| path);
    let path = path.trim_start_matches("/apis/");
    if [CUSTOM, EXTERNAL].contains(&path) {
        let discovery = json!({
            "kind": "APIResourceList",
            "apiVersion": "v1",
            "groupVersion": path,
            "resources": [],
        });
        return Json(discovery).into_response();
    }
    if path
        .rsplit('/')
        .next()
        .is_some_and(|metric| metric.starts_with("hang"))
    {
        std::future::pending::<()>().await;
    }
    let mut known = known.lock().unwrap();
    known.asked.push(uri.clone());
    match known.items.get(path) {
        Some(items) => Json(json!({ "kind": "List", "items": items })).into_response(),
        None => {
            let status = json!({
                "kind": "Status",
                "apiVersion": "v1",
                "status": "Failure",
                "reason": "NotFound",
                "message": format!("there is no metric at {path}"),
                "code": 404,
            });
            (StatusCode::NOT_FOUND, Json(status)).into_response()
        }
    }
}

/// Returns an APIService for a port of this machine.
fn registration(group: &str, version: &str, port: u16) -> String {
    let name = group.replace('.', "-");
    json!({ "apiVersion": "v1", "kind": "List", "items": [
        {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": { "name": name, "namespace": "kube-system" },
            "spec": { "type": "ExternalName", "externalName": "localhost" },
        },
        {
            "apiVersion": "apiregistration.k8s.io/v1",
            "kind": "APIService",
            "metadata": { "name": format!("{version}.{group}") },
            "spec": {
                "group": group,
                "version": version,
                "service": { "name": name, "namespace": "kube-system", "port": port },
                "insecureSkipTLSVerify": true,
                "groupPriorityMinimum": 100,
                "versionPriority": 100,
            },
        },
    ]})
    .to_string()
}

/// Listener that yields connections after their handshake.
struct TlsListener {
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl TlsListener {
    async fn bind(cluster: &Cluster) -> Self {
        let (certificate, key) = cluster.serving_certificate();
        let certificates = CertificateDer::pem_file_iter(certificate).unwrap();
        let certificates = certificates.map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_file(key).unwrap();
        let provider = Arc::new(crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(certificates, key)
            .unwrap();
        Self {
            tcp: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            tls: Arc::new(config).into(),
        }
    }
}

impl Listener for TlsListener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, address) = Listener::accept(&mut self.tcp).await;
            // A probe may connect and disconnect.
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, address);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<Self::Addr> {
        self.tcp.local_addr()
    }
}
