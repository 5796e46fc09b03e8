//! Labels whose values are unique to a node.

use serde_json::json;

use super::storage::{ELSEWHERE, TOPOLVM, affinity, bound, csi_node};
use super::world::{Table, labelled, merged, mounting, node, pod, waiting};

#[test]
fn labels_that_a_node_has_to_itself_are_not_taken_over() {
    const OWN: &str = "topology.topolvm.io/node";
    let table = Table::new();
    let local = json!({"spec": {"csi": {"driver": TOPOLVM, "volumeHandle": "v"}}});
    let labels =
        |name: &str, key: &str, value: &str| labelled(node(name, "a", "4"), &json!({key: value}));
    // A volume on n1, which is full, and a pod that mounts it.
    let case = |what, key: &'static str, value: &'static str| {
        table
            .case(what)
            .group("a")
            .items(bound(
                "data",
                &merged(local.clone(), &affinity(&[&[(key, value)]])),
            ))
            .item(mounting(waiting("db", "2"), &["data"]))
            .item(pod("filler", "3", "n1"))
    };
    let keys = |name: &str, key: &'static str| csi_node(name, &[(TOPOLVM, None, &[key])]);
    case("the node's name", OWN, "n1")
        .item(labels("n1", OWN, "n1"))
        .remaining(1)
        .reason(ELSEWHERE)
        .orders(&[]);
    let host = json!({"kubernetes.io/hostname": "host-1"});
    case("its hostname", OWN, "host-1")
        .item(labelled(labels("n1", OWN, "host-1"), &host))
        .remaining(1)
        .reason(ELSEWHERE)
        .orders(&[]);
    case(
        "what a driver calls it, as it calls another otherwise",
        OWN,
        "id-1",
    )
    .items([labels("n1", OWN, "id-1"), labels("n2", OWN, "id-2")])
    .items([keys("n1", OWN), keys("n2", OWN), pod("filler-2", "3", "n2")])
    .remaining(1)
    .reason(ELSEWHERE)
    .orders(&[]);
    case("the same on both nodes", OWN, "rack-1")
        .items([labels("n1", OWN, "rack-1"), labels("n2", OWN, "rack-1")])
        .items([keys("n1", OWN), keys("n2", OWN), pod("filler-2", "3", "n2")])
        .orders(&[("a", 2, 3)]);
    let younger = json!({"metadata": {"creationTimestamp": "2026-01-02T00:00:00Z"}});
    case("no driver goes by it", OWN, "id-1")
        .item(merged(labels("n1", OWN, "id-1"), &younger))
        .items([labels("n2", OWN, "id-2"), pod("filler-2", "3", "n2")])
        .orders(&[("a", 2, 3)]);
    for zone in [
        "topology.kubernetes.io/zone",
        "failure-domain.beta.kubernetes.io/zone",
    ] {
        let driver_key = "topology.ebs.csi.aws.com/zone";
        let in_zone = |name: &str, value: &str, age: &str| {
            let zoned = labels(name, zone, value);
            let created = json!({"metadata": {"creationTimestamp": age}});
            merged(labelled(zoned, &json!({driver_key: value})), &created)
        };
        case(
            "a zone with one node, by the driver's name",
            driver_key,
            "z-a",
        )
        .item(in_zone("n1", "z-a", "2026-01-01T00:00:00Z"))
        .item(keys("n1", driver_key))
        .orders(&[("a", 1, 2)]);
        case("zones with a node each", driver_key, "z-a")
            .items([
                in_zone("n1", "z-a", "2026-01-03T00:00:00Z"),
                in_zone("n2", "z-b", "2026-01-02T00:00:00Z"),
            ])
            .items([
                keys("n1", driver_key),
                keys("n2", driver_key),
                pod("filler-2", "3", "n2"),
            ])
            .orders(&[("a", 2, 3)]);
        case("a zone called like its node", zone, "n1")
            .item(labels("n1", zone, "n1"))
            .orders(&[("a", 1, 2)]);
    }
    // New nodes differ in it, as live ones do.
    let apart = json!({"spec": {"affinity": {"podAntiAffinity": {
        "requiredDuringSchedulingIgnoredDuringExecution": [{
            "topologyKey": OWN, "labelSelector": {"matchLabels": {"app": "web"}},
        }],
    }}}});
    let spread = json!({"spec": {"topologySpreadConstraints": [{
        "maxSkew": 1, "topologyKey": OWN, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]}});
    for (rule, nodes) in [(apart, 4), (spread, 3)] {
        table
            .case("pods that are kept apart by it")
            .group("a")
            .item(labels("n1", OWN, "n1"))
            .item(pod("filler", "4", "n1"))
            .items(["w1", "w2", "w3"].map(|name| merged(waiting(name, "1"), &rule)))
            .orders(&[("a", 1, nodes)]);
    }
    table
        .case("groups are similar whatever their nodes are called")
        .items([
            labels("n1", OWN, "n1"),
            merged(
                labels("n2", OWN, "n2"),
                &json!({"metadata": {"labels": {"pool": "b"}}}),
            ),
        ])
        .items([pod("f1", "4", "n1"), pod("f2", "4", "n2")])
        .items(["w1", "w2"].map(|name| waiting(name, "3")))
        .group("a")
        .group("b")
        .flag("--balance-similar-node-groups")
        .flag("--balancing-ignore-label=pool")
        .orders(&[("a", 1, 2), ("b", 1, 2)]);
}
