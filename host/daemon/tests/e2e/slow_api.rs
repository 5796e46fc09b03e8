//! An API server that takes its time: nothing is decided before all is known, what
//! hangs holds up no other for long, and a stop lets what is under way finish.

use flyball_test_support::Cluster;
use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::scene::{Scene, autoscaler, queue};
use crate::support::{Daemon, PATIENCE, wait_for};

struct Slow {
    scene: Scene,
    proxy: Proxy,
    kubeconfig: String,
}

impl Slow {
    fn new() -> Self {
        let scene = Scene::new();
        let proxy = Proxy::start(&scene.cluster);
        let kubeconfig = proxy.kubeconfig(&scene.workshop);
        Self {
            scene,
            proxy,
            kubeconfig: kubeconfig.to_str().unwrap().to_owned(),
        }
    }

    fn daemon(&self) -> Daemon {
        self.scene.daemon_with(&self.kubeconfig, &[])
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
    let _metrics = slow.scene.with_queue(40);
    slow.scene.deploy("web", 2);
    slow.scene.autoscale("web", &queue(), &json!({}));
    // What was good last decides until it is known what a newer file has to fit.
    slow.scene
        .workshop
        .write("drop/hpa.wasm", flyball_policies::PREDICTIVE);
    let mut before = slow.scene.daemon(&[]);
    before.wait_until_ready();
    let digest = |daemon: &Daemon| daemon.policy("hpa").unwrap()["version"]["digest"].clone();
    let last_good = digest(&before);
    assert_eq!(before.terminate(), Some(0));
    let (_, hpa) = flyball_policies::BUILTIN[0];
    slow.scene.workshop.write("drop/hpa.wasm", hpa);
    scale_to_two(&slow.scene.cluster);

    for (index, (kind, list)) in LISTS.iter().enumerate() {
        slow.proxy.hold(list);
        let mut daemon = slow.daemon();
        // The others are there, and time enough passes for some decisions.
        wait_for("all lists to be asked for", PATIENCE, || {
            LISTS.iter().all(|(_, list)| slow.proxy.saw(list))
        });
        std::thread::sleep(std::time::Duration::from_secs(3));
        assert_eq!(
            daemon.get("/v1/records").as_deref(),
            Some(""),
            "without {kind}"
        );
        assert_eq!(daemon.get("/readyz"), None, "without {kind}");
        assert_eq!(slow.scene.replicas("web"), "2", "without {kind}");
        assert!(!slow.proxy.saw("deployments/web/scale"), "without {kind}");
        if index == 0 {
            let hpa = daemon.policy("hpa").unwrap();
            assert_eq!(hpa["state"], "pending", "{hpa}");
            assert_eq!(digest(&daemon), last_good);
            let list = ["policy", "list", "--server", &daemon.url];
            let listed = slow.scene.workshop.succeed(&list);
            assert!(listed.contains("pending"), "{listed}");
        }

        slow.proxy.release();
        daemon.wait_until_ready();
        slow.scene.wait_for_replicas("web", 4);
        assert_eq!(daemon.policy("hpa").unwrap()["state"], "active");
        assert_ne!(digest(&daemon), last_good);
        assert_eq!(daemon.terminate(), Some(0));
        scale_to_two(&slow.scene.cluster);
    }
}

fn scale_to_two(cluster: &Cluster) {
    let scale = ["scale", "deployment/web", "--replicas=2"];
    cluster.kubectl(&scale).unwrap();
}

#[test]
fn requests_that_are_never_answered_hold_up_others_for_one_tick_at_most() {
    let slow = Slow::new();
    let _metrics = slow.scene.with_queue(40);
    slow.scene.deploy("web", 2);
    // More than are read at once, and before web in the order of names.
    for number in 0..40 {
        let name = format!("slow-{number:02}");
        let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
        let spec = json!({ "scaleTargetRef": target, "maxReplicas": 2 });
        slow.scene.apply(&autoscaler(&name, &spec));
    }
    slow.scene.autoscale("web", &queue(), &json!({}));
    slow.proxy.hold("deployments/slow-");
    let daemon = slow.daemon();
    daemon.wait_until_ready();
    slow.scene.wait_for_replicas("web", 4);

    let late = |record: &Value| {
        let message = record["verdict"]["message"].as_str().unwrap();
        message.contains("no answer within the 10 s for all targets together")
    };
    let records = daemon.records("default/slow-39");
    assert!(late(&records[0]), "{}", records[0]);
    let at = |record: &Value| record["at"].as_i64().unwrap();
    let records = daemon.records("default/web");
    let longest = records
        .windows(2)
        .map(|two| at(&two[1]) - at(&two[0]))
        .max();
    // Two rounds of ten seconds each it would be otherwise.
    assert!(longest < Some(19_000), "a tick took {longest:?} ms");
    assert!(records.iter().any(late), "{records:?}");
}

#[test]
fn a_stop_lets_what_is_being_written_finish_in_bounded_time() {
    let slow = Slow::new();
    let metrics = slow.scene.with_queue(20);
    slow.scene.deploy("web", 2);
    slow.scene.autoscale("web", &queue(), &json!({}));
    let records = slow.scene.workshop.path("records.jsonl");
    let start = || {
        let args = ["--records", "records.jsonl"];
        let daemon = slow.scene.daemon_with(&slow.kubeconfig, &args);
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
    wait_for("the write", PATIENCE, || slow.proxy.saw(write));
    daemon.ask_to_end();
    daemon.wait_for("it to take note", |daemon| daemon.get("/healthz").is_none());
    assert!(daemon.runs(), "it waits for the answer");
    slow.proxy.release();
    assert_eq!(daemon.wait_for_end(), Some(0));
    assert_eq!(slow.scene.replicas("web"), "4");
    assert_eq!(last_outcome(), "scaled");
    assert_eq!(slow.scene.field("ra/web", ".status.desiredReplicas"), "4");
    let before = std::fs::read_to_string(&records).unwrap().lines().count();

    // What is still being read is decided about no more.
    let mut daemon = start();
    let read = "GET /apis/apps/v1/namespaces/default/deployments/web/scale";
    slow.proxy.hold(read);
    wait_for("the reading", PATIENCE, || slow.proxy.saw(read));
    let decided = daemon.records("default/web").len();
    daemon.ask_to_end();
    daemon.wait_for("it to take note", |daemon| daemon.get("/healthz").is_none());
    slow.proxy.release();
    assert_eq!(daemon.wait_for_end(), Some(0));
    let text = std::fs::read_to_string(&records).unwrap();
    assert_eq!(text.lines().count() - before, decided);

    // An answer that never comes is waited for no longer than any other.
    let mut daemon = start();
    slow.proxy.hold(write);
    metrics.set_external("queue", &[json!("60")]);
    wait_for("the write", PATIENCE, || slow.proxy.saw(write));
    assert_eq!(daemon.terminate(), Some(0));
    let outcome = last_outcome()["failed"].as_str().unwrap().to_owned();
    assert!(outcome.contains("did not answer within 10 s"), "{outcome}");
    assert_eq!(slow.scene.replicas("web"), "4");
}
