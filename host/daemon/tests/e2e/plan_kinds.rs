//! `flyball plan` on small dumps: a table for each kind of input that occurs in clusters
//! and was once handled wrongly.

mod attaching;
mod daemons;
mod own_labels;
mod spreading;
mod storage;
mod translated;
mod world;
mod zones;

use serde_json::json;

use self::world::{Table, merged, node, pod, waiting};

#[test]
fn a_nominated_pod_counts_as_placed_where_the_scheduler_makes_room() {
    let table = Table::new();
    let on = |name: &str| json!({"status": {"nominatedNodeName": name}});
    let priority = |priority: i32| json!({"spec": {"priority": priority}});
    let unmarked = json!({"status": {"conditions": null}});
    let port = json!({"spec": {"containers": [{
        "name": "main", "ports": [{"containerPort": 80, "hostPort": 80}],
    }]}});
    let nominated = merged(waiting("high", "3"), &on("n1"));
    let other = waiting("other", "3");
    let n1 = || node("n1", "a", "4");
    let case = |what| table.case(what).group("a").item(n1());

    case("preemption is under way")
        .item(pod("low", "3", "n1"))
        .item(nominated.clone())
        .orders(&[]);
    case("not marked unschedulable yet, it takes the room all the same")
        .item(merged(nominated.clone(), &unmarked))
        .item(other.clone())
        .orders(&[("a", 1, 2)]);
    case("its node is gone")
        .item(pod("low", "3", "n1"))
        .item(merged(nominated.clone(), &on("n0")))
        .orders(&[("a", 1, 2)]);
    case("its node is gone, and it is not marked unschedulable yet")
        .item(pod("low", "3", "n1"))
        .item(merged(merged(nominated.clone(), &unmarked), &on("n0")))
        .orders(&[("a", 1, 2)]);
    case("its node is being drained")
        .item(node("n2", "a", "4"))
        .item(pod("low", "3", "n1"))
        .item(merged(
            node("n3", "none", "4"),
            &json!({"spec": {"taints": [
                {"key": "ToBeDeletedByClusterAutoscaler", "effect": "NoSchedule"},
            ]}}),
        ))
        .item(merged(nominated.clone(), &on("n3")))
        .item(pod("low-2", "3", "n2"))
        .orders(&[("a", 2, 3)]);
    case("bound since then, it counts once")
        .item(merged(pod("high", "2", "n1"), &on("n1")))
        .item(waiting("other", "2"))
        .orders(&[]);
    case("ended, it takes nothing")
        .item(merged(
            nominated.clone(),
            &json!({"status": {"phase": "Failed"}}),
        ))
        .item(other.clone())
        .orders(&[]);
    case("its port is taken")
        .item(merged(merged(waiting("high", "1"), &port), &on("n1")))
        .item(merged(waiting("other", "1"), &port))
        .orders(&[("a", 1, 2)]);
    table
        .case("a pod that goes before it takes the room, and it wants another node")
        .listed("{name: a, max: 1, nodeSelector: {pool: a}}")
        .group("b")
        .items([n1(), node("n2", "b", "4"), pod("filler", "4", "n2")])
        .item(merged(nominated.clone(), &priority(1)))
        .item(merged(
            merged(other.clone(), &priority(2)),
            &json!({"spec": {"nodeSelector": {"pool": "a"}}}),
        ))
        .orders(&[("b", 1, 2)]);
    case("a pod that goes before it does not yield to it")
        .item(merged(nominated.clone(), &priority(1)))
        .item(merged(other.clone(), &priority(2)))
        .orders(&[("a", 1, 2)]);
    case("an expendable one keeps nothing from others")
        .item(merged(nominated.clone(), &priority(-20)))
        .item(other.clone())
        .orders(&[]);
    let of_set = json!({"metadata": {"ownerReferences": [
        {"kind": "DaemonSet", "name": "agent", "uid": "agent", "controller": true},
    ]}});
    case("one of a DaemonSet, which new nodes carry as well")
        .item(merged(
            merged(waiting("agent", "1500m"), &of_set),
            &on("n1"),
        ))
        .item(other.clone())
        .remaining(1)
        .orders(&[]);
}
