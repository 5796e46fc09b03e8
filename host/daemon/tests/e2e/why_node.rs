//! `flyball why node/NAME`: on a running daemon and on its records, on a real control plane
//! and an AWS simulated by moto.

use std::fs;

use flyball_tests::guests;

use crate::nodes_world::{World, web};
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

#[test]
fn a_policy_that_reads_an_annotation_of_pods_keeps_the_node_of_a_marked_one() {
    let world = World::new();
    world.group("nodes", (0, 2, 2), &[]);
    let policy = &guests::components("wishes").unwrap()["keeps_marked"];
    fs::create_dir(world.workshop.path("drop")).unwrap();
    world.workshop.write("drop/keeps-marked.wasm", policy);
    world.with_boots(|| {
        // The scheduler spreads the pods over the nodes that it knows.
        world.wait_for_ready_nodes(2);
        world.cluster.apply(&web(2, 1)).unwrap();
        world.wait_for_pods(2);
        let kubectl = |args: &[&str]| world.cluster.kubectl(args).unwrap();
        let path = "-o=jsonpath={range .items[*]}{.metadata.name} {.spec.nodeName}{\"\\n\"}{end}";
        let pods = kubectl(&["get", "pods", path]);
        let (pod, kept) = pods.lines().next().unwrap().split_once(' ').unwrap();
        let (_, other) = pods.lines().nth(1).unwrap().split_once(' ').unwrap();
        assert_ne!(kept, other);
        kubectl(&["annotate", "pod", pod, "example.com/keep=for-audit"]);
        let daemon = world.daemon(&[
            "--nodes=0:2:nodes",
            "--policies-dir=drop",
            "--scale-down-policies=keeps-marked",
            "--scale-down-unneeded-time=3s",
            "--scale-down-delay-after-add=0s",
            "--node-delete-delay-after-taint=1s",
        ]);
        let why = || {
            let node = format!("node/{kept}");
            let args = ["why", &node, "--server", &daemon.url];
            world.workshop.run(&args).stdout
        };
        // The pod of the other node moves to the one that is kept.
        wait_for("the removal", WAIT_TIMEOUT, || world.desired("nodes") == 1);
        let text = why();
        for expected in [
            "stays: PodAnnotation",
            &format!("pod default/{pod}"),
            "annotation for-audit",
            "by keeps-marked",
        ] {
            assert!(text.contains(expected), "no {expected:?} in:\n{text}");
        }
        world.wait_for_pods(2);
        wait_for("one node", WAIT_TIMEOUT, || {
            kubectl(&["get", "nodes", "-o=name"]).trim() == format!("node/{kept}")
        });

        // Without the annotation another reason is left.
        kubectl(&["annotate", "pod", pod, "example.com/keep-"]);
        daemon.wait_for("another reason", |_| {
            why().contains("stays: NoPlaceToMovePods")
        });
        let replayed = ["replay", "records.jsonl", "--policies-dir", "drop"];
        world.workshop.succeed(&replayed);
    });
}
