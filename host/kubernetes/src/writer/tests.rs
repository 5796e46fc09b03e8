//! Reports end in time, and no namespace's keep those of another from being written.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use std::sync::Arc;
use std::time::Duration;

use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_replicas::ports::{Autoscaler, Report, Writer as _};
use http::{Method, Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use super::KubernetesWriter;
use crate::cache::Caches;
use crate::lease::Leadership;

/// Time from one decision about an object to its next.
const SYNC_PERIOD: Duration = Duration::from_secs(15);

/// Returns a client of a server that takes a second to create an object, and has no others.
/// It tells the paths of the creations.
fn slow_server(created: mpsc::UnboundedSender<String>) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let is_creation = *request.method() == Method::POST;
        let path = request.uri().path().to_owned();
        let created = created.clone();
        async move {
            if is_creation {
                sleep(Duration::from_secs(1)).await;
                created.send(path).unwrap();
            }
            let (code, text) = if is_creation {
                (201_u16, "{}")
            } else {
                (404, "unknown")
            };
            let body = Body::from(text.as_bytes().to_vec());
            Response::builder().status(code).body(body)
        }
    });
    Client::new(service, "default")
}

/// Returns a report about an object whose metrics fail.
fn report(namespace: &str, object: usize, metrics: usize) -> Report {
    let spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "maxReplicas": 10,
    });
    let event = |metric: usize| Event {
        warning: true,
        reason: "FailedGetExternalMetric".to_owned(),
        message: format!("metric {metric}"),
    };
    let autoscaler = Autoscaler {
        key: ObjectKey {
            namespace: namespace.into(),
            name: format!("web-{object}").into(),
        },
        uid: format!("{namespace}-{object}").into(),
        generation: 1,
        spec: Arc::new(serde_json::from_value(spec).unwrap()),
        status: Arc::default(),
    };
    Report {
        autoscaler: Arc::new(autoscaler),
        status: None,
        events: (0..metrics).map(event).collect(),
    }
}

#[tokio::test(start_paused = true)]
async fn many_events_of_others_delay_an_innocent_object_by_less_than_a_period() {
    let (sender, mut created) = mpsc::unbounded_channel();
    let client = slow_server(sender);
    let caches = Caches::start(client.clone()).await;
    let writer = KubernetesWriter::new(client.clone(), client, caches, Leadership::sole());
    let noisy = (0..60).flat_map(|tenant| {
        let namespace = format!("tenant-{tenant:02}");
        (0..2).map(move |object| report(&namespace, object, 20))
    });
    let innocent = report("z", 0, 1);
    let reports = noisy.chain([innocent]).collect();

    let begin = Instant::now();
    writer.report(Timestamp(0), reports).await;
    let time = begin.elapsed();
    assert!(time < SYNC_PERIOD, "the next tick begins {time:?} later");
    let mut created = std::iter::from_fn(|| created.try_recv().ok());
    assert!(created.any(|path| path.contains("/namespaces/z/events")));
}
