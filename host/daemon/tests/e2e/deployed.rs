//! The daemon as the manifest deploys it: with its arguments and the rights of its
//! service account, and its behaviour when rights are removed.

use flyball_test_support::Cluster;
use serde_json::{Value, json};

use crate::support::{Daemon, Workshop, wait_for};
use crate::test_cluster::{TestCluster, queue};

const MANIFEST: &str = include_str!("../../../kubernetes/deploy/flyball.yaml");

#[test]
fn as_deployed_it_scales_shows_only_probes_and_tells_of_writes_that_are_refused() {
    let test_cluster = TestCluster::new();
    test_cluster.apply(MANIFEST);
    let metrics = test_cluster.with_queue(40);
    test_cluster.deploy("web", 2);
    test_cluster.autoscale("web", &queue(), &json!({}));
    let mut daemon = deployed(&test_cluster);
    test_cluster.wait_for_replicas("web", 4);
    test_cluster.wait_for_event("web", "SuccessfulRescale", "New size: 4");

    // From outside the pod only the probes are accessible.
    let probes = daemon.probes.clone().unwrap();
    let ask = |path: &str| ureq::get(format!("{probes}{path}")).call();
    for path in ["/healthz", "/readyz"] {
        assert_eq!(
            ask(path).unwrap().body_mut().read_to_string().unwrap(),
            "ok\n"
        );
    }
    for path in ["/v1/policies", "/v1/autoscalers", "/v1/records"] {
        assert!(
            matches!(ask(path), Err(ureq::Error::StatusCode(404))),
            "{path}"
        );
        assert!(daemon.get(path).is_some(), "{path}");
    }

    let rights = Rights::of(&test_cluster.cluster);
    rights.take("deployments/scale", "patch");
    wait_for_right(&test_cluster.cluster, "patch", "deployments/scale", false);
    metrics.set_external("queue", &[json!("60")]);
    let failed = |daemon: &Daemon| -> Vec<Value> {
        let mut records = daemon.records("default/web");
        records.retain(|record| record["outcome"]["failed"].is_string());
        records
    };
    daemon.wait_for("a second try", |daemon| failed(daemon).len() >= 2);
    for record in failed(&daemon) {
        assert_eq!(record["verdict"]["to"], 6, "{record}");
        let reason = record["outcome"]["failed"].as_str().unwrap();
        assert!(
            reason.contains("scale of Deployment default/web was not written")
                && reason.contains("forbidden"),
            "{reason}"
        );
    }
    assert_eq!(test_cluster.replicas("web"), "4");
    test_cluster.wait_for_event("web", "FailedRescale", "forbidden");
    let message =
        test_cluster.wait_for_condition("web", "AbleToScale", "False", "FailedUpdateScale");
    assert!(message.contains("forbidden"), "{message}");
    let expected = [("message", "the write failed"), ("object", "default/web")];
    assert!(daemon.logged(&expected));
    rights.restore();
    test_cluster.wait_for_replicas("web", 6);

    rights.take("replicaautoscalers/status", "patch");
    wait_for_right(
        &test_cluster.cluster,
        "patch",
        "replicaautoscalers.flyball.dev/status",
        false,
    );
    metrics.set_external("queue", &[json!("90")]);
    test_cluster.wait_for_replicas("web", 9);
    let expected = [
        ("message", "the status was not written"),
        ("problem", "forbidden"),
    ];
    daemon.wait_for("the log to tell", |daemon| daemon.logged(&expected));
    test_cluster.wait_for_event("web", "FailedUpdateStatus", "forbidden");
    assert_eq!(test_cluster.field("ra/web", ".status.desiredReplicas"), "6");
    rights.restore();
    let desired = || test_cluster.field("ra/web", ".status.desiredReplicas") == "9";
    wait_for(
        "the status to be made up for",
        crate::support::WAIT_TIMEOUT,
        desired,
    );
    assert_eq!(daemon.terminate(), Some(0));
}

/// Starts the daemon with the arguments of the manifest, except for folders, ports and
/// the time between decisions.
fn deployed(test_cluster: &TestCluster) -> Daemon {
    let deployment = [
        "get",
        "deployment/flyball",
        "-n",
        "flyball-system",
        "-o",
        "json",
    ];
    let deployment = test_cluster.cluster.kubectl(&deployment).unwrap();
    let deployment: Value = serde_json::from_str(&deployment).unwrap();
    let container = &deployment["spec"]["template"]["spec"]["containers"][0];
    let args: Vec<&str> = container["args"]
        .as_array()
        .unwrap()
        .iter()
        .map(|arg| arg.as_str().unwrap())
        .collect();
    let port = container["ports"][0]["containerPort"].as_u64().unwrap();
    assert!(
        args.contains(&&*format!("--probes=0.0.0.0:{port}")),
        "{args:?}"
    );
    for probe in ["livenessProbe", "readinessProbe"] {
        assert_eq!(
            container[probe]["httpGet"]["port"],
            container["ports"][0]["name"]
        );
    }
    let mut here: Vec<String> = args
        .iter()
        .map(|arg| {
            let arg = arg.replace("=/policies", "=drop");
            let arg = arg.replace("$(POD_NAMESPACE)", "flyball-system");
            arg.replace("0.0.0.0:8086", "127.0.0.1:0")
        })
        .collect();
    let kubeconfig = service_account(&test_cluster.cluster, &test_cluster.workshop);
    here.extend([
        "--http=127.0.0.1:0".to_owned(),
        "--log-format=json".to_owned(),
        "--horizontal-pod-autoscaler-sync-period=1s".to_owned(),
        format!("--kubeconfig={kubeconfig}"),
    ]);
    let here: Vec<&str> = here.iter().map(String::as_str).collect();
    let daemon = Daemon::spawn(test_cluster.workshop.command(&here));
    daemon.wait_until_ready();
    daemon
}

/// Returns a kubeconfig with the rights of the deployed service account.
pub fn service_account(cluster: &Cluster, workshop: &Workshop) -> String {
    let config = cluster.kubectl(&["config", "view", "--raw", "--minify", "-o", "json"]);
    let mut config: Value = serde_json::from_str(&config.unwrap()).unwrap();
    let token = cluster.kubectl(&["create", "token", "flyball", "-n", "flyball-system"]);
    config["users"][0]["user"] = json!({ "token": token.unwrap().trim() });
    let file = workshop.write("service-account.json", config.to_string());
    file.to_str().unwrap().to_owned()
}

/// The ClusterRole of the manifest.
struct Rights<'a> {
    cluster: &'a Cluster,
    role: Value,
}

impl<'a> Rights<'a> {
    fn of(cluster: &'a Cluster) -> Self {
        let role = cluster.kubectl(&["get", "clusterrole/flyball", "-o", "json"]);
        let mut role: Value = serde_json::from_str(&role.unwrap()).unwrap();
        role["metadata"] = json!({ "name": "flyball" });
        Self { cluster, role }
    }

    /// Removes a verb from the rule about a resource.
    fn take(&self, resource: &str, verb: &str) {
        let mut role = self.role.clone();
        let rules = role["rules"].as_array_mut().unwrap();
        let mut about = rules.iter_mut().filter(|rule| {
            rule["resources"]
                .as_array()
                .unwrap()
                .contains(&json!(resource))
        });
        let verbs = about.next().unwrap()["verbs"].as_array_mut().unwrap();
        verbs.retain(|known| *known != verb);
        // A rule has verbs.
        verbs.push(json!("none"));
        self.cluster.apply(&role.to_string()).unwrap();
    }

    fn restore(&self) {
        self.cluster.apply(&self.role.to_string()).unwrap();
    }
}

/// Waits for a right to be granted or removed: the API server applies it a moment later.
fn wait_for_right(cluster: &Cluster, verb: &str, resource: &str, granted: bool) {
    let account = "--as=system:serviceaccount:flyball-system:flyball";
    wait_for(resource, crate::support::WAIT_TIMEOUT, || {
        let can = cluster.kubectl(&["auth", "can-i", verb, resource, account]);
        can.is_ok() == granted
    });
}
