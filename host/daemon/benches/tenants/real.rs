//! `tenants/real`: what a tenant does with specs that can't be read (finding 1), metrics
//! that hang (4) and names that leave its namespace (10), on the control plane of the tests.

use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use flyball_test_support::bench::report;
use serde_json::{Value, json};

use crate::support::Daemon;
use crate::test_cluster::{TestCluster, external, queue};
use crate::{PERIODS, SYNC_MS, periods_late};

/// Number of the tenant's objects.
const HOSTILE: usize = 1_000;

/// Number of innocent objects.
const INNOCENT: usize = 10;

/// Its name comes before that of the innocent one.
const NAMESPACE: &str = "a-tenant";

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
    let names: Vec<String> = (0..INNOCENT)
        .map(|number| format!("web-{number}"))
        .collect();
    for name in &names {
        test_cluster.deploy(name, 2);
        test_cluster.autoscale(name, &queue(), &json!({}));
    }
    let hostile: Vec<Value> = [target()]
        .into_iter()
        .chain((0..HOSTILE).map(hostile))
        .collect();
    let list = json!({ "apiVersion": "v1", "kind": "List", "items": hostile });
    test_cluster.cluster.apply(&list.to_string())?;

    let kubeconfig = test_cluster.cluster.kubeconfig();
    let kubeconfig = kubeconfig.to_str().context("a path that is no text")?;
    let args = ["--kubeconfig", kubeconfig, "--record-memory", "256MiB"];
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
        longest = longest.max(longest_gap(&daemon, &name)?);
    }
    report("tenants/real", periods_late(longest), "sync", Some(PERIODS))
}

/// Returns the Deployment whose scale is read before metrics that hang.
fn target() -> Value {
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

/// Returns an object of the tenant.
fn hostile(number: usize) -> Value {
    let mut spec = json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "maxReplicas": 20,
        "metrics": [queue()],
    });
    match number % 3 {
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
        _ => spec["scaleTargetRef"]["name"] = json!("../../kube-system/deployments/victim"),
    }
    json!({
        "apiVersion": "flyball.dev/v1alpha1",
        "kind": "ReplicaAutoscaler",
        "metadata": { "name": format!("hostile-{number:04}"), "namespace": NAMESPACE },
        "spec": spec,
    })
}

/// Returns the longest time between two decisions about an innocent object.
fn longest_gap(daemon: &Daemon, name: &str) -> anyhow::Result<i64> {
    let records = daemon.records(&format!("default/{name}"));
    let decided = records
        .iter()
        .filter(|record| record["verdict"]["to"].is_number());
    let times: Option<Vec<i64>> = decided.map(|record| record["at"].as_i64()).collect();
    let times = times.context("a record without a time")?;
    ensure!(times.len() > 1, "{name} was decided {} times", times.len());
    let gaps = times.windows(2).map(|two| two[1] - two[0]);
    let last = times.last().copied().unwrap_or_default();
    let now = jiff::Timestamp::now().as_millisecond();
    Ok(gaps.chain([now - last]).max().unwrap_or_default())
}
