//! `flyball plan` on a dump of a real control plane, and on dumps that are broken.

use flyball_test_support::{Cluster, ClusterOptions};
use serde_json::{Value, json};

use crate::support::{WAIT_TIMEOUT, Workshop, wait_for};

/// The command that `flyball plan --help` names for the dump.
const KINDS: &str = "nodes,pods,pdb,rs,deploy,sts,ds,job,pvc,pv,sc,csinodes,csidrivers,csistoragecapacities,volumeattachments,ns";

/// `heavy` fits on no existing node, `choosy` on no possible one, and `claiming` waits
/// for a claim that is never bound.
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
    wait_for("the scheduler to give up", WAIT_TIMEOUT, || {
        let events = cluster.kubectl(&events).unwrap();
        events.lines().count() >= 5
    });
    let dump = cluster
        .kubectl(&["get", KINDS, "-A", "-o", "json"])
        .unwrap();
    workshop.write("cluster.json", &dump);
    workshop.write("groups.yaml", GROUPS);

    let arguments = ["plan", "cluster.json", "--node-groups", "groups.yaml"];
    let ran = workshop.run(&arguments);
    ran.expect(0, &[]);
    let text = format!("{}{}", ran.stdout, ran.stderr);
    // They were asked for, and there are none.
    assert!(!text.contains("the dump has no DaemonSet"), "{text}");
    assert!(!text.contains("the dump has no StorageClass"), "{text}");
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

    // Another chain makes another choice: one node for all pods.
    let fewest = ["--expander", "least-nodes", "-o", "json"];
    let json = workshop.succeed(&[&arguments[..], &fewest].concat());
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["verdict"]["orders"][0]["group"], "larger");
    let message = plan["verdict"]["message"].as_str().unwrap();
    assert!(message.starts_with("1 node for 3 pods: "), "{message}");
}

/// Returns a pod that requests this cpu, and that waits if it is bound to no node.
fn pod(name: &str, cpu: &str, node: Option<&str>) -> Value {
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
}

/// Returns a node of four cores with the label `pool: a`, created at that time.
fn node(name: &str, created: &str, ready: &str, taints: &Value) -> Value {
    let amounts = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {"name": name, "labels": {"pool": "a"}, "creationTimestamp": created},
        "spec": {"taints": taints},
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{
                "type": "Ready", "status": ready, "lastHeartbeatTime": "2026-03-01T12:00:00Z",
            }],
        },
    })
}

const PLAN: [&str; 4] = ["plan", "cluster.json", "--node-groups", "groups.yaml"];

/// Writes a dump of these objects.
fn dump(workshop: &Workshop, items: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    workshop.write("cluster.json", list.to_string());
}

#[test]
fn nodes_on_their_way_are_waited_for_and_drained_ones_are_left() {
    let workshop = Workshop::new();
    let group = "{name: a, max: 9, size: 3, nodeSelector: {pool: a}}";
    workshop.write("groups.yaml", format!("nodeGroups: [{group}]"));
    let taint = |key: &str| json!([{"key": key, "effect": "NoSchedule"}]);
    // One is full, one has been booting for five minutes before the dump was taken, and
    // one does not exist yet: there will be room for two pods.
    let there = node("full", "2026-02-01T00:00:00Z", "True", &json!([]));
    let boots = taint("node.kubernetes.io/not-ready");
    let boots = node("boots", "2026-03-01T11:55:00Z", "False", &boots);
    let bound = pod("bound", "3", Some("full"));
    let waits = ["1", "2", "3"].map(|name| pod(name, "3", None));
    let cluster = |pods: usize| {
        let nodes = [&there, &boots, &bound].map(Value::clone);
        dump(&workshop, &[&nodes[..], &waits[..pods]].concat());
    };
    cluster(2);
    let text = workshop.succeed(&PLAN);
    for expected in ["a: 2 nodes on the way", "nothing to order"] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
    cluster(3);
    let json = workshop.succeed(&[&PLAN[..], &["-o", "json"]].concat());
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["upcoming"], json!([{"group": "a", "nodes": 2}]));
    let order = json!({"group": "a", "from": 3, "to": 4, "max": 9});
    assert_eq!(plan["verdict"]["orders"], json!([order]));

    // The daemon's flags apply here too.
    let text = workshop.succeed(&[&PLAN[..], &["--cores-total=0:12"]].concat());
    assert!(text.contains("--cores-total"), "{text}");
    let text = workshop.succeed(&[&PLAN[..], &["--expendable-pods-priority-cutoff=1"]].concat());
    assert!(text.contains("3 may wait"), "{text}");

    // The pods of a node that is being drained must move.
    let drained = taint("ToBeDeletedByClusterAutoscaler");
    let drained = node("full", "2026-02-01T00:00:00Z", "True", &drained);
    let mut owned = bound.clone();
    owned["status"] = json!({"phase": "Running"});
    owned["metadata"]["ownerReferences"] =
        json!([{"kind": "ReplicaSet", "name": "x", "uid": "x", "controller": true}]);
    let items = [&[drained, boots.clone(), owned][..], &waits[..2]].concat();
    dump(&workshop, &items);
    let text = workshop.succeed(&PLAN);
    for expected in ["1 more must leave", "[{a 3->4 (max: 9)}]"] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }

    // With this many unready nodes, the daemon would order nothing.
    let broken = |name: &str| node(name, "2026-02-01T00:00:00Z", "Unknown", &json!([]));
    let broken = ["b", "c", "d", "e"].map(broken);
    dump(&workshop, &[&broken[..], &waits[..1]].concat());
    let text = workshop.succeed(&PLAN);
    assert!(text.contains("4 of 4 nodes are unready"), "{text}");
}

#[test]
fn what_is_absurd_in_a_dump_is_named_and_nothing_is_planned_wrongly() {
    let workshop = Workshop::new();
    let group = "{name: a, max: 2, template: {capacity: {cpu: 4, memory: 8Gi}}}";
    workshop.write("groups.yaml", format!("nodeGroups: [{group}]"));
    let with = |mut object: Value, path: &str, value: Value| {
        *object.pointer_mut(path).unwrap() = value;
        object
    };
    let ready = |name: &str| node(name, "2026-02-01T00:00:00Z", "True", &json!([]));
    let daemon_set = |name: &str, cpu: &str| {
        let container = json!({"name": "main", "resources": {"requests": {"cpu": cpu}}});
        json!({
            "kind": "DaemonSet", "metadata": {"name": name, "namespace": "default"},
            "spec": {"template": {"spec": {"containers": [container]}}},
        })
    };
    let owned = |name: &str, uid: &str, owner: &str| {
        let mut pod = pod(name, "1", None);
        pod["metadata"]["uid"] = uid.into();
        pod["metadata"]["ownerReferences"] =
            json!([{"kind": "Pod", "name": owner, "uid": owner, "controller": true}]);
        pod
    };
    dump(
        &workshop,
        &[
            with(ready("no-less"), "/status/allocatable/cpu", json!("-4")),
            with(ready("no-more"), "/status/capacity/memory", json!("-8Gi")),
            with(ready("beyond"), "/status/allocatable/cpu", json!("one")),
            daemon_set("below", "-1"),
            daemon_set("above", "9e99"),
            pod("above", "9e99", None),
            pod("above-all", "123456789012345678901234567890Ei", None),
            // Two own each other, and one owns itself.
            owned("egg", "egg", "hen"),
            owned("hen", "hen", "egg"),
            owned("self", "self", "self"),
            owned("other", "egg", "hen"),
            with(
                pod("x", "1000", None),
                "/metadata/name",
                json!("a\u{1b}[2Jb"),
            ),
        ],
    );
    let text = workshop.succeed(&PLAN);
    for expected in [
        "Node no-less is left out: its cpu is negative",
        "Node no-more is left out: its memory is negative",
        "Node beyond is left out: status.allocatable.cpu",
        "DaemonSet default/below is left out: its cpu is negative",
        "Pod default/other is left out: it has the uid of Pod default/egg",
        "default/above, default/above-all",
        "Insufficient cpu",
        "[{a 0->1 (max: 2)}]",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
    assert!(!text.contains('\u{1b}'), "{text:?}");

    for (amount, wrong) in [("-4", "cpu is negative"), ("four", "cpu")] {
        let group =
            format!("{{name: a, max: 2, template: {{capacity: {{cpu: {amount}, memory: 8Gi}}}}}}");
        workshop.write("groups.yaml", format!("nodeGroups: [{group}]"));
        workshop.run(&PLAN).expect(1, &["groups.yaml", wrong]);
    }
    let huge = "{name: a, max: 2, template: {capacity: {cpu: 9e99, memory: 8Gi}}}";
    workshop.write("groups.yaml", format!("nodeGroups: [{huge}]"));
    let text = workshop.succeed(&PLAN);
    assert!(
        text.contains("max cluster cpu limit reached (--cores-total)"),
        "{text}"
    );
}

#[test]
fn what_is_wrong_with_a_dump_is_named_and_the_rest_is_planned_for() {
    let workshop = Workshop::new();
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
        "Pod default/fine occurs twice: the second is left out",
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

    // A pod shows that the cluster has DaemonSets, and nothing that it has classes.
    let mut agent = pod("agent", "1", None);
    let owner = json!({"kind": "DaemonSet", "name": "agent", "uid": "a", "controller": true});
    agent["metadata"]["ownerReferences"] = json!([owner]);
    let dump = json!({"apiVersion": "v1", "kind": "List", "items": [agent]});
    workshop.write("agent.json", dump.to_string());
    let text = workshop.succeed(&["plan", "agent.json", "--node-groups", "groups.yaml"]);
    assert!(
        text.contains("the dump has no DaemonSet: new nodes carry only"),
        "{text}"
    );
    assert!(!text.contains("the dump has no StorageClass"), "{text}");

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
            "occurs twice",
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
