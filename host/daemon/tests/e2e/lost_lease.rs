//! The end of a daemon that has lost its lease, at whatever moment: it comes within 20 s,
//! nothing more is written, and all its records are on disk.

use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io::Write as _;
use std::net::TcpStream;
use std::process::Command;
use std::thread::sleep;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};
use crate::test_cluster::{TestCluster, queue};

const SCALE: &str = "PATCH /apis/apps/v1/namespaces/default/deployments/web/scale";

/// Path of the lease that daemons elect a leader by.
pub const LEASE: &str = "/apis/coordination.k8s.io/v1/namespaces/kube-system/leases/flyball";

/// Time from the last renewal of a lease to its loss, in milliseconds.
const RENEW_DEADLINE_MS: i64 = 10_000;

/// Maximum time between the loss of the lease and the end, in milliseconds.
const END_MS: i64 = 20_000;

/// Time that a busy machine may take besides, to begin and to show the end, in milliseconds.
const BUSY_MS: i64 = 10_000;

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

    /// Returns when the leader lost its lease, or will if it can't renew it, in milliseconds.
    fn loss(&self) -> i64 {
        let lease = self.proxy.get(LEASE).unwrap();
        let renewed = lease["spec"]["renewTime"].as_str().unwrap();
        renewed.parse::<Timestamp>().unwrap().as_millisecond() + RENEW_DEADLINE_MS
    }

    /// Returns the records on disk, which must have those that the daemon had before.
    fn records_with(&self, before: &[Value]) -> Vec<Value> {
        let records = self.records();
        let sequences: Vec<_> = records.iter().map(|record| &record["sequence"]).collect();
        assert!(!before.is_empty());
        for record in before {
            let sequence = &record["sequence"];
            assert!(sequences.contains(&sequence), "{sequence}: {sequences:?}");
        }
        records
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

/// Sleeps for a random time.
fn sleep_at_most(most_ms: u64) {
    let time_ms = RandomState::new().hash_one(()) % most_ms;
    println!("the moment: after {time_ms} ms");
    sleep(Duration::from_millis(time_ms));
}

fn now_ms() -> i64 {
    Timestamp::now().as_millisecond()
}

/// Returns the time of a log line that fits, in milliseconds. Waits until it is read.
#[track_caller]
fn logged_at(daemon: &Daemon, what: &str, fits: impl Fn(&Value) -> bool) -> i64 {
    let mut found = None;
    wait_for(what, WAIT_TIMEOUT, || {
        found = daemon.log().into_iter().find(&fits);
        found.is_some()
    });
    let event = found.unwrap();
    let time = event["timestamp"].as_str().unwrap();
    time.parse::<Timestamp>().unwrap().as_millisecond()
}

/// Waits for the end, which must come in time after the loss of the lease. The daemon's own
/// log has the time between the two, whenever the test sees them.
#[track_caller]
fn wait_for_end(daemon: &mut Daemon, loss: i64) {
    wait_for("the daemon to end", WAIT_TIMEOUT, || !daemon.runs());
    let after_ms = now_ms() - loss;
    let lost = logged_at(daemon, "the line of the loss", |event| {
        event["message"] == "leadership changed" && event["leads"] == false
    });
    let last = logged_at(daemon, "the last line", |event| {
        event["message"] == "flyball stops"
    });
    let own_ms = last - lost;
    println!("it ended {after_ms} ms after the loss, by its own log {own_ms} ms");
    assert!(own_ms <= END_MS, "{own_ms} ms after the loss");
    assert!(after_ms <= END_MS + BUSY_MS, "{after_ms} ms after the loss");
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
    // would wait for it. The lease is lost 8 to 10 s after this, during the write or the next:
    // a busy machine has 6 s to begin the first one.
    let before = daemon.records("default/web");
    stage.proxy.hold_all(&["/leases", SCALE]);
    sleep_at_most(2_000);
    metrics.set_external("queue", &[json!("40")]);
    wait_for("the write", WAIT_TIMEOUT, || stage.proxy.saw(SCALE));
    // A partition: nothing reaches the API server. The write needed the metric before.
    stage.proxy.hold_all(&[""]);
    let loss = stage.loss();
    wait_for_end(&mut daemon, loss);
    assert_eq!(stage.loss(), loss, "it was not renewed");
    assert!(!stage.proxy.saw(SCALE), "no other write was tried");
    let records = stage.records_with(&before);
    let outcome = &records.last().unwrap()["outcome"];
    let failure = outcome["failed"].as_str().unwrap_or_default();
    // Or, if the first write ended before the loss, the next one did not begin.
    let texts = ["not written", "not the leader"];
    assert!(texts.iter().any(|text| failure.contains(text)), "{outcome}");
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
    let before = first.records("default/web");
    // Also when a request has been given up, and others follow.
    sleep_at_most(5_000);
    signal(&first, "-STOP");
    metrics.set_external("queue", &[json!("40")]);
    stage.test_cluster.wait_for_replicas("web", 4);
    assert_eq!(second.get("/healthz").as_deref(), Some("ok\n"));

    stage.proxy.hold("nothing");
    signal(&first, "-CONT");
    // It can't notice the loss before.
    wait_for_end(&mut first, now_ms());
    for method in ["PATCH ", "POST ", "PUT "] {
        let requests = stage.proxy.requests(method);
        let writes: Vec<_> = requests
            .iter()
            .filter(|line| !line.contains("/leases"))
            .collect();
        assert!(writes.is_empty(), "{writes:?}");
    }
    stage.records_with(&before);
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
