//! Nodes that are not needed leave: a real control plane, and an AWS simulated by moto.

use std::collections::BTreeSet;
use std::time::SystemTime;

use flyball_decision::time::Timestamp;

use crate::nodes_world::{World, web};
use crate::support::{WAIT_TIMEOUT, wait_for};

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
    world.cluster.apply(&web(22, 1)).unwrap();
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

/// Three pods that run apart from each other where they can.
const APART: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {run: web}}
  template:
    metadata:
      labels: {run: web}
    spec:
      topologySpreadConstraints:
      - maxSkew: 1
        topologyKey: kubernetes.io/hostname
        whenUnsatisfiable: ScheduleAnyway
        labelSelector: {matchLabels: {run: web}}
      containers:
      - name: web
        image: registry.k8s.io/hpa-example
        resources: {requests: {cpu: 300m}}
";

const PRICES: &str = "
- {instanceType: m5.xlarge, price: 0.192}
- {instanceType: t3.small, price: 0.0208}
";

#[test]
fn three_large_nodes_become_a_small_one_which_comes_first() {
    let world = World::new();
    let template = "k8s.io/cluster-autoscaler/node-template";
    let tags = [
        "resources/cpu=2",
        "resources/memory=4Gi",
        "label/node.kubernetes.io/instance-type=t3.small",
    ];
    let tags = tags.map(|tag| format!("{template}/{tag}"));
    let tags = tags.each_ref().map(String::as_str);
    world.group_of(("m5.xlarge", 4), "large", (0, 3, 3), &[]);
    world.group_of(("t3.small", 2), "small", (0, 0, 3), &tags);
    let prices = world.workshop.write("prices.yaml", PRICES);
    let node = world.with_boots(|| {
        // The scheduler spreads the pods over nodes that are there.
        world.wait_for_ready_nodes(3);
        world.cluster.apply(APART).unwrap();
        world.wait_for_pods(3);
        let large = nodes(&world);
        let daemon = world.daemon(&[
            "--nodes=0:3:large",
            "--nodes=0:3:small",
            "--scale-down-policies=drain-rules,utilization,consolidate",
            &format!("--node-prices={}", prices.display()),
            "--scale-down-unneeded-time=5s",
            "--scale-down-delay-after-add=0s",
            "--node-delete-delay-after-taint=1s",
            "--replacement-stable-time=2s",
            "--replacement-min-pod-age=0s",
        ]);
        wait_for("a small node alone", 2 * WAIT_TIMEOUT, || {
            let left = nodes(&world);
            left.len() == 1 && left.is_disjoint(&large)
        });
        assert_eq!((world.desired("large"), world.desired("small")), (0, 1));
        world.wait_for_pods(3);
        assert!(world.events("ScaleDownFailed").is_empty());
        let replaced = world.events("ReplaceNodes");
        assert_eq!(replaced.len(), 1, "{replaced:?}");
        assert!(replaced[0].contains("by 1 of small"), "{replaced:?}");
        drop(daemon);
        let (_, names) = replaced[0].split_once("replacing ").unwrap();
        let (names, _) = names.split_once(" by ").unwrap();
        assert!(names.split(", ").count() >= 2, "{names}");
        names.split(", ").next().unwrap().to_owned()
    });

    // Its records say so as well, and are decided again to the byte.
    let about = format!("node/{node}");
    let why = world
        .workshop
        .succeed(&["why", &about, "--records", "records.jsonl"]);
    for step in ["ReplacementOrdered", "ReplacementReady", "Gone"] {
        assert!(why.contains(step), "{step}: {why}");
    }
    world.workshop.succeed(&["replay", "records.jsonl"]);
}
