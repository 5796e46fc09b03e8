//! `tenants/real`: what a tenant does with specs that can't be read (finding 1), targets of
//! one selector (3), metrics that hang (4) and names that leave its namespace (10), and with
//! a kind of its own: its selectors are any text, and writing its scales hangs. On the
//! control plane of the tests, so that the product itself compares the selectors, and names
//! objects in messages and conditions.

use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use flyball_test_support::bench::report;
use serde_json::{Value, json};

use crate::support::{Daemon, WAIT_TIMEOUT, wait_for};
use crate::test_cluster::{TestCluster, external, queue};
use crate::{PERIODS, SYNC_MS, periods_late};

/// Number of the tenant's objects.
const HOSTILE: usize = 1_000;

/// Number of different things that they do, each of as many of them.
const DEEDS: usize = 7;

/// Number of innocent objects.
const INNOCENT: usize = 10;

/// Its name comes before that of the innocent one.
const NAMESPACE: &str = "a-tenant";

/// Number of the tenant's pods. Each has a label of its own.
const PODS: usize = 100;

/// Value of a label that all of them have, and name of their target, which many observe.
const CROWD: &str = "crowd";

/// What the message of an object says whose pods others select.
const SHARED: &str = "controlled by multiple ReplicaAutoscalers";

/// API group of the tenant's own kind, and its resource.
const GROUP: &str = "tenant.example";
const TARGETS: &str = "targets.tenant.example";

/// Time for which the daemon runs.
const TIME: Duration = Duration::from_secs(150);

/// Time between two changes of the metric of the innocent objects, so that no decision is
/// reused.
const CHANGE: Duration = Duration::from_secs(5);

pub fn run() -> anyhow::Result<()> {
    let test_cluster = TestCluster::new();
    let metrics = test_cluster.with_queue(40);
    test_cluster.loosen_schema();
    let namespace = ["create", "namespace", NAMESPACE];
    test_cluster.cluster.kubectl(&namespace)?;
    // Nobody accepts its connections.
    let hole = TcpListener::bind("127.0.0.1:0")?;
    test_cluster.apply(&webhook(hole.local_addr()?).to_string());
    test_cluster.apply(&own_kind().to_string());
    wait_for("the tenant's kind to be served", WAIT_TIMEOUT, || {
        let get = ["get", TARGETS, "-n", NAMESPACE];
        test_cluster.cluster.kubectl(&get).is_ok()
    });
    let names: Vec<String> = (0..INNOCENT)
        .map(|number| format!("web-{number}"))
        .collect();
    for name in &names {
        test_cluster.deploy(name, 2);
        test_cluster.autoscale(name, &queue(), &json!({}));
    }
    // One value, again and again.
    let repeating = format!("app in ({})", [CROWD; 1_300].join(","));
    let hostile: Vec<Value> = [deployment(), target(CROWD, &repeating)]
        .into_iter()
        .chain((0..PODS).map(pod))
        .chain((0..HOSTILE).flat_map(hostile))
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": hostile });
    test_cluster.cluster.apply(&list.to_string())?;

    let kubeconfig = test_cluster.cluster.kubeconfig();
    let kubeconfig = kubeconfig.to_str().context("a path that is no text")?;
    let args = ["--kubeconfig", kubeconfig, "--record-memory", "256MiB"];
    let start = jiff::Timestamp::now().as_millisecond();
    let daemon = Daemon::start(&test_cluster.workshop, &args);
    daemon.wait_until_ready();
    let begin = Instant::now();
    let mut value = 40;
    while begin.elapsed() < TIME {
        std::thread::sleep(CHANGE);
        value ^= 1;
        metrics.set_external("queue", &[json!(value.to_string())]);
    }
    let mut longest = SYNC_MS;
    for name in names {
        longest = longest.max(longest_gap(&daemon, &name, start)?);
    }
    check_shared(&daemon)?;
    report("tenants/real", periods_late(longest), "sync", Some(PERIODS))
}

/// Returns the Deployment whose scale is read before metrics that hang.
fn deployment() -> Value {
    let labels = json!({ "app": "web" });
    let spec = json!({ "containers": [{ "name": "web", "image": "web" }] });
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": "web", "namespace": NAMESPACE },
        "spec": {
            "replicas": 1,
            "selector": { "matchLabels": labels },
            "template": { "metadata": { "labels": labels }, "spec": spec },
        },
    })
}

/// Returns a kind that has a scale.
fn own_kind() -> Value {
    let scale = json!({
        "specReplicasPath": ".spec.replicas",
        "statusReplicasPath": ".status.replicas",
        "labelSelectorPath": ".status.selector",
    });
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    let version = json!({
        "name": "v1",
        "served": true,
        "storage": true,
        "schema": { "openAPIV3Schema": anything },
        "subresources": { "scale": scale },
    });
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": TARGETS },
        "spec": {
            "group": GROUP,
            "names": { "kind": "Target", "plural": "targets" },
            "scope": "Namespaced",
            "versions": [version],
        },
    })
}

/// Returns a webhook at this address, which is asked before a scale of that kind is written.
fn webhook(hole: SocketAddr) -> Value {
    let scales = json!({
        "apiGroups": [GROUP],
        "apiVersions": ["*"],
        "operations": ["UPDATE"],
        "resources": ["targets/scale"],
    });
    json!({
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": { "name": "hang" },
        "webhooks": [{
            "name": format!("hang.{GROUP}"),
            "clientConfig": { "url": format!("https://{hole}/") },
            "rules": [scales],
            "timeoutSeconds": 30,
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
        }],
    })
}

/// Returns an object of the tenant's own kind.
fn target(name: &str, selector: &str) -> Value {
    json!({
        "apiVersion": format!("{GROUP}/v1"),
        "kind": "Target",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": { "replicas": 2 },
        "status": { "replicas": 2, "selector": selector },
    })
}

/// Returns a pod of the tenant.
fn pod(number: usize) -> Value {
    let labels = json!({ "app": CROWD, (format!("own-{number}")): "" });
    json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": format!("{CROWD}-{number:03}"),
            "namespace": NAMESPACE,
            "labels": labels,
        },
        "spec": { "containers": [{ "name": CROWD, "image": "web" }] },
    })
}

/// Returns the name of an object of the tenant.
fn name_of(number: usize) -> String {
    format!("hostile-{number:04}")
}

/// Returns an object of the tenant, after the target that it alone has.
fn hostile(number: usize) -> Vec<Value> {
    let name = name_of(number);
    let (spec, selector) = deed(number, &name);
    let own = selector.map(|selector| target(&name, &selector));
    let object = json!({
        "apiVersion": "flyball.dev/v1alpha1",
        "kind": "ReplicaAutoscaler",
        "metadata": { "name": name, "namespace": NAMESPACE },
        "spec": spec,
    });
    own.into_iter().chain([object]).collect()
}

/// Returns the spec of an object, and the selector of its own target if it has one.
fn deed(number: usize, name: &str) -> (Value, Option<String>) {
    let mut spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "maxReplicas": 20,
        "metrics": [queue()],
    });
    match number % DEEDS {
        0 => {
            let deep = (1..130).fold(json!({}), |inner, _| json!({ "a": inner }));
            spec["policies"] = json!([{ "name": "hpa", "config": deep }]);
        }
        1 => {
            // Many may observe one target.
            spec["mode"] = json!("Observe");
            spec["metrics"] = (0..20)
                .map(|metric| external(&format!("hang-{number}-{metric}")))
                .collect();
        }
        2 => spec["scaleTargetRef"]["name"] = json!("../../kube-system/deployments/victim"),
        3 => {
            spec["mode"] = json!("Observe");
            spec["scaleTargetRef"] = reference(CROWD);
            spec["metrics"] = vec![usage(); 20].into();
        }
        4 => {
            spec["scaleTargetRef"] = reference(name);
            return (spec, Some(excluding(number)));
        }
        5 => {
            // Its scale has to be written.
            spec["scaleTargetRef"] = reference(name);
            spec["minReplicas"] = json!(3);
            return (spec, Some(format!("app={name}")));
        }
        _ => {
            // All of them select the first pod.
            spec["scaleTargetRef"] = reference(name);
            return (spec, Some(format!("app={CROWD},own-0")));
        }
    }
    (spec, None)
}

/// Returns a reference to an object of the tenant's own kind.
fn reference(name: &str) -> Value {
    json!({ "apiVersion": format!("{GROUP}/v1"), "kind": "Target", "name": name })
}

/// Returns a metric of each pod.
fn usage() -> Value {
    let target = json!({ "type": "AverageValue", "averageValue": "100m" });
    let usage = json!({ "name": "cpu", "container": CROWD, "target": target });
    json!({ "type": "ContainerResource", "containerResource": usage })
}

/// Returns a selector that only excludes pods, and is nearly as long as it may be.
fn excluding(number: usize) -> String {
    let values: Vec<String> = (0..1_600).map(|value| format!("{value:04}")).collect();
    format!("!own-{number},none notin ({})", values.join(","))
}

/// Checks that an object was refused since others have its selector.
fn check_shared(daemon: &Daemon) -> anyhow::Result<()> {
    let name = name_of(DEEDS - 1);
    let records = daemon.records(&format!("{NAMESPACE}/{name}"));
    let is_refused = |record: &Value| record.to_string().contains(SHARED);
    let last = records.last();
    ensure!(records.iter().any(is_refused), "{name}: {last:?}");
    Ok(())
}

/// Returns the longest time between two decisions about an innocent object. The start of the
/// daemon and the present count as decisions.
fn longest_gap(daemon: &Daemon, name: &str, start: i64) -> anyhow::Result<i64> {
    let records = daemon.records(&format!("default/{name}"));
    let decided = records
        .iter()
        .filter(|record| record["verdict"]["to"].is_number());
    let times: Option<Vec<i64>> = decided.map(|record| record["at"].as_i64()).collect();
    let times = times.context("a record without a time")?;
    ensure!(times.len() > 1, "{name} was decided {} times", times.len());
    let now = jiff::Timestamp::now().as_millisecond();
    let times: Vec<i64> = [start].into_iter().chain(times).chain([now]).collect();
    let gaps = times.windows(2).map(|two| two[1] - two[0]);
    Ok(gaps.max().unwrap_or_default())
}
