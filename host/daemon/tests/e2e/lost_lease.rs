//! The end of a daemon that has lost its lease: it writes nothing more, and all its records
//! are on disk.

use std::fs;
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};
use crate::test_cluster::{TestCluster, queue};

const SCALE: &str = "PATCH /apis/apps/v1/namespaces/default/deployments/web/scale";

/// Maximum time between the loss of the lease and the end, and some time for a busy machine.
const END_TIMEOUT: Duration = Duration::from_secs(20 + 20);

/// A cluster with a workload, and a proxy for one of its daemons.
struct Stage {
    test_cluster: TestCluster,
    proxy: Proxy,
    kubeconfig: String,
}

impl Stage {
    fn new() -> Self {
        let test_cluster = TestCluster::new();
        let proxy = Proxy::start(&test_cluster.cluster);
        let kubeconfig = proxy.kubeconfig(&test_cluster.workshop);
        Self {
            kubeconfig: kubeconfig.to_str().unwrap().to_owned(),
            test_cluster,
            proxy,
        }
    }

    /// Starts a daemon behind the proxy, and waits until it leads and has decided.
    fn leader(&self) -> Daemon {
        let args = ["--leader-elect", "--records=first.jsonl"];
        let daemon = self.test_cluster.daemon_with(&self.kubeconfig, &args);
        daemon.wait_until_ready();
        daemon.wait_for("a decision", |daemon| {
            daemon.last_record("default/web").is_some()
        });
        daemon
    }

    fn records(&self) -> Vec<Value> {
        let text = fs::read_to_string(self.test_cluster.workshop.path("first.jsonl")).unwrap();
        assert!(text.ends_with('\n'), "{text}");
        let records = text.lines().map(|line| serde_json::from_str(line).unwrap());
        records.collect()
    }
}

fn signal(daemon: &Daemon, name: &str) {
    let id = daemon.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status().unwrap();
    assert!(sent.success());
}

/// Opens a connection to the daemon that never sends a whole request.
fn half_sent(daemon: &Daemon) -> TcpStream {
    let mut stream = TcpStream::connect(daemon.url.trim_start_matches("http://")).unwrap();
    stream.write_all(b"GET /healthz HTTP/1.1\r\n").unwrap();
    stream
}

#[track_caller]
fn wait_for_loss(daemon: &mut Daemon) {
    wait_for("the daemon to end", END_TIMEOUT, || !daemon.runs());
    assert_eq!(daemon.wait_for_end(), Some(1));
}

#[test]
fn what_was_being_written_when_the_lease_was_lost_is_recorded() {
    let stage = Stage::new();
    let metrics = stage.test_cluster.with_queue(20);
    stage.test_cluster.deploy("web", 2);
    stage.test_cluster.autoscale("web", &queue(), &json!({}));
    let mut daemon = stage.leader();
    let _half_sent = half_sent(&daemon);

    // The status is answered: the first decision may still be writing it, and the second one
    // would wait for it.
    stage.proxy.hold_all(&["/leases", SCALE]);
    metrics.set_external("queue", &[json!("40")]);
    wait_for("the write", WAIT_TIMEOUT, || stage.proxy.saw(SCALE));
    wait_for_loss(&mut daemon);
    let records = stage.records();
    let outcome = &records.last().unwrap()["outcome"];
    let failure = outcome["failed"].as_str().unwrap_or_default();
    assert!(failure.contains("not written"), "{outcome}");
    assert_eq!(stage.test_cluster.replicas("web"), "2");
}

#[test]
fn a_leader_that_was_stopped_writes_nothing_when_it_goes_on() {
    let stage = Stage::new();
    let metrics = stage.test_cluster.with_queue(20);
    stage.test_cluster.deploy("web", 2);
    stage.test_cluster.autoscale("web", &queue(), &json!({}));
    let mut first = stage.leader();
    let _half_sent = half_sent(&first);
    let kubeconfig = stage.test_cluster.cluster.kubeconfig();
    let args = ["--leader-elect", "--records=second.jsonl"];
    let kubeconfig = kubeconfig.to_str().unwrap();
    let second = stage.test_cluster.daemon_with(kubeconfig, &args);
    second.wait_for("the caches", |daemon| {
        daemon.logged(&[("message", "initial sync complete")])
    });
    assert_eq!(
        second.get("/healthz").as_deref(),
        Some("ok\n"),
        "it follows"
    );

    // It knows the scale and not the metric when it is stopped.
    let read = "GET /apis/external.metrics.k8s.io";
    stage.proxy.hold(read);
    wait_for("the metric to be read", WAIT_TIMEOUT, || {
        stage.proxy.saw(read)
    });
    signal(&first, "-STOP");
    metrics.set_external("queue", &[json!("40")]);
    stage.test_cluster.wait_for_replicas("web", 4);
    assert_eq!(second.get("/healthz").as_deref(), Some("ok\n"));

    stage.proxy.hold("nothing");
    signal(&first, "-CONT");
    wait_for_loss(&mut first);
    for method in ["PATCH ", "POST ", "PUT "] {
        let requests = stage.proxy.requests(method);
        let writes: Vec<_> = requests
            .iter()
            .filter(|line| !line.contains("/leases"))
            .collect();
        assert!(writes.is_empty(), "{writes:?}");
    }
    assert!(!stage.records().is_empty());
    assert_eq!(stage.test_cluster.replicas("web"), "4");
}

#[test]
fn a_write_that_the_api_server_puts_off_is_sent_again_only_by_a_new_decision() {
    let stage = Stage::new();
    let metrics = stage.test_cluster.with_queue(20);
    stage.test_cluster.deploy("web", 2);
    stage.test_cluster.autoscale("web", &queue(), &json!({}));
    let daemon = stage.leader();
    stage.proxy.put_off(SCALE);
    metrics.set_external("queue", &[json!("40")]);
    let failed = |daemon: &Daemon| {
        let records = daemon.records("default/web").into_iter();
        let failed = records.filter(|record| record["outcome"]["failed"].is_string());
        failed.count()
    };
    daemon.wait_for("failed writes", |daemon| failed(daemon) >= 3);
    let sent = stage.proxy.requests(SCALE).len();
    // The latest one may not be recorded yet.
    let decided = failed(&daemon) + 1;
    assert!(sent <= decided, "{sent} writes for {decided} decisions");
}
