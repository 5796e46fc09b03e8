//! A slow API server: no decision before all objects are known, hanging requests delay
//! others only for a limited time, and a stop lets requests in progress finish.

use flyball_test_support::Cluster;
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};
use crate::test_cluster::{
    TestCluster, autoscaler, autoscaler_in, deployment, paused_deployment, queue,
};

struct Slow {
    test_cluster: TestCluster,
    proxy: Proxy,
    kubeconfig: String,
}

impl Slow {
    fn new() -> Self {
        let test_cluster = TestCluster::new();
        let proxy = Proxy::start(&test_cluster.cluster);
        let kubeconfig = proxy.kubeconfig(&test_cluster.workshop);
        Self {
            test_cluster,
            proxy,
            kubeconfig: kubeconfig.to_str().unwrap().to_owned(),
        }
    }

    fn daemon(&self) -> Daemon {
        self.test_cluster.daemon_with(&self.kubeconfig, &[])
    }
}

const LISTS: [(&str, &str); 3] = [
    ("pods", "/api/v1/pods?"),
    (
        "autoscalers",
        "/apis/flyball.dev/v1alpha1/replicaautoscalers?",
    ),
    ("HPAs", "/apis/autoscaling/v2/horizontalpodautoscalers?"),
];

#[test]
fn nothing_is_decided_before_everything_is_known() {
    let slow = Slow::new();
    let _metrics = slow.test_cluster.with_queue(40);
    slow.test_cluster.deploy("web", 2);
    slow.test_cluster.autoscale("web", &queue(), &json!({}));
    // The last good version decides until it is known which configurations a newer file
    // must fit.
    slow.test_cluster
        .workshop
        .write("drop/hpa.wasm", flyball_policies::PREDICTIVE);
    let mut before = slow.test_cluster.daemon(&[]);
    before.wait_until_ready();
    let digest = |daemon: &Daemon| daemon.policy("hpa").unwrap()["version"]["digest"].clone();
    let last_good = digest(&before);
    assert_eq!(before.terminate(), Some(0));
    let (_, hpa) = flyball_policies::BUILTIN[0];
    slow.test_cluster.workshop.write("drop/hpa.wasm", hpa);
    scale_to_two(&slow.test_cluster.cluster);

    for (index, (kind, list)) in LISTS.iter().enumerate() {
        slow.proxy.hold(list);
        let mut daemon = slow.daemon();
        // The others are known, and there is time for some decisions.
        wait_for("all lists to be asked for", WAIT_TIMEOUT, || {
            LISTS.iter().all(|(_, list)| slow.proxy.saw(list))
        });
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert_eq!(
            daemon.get("/v1/records").as_deref(),
            Some(""),
            "without {kind}"
        );
        assert_eq!(daemon.get("/readyz"), None, "without {kind}");
        assert_eq!(slow.test_cluster.replicas("web"), "2", "without {kind}");
        assert!(!slow.proxy.saw("deployments/web/scale"), "without {kind}");
        if index == 0 {
            let hpa = daemon.policy("hpa").unwrap();
            assert_eq!(hpa["state"], "pending", "{hpa}");
            assert_eq!(digest(&daemon), last_good);
            let list = ["policy", "list", "--server", &daemon.url];
            let listed = slow.test_cluster.workshop.succeed(&list);
            assert!(listed.contains("pending"), "{listed}");
        }

        slow.proxy.release();
        daemon.wait_until_ready();
        slow.test_cluster.wait_for_replicas("web", 4);
        assert_eq!(daemon.policy("hpa").unwrap()["state"], "active");
        assert_ne!(digest(&daemon), last_good);
        assert_eq!(daemon.terminate(), Some(0));
        scale_to_two(&slow.test_cluster.cluster);
    }
}

fn scale_to_two(cluster: &Cluster) {
    let scale = ["scale", "deployment/web", "--replicas=2"];
    cluster.kubectl(&scale).unwrap();
}

#[test]
fn requests_that_are_never_answered_delay_others_for_a_few_seconds() {
    let slow = Slow::new();
    let _metrics = slow.test_cluster.with_queue(40);
    slow.test_cluster.deploy("web", 2);
    // More than are read at once, with names that sort before web.
    for number in 0..40 {
        let name = format!("slow-{number:02}");
        let spec = json!({ "scaleTargetRef": deployment(&name), "maxReplicas": 2 });
        slow.test_cluster.apply(&autoscaler(&name, &spec));
    }
    slow.test_cluster.autoscale("web", &queue(), &json!({}));
    slow.proxy.hold("deployments/slow-");
    let daemon = slow.daemon();
    daemon.wait_until_ready();
    slow.test_cluster.wait_for_replicas("web", 4);

    let late = |record: &Value| {
        let message = record["verdict"]["message"].as_str().unwrap();
        message.contains("no answer within 3s")
    };
    let records = daemon.records("default/slow-39");
    assert!(records.iter().any(late), "{records:?}");
    let at = |record: &Value| record["at"].as_i64().unwrap();
    let records = daemon.records("default/web");
    let longest = records
        .windows(2)
        .map(|two| at(&two[1]) - at(&two[0]))
        .max();
    // A tick of two rounds, of three seconds each.
    assert!(longest < Some(19_000), "a tick took {longest:?} ms");
    assert!(!records.iter().any(late), "{records:?}");
}

#[test]
fn writes_that_are_never_answered_keep_no_other_namespace_waiting() {
    let slow = Slow::new();
    let cluster = &slow.test_cluster.cluster;
    cluster.kubectl(&["create", "namespace", "aaa"]).unwrap();
    // More than are written at once, in a namespace that sorts before the other.
    let slow_ones = (0..40).flat_map(|number| above_its_bound("aaa", &format!("slow-{number:02}")));
    let objects = slow_ones.chain(above_its_bound("default", "web"));
    slow.test_cluster.apply_all(&Vec::from_iter(objects));
    let written = "PATCH /apis/apps/v1/namespaces/aaa/deployments/";
    slow.proxy.hold(written);
    let daemon = slow.daemon();
    daemon.wait_until_ready();
    slow.test_cluster.wait_for_replicas("web", 2);
    let writes = slow.proxy.requests("PATCH /apis/apps/v1/namespaces/");
    let before = writes
        .iter()
        .take_while(|line| line.contains("/aaa/"))
        .count();
    assert!(before <= 16, "{before} of 32 places were taken");

    let outcome = |record: &Value, text: &str| {
        let failed = record["outcome"]["failed"].as_str();
        failed.is_some_and(|message| message.contains(text))
    };
    daemon.wait_for(
        "one that was not sent, and one without an answer",
        |daemon| {
            let records = daemon.get("/v1/records?limit=200").unwrap_or_default();
            let records = records
                .lines()
                .map(|line| serde_json::from_str(line).unwrap());
            let records: Vec<Value> = records.collect();
            let some = |text| records.iter().any(|record| outcome(record, text));
            some("not sent within 8s") && some("no answer within 8s")
        },
    );
    let records = daemon.records("default/web");
    assert!(
        !records.iter().any(|record| outcome(record, "")),
        "{records:?}"
    );
}

/// A Deployment without pods, and an autoscaler that scales it down to its `maxReplicas`.
fn above_its_bound(namespace: &str, name: &str) -> [Value; 2] {
    let spec = json!({ "scaleTargetRef": deployment(name), "maxReplicas": 2 });
    [
        paused_deployment(namespace, name, name),
        autoscaler_in(namespace, name, &spec),
    ]
}

#[test]
fn a_watch_whose_request_is_never_answered_is_started_again() {
    let slow = Slow::new();
    let _metrics = slow.test_cluster.with_queue(40);
    slow.test_cluster.deploy("web", 2);
    let daemon = slow.daemon();
    daemon.wait_until_ready();

    let (_, watch) = LISTS[1];
    slow.proxy.hold(watch);
    slow.proxy.cut(watch);
    wait_for("a second try", WAIT_TIMEOUT, || {
        slow.proxy.requests(watch).len() >= 2
    });
    let expected = [
        ("kind", "replicaautoscalers"),
        ("message", "a watch broke and is started again"),
        ("error", "the API server did not answer within 10 s"),
    ];
    daemon.wait_for("the log", |daemon| daemon.logged(&expected));
    slow.test_cluster.autoscale("web", &queue(), &json!({}));
    slow.proxy.release();
    slow.test_cluster.wait_for_replicas("web", 4);
}

#[test]
fn a_stop_lets_what_is_being_written_finish_in_bounded_time() {
    let slow = Slow::new();
    let metrics = slow.test_cluster.with_queue(20);
    slow.test_cluster.deploy("web", 2);
    slow.test_cluster.autoscale("web", &queue(), &json!({}));
    let records = slow.test_cluster.workshop.path("records.jsonl");
    let start = || {
        let args = ["--records", "records.jsonl"];
        let daemon = slow.test_cluster.daemon_with(&slow.kubeconfig, &args);
        daemon.wait_until_ready();
        daemon
    };
    let last_outcome = || {
        let text = std::fs::read_to_string(&records).unwrap();
        let record: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();
        record["outcome"].clone()
    };
    let write = "PATCH /apis/apps/v1/namespaces/default/deployments/web/scale";

    let mut daemon = start();
    slow.proxy.hold(write);
    metrics.set_external("queue", &[json!("40")]);
    wait_for("the write", WAIT_TIMEOUT, || slow.proxy.saw(write));
    daemon.ask_to_end();
    daemon.wait_for("it to take note", |daemon| daemon.get("/healthz").is_none());
    assert!(daemon.runs(), "it waits for the answer");
    slow.proxy.release();
    assert_eq!(daemon.wait_for_end(), Some(0));
    assert_eq!(slow.test_cluster.replicas("web"), "4");
    assert_eq!(last_outcome(), "scaled");
    assert_eq!(
        slow.test_cluster.field("ra/web", ".status.desiredReplicas"),
        "4"
    );
    let before = std::fs::read_to_string(&records).unwrap().lines().count();

    // No further decision is made about objects that are still being read.
    let mut daemon = start();
    let read = "GET /apis/apps/v1/namespaces/default/deployments/web/scale";
    slow.proxy.hold(read);
    wait_for("the reading", WAIT_TIMEOUT, || slow.proxy.saw(read));
    let decided = daemon.records("default/web").len();
    daemon.ask_to_end();
    daemon.wait_for("it to take note", |daemon| daemon.get("/healthz").is_none());
    slow.proxy.release();
    assert_eq!(daemon.wait_for_end(), Some(0));
    let text = std::fs::read_to_string(&records).unwrap();
    assert_eq!(text.lines().count() - before, decided);

    // An answer that never arrives delays the stop no more than any other.
    let mut daemon = start();
    slow.proxy.hold(write);
    metrics.set_external("queue", &[json!("60")]);
    wait_for("the write", WAIT_TIMEOUT, || slow.proxy.saw(write));
    assert_eq!(daemon.terminate(), Some(0));
    let outcome = last_outcome()["failed"].as_str().unwrap().to_owned();
    assert!(outcome.contains("no answer within 8s"), "{outcome}");
    assert_eq!(slow.test_cluster.replicas("web"), "4");
}
