//! Backends that hang or fail delay what they feed, and nothing else for long.

use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use flyball_kubernetes::Kinds;
use flyball_replicas::ports::{MetricAnswer, MetricQuestion, MetricsSource as _, ObservationError};
use flyball_replicas::selector::Selector;
use flyball_replicas::spec::MetricSpec;
use flyball_sources::MetricsApis;
use kube::Client;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

const TENANTS: usize = 100;

/// Its name is the last one.
const INNOCENT: &str = "zz-innocent";

/// Metrics of the innocent object.
const METRICS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];

/// Time limit of a request: long enough for an answer on a busy machine.
const TIMEOUT: Duration = Duration::from_millis(500);

/// A metrics API on a loopback address. Metrics hang or fail as their names say.
#[derive(Clone, Default)]
struct Backend {
    /// Namespaces and metrics that were asked for.
    asked: Arc<Mutex<Vec<(String, String)>>>,
    /// Metrics that hang in spite of their names.
    hanging: Arc<Mutex<BTreeSet<String>>>,
}

impl Backend {
    async fn serve(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let backend = self.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let backend = backend.clone();
                tokio::spawn(async move { backend.answer_all(stream).await });
            }
        });
        address
    }

    /// Answers the requests of a connection until it ends.
    async fn answer_all(&self, stream: TcpStream) {
        let (mut head, mut buffer) = (Vec::new(), [0; 4096]);
        while stream.readable().await.is_ok() {
            match stream.try_read(&mut buffer) {
                Ok(0) => return,
                Ok(read) => head.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                Err(_) => return,
            }
            // A GET has no body.
            if head.ends_with(b"\r\n\r\n") {
                let request = String::from_utf8(std::mem::take(&mut head)).unwrap();
                let answer = self.answer(&request).await;
                stream.writable().await.unwrap();
                // It fits into the buffers of an idle connection.
                let written = stream.try_write(answer.as_bytes());
                assert!(written.is_ok_and(|written| written == answer.len()));
            }
        }
    }

    async fn answer(&self, head: &str) -> String {
        let path = head.split_whitespace().nth(1).unwrap();
        let path = path.split_once('?').map_or(path, |(path, _)| path);
        let mut segments = path.rsplit('/').map(str::to_owned);
        let (metric, namespace) = (segments.next().unwrap(), segments.next().unwrap());
        let asked = (namespace, metric.clone());
        self.asked.lock().unwrap().push(asked);
        if metric.starts_with("hang") || self.hanging.lock().unwrap().contains(&metric) {
            std::future::pending::<()>().await;
        }
        let status = match metric.starts_with("fail") {
            true => "500 Internal Server Error",
            false => "200 OK",
        };
        let value = json!({
            "metricName": metric, "timestamp": "2026-01-01T00:00:00Z", "value": "7",
        });
        let body = json!({ "items": [value] }).to_string();
        let length = body.len();
        format!(
            "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n\
             content-length: {length}\r\n\r\n{body}"
        )
    }
}

/// Metrics of all objects, each with its namespace.
struct Objects(Vec<(String, MetricSpec)>);

impl Objects {
    fn add(&mut self, namespace: &str, metric: &str) {
        let target = json!({ "type": "AverageValue", "averageValue": "1" });
        let external = json!({ "metric": { "name": metric }, "target": target });
        let spec = json!({ "type": "External", "external": external });
        let spec = serde_json::from_value(spec).unwrap();
        self.0.push((namespace.to_owned(), spec));
    }

    /// Measures all metrics once. Returns the answers to those of a namespace.
    async fn measure(
        &self,
        source: &MetricsApis,
        namespace: &str,
    ) -> Vec<Result<MetricAnswer, ObservationError>> {
        let (pods, no_selector) = (Selector::default(), Ok(None));
        let questions = self.0.iter().map(|(namespace, metric)| MetricQuestion {
            namespace,
            selector: "app=web",
            pods: &pods,
            selected: 0,
            metric,
            metric_selector: &no_selector,
        });
        let questions: Vec<_> = questions.collect();
        let answers = source.measure(&questions).await.into_iter().zip(&self.0);
        let own = answers.filter(|(_, (of, _))| of == namespace);
        own.map(|(answer, _)| answer).collect()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_tenants_whose_metrics_hang_or_fail_delay_others_by_one_period() {
    let backend = Backend::default();
    let address = backend.serve().await;
    let config = kube::Config::new(format!("http://{address}").parse().unwrap());
    let client = Client::try_from(config).unwrap();
    let source = MetricsApis::new(client.clone(), Kinds::new(client), TIMEOUT);
    let mut objects = Objects(Vec::new());
    for tenant in 0..TENANTS {
        let namespace = format!("tenant-{tenant:03}");
        for number in 0..8 {
            objects.add(&namespace, &format!("hang-{number}"));
            objects.add(&namespace, &format!("fail-{number}"));
        }
    }
    for metric in METRICS {
        objects.add(INNOCENT, metric);
    }
    let read = |answers: &[Result<MetricAnswer, ObservationError>]| {
        answers.iter().filter(|answer| answer.is_ok()).count()
    };

    let first = objects.measure(&source, INNOCENT).await;
    let second = objects.measure(&source, INNOCENT).await;
    assert!(
        read(&first) == METRICS.len() || read(&second) == METRICS.len(),
        "{first:?} {second:?}"
    );
    // From now on it is known who hangs.
    let third = objects.measure(&source, INNOCENT).await;
    assert_eq!(read(&third), METRICS.len(), "{third:?}");

    // An innocent namespace with a metric that hangs for once reads its others as before,
    // and that one again too.
    backend.hanging.lock().unwrap().insert("a".to_owned());
    let late = objects.measure(&source, INNOCENT).await;
    assert_eq!(read(&late), METRICS.len() - 1, "{late:?}");
    let message = &late[0].as_ref().unwrap_err().message;
    assert_eq!(message, "no answer within 500ms");
    backend.hanging.lock().unwrap().clear();
    backend.asked.lock().unwrap().clear();
    let again = objects.measure(&source, INNOCENT).await;
    let again = match read(&again) == METRICS.len() {
        true => again,
        false => objects.measure(&source, INNOCENT).await,
    };
    assert_eq!(read(&again), METRICS.len(), "{again:?}");
    let asked = backend.asked.lock().unwrap();
    let mut own = asked.iter().filter(|(namespace, _)| namespace == INNOCENT);
    assert_ne!(own.next().unwrap().1, "a", "what came too late comes last");
}
