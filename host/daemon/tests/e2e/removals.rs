//! Nodes that are not needed leave: a real control plane, and an AWS simulated by moto.

use std::collections::BTreeSet;
use std::time::SystemTime;

use flyball_decision::time::Timestamp;

use crate::nodes_world::World;
use crate::support::{WAIT_TIMEOUT, wait_for};

/// A Deployment of pods of which ten fit on a node, and of which one at a time may be
/// disrupted.
const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 22
  selector: {matchLabels: {run: web}}
  template:
    metadata:
      labels: {run: web}
    spec:
      containers:
      - name: web
        image: registry.k8s.io/hpa-example
        resources: {requests: {cpu: 200m}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec:
  maxUnavailable: 1
  selector: {matchLabels: {run: web}}
";

/// Names of the nodes.
fn nodes(world: &World) -> BTreeSet<String> {
    let args = ["get", "nodes", "-o", "jsonpath={.items[*].metadata.name}"];
    let names = world.cluster.kubectl(&args).unwrap();
    names.split_whitespace().map(str::to_owned).collect()
}

/// Cluster Autoscaler's Lease, renewed a moment ago.
fn lease(holder: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let seconds = i64::try_from(now.unwrap().as_secs()).unwrap();
    let renewed = Timestamp(seconds * 1000).to_rfc3339();
    let renewed = renewed.replace('Z', ".000000Z");
    format!(
        "apiVersion: coordination.k8s.io/v1
kind: Lease
metadata: {{name: cluster-autoscaler, namespace: kube-system}}
spec: {{holderIdentity: {holder}, leaseDurationSeconds: 15, renewTime: {renewed}}}
"
    )
}

/// What `jsonpath` selects of the status ConfigMap.
fn status(world: &World, jsonpath: &str) -> String {
    let output = format!("jsonpath={jsonpath}");
    let map = ["get", "configmap", "cluster-autoscaler-status"];
    let args = [&map[..], &["-n", "kube-system", "-o", &output]].concat();
    world.cluster.kubectl(&args).unwrap()
}

#[test]
fn nodes_leave_as_the_load_goes_down_to_the_least() {
    let world = World::new();
    world.group("nodes", (1, 3, 4), &[]);
    world.cluster.apply(WEB).unwrap();
    world.with_boots(|| {
        world.wait_for_pods(22);
        world.cluster.apply(&lease("ca-5c9")).unwrap();
        let daemon = world.daemon(&[
            "--nodes=1:4:nodes",
            "--scale-down-unneeded-time=3s",
            "--scale-down-delay-after-add=0s",
            "--node-delete-delay-after-taint=1s",
            "--max-disruption=2/1h",
            "--explain-on-nodes",
        ]);
        let before = nodes(&world);
        assert_eq!(before.len(), 3);

        // Twelve pods need two nodes. A node without pods leaves first.
        world.scale("web", 12);
        wait_for("a node less", WAIT_TIMEOUT, || nodes(&world).len() == 2);
        assert_eq!(world.desired("nodes"), 2);
        world.wait_for_pods(12);

        // Eight pods need one: those of the other are evicted, one after the other.
        let before = nodes(&world);
        world.scale("web", 8);
        wait_for("the last node", 2 * WAIT_TIMEOUT, || {
            nodes(&world).len() == 1
        });
        assert_eq!(world.desired("nodes"), 1, "the group's smallest size");
        world.wait_for_pods(8);
        let left = nodes(&world);
        let mut gone = before.difference(&left);
        let gone = gone.next().unwrap();
        for line in [
            format!("Successfully added ToBeDeletedByClusterAutoscaler on node {gone}"),
            format!("{gone} in node group nodes"),
            "ca-5c9 holds the Lease kube-system/cluster-autoscaler".to_owned(),
        ] {
            daemon.wait_for(&line, |daemon| daemon.logged(&[("message", &line)]));
        }
        wait_for("events of the removal", WAIT_TIMEOUT, || {
            let events = world.events("ScaleDown");
            let of_node = "Node marked the node as toBeDeleted/unschedulable";
            let of_pod = "Pod deleting pod for node scale down";
            events.iter().any(|event| event == of_node)
                && events.iter().any(|event| event == of_pod)
                && events
                    .iter()
                    .any(|event| event.contains("removed with drain"))
        });
        wait_for("why the last node stays", WAIT_TIMEOUT, || {
            let events = world.events("NoScaleDown");
            let stays = "Node the node stays: NodeGroupMinSizeReached";
            events.iter().any(|event| event.starts_with(stays))
        });
        let failed = world.events("ScaleDownFailed");
        assert!(failed.is_empty(), "{failed:?}");
        let removals = || status(&world, r"{.metadata.annotations.flyball\.dev/removals}");
        wait_for("both removals in the status", WAIT_TIMEOUT, || {
            let removals = removals();
            removals.contains(",2]") || removals.matches(",1]").count() == 2
        });
        let status = status(&world, "{.data.status}");
        assert!(
            status.contains("cloudProviderTarget") && status.contains("name: \"nodes\""),
            "{status}"
        );
    });
}
