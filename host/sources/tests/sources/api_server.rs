//! An API server that answers from memory, and notes what it is asked.

use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

/// External metric whose answer is larger than any honest one.
pub const HUGE: &str = "huge";

/// External metric with one value.
pub const SMALL: &str = "small";

/// Beginning of the names of metrics with 20,000 values.
pub const LARGE: &str = "large";

/// Metric whose answer has as many items as fit into it, none of which is a value.
pub const MANY: &str = "many";

/// Namespace whose pods have more containers than any honest ones.
pub const CROWDED: &str = "crowded";

/// Namespace with metrics of 1,000 pods.
pub const STRANGE: &str = "strange";

/// Namespace with a pod that has a label of a MiB.
pub const WIDE: &str = "wide";

/// Paths with their queries, in the order of the requests.
#[derive(Clone, Default)]
pub struct Requests(Arc<Mutex<Vec<String>>>);

impl Requests {
    /// Returns the requests since the last call.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

/// Answers about groups and kinds.
#[derive(Clone, Debug)]
pub struct Discovery {
    /// Answer about the versions of the core group.
    pub core: Value,
    /// Answer about the versions of any other group.
    pub group: Value,
    /// Answer about the kinds of a version.
    pub kinds: Value,
}

impl Discovery {
    /// Returns the answer to a request about groups or kinds.
    fn answer(self, uri: &str) -> Option<Value> {
        match segments(uri)[..] {
            ["api"] => Some(self.core),
            ["apis", _] => Some(self.group),
            ["api", _] | ["apis", _, _] => Some(self.kinds),
            _ => None,
        }
    }
}

/// Returns a client of a server without objects. It serves each kind in each group, with a
/// scale for each object, and no metrics.
pub fn client() -> (Client, Requests) {
    client_with(Arc::default())
}

/// Like [`client`], but with these answers about groups and kinds, if there are any.
pub fn client_with(discovery: Arc<Mutex<Option<Discovery>>>) -> (Client, Requests) {
    let requests = Requests::default();
    let seen = requests.clone();
    let service = tower::service_fn(move |request: Request<Body>| {
        let uri = request.uri().to_string();
        seen.0.lock().unwrap().push(uri.clone());
        let discovery = discovery.lock().unwrap().clone();
        async move {
            if uri.contains("watch=true") {
                // Nothing ever changes.
                std::future::pending::<()>().await;
            }
            let discovered = discovery.and_then(|discovery| discovery.answer(&uri));
            let answer = discovered.or_else(|| answer(&uri));
            let status = match answer.is_some() {
                true => StatusCode::OK,
                false => StatusCode::NOT_FOUND,
            };
            let not_found = json!({
                "kind": "Status", "status": "Failure", "reason": "NotFound",
                "message": "there is none", "code": 404,
            });
            let body = answer.unwrap_or(not_found).to_string().into_bytes();
            let response = Response::builder().status(status);
            Ok::<_, Infallible>(response.body(Body::from(body)).unwrap())
        }
    });
    (Client::new(service, "default"), requests)
}

fn segments(uri: &str) -> Vec<&str> {
    let path = uri.split_once('?').map_or(uri, |(path, _)| path);
    path.split('/').skip(1).collect()
}

fn answer(uri: &str) -> Option<Value> {
    Some(match segments(uri)[..] {
        // The last version that is listed in pages.
        ["version"] => json!({
            "major": "1", "minor": "33", "gitVersion": "v1.33.0", "gitCommit": "",
            "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "",
            "platform": "",
        }),
        ["api", _, "pods"]
        | [
            "apis",
            _,
            _,
            "horizontalpodautoscalers" | "replicaautoscalers",
        ] => {
            json!({ "metadata": { "resourceVersion": "1" }, "items": [] })
        }
        ["api", version] => kinds(version),
        ["apis", group, version] => kinds(&format!("{group}/{version}")),
        [.., "scale"] => json!({
            "metadata": { "resourceVersion": "1" },
            "spec": { "replicas": 1 },
            "status": { "replicas": 1, "selector": "app=web" },
        }),
        ["apis", "external.metrics.k8s.io", .., HUGE] => {
            json!({ "items": [], "filler": "x".repeat(17 << 20) })
        }
        ["apis", "external.metrics.k8s.io", .., SMALL] => values(1),
        ["apis", _, .., MANY] => json!({ "items": vec![0; 2_000_000] }),
        [
            "apis",
            "external.metrics.k8s.io" | "custom.metrics.k8s.io",
            ..,
            name,
        ] if name.starts_with(LARGE) => values(20_000),
        ["apis", "metrics.k8s.io", .., CROWDED, "pods"] => {
            let containers = vec![json!({ "name": "" }); 20_000];
            usage(&json!({}), &containers, 26)
        }
        ["apis", "metrics.k8s.io", .., STRANGE, "pods"] => {
            let container = json!({ "name": "web", "usage": { "cpu": "1" } });
            usage(&json!({}), &[container], 1_000)
        }
        ["apis", "metrics.k8s.io", .., WIDE, "pods"] => {
            usage(&json!({ "app": "x".repeat(1 << 20) }), &[], 1)
        }
        _ => return None,
    })
}

/// Returns an answer with so many values, each of a pod.
fn values(count: usize) -> Value {
    let value = |number| {
        json!({
            "describedObject": { "kind": "Pod", "name": format!("web-{number}") },
            "timestamp": "2026-01-01T00:00:00Z", "value": "1",
        })
    };
    json!({ "items": (0..count).map(value).collect::<Vec<_>>() })
}

/// Returns the usage of so many pods.
fn usage(labels: &Value, containers: &[Value], count: usize) -> Value {
    let pod = |number| {
        json!({
            "metadata": { "name": format!("web-{number}"), "labels": labels },
            "timestamp": "2026-01-01T00:00:00Z", "window": "15s", "containers": containers,
        })
    };
    json!({ "items": (0..count).map(pod).collect::<Vec<_>>() })
}

fn kinds(group_version: &str) -> Value {
    let kinds = ["Deployment", "Service", "Namespace"];
    let resources = kinds.iter().flat_map(|kind| {
        let plural = format!("{}s", kind.to_lowercase());
        let resource = |name: String, kind: &str| {
            json!({
                "name": name, "singularName": "", "namespaced": true, "kind": kind,
                "verbs": ["get", "list", "watch"],
            })
        };
        [
            resource(format!("{plural}/scale"), "Scale"),
            resource(plural, kind),
        ]
    });
    json!({
        "kind": "APIResourceList", "groupVersion": group_version,
        "resources": resources.collect::<Vec<_>>(),
    })
}
