//! The daemon on a real control plane: from the resource definition to a scaled
//! Deployment, with a change of policy.

use std::time::Duration;

use flyball_test_support::{Cluster, ClusterOptions};

use crate::support::{Daemon, Workshop, wait_for};

const WORKLOAD: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata:
      labels: {app: web}
      annotations: {kwok.x-k8s.io/usage-cpu: 400m}
    spec:
      containers:
      - name: web
        image: web
        resources: {requests: {cpu: 500m}}
---
apiVersion: flyball.dev/v1alpha1
kind: ReplicaAutoscaler
metadata: {name: web}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: web}
  minReplicas: 2
  maxReplicas: 10
  metrics:
  - type: Resource
    resource: {name: cpu, target: {type: Utilization, averageUtilization: 50}}
";

/// Returns a field of an object.
fn field(cluster: &Cluster, object: &str, path: &str) -> String {
    cluster
        .kubectl(&["get", object, "-o", &format!("jsonpath={{{path}}}")])
        .unwrap_or_default()
}

#[test]
fn a_deployment_follows_its_load_and_the_policy_is_swapped() {
    let workshop = Workshop::new();
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    cluster.create_node("node-0").unwrap();
    cluster.apply(&workshop.succeed(&["crd"])).unwrap();
    // `kubectl wait` fails if the new definition has no status yet.
    let minute = Duration::from_secs(60);
    wait_for("the custom resource to be served", minute, || {
        cluster.kubectl(&["get", "ra", "-o", "name"]).is_ok()
    });
    cluster.apply(WORKLOAD).unwrap();

    std::fs::create_dir(workshop.path("drop")).unwrap();
    let kubeconfig = cluster.kubeconfig();
    let mut daemon = Daemon::ready(
        &workshop,
        &[
            "--kubeconfig",
            kubeconfig.to_str().unwrap(),
            "--policies-dir",
            "drop",
            "--records",
            "records.jsonl",
            "--horizontal-pod-autoscaler-sync-period=2s",
            "--horizontal-pod-autoscaler-cpu-initialization-period=10s",
            "--horizontal-pod-autoscaler-downscale-stabilization=5s",
        ],
    );

    // 400m of 500m requested with a target of 50%: 2 pods at 80% become 4.
    let minutes = Duration::from_secs(180);
    wait_for("the Deployment to grow", minutes, || {
        field(&cluster, "deployment/web", ".spec.replicas")
            .parse::<i32>()
            .is_ok_and(|n| n >= 4)
    });
    let events = cluster.kubectl(&["describe", "ra", "web"]).unwrap();
    assert!(
        events.contains("SuccessfulRescale") && events.contains("AbleToScale"),
        "{events}"
    );
    let built_in = digest(&daemon);
    assert!(
        events.contains(&built_in[..12]) || events.contains(&built_in),
        "{built_in}: {events}"
    );
    let columns = cluster.kubectl(&["get", "ra", "web"]).unwrap();
    for column in ["REFERENCE", "TARGETS", "MINPODS", "MAXPODS", "REPLICAS"] {
        assert!(columns.contains(column), "{columns}");
    }
    broken_objects_are_not_ready(&cluster);

    workshop.write("drop/hpa.wasm", flyball_policies::PREDICTIVE);
    daemon.wait_for("a decision by the other policy", |daemon| {
        digest(daemon) != built_in
    });
    let other = digest(&daemon);
    wait_for("the status to tell of it", Duration::from_secs(30), || {
        let described = cluster.kubectl(&["describe", "ra", "web"]).unwrap();
        described.contains(&other[..12])
    });

    // The load falls, and the other policy scales the Deployment down.
    cluster.set_pod_cpu("default", "app=web", 50).unwrap();
    wait_for("the Deployment to shrink", minutes, || {
        field(&cluster, "deployment/web", ".spec.replicas") == "2"
    });
    let why = workshop.succeed(&["why", "default/web", "--server", &daemon.url]);
    assert!(why.contains(&other[..12]), "{why}");
    assert_eq!(daemon.terminate(), Some(0));
    workshop.succeed(&["replay", "records.jsonl", "--policies-dir", "drop"]);
}

/// Checks that `kubectl get ra` says which objects are broken, and why.
fn broken_objects_are_not_ready(cluster: &Cluster) {
    let no_target = WORKLOAD.split("---").nth(1).unwrap();
    let no_target = no_target.replace("{name: web}", "{name: no-target}");
    let no_target = no_target.replace(
        "kind: Deployment, name: web",
        "kind: Deployment, name: gone",
    );
    cluster.apply(&no_target).unwrap();
    for (name, ready) in [("web", "True"), ("no-target", "False (FailedGetScale)")] {
        wait_for("the column READY", Duration::from_secs(30), || {
            let table = cluster.kubectl(&["get", "ra", name]).unwrap();
            let (heads, row) = table.trim_end().split_once('\n').unwrap();
            let start = heads.find("READY").unwrap();
            let end = heads.find("AGE").unwrap();
            row[start..end].trim_end() == ready
        });
    }
    let policy = r#"{"spec": {"policies": [{"name": "nosuch"}]}}"#;
    let patch = ["patch", "ra", "web", "--type=merge", "-p"];
    cluster.kubectl(&[&patch[..], &[policy]].concat()).unwrap();
    wait_for(
        "the missing policy to be named",
        Duration::from_secs(30),
        || {
            let table = cluster.kubectl(&["get", "ra", "web"]).unwrap();
            table.contains("False (PolicyMissing)")
        },
    );
    let policy = r#"{"spec": {"policies": null}}"#;
    cluster.kubectl(&[&patch[..], &[policy]].concat()).unwrap();
    cluster.kubectl(&["delete", "ra", "no-target"]).unwrap();
}

/// Returns the digest of the policy that made the last decision, without its prefix.
fn digest(daemon: &Daemon) -> String {
    let record = daemon.last_record("default/web").unwrap_or_default();
    let digest = record["policies"][0]["version"]["digest"]
        .as_str()
        .unwrap_or_default();
    digest.trim_start_matches("sha256:").to_owned()
}
