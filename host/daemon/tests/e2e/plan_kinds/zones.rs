//! Groups whose nodes may be in several zones.

use serde_json::{Value, json};

use super::storage::bound;
use super::world::{Table, labelled, merged, mounting, node, pod, waiting};

const ZONE: &str = "topology.kubernetes.io/zone";
const EBS_ZONE: &str = "topology.ebs.csi.aws.com/zone";
const CAPACITY: &str = "template: {capacity: {cpu: 4, memory: 16Gi}}";

/// Returns a full node in a zone, with AWS' labels.
fn full(zone: &str) -> [Value; 2] {
    let name = format!("full-{zone}");
    let labels = json!({
        ZONE: zone, EBS_ZONE: zone, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
    });
    let fill = merged(
        pod(&format!("fill-{zone}"), "2", &name),
        &json!({"metadata": {"labels": {"app": "fill"}}}),
    );
    [labelled(node(&name, "x", "2"), &labels), fill]
}

/// Returns a pod with anti-affinity to others by zone.
fn apart(name: &str) -> Value {
    let spread = json!([{
        "maxSkew": 1, "topologyKey": ZONE, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    }]);
    merged(
        waiting(name, "1"),
        &json!({"spec": {"topologySpreadConstraints": spread}}),
    )
}

/// Returns a pod of a zone, architecture and operating system.
fn choosy(name: &str, zone: &str) -> Value {
    let selector = json!({
        ZONE: zone, "kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux",
    });
    merged(
        waiting(name, "3"),
        &json!({"spec": {"nodeSelector": selector}}),
    )
}

/// Returns a volume of the EBS driver in a zone, and a pod that mounts it.
fn mounts(name: &str, zone: &str) -> Vec<Value> {
    let terms = json!([{"matchExpressions": [
        {"key": EBS_ZONE, "operator": "In", "values": [zone]},
    ]}]);
    let volume = json!({"spec": {
        "csi": {"driver": "ebs.csi.aws.com", "volumeHandle": name},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms}},
    }});
    let mut items = bound(name, &volume).to_vec();
    items.push(mounting(waiting(name, "3"), &[name]));
    items
}

#[test]
fn a_group_at_size_zero_helps_pods_that_ask_where_it_will_be() {
    let anywhere = format!("{{name: multi, max: 5, {CAPACITY}}}");
    let zones = format!("{{name: multi, max: 5, zones: [a, b, c], {CAPACITY}}}");
    let table = Table::new();
    let case = |what, group: &str| {
        let case = table.case(what).listed(group);
        case.items(["a", "b", "c"].map(full).concat())
    };
    let webs = || ["web-0", "web-1", "web-2"].map(apart);

    table
        .case("no zones are named, and the cluster has one")
        .listed(&anywhere)
        .items(full("a"))
        .items(webs())
        .orders(&[("multi", 0, 1)]);
    case("they spread over the zones that the cluster has", &anywhere)
        .items(webs())
        .remaining(1)
        .orders(&[("multi", 0, 1), ("multi", 1, 2)]);
    case("one zone helps, and one node may come there", &zones)
        .item(choosy("one", "b"))
        .item(choosy("two", "b"))
        .remaining(1)
        .reason("waiting for the zone of the node on its way")
        .orders(&[("multi", 0, 1)]);
    case("a volume is in one zone", &zones)
        .items(mounts("data", "c"))
        .orders(&[("multi", 0, 1)]);
    case("a volume is in a zone where no node of it comes", &zones)
        .items(mounts("data", "d"))
        .remaining(1)
        .orders(&[]);
    case("any zone helps", &zones)
        .items(["one", "two", "three"].map(|name| waiting(name, "3")))
        .orders(&[("multi", 0, 3)]);
    case(
        "one is on its way that may help",
        &zones.replace("max: 5", "max: 5, size: 1"),
    )
    .item(choosy("one", "b"))
    .orders(&[]);
    case("a group in the right zone alone comes first", &zones)
        .listed(&format!("{{name: only-b, max: 5, zones: [b], {CAPACITY}}}"))
        .items(mounts("data", "b"))
        .item(choosy("one", "b"))
        .orders(&[("only-b", 0, 2)]);
    case(
        "a live node of it is in one of its zones",
        "{name: x, max: 9, zones: [a, b], nodeSelector: {pool: x}}",
    )
    .item(merged(
        choosy("one", "b"),
        &json!({"spec": {"containers": [
            {"resources": {"requests": {"cpu": "1"}}},
        ]}}),
    ))
    .orders(&[("x", 3, 4)]);
}
