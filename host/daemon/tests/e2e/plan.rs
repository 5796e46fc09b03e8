//! `flyball plan` on a dump of a real control plane, and on dumps that are broken.

use std::time::Duration;

use flyball_test_support::{Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::support::{Workshop, wait_for};

/// What `flyball plan --help` says to dump.
const KINDS: &str = "nodes,pods,pdb,rs,deploy,sts,ds,job,pvc,pv,sc,csinodes,ns";

/// `heavy` fits on no node that is there, `choosy` on none that could be, `claiming`
/// waits for a claim that nobody makes.
const WORKLOADS: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: heavy}
spec:
  replicas: 3
  selector: {matchLabels: {app: heavy}}
  template:
    metadata: {labels: {app: heavy}}
    spec:
      containers: [{name: main, image: x, resources: {requests: {cpu: 40, memory: 1Gi}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: choosy}
spec:
  selector: {matchLabels: {app: choosy}}
  template:
    metadata: {labels: {app: choosy}}
    spec:
      nodeSelector: {disk: ssd}
      containers: [{name: main, image: x}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: claiming}
spec:
  selector: {matchLabels: {app: claiming}}
  template:
    metadata: {labels: {app: claiming}}
    spec:
      containers: [{name: main, image: x}]
      volumes: [{name: data, persistentVolumeClaim: {claimName: none-such}}]
";

const GROUPS: &str = "
nodeGroups:
- name: here
  min: 1
  max: 4
  price: 0.2
  nodeSelector: {kubernetes.io/hostname: node-0}
- name: large
  max: 5
  price: 3.2
  template:
    capacity: {cpu: 96, memory: 192Gi}
- name: larger
  max: 5
  price: 9.5
  template:
    capacity: {cpu: 192, memory: 768Gi}
- name: reserved
  max: 5
  price: 3.0
  template:
    capacity: {cpu: 96, memory: 192Gi}
    taints: [{key: dedicated, value: batch, effect: NoSchedule}]
";

#[test]
fn a_dump_of_a_real_cluster_is_planned_for() {
    let workshop = Workshop::new();
    let cluster = Cluster::start(ClusterOptions::default()).unwrap();
    cluster.create_node("node-0").unwrap();
    cluster.apply(WORKLOADS).unwrap();
    let events = [
        "get",
        "events",
        "-o",
        "name",
        "--field-selector=reason=FailedScheduling",
    ];
    wait_for("the scheduler to give up", Duration::from_secs(60), || {
        let events = cluster.kubectl(&events).unwrap();
        events.lines().count() >= 5
    });
    let dump = cluster
        .kubectl(&["get", KINDS, "-A", "-o", "json"])
        .unwrap();
    workshop.write("cluster.json", &dump);
    workshop.write("groups.yaml", GROUPS);

    let arguments = ["plan", "cluster.json", "--node-groups", "groups.yaml"];
    let text = workshop.succeed(&arguments);
    for expected in [
        "1 node in 4 node groups",
        "5 wait for a node",
        "least-waste",
        "[{large 0->2 (max: 5)}]",
        "default/choosy-",
        "node(s) didn't match Pod's node affinity/selector",
        "default/claiming-",
        "persistentvolumeclaim \"none-such\" not found",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }

    let json = workshop.succeed(&[&arguments[..], &["-o", "json"]].concat());
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["pending"]["unschedulable"], 5);
    let options = &plan["rounds"][0]["input"]["options"];
    assert_eq!(options["nodeGroup"], json!(["large", "larger"]));
    assert_eq!(options["nodeCount"], json!([2, 1]));
    assert_eq!(options["podCount"], json!([3, 3]));
    assert_eq!(plan["rounds"][0]["helped"]["count"], 3);
    assert_eq!(plan["verdict"]["orders"][0]["to"], 2);

    // Another chain, another choice: one node holds them all.
    let fewest = ["--expander", "least-nodes", "-o", "json"];
    let json = workshop.succeed(&[&arguments[..], &fewest].concat());
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["verdict"]["orders"][0]["group"], "larger");
}

#[test]
fn what_is_wrong_with_a_dump_is_named_and_the_rest_is_planned_for() {
    let workshop = Workshop::new();
    let pod = |name: &str, cpu: &str, node: Option<&str>| {
        json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {
                "nodeName": node,
                "containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}],
            },
            "status": {"phase": "Pending", "conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            ]},
        })
    };
    let items = json!([
        pod("fine", "1", None),
        pod("fine", "1", None),
        pod("negative", "-1", None),
        pod("nonsense", "one core", None),
        pod("huge", "1000", None),
        pod("lost", "1", Some("gone")),
        {"kind": "Unheard", "metadata": {"name": "of"}},
    ]);
    let dump = json!({"apiVersion": "v1", "kind": "List", "items": items});
    workshop.write("cluster.json", dump.to_string());
    let group = "{name: a, max: 2, template: {capacity: {cpu: 4, memory: 8Gi}}}";
    workshop.write("groups.yaml", format!("nodeGroups: [{group}]"));
    let arguments = ["plan", "cluster.json", "--node-groups", "groups.yaml"];
    let text = workshop.succeed(&arguments);
    for expected in [
        "Pod default/fine stands twice: the second is left out",
        "Pod default/negative is left out: its cpu is negative",
        "Pod default/nonsense is left out: spec.containers[0].resources.requests.cpu",
        "node gone is not in the dump",
        "the dump has no Node",
        "the dump has no Namespace",
        "default/huge",
        "Insufficient cpu",
        "[{a 0->1 (max: 2)}]",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }

    for (groups, expected) in [
        (
            "nodeGroups: [{name: a, min: 3, max: 2}]",
            "min 3 is above max 2",
        ),
        ("nodeGroups: [{name: a, maximum: 2}]", "maximum"),
        (
            "nodeGroups: [{name: a, max: 2, template: {capacity: {cpu: 0, memory: 1Gi}}}]",
            "a node needs cpu",
        ),
        (
            "nodeGroups: [{name: a, max: 1}, {name: a, max: 2}]",
            "stands twice",
        ),
    ] {
        workshop.write("groups.yaml", groups);
        workshop
            .run(&arguments)
            .expect(1, &["groups.yaml", expected]);
    }
    workshop.write("groups.yaml", format!("nodeGroups: [{group}]"));
    for (dump, expected) in [("{", "not JSON"), ("{\"kind\": \"Pod\"}", "not a List")] {
        workshop.write("cluster.json", dump);
        workshop
            .run(&arguments)
            .expect(1, &["cluster.json", expected]);
    }
}

#[test]
fn labels_that_aws_gives_do_not_keep_groups_from_being_alike() {
    let workshop = Workshop::new();
    let pod = |name: &str| {
        json!({
            "kind": "Pod",
            "metadata": {"name": name, "namespace": "default"},
            "spec": {"containers": [{"name": "main", "resources": {"requests": {"cpu": 3}}}]},
            "status": {"conditions": [
                {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            ]},
        })
    };
    let node = json!({
        "kind": "Node",
        "metadata": {"name": "small"},
        "spec": {"providerID": "aws:///eu-west-1a/i-0"},
        "status": {"allocatable": {"cpu": 1, "memory": "1Gi", "pods": 10}},
    });
    let items = json!([node, pod("a"), pod("b"), pod("c"), pod("d")]);
    workshop.write("cluster.json", json!({"items": items}).to_string());
    let group = |name: &str| {
        let labels = format!("labels: {{eks.amazonaws.com/nodegroup: {name}}}");
        format!(
            "{{name: {name}, max: 5, template: {{capacity: {{cpu: 4, memory: 8Gi}}, {labels}}}}}"
        )
    };
    let groups = format!("nodeGroups: [{}, {}]", group("x"), group("y"));
    workshop.write("groups.yaml", groups);
    let arguments = ["plan", "cluster.json", "--node-groups", "groups.yaml"];
    let text = workshop.succeed(&[&arguments[..], &["--balance-similar-node-groups"]].concat());
    for order in ["{x 0->2 (max: 5)}", "{y 0->2 (max: 5)}"] {
        assert!(text.contains(order), "no {order:?} in:\n{text}");
    }
}
