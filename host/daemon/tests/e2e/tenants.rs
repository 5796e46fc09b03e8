//! What one tenant's objects can do to those of others.

use serde_json::{Value, json};

use crate::proxy::Proxy;
use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};
use crate::test_cluster::{
    TestCluster, autoscaler, autoscaler_in, deployment, external, paused_deployment, queue,
};

/// Returns an object of this depth, with a text in its midst.
fn nested(depth: usize, text: &str) -> Value {
    (1..depth).fold(json!({ "a": text }), |inner, _| json!({ "a": inner }))
}

#[test]
fn a_configuration_that_cannot_be_read_is_named_and_every_other_object_is_decided() {
    let test_cluster = TestCluster::new();
    let metrics = test_cluster.with_queue(40);
    for name in ["deep", "web"] {
        test_cluster.deploy(name, 2);
    }
    let deep = |depth: usize| {
        let policy = json!({ "name": "hpa", "config": nested(depth, "sesame") });
        let spec = json!({
            "scaleTargetRef": deployment("deep"),
            "maxReplicas": 20,
            "metrics": [queue()],
            "policies": [policy],
        });
        autoscaler("deep", &spec)
    };
    test_cluster.autoscale("web", &queue(), &json!({}));
    let mut daemon = test_cluster.daemon(&[]);
    test_cluster.wait_for_replicas("web", 4);

    // It comes by the watch.
    test_cluster.apply(&deep(130));
    let named = || {
        let message =
            test_cluster.wait_for_condition("deep", "ScalingActive", "False", "InvalidSpec");
        assert!(message.contains("spec.policies[0].config.a"), "{message}");
        assert!(message.contains("recursion limit"), "{message}");
    };
    named();
    test_cluster.wait_for_event("deep", "InvalidSpec", "spec.policies[0].config");
    metrics.set_external("queue", &[json!("60")]);
    test_cluster.wait_for_replicas("web", 6);
    assert!(daemon.logged(&[("object", "default/deep"), ("message", "spec.policies[0]")]));
    assert!(!daemon.logged(&[("message", "sesame")]) && !daemon.logged(&[("error", "sesame")]));
    assert!(!daemon.logged(&[("message", "a watch broke")]));
    assert_eq!(daemon.terminate(), Some(0));

    // It comes by a list, of a server that streams none.
    let proxy = Proxy::start(&test_cluster.cluster);
    proxy.pretend_minor("33");
    let kubeconfig = proxy.kubeconfig(&test_cluster.workshop);
    let daemon = test_cluster.daemon_with(kubeconfig.to_str().unwrap(), &[]);
    daemon.wait_until_ready();
    metrics.set_external("queue", &[json!("80")]);
    test_cluster.wait_for_replicas("web", 8);
    named();
    assert!(proxy.saw("/replicaautoscalers?&limit="), "it lists");
    assert!(!daemon.logged(&[("message", "sesame")]) && !daemon.logged(&[("error", "sesame")]));
    assert_eq!(test_cluster.replicas("deep"), "2");

    // The policy takes no configuration, but it can be read.
    test_cluster.apply(&deep(100));
    wait_for("the deep object to be decided", WAIT_TIMEOUT, || {
        test_cluster.condition("deep", "ScalingActive").reason != "InvalidSpec"
    });
}

#[test]
fn a_spec_reaches_nothing_outside_its_namespace() {
    let test_cluster = TestCluster::new();
    let metrics = test_cluster.with_queue(40);
    test_cluster.deploy("web", 2);
    let victim = [
        "create",
        "deployment",
        "victim",
        "--image=web",
        "--replicas=2",
        "-n",
        "kube-system",
    ];
    test_cluster.cluster.kubectl(&victim).unwrap();
    let metric = |kind: &str, name: &str, metric: &str| {
        let target = json!({ "type": "AverageValue", "averageValue": "10" });
        let described = json!({ "apiVersion": "v1", "kind": kind, "name": name });
        let object = json!({
            "describedObject": described, "metric": { "name": metric }, "target": target,
        });
        json!({ "type": "Object", "object": object })
    };
    // Created under a schema that accepts them.
    test_cluster.loosen_schema();
    let create = |name: &str, reference: &Value, metric: &Value| {
        let spec = json!({
            "scaleTargetRef": reference, "maxReplicas": 20, "metrics": [metric],
        });
        let object = autoscaler(name, &spec);
        wait_for("the schema to be loose", WAIT_TIMEOUT, || {
            test_cluster.cluster.apply(&object).is_ok()
        });
    };
    let above = "../../../kube-system/deployments/victim";
    let odd = |field: &str, text: &str| {
        let mut reference = deployment("web");
        reference[field] = json!(text);
        reference
    };
    let specs = [
        (
            "above",
            odd("name", above),
            queue(),
            "spec.scaleTargetRef.name",
        ),
        (
            "query",
            odd("name", "web/scale?x="),
            queue(),
            "spec.scaleTargetRef.name",
        ),
        (
            "dots",
            odd("name", ".."),
            queue(),
            "spec.scaleTargetRef.name",
        ),
        (
            "group",
            odd("apiVersion", "../v1"),
            queue(),
            "spec.scaleTargetRef.apiVersion",
        ),
        (
            "kind",
            odd("kind", "a/b"),
            queue(),
            "spec.scaleTargetRef.kind",
        ),
        (
            "described",
            deployment("web"),
            metric("Service", "../../kube-system/services/dns", "hits"),
            "spec.metrics[0].object.describedObject.name",
        ),
        (
            "metric",
            deployment("web"),
            metric("Service", "dns", ".."),
            "spec.metrics[0].object.metric.name",
        ),
    ];
    for (name, reference, metric, _) in &specs {
        create(name, reference, metric);
    }
    // The name of a namespace is not read, as Kubernetes does not read it either.
    test_cluster.deploy("own", 2);
    metrics.set_namespace("default", "hits", "30");
    metrics.set_namespace("kube-system", "hits", "1000");
    create(
        "own",
        &deployment("own"),
        &metric("Namespace", "kube-system", "hits"),
    );
    let proxy = Proxy::start(&test_cluster.cluster);
    let kubeconfig = proxy.kubeconfig(&test_cluster.workshop);
    let _daemon = test_cluster.daemon_with(kubeconfig.to_str().unwrap(), &[]);

    test_cluster.wait_for_replicas("own", 3);
    for (name, _, _, field) in specs {
        let message =
            test_cluster.wait_for_condition(name, "ScalingActive", "False", "InvalidSpec");
        assert!(message.contains(&format!("{field}: ")), "{name}: {message}");
    }
    for text in ["kube-system", "victim", "..", "x=", "dns"] {
        let mut requests = proxy.requests(text);
        // By these Leases, daemons notice each other.
        requests.retain(|request| !request.contains("/namespaces/kube-system/leases"));
        assert!(requests.is_empty(), "{requests:?}");
    }
    assert!(!metrics.were_asked("namespaces/kube-system/metrics/hits"));
    let replicas = [
        "get",
        "deployment/victim",
        "-n",
        "kube-system",
        "-o",
        "jsonpath={.spec.replicas}",
    ];
    assert_eq!(test_cluster.cluster.kubectl(&replicas).unwrap(), "2");
}

/// Time from one decision about an object to its next.
const PERIOD_MS: i64 = 6_000;

/// Maximum time that a tick waits for metrics: five times that for a request.
const TICK_MS: i64 = 5 * 1_000;

/// What a busy machine may take besides.
const SLACK_MS: i64 = 2_000;

/// Number of decisions about an object that are looked at.
const DECISIONS: usize = 4;

#[test]
fn metrics_that_hang_delay_an_object_of_another_namespace_by_two_periods_at_most() {
    let test_cluster = TestCluster::new();
    let metrics = test_cluster.with_queue(39);
    test_cluster.deploy("web", 2);
    test_cluster.autoscale("web", &queue(), &json!({}));
    // More than can be requested within a tick, in namespaces that sort before the other.
    let hanging = (0..20).map(|number| external(&format!("hang-{number}")));
    let spec = json!({
        "scaleTargetRef": deployment("web"),
        "maxReplicas": 20,
        "metrics": Vec::from_iter(hanging),
    });
    let tenants = (0..6).flat_map(|tenant| {
        let name = format!("aaa-{tenant}");
        [
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }),
            paused_deployment(&name, "web", "web"),
            autoscaler_in(&name, "web", &spec),
        ]
    });
    test_cluster.apply_all(&Vec::from_iter(tenants));
    let kubeconfig = test_cluster.cluster.kubeconfig();
    let args = [
        "--kubeconfig",
        kubeconfig.to_str().unwrap(),
        "--horizontal-pod-autoscaler-sync-period=6s",
        "--metrics-request-timeout=1s",
    ];
    let daemon = Daemon::start(&test_cluster.workshop, &args);

    let decided = |daemon: &Daemon| -> Vec<i64> {
        let records = daemon.records("default/web").into_iter();
        let decided = records.filter(|record| record["verdict"]["to"].is_number());
        decided.map(|record| time_of(&record)).collect()
    };
    let mut value = 39_000;
    wait_for("decisions about the innocent object", WAIT_TIMEOUT, || {
        // A decision about the same value would not be made again.
        value += 1;
        metrics.set_external("queue", &[json!(format!("{value}m"))]);
        decided(&daemon).len() >= DECISIONS
    });
    let hostile = daemon.records("aaa-0/web");
    let hangs = |record: &Value| record.to_string().contains("no answer within 1s");
    assert!(hostile.iter().any(hangs), "{hostile:?}");
    // From the first tick on.
    let mut times = vec![time_of(&hostile[0])];
    times.extend(decided(&daemon));
    let longest = times.windows(2).map(|two| two[1] - two[0]).max();
    // An object is due a period after its last decision, and decided within two more. A record
    // has the time at which its tick began, before the tick waited for metrics.
    let limit = PERIOD_MS + 2 * PERIOD_MS - TICK_MS + SLACK_MS;
    assert!(longest <= Some(limit), "ticks of decisions at {times:?}");
}

/// Returns the time of a record, in milliseconds.
fn time_of(record: &Value) -> i64 {
    record["at"].as_i64().unwrap()
}
