//! Custom and external metrics, as an adapter serves them through the API server.

use serde_json::json;

use crate::metrics_apis::MetricsApis;
use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};
use crate::test_cluster::{TestCluster, external};

#[test]
fn pods_object_and_external_metrics_scale_and_bad_ones_are_named() {
    let test_cluster = TestCluster::new();
    test_cluster.cluster.create_node("node-0").unwrap();
    let apis = MetricsApis::serve(&test_cluster);
    for name in ["pods", "object", "external", "torn", "idle"] {
        test_cluster.deploy(name, 2);
        let ready = format!("deployment/{name}");
        test_cluster
            .cluster
            .kubectl(&["rollout", "status", &ready, "--timeout=60s"])
            .unwrap();
    }
    let pods = test_cluster.pods("pods");
    // One of the two can't be read: it counts as missing, which is 0 when scaling up.
    apis.set_pods("requests", &[(&pods[0], "300"), (&pods[1], "1x")]);
    apis.set_service("front", "hits", "40");
    apis.set_external("orders", &[json!("15"), json!("25")]);
    apis.set_external("torn", &[json!("500"), json!("1x")]);

    let average = |value: &str| json!({ "type": "AverageValue", "averageValue": value });
    let metric = json!({ "name": "requests", "selector": { "matchLabels": { "verb": "GET" } } });
    test_cluster.autoscale(
        "pods",
        &json!({ "type": "Pods", "pods": { "metric": metric, "target": average("100") } }),
        &json!({}),
    );
    let front = json!({ "apiVersion": "v1", "kind": "Service", "name": "front" });
    let object = json!({
        "describedObject": front,
        "metric": { "name": "hits" },
        "target": average("10"),
    });
    test_cluster.autoscale(
        "object",
        &json!({ "type": "Object", "object": object }),
        &json!({}),
    );
    let mut orders = external("orders");
    orders["external"]["metric"]["selector"] = json!({ "matchLabels": { "shop": "a" } });
    test_cluster.autoscale("external", &orders, &json!({}));
    test_cluster.autoscale("torn", &external("torn"), &json!({}));
    apis.set_external("jobs", &[json!("0")]);
    let at_once = json!({ "scaleDown": { "stabilizationWindowSeconds": 0 } });
    let to_zero = json!({ "minReplicas": 0, "behavior": at_once });
    test_cluster.autoscale("idle", &external("jobs"), &to_zero);
    let daemon = test_cluster.daemon(&["--feature-gates=HPAScaleToZero=true"]);

    // (300 + 0) / 2 is half above 100.
    test_cluster.wait_for_replicas("pods", 3);
    test_cluster.wait_for_replicas("object", 4);
    test_cluster.wait_for_replicas("external", 4);
    assert!(
        apis.were_asked("/pods/*/requests?labelSelector=app%3Dpods&metricLabelSelector=verb%3DGET")
    );
    assert!(apis.were_asked("/namespaces/default/orders?labelSelector=shop%3Da"));
    let unreadable = [
        ("level", "WARN"),
        ("path", "requests"),
        ("pod", &*pods[1]),
        ("problem", "\"1x\" is not a quantity"),
    ];
    assert!(daemon.logged(&unreadable));
    let sample_pods = |daemon: &Daemon| {
        let record = daemon.records("default/pods").remove(0);
        record["input"]["metrics"][0]["value"].clone()
    };
    assert_eq!(sample_pods(&daemon), json!([300_000]));

    // A sum without all of its series would be wrong.
    let condition = ["torn", "ScalingActive", "False", "FailedGetExternalMetric"];
    let [name, kind, status, reason] = condition;
    let message = test_cluster.wait_for_condition(name, kind, status, reason);
    assert!(
        message.contains("series 1 can't be read: \"1x\""),
        "{message}"
    );
    test_cluster.wait_for_event("torn", "FailedGetExternalMetric", "series 1 can't be read");
    assert_eq!(test_cluster.replicas("torn"), "2");
    let targets = || {
        test_cluster
            .cluster
            .kubectl(&["get", "ra", "external"])
            .unwrap()
    };
    wait_for("what is measured to be printed", WAIT_TIMEOUT, || {
        targets().contains("10/10 (avg)")
    });

    apis.set_external("torn", &[json!("10"), json!("30")]);
    test_cluster.wait_for_replicas("torn", 4);

    // To zero, and up again.
    test_cluster.wait_for_replicas("idle", 0);
    test_cluster.wait_for_condition("idle", "ScaledToZero", "True", "ScaledToZero");
    apis.set_external("jobs", &[json!("25")]);
    test_cluster.wait_for_replicas("idle", 3);
    test_cluster.wait_for_condition("idle", "ScaledToZero", "False", "NotScaledToZero");
}

impl TestCluster {
    /// Returns the names of the pods of a Deployment, ordered.
    fn pods(&self, app: &str) -> Vec<String> {
        let selector = format!("app={app}");
        let names = [
            "get",
            "pods",
            "-l",
            &selector,
            "-o",
            "jsonpath={.items[*].metadata.name}",
        ];
        let names = self.cluster.kubectl(&names).unwrap();
        names.split_whitespace().map(str::to_owned).collect()
    }
}
