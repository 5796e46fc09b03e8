//! `flyball plan`: nodes that could go, and why the others stay.

use serde_json::{Value, json};

use crate::support::Workshop;

const PLAN: [&str; 4] = ["plan", "cluster.json", "--node-groups", "groups.yaml"];

/// Returns a ready node of four cores in the pool.
fn node(name: &str, pool: &str) -> Value {
    let amounts = json!({"cpu": "4", "memory": "8Gi", "pods": "110"});
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": {
            "name": name, "uid": name, "labels": {"pool": pool},
            "creationTimestamp": "2026-02-01T00:00:00Z",
        },
        "status": {
            "capacity": amounts, "allocatable": amounts,
            "conditions": [{
                "type": "Ready", "status": "True", "lastHeartbeatTime": "2026-03-01T12:00:00Z",
            }],
        },
    })
}

/// Returns a ReplicaSet, and a pod of it that runs on a node.
fn workload(name: &str, cpu: &str, node: &str) -> [Value; 2] {
    let uid = format!("rs-{name}");
    let owner = json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": {"name": name, "namespace": "shop", "uid": uid},
        "spec": {"replicas": 1},
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("{name}-7f"), "namespace": "shop", "uid": format!("{name}-7f"),
            "labels": {"app": name}, "creationTimestamp": "2026-02-02T00:00:00Z",
            "ownerReferences": [{
                "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": name, "uid": uid,
                "controller": true,
            }],
        },
        "spec": {
            "nodeName": node,
            "containers": [{"name": "main", "resources": {"requests": {"cpu": cpu}}}],
        },
        "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
    });
    [owner, pod]
}

/// A cluster of five nodes: one is busy, one is empty, the pod of another one finds room
/// elsewhere, one has a pod whose budget allows no disruption, and one is in no group.
fn dump(workshop: &Workshop) {
    let budget = json!({
        "apiVersion": "policy/v1", "kind": "PodDisruptionBudget",
        "metadata": {"name": "cart", "namespace": "shop", "uid": "budget", "generation": 1},
        "spec": {"selector": {"matchLabels": {"app": "cart"}}, "maxUnavailable": 0},
        "status": {
            "disruptionsAllowed": 0, "observedGeneration": 1, "expectedPods": 1,
            "currentHealthy": 1, "desiredHealthy": 1,
        },
    });
    let nodes = ["busy", "cart", "empty", "little"].map(|name| node(name, "a"));
    let mut items = nodes.to_vec();
    items.push(node("control-plane", "none"));
    items.extend(workload("db", "3", "busy"));
    items.extend(workload("cart", "1", "cart"));
    items.extend(workload("web", "1", "little"));
    items.push(budget);
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    workshop.write("cluster.json", list.to_string());
}

fn groups(workshop: &Workshop, min: u32, price: &str) {
    let group = format!("{{name: a, min: {min}, max: 9, {price} nodeSelector: {{pool: a}}}}");
    workshop.write("groups.yaml", format!("nodeGroups: [{group}]"));
}

#[test]
fn nodes_that_could_go_are_named_with_their_pods_and_the_others_with_a_reason() {
    let workshop = Workshop::new();
    dump(&workshop);
    groups(&workshop, 1, "price: 0.2,");
    let text = workshop.succeed(&PLAN);
    for expected in [
        "1. empty (a), which saves 0.2000 an hour\n  2. little (a), which saves 0.2000 an hour",
        "shop/web-7f → ",
        "busy stays: NotUnderutilized: its pods request 75% of its cpu, more than 50% by \
         utilization",
        "cart stays: NotEnoughPdb: pod shop/cart-7f of ReplicaSet cart (PodDisruptionBudget \
         shop/cart allows no disruption",
        "control-plane stays: NotAutoscaled: ",
        "note: timers are not in a dump and are left out",
        "2 nodes could go, which saves 0.4000 an hour: empty, little",
        "nothing to order",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }

    let json = workshop.succeed(&[&PLAN[..], &["-o", "json"]].concat());
    let plan: Value = serde_json::from_str(&json).unwrap();
    let removals = &plan["scaleDown"];
    assert_eq!(removals["savedPerHour"], 0.4);
    assert_eq!(removals["removed"][1]["pods"][0]["pod"]["name"], "web-7f");
    let cart = &removals["staying"][1];
    assert_eq!(cart["node"], "cart");
    assert_eq!(cart["stay"]["owner"], "ReplicaSet cart");
    assert_eq!(cart["stay"]["budgets"][0]["name"], "cart");
    assert_eq!(cart["stay"]["podCode"], "NotEnoughPdb");

    // The minimum of the group holds, and an unknown price saves nothing known.
    groups(&workshop, 3, "");
    let text = workshop.succeed(&PLAN);
    for expected in [
        "1 node could go: empty",
        "little stays: NodeGroupMinSizeReached: ",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }

    // The flags of the daemon hold here too.
    groups(&workshop, 1, "");
    let text = workshop.succeed(&[&PLAN[..], &["--scale-down-utilization-threshold=0.2"]].concat());
    let expected = "cart, little stay: NotUnderutilized: its pods request 25% of its cpu";
    assert!(text.contains(expected), "{text}");
    let wrong = [&PLAN[..], &["--scale-down-policies=nobody"]].concat();
    workshop.run(&wrong).expect(1, &["nobody", "scale-down"]);
}

#[test]
fn nodes_that_stay_for_one_reason_are_one_line_and_the_lines_are_few() {
    let workshop = Workshop::new();
    let mut items = Vec::new();
    for row in 0..30 {
        items.push(node(&format!("other-{row:02}"), "none"));
        let busy = format!("busy-{row:02}");
        items.push(node(&busy, "a"));
        let cpu = format!("{}m", 2_040 + row * 40);
        items.extend(workload(&format!("web-{row:02}"), &cpu, &busy));
    }
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    workshop.write("cluster.json", list.to_string());
    groups(&workshop, 0, "");
    let text = workshop.succeed(&PLAN);
    for expected in [
        "busy-00 stays: NotUnderutilized: its pods request 51% of its cpu",
        "busy-18 stays: NotUnderutilized: ",
        "other-00, other-01, other-02, other-03, other-04 and 25 more stay: NotAutoscaled: ",
        "11 more stay: NotUnderutilized\n",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
    assert!(!text.contains("busy-19"), "{text}");
    let json = workshop.succeed(&[&PLAN[..], &["-o", "json"]].concat());
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["scaleDown"]["staying"].as_array().unwrap().len(), 60);
}

#[test]
fn a_name_in_a_dump_does_not_control_the_terminal() {
    let name = "empty\u{1b}[2J\u{1b}[31m\u{9b}2J\nPlan: forged";
    let mut items = vec![node("busy", "a"), node(name, "a")];
    items.extend(workload("db", "3", "busy"));
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    let workshop = Workshop::new();
    workshop.write("cluster.json", list.to_string());
    groups(&workshop, 1, "");

    let text = workshop.on_a_terminal(&PLAN);
    let shown = r"empty\u{1b}[2J\u{1b}[31m\u{9b}2J Plan: forged";
    for expected in [
        format!("\n  1. {shown} (a)\n"),
        format!("\n      1 node could go: {shown}\n"),
    ] {
        assert!(text.contains(&expected), "no {expected:?} in:\n{text}");
    }
    assert!(!text.contains(['\u{1b}', '\u{9b}']), "{text}");

    let json = workshop.on_a_terminal(&[&PLAN[..], &["-o", "json"]].concat());
    assert!(!json.contains(['\u{1b}', '\u{9b}']), "{json}");
    let plan: Value = serde_json::from_str(&json).unwrap();
    assert_eq!(plan["scaleDown"]["removed"][0]["node"], name);
}

/// More than 32 terms are not judged: a pending pod of so many gets no node, and a running
/// one keeps its node. Both are named.
#[test]
fn a_pod_of_more_terms_than_are_judged_is_named_and_its_node_stays() {
    let terms = (0..33).map(|number| {
        let selector = json!({"matchLabels": {"app": format!("other-{number}")}});
        json!({"topologyKey": "kubernetes.io/hostname", "labelSelector": selector})
    });
    let terms: Vec<Value> = terms.collect();
    let required = "requiredDuringSchedulingIgnoredDuringExecution";
    let many_terms = json!({"podAntiAffinity": {required: terms}});

    let mut items = vec![node("crowded", "a"), node("other", "a")];
    let [owner, mut running] = workload("many", "1", "crowded");
    running["spec"]["affinity"] = many_terms.clone();
    items.extend([owner, running]);
    items.extend(workload("busy", "3", "other"));
    let [owner, mut pending] = workload("wide", "1", "");
    pending["spec"]["nodeName"].take();
    pending["spec"]["affinity"] = many_terms;
    let unschedulable =
        json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable"});
    pending["status"] = json!({"phase": "Pending", "conditions": [unschedulable]});
    items.extend([owner, pending]);
    let workshop = Workshop::new();
    let list = json!({"apiVersion": "v1", "kind": "List", "items": items});
    workshop.write("cluster.json", list.to_string());
    groups(&workshop, 1, "");

    let text = workshop.succeed(&PLAN);
    let reason = "the pod has more than 32 terms of pod affinity or spread: it can't be judged";
    for expected in [
        reason,
        "crowded stays: NoPlaceToMovePods: pod shop/many-7f of ReplicaSet many",
    ] {
        assert!(text.contains(expected), "no {expected:?} in:\n{text}");
    }
}
