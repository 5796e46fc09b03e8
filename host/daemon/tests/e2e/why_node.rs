//! `flyball why node/NAME`: on a running daemon and on its records, on a real control plane
//! and an AWS simulated by moto.

use crate::nodes_world::World;
use crate::support::{WAIT_TIMEOUT, wait_for};

/// A pod that its budget keeps where it is.
const KEPT: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: cart}
spec:
  replicas: 1
  selector: {matchLabels: {app: cart}}
  template:
    metadata:
      labels: {app: cart}
    spec:
      containers: [{name: main, image: x, resources: {requests: {cpu: 200m}}}]
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: cart}
spec:
  maxUnavailable: 0
  selector: {matchLabels: {app: cart}}
";

#[test]
fn why_says_what_keeps_a_node_when_another_goes_and_how_it_went() {
    let world = World::new();
    world.group("nodes", (1, 2, 5), &[]);
    world.cluster.apply(KEPT).unwrap();
    world.with_boots(|| {
        world.wait_for_pods(1);
        let daemon = world.daemon(&[
            "--nodes=1:5:nodes",
            "--scale-down-unneeded-time=20s",
            "--scale-down-delay-after-add=0s",
        ]);
        let why = |node: &str| {
            let node = format!("node/{node}");
            let args = ["why", &node, "--server", &daemon.url];
            world.workshop.run(&args).stdout
        };
        let path = "-o=jsonpath={.items[0].spec.nodeName}";
        let kept = world
            .cluster
            .kubectl(&["get", "pods", "-l", "app=cart", path])
            .unwrap();
        let names = world
            .cluster
            .kubectl(&["get", "nodes", "-o=jsonpath={.items[*].metadata.name}"])
            .unwrap();
        let mut names = names.split_whitespace();
        let empty = names.find(|name| *name != kept).unwrap().to_owned();

        daemon.wait_for("a node that goes", |_| why(&empty).contains("goes at "));
        let text = why(&empty);
        assert!(text.contains("unneeded since "), "{text}");
        daemon.wait_for("a node that stays", |_| {
            why(&kept).contains("stays: NotEnoughPdb")
        });
        let text = why(&kept);
        for expected in [
            "pod default/cart-",
            "of ReplicaSet cart-",
            "PodDisruptionBudget default/cart allows no disruption",
            "looked at again when the budget, the pod or its owner changes",
        ] {
            assert!(text.contains(expected), "no {expected:?} in:\n{text}");
        }
        let unknown = ["why", "node/nobody", "--server", &daemon.url];
        world
            .workshop
            .run(&unknown)
            .expect(1, &["nothing is known about node nobody"]);

        wait_for("the removal", WAIT_TIMEOUT, || world.desired("nodes") == 1);
        world
            .cluster
            .kubectl(&["delete", "node", &empty, "--wait=false"])
            .unwrap();
        daemon.wait_for("a node that is gone", |_| why(&empty).contains("is gone"));

        // The records say the same, and every judgement is made again to the byte.
        let empty = format!("node/{empty}");
        let text = world
            .workshop
            .succeed(&["why", &empty, "--records", "records.jsonl"]);
        for step in ["Started:", "Marked:", "Terminating:", "Gone:"] {
            assert!(text.contains(step), "no {step:?} in:\n{text}");
        }
        let text =
            world
                .workshop
                .succeed(&["why", "nodes", "-n", "100", "--records", "records.jsonl"]);
        for expected in ["is not needed:", "stays: NotEnoughPdb", "Terminating:"] {
            assert!(text.contains(expected), "no {expected:?} in:\n{text}");
        }
        world.workshop.succeed(&["replay", "records.jsonl"]);
        let other = ["replay", "records.jsonl", "--policy", "drain-rules"];
        world.workshop.succeed(&other);
    });
}
