//! Writes of a scale that others change meanwhile, and scales that are too large.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::future::ready;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use flyball_decision::key::ObjectKey;
use flyball_replicas::ports::Scale;
use flyball_replicas::selector::Selector;
use flyball_replicas::spec::CrossVersionObjectReference;
use http::{Method, Request, Response, StatusCode};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};

use super::{Scales, TRIES};
use crate::kinds::Kinds;

const REPLICAS: i32 = 3;

/// Returns a client of a server with Deployments of this scale, which others change before
/// each write, and the number of writes that were tried.
fn server(scale: Value) -> (Client, Arc<AtomicUsize>) {
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
            (StatusCode::OK, scale.clone())
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

/// Returns a Deployment.
fn target() -> CrossVersionObjectReference {
    CrossVersionObjectReference {
        api_version: "apps/v1".to_owned(),
        kind: "Deployment".to_owned(),
        name: "web".to_owned(),
    }
}

/// Each object that names a target has a copy of its selector.
#[tokio::test]
async fn of_a_selector_that_is_too_long_only_so_much_is_kept_that_it_is_refused() {
    let read = async |selector: &str, version: &str| {
        let (client, _) = server(json!({
            "metadata": { "resourceVersion": version },
            "spec": { "replicas": 0 },
            "status": { "replicas": 0, "selector": selector },
        }));
        let scales = Scales::new(client.clone(), Kinds::new(client));
        scales.get("shop", &target()).await
    };
    let long = format!("app notin (a{})", ",é".repeat(500_000));
    let kept = read(&long, "1").await.unwrap().selector;
    assert!(kept.len() < 8200, "{} bytes", kept.len());
    let error = Selector::parse(&kept).unwrap_err().to_string();
    assert!(error.contains("more than 8192 bytes"), "{error}");

    let whole = format!("app notin (a{})", ",é".repeat(2_000));
    let kept = read(&whole, "1").await.unwrap().selector;
    assert_eq!(*kept, *whole);

    let error = read("app=web", &long).await.unwrap_err().message;
    assert!(error.ends_with("its resourceVersion has more than 256 bytes"));
}

#[tokio::test]
async fn a_lease_that_is_lost_after_a_conflict_ends_the_tries() {
    let (client, writes) = server(json!({
        "metadata": { "resourceVersion": "2" },
        "spec": { "replicas": REPLICAS },
    }));
    let scales = Scales::new(client.clone(), Kinds::new(client));
    let key = ObjectKey {
        namespace: "shop".into(),
        name: "web".into(),
    };
    let target = target();
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
