//! Pods that new nodes run, and pods that no longer count.

use serde_json::{Value, json};

use super::world::{Table, merged, node, pod, waiting};

fn owned(pod: Value, kind: &str) -> Value {
    merged(
        pod,
        &json!({"metadata": {"ownerReferences": [
            {"kind": kind, "name": "agent", "uid": "agent", "controller": true},
        ]}}),
    )
}

fn annotated(pod: Value, annotations: &Value) -> Value {
    merged(pod, &json!({"metadata": {"annotations": annotations}}))
}

#[test]
fn pods_that_have_ended_count_nowhere() {
    let table = Table::new();
    let n1 = || node("n1", "a", "4");
    let unready = || {
        merged(
            n1(),
            &json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}}),
        )
    };
    let ended = |pod: Value, phase: &str| merged(pod, &json!({"status": {"phase": phase}}));
    let agent = |name: &str| owned(pod(name, "1500m", "n1"), "DaemonSet");
    let mirror = |name: &str| {
        annotated(
            pod(name, "1500m", "n1"),
            &json!({"kubernetes.io/config.mirror": "x"}),
        )
    };
    // With two agents of 1500m a node of four cores has no room for it.
    let web = waiting("web", "2");
    let case = |what| table.case(what).group("a").item(pod("filler", "1", "n1"));
    for phase in ["Failed", "Succeeded"] {
        case("an evicted pod of a DaemonSet")
            .item(n1())
            .item(agent("agent-1"))
            .item(ended(agent("agent-0"), phase))
            .item(web.clone())
            .orders(&[("a", 1, 2)]);
        case("a static pod")
            .item(n1())
            .item(mirror("proxy-1"))
            .item(ended(mirror("proxy-0"), phase))
            .item(web.clone())
            .orders(&[("a", 1, 2)]);
        case("a static pod of the node that is all there is to go by")
            .item(unready())
            .item(mirror("proxy-1"))
            .item(ended(mirror("proxy-0"), phase))
            .item(web.clone())
            .orders(&[("a", 1, 2)]);
    }
    let set = json!({
        "kind": "DaemonSet",
        "metadata": {"name": "agent", "namespace": "default", "uid": "agent"},
        "spec": {"template": {"spec": {"containers": [
            {"name": "main", "resources": {"requests": {"cpu": "2500m"}}},
        ]}}},
    });
    case("its DaemonSet, which asks for more today, has yet to make another")
        .items([
            n1(),
            set,
            ended(agent("agent-0"), "Failed"),
            pod("more", "2", "n1"),
            web.clone(),
        ])
        .remaining(1)
        .reason("Insufficient cpu")
        .orders(&[]);
    let port =
        json!({"spec": {"containers": [{"ports": [{"containerPort": 80, "hostPort": 80}]}]}});
    let apart = json!({"spec": {"affinity": {"podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": "kubernetes.io/hostname",
            "labelSelector": {"matchLabels": {"app": "web"}},
        }],
    }}}});
    table
        .case("what it requested, its port and its anti-affinity")
        .group("a")
        .item(n1())
        .item(ended(
            merged(merged(pod("before", "4", "n1"), &port), &apart),
            "Succeeded",
        ))
        .item(merged(merged(web, &port), &apart))
        .orders(&[]);
}

#[test]
fn an_annotation_makes_pods_count_as_those_of_a_daemon_set() {
    let table = Table::new();
    let marked = |pod: Value, value: &str| {
        annotated(
            pod,
            &json!({"cluster-autoscaler.kubernetes.io/daemonset-pod": value}),
        )
    };
    let agent = || pod("agent-1", "1500m", "n1");
    let case = |what| {
        table
            .case(what)
            .group("a")
            .item(node("n1", "a", "4"))
            .item(pod("filler", "2", "n1"))
    };
    let web = || waiting("web", "3");
    for owner in [None, Some("ReplicaSet"), Some("DaemonSet")] {
        let owned = |pod| owner.map_or_else(|| Value::clone(&pod), |kind| owned(pod.clone(), kind));
        case("each new node carries one")
            .item(marked(owned(agent()), "true"))
            .item(web())
            .remaining(1)
            .reason("Insufficient cpu")
            .orders(&[]);
        case("one that waits gets no node")
            .item(marked(owned(waiting("agent-1", "3")), "true"))
            .orders(&[]);
    }
    for value in ["false", "", "True"] {
        case("another value says nothing")
            .item(marked(agent(), value))
            .item(web())
            .orders(&[("a", 1, 2)]);
        case("another value says nothing of one that waits")
            .item(marked(waiting("agent-1", "3"), value))
            .orders(&[("a", 1, 2)]);
        case("nor does it take a DaemonSet's pod from it")
            .item(marked(owned(agent(), "DaemonSet"), value))
            .item(web())
            .remaining(1)
            .orders(&[]);
    }
    let drained = json!({"spec": {"taints": [
        {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"},
    ]}});
    table
        .case("it goes with its node")
        .group("a")
        .item(node("n1", "a", "4"))
        .item(pod("filler", "3", "n1"))
        .item(merged(node("n2", "b", "4"), &drained))
        .item(marked(
            owned(pod("agent-2", "2", "n2"), "ReplicaSet"),
            "true",
        ))
        .orders(&[]);
    let unready = json!({"status": {"conditions": [{"type": "Ready", "status": "False"}]}});
    table
        .case("the node is one that is all there is to go by")
        .group("a")
        .item(merged(node("n1", "a", "4"), &unready))
        .item(marked(agent(), "true"))
        .item(web())
        .remaining(1)
        .orders(&[]);
}
