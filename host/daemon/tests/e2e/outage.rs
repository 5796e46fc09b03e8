//! An outage of the API server while the daemon runs.

use serde_json::{Value, json};

use crate::support::Daemon;
use crate::test_cluster::{TestCluster, queue};

#[test]
fn while_the_api_server_is_away_targets_are_held_and_then_it_goes_on() {
    let test_cluster = TestCluster::new();
    let metrics = test_cluster.with_queue(20);
    test_cluster.deploy("web", 2);
    test_cluster.autoscale("web", &queue(), &json!({}));
    let mut daemon = test_cluster.daemon(&[]);
    let verdict = |daemon: &Daemon, reason: &str| {
        daemon
            .last_record("default/web")
            .is_some_and(|record| record["verdict"]["reason"] == reason)
    };
    daemon.wait_for("a decision to stay at 2", |daemon| {
        daemon
            .last_record("default/web")
            .is_some_and(|record| record["verdict"]["to"] == 2)
    });

    test_cluster.cluster.kill_apiserver().unwrap();
    metrics.set_external("queue", &[json!("40")]);
    let held = |daemon: &Daemon| -> Vec<Value> {
        let mut records = daemon.records("default/web");
        records.retain(|record| record["verdict"]["reason"] == "FailedGetScale");
        records
    };
    daemon.wait_for("some held decisions", |daemon| held(daemon).len() >= 5);
    for record in held(&daemon) {
        assert_eq!(record["verdict"]["to"], Value::Null, "{record}");
        assert_eq!(record["outcome"], "unchanged", "{record}");
    }
    let expected = [
        ("level", "WARN"),
        ("object", "default/web"),
        ("message", "replicas not known: "),
        ("reason", "FailedGetScale"),
    ];
    assert!(daemon.logged(&expected));
    let why = test_cluster
        .workshop
        .succeed(&["why", "default/web", "--server", &daemon.url]);
    assert!(
        why.contains("the scale of Deployment \"web\" can't be read"),
        "{why}"
    );
    assert_eq!(daemon.get("/healthz").as_deref(), Some("ok\n"));
    assert!(daemon.runs());

    test_cluster.cluster.start_apiserver().unwrap();
    // Again by current metrics, and by at most a sync period's change at a time.
    test_cluster.wait_for_replicas("web", 4);
    daemon.wait_for("a decision about the new size", |daemon| {
        verdict(daemon, "DesiredWithinRange")
            || daemon.last_record("default/web").unwrap()["verdict"]["to"] == 4
    });
    let all = daemon.records("default/web");
    let at = |record: &Value| record["at"].as_i64().unwrap();
    let span = at(all.last().unwrap()) - at(&all[0]);
    assert!(
        span >= 900 * (all.len() as i64 - 1),
        "{} decisions in {span} ms: it must not spin",
        all.len()
    );
    let message = test_cluster.wait_for_condition("web", "AbleToScale", "True", "ReadyForNewScale");
    assert!(!message.is_empty());
    assert_eq!(daemon.terminate(), Some(0));
}
