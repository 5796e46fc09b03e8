//! Writes of a scale that others change meanwhile.

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flyball_decision::key::ObjectKey;
use flyball_replicas::ports::Scale;
use flyball_replicas::spec::CrossVersionObjectReference;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::{Scales, TRIES};
use crate::kinds::Kinds;

const REPLICAS: i32 = 3;

/// Returns a client of a server with a Deployment that others change before each write, and
/// the number of writes that were tried.
fn busy_server() -> (Client, Arc<AtomicUsize>) {
    let writes = Arc::<AtomicUsize>::default();
    let counter = Arc::clone(&writes);
    let service = tower::service_fn(move |request: Request<Body>| {
        let (code, answer) = if *request.method() == Method::PATCH {
            counter.fetch_add(1, Ordering::Relaxed);
            let message = "the object has been modified";
            (StatusCode::CONFLICT, json!({ "message": message }))
        } else if request.uri().path() == "/apis/apps/v1" {
            (StatusCode::OK, kinds())
        } else {
            let spec = json!({ "replicas": REPLICAS });
            let metadata = json!({ "resourceVersion": "2" });
            let scale = json!({ "metadata": metadata, "spec": spec });
            (StatusCode::OK, scale)
        };
        let body = Body::from(answer.to_string().into_bytes());
        ready(Response::builder().status(code).body(body))
    });
    (Client::new(service, "default"), writes)
}

fn kinds() -> Value {
    let resource = |name: &str, kind: &str| {
        json!({
            "name": name, "singularName": "", "namespaced": true, "kind": kind,
            "verbs": ["get", "patch"],
        })
    };
    json!({
        "kind": "APIResourceList", "groupVersion": "apps/v1",
        "resources": [
            resource("deployments", "Deployment"),
            resource("deployments/scale", "Scale"),
        ],
    })
}

#[tokio::test]
async fn a_lease_that_is_lost_after_a_conflict_ends_the_tries() {
    let (client, writes) = busy_server();
    let scales = Scales::new(client.clone(), Kinds::new(client));
    let key = ObjectKey {
        namespace: "shop".into(),
        name: "web".into(),
    };
    let target = CrossVersionObjectReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
    };
    let from = Scale {
        spec_replicas: REPLICAS,
        resource_version: "1".into(),
        ..Scale::default()
    };
    let written = || writes.swap(0, Ordering::Relaxed);

    let leads = || true;
    let result = scales.set(&key, &target, &from, 5, leads).await;
    let problem = "others change it all the time";
    assert!(
        result.as_ref().is_err_and(|error| error.contains(problem)),
        "{result:?}"
    );
    assert_eq!(written(), TRIES);

    let leads = || writes.load(Ordering::Relaxed) == 0;
    let result = scales.set(&key, &target, &from, 5, leads).await;
    assert_eq!(result, Err("not the leader: nothing is written".to_owned()));
    assert_eq!(written(), 1);
}
