//! Nodes that are not needed leave: a real control plane, and an AWS simulated by moto.

use std::collections::BTreeSet;

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

#[test]
fn nodes_leave_as_the_load_goes_down_to_the_least() {
    let world = World::new();
    world.group("nodes", (1, 3, 4), &[]);
    world.cluster.apply(WEB).unwrap();
    world.with_boots(|| {
        world.wait_for_pods(22);
        let daemon = world.daemon(&[
            "--nodes=1:4:nodes",
            "--scale-down-unneeded-time=3s",
            "--scale-down-delay-after-add=0s",
            "--node-delete-delay-after-taint=1s",
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
        let failed = world.events("ScaleDownFailed");
        assert!(failed.is_empty(), "{failed:?}");
        let status = world.cluster.kubectl(&[
            "get",
            "configmap",
            "cluster-autoscaler-status",
            "-n",
            "kube-system",
            "-o",
            "jsonpath={.data.status}",
        ]);
        let status = status.unwrap();
        assert!(
            status.contains("cloudProviderTarget") && status.contains("name: \"nodes\""),
            "{status}"
        );
    });
}
