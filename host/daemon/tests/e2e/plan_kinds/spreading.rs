//! Pods with topology spread constraints or pod affinity.

use serde_json::{Value, json};

use super::world::{Table, labelled, merged, node, pod, waiting};

const ZONE: &str = "topology.kubernetes.io/zone";
const HOST: &str = "kubernetes.io/hostname";

/// Returns a node in a zone; its group selects nodes by the zone.
fn zonal(name: &str, zone: &str, cpu: &str) -> Value {
    labelled(node(name, "all", cpu), &json!({ZONE: zone}))
}

/// Returns the group of a zone's nodes.
fn live(zone: &str) -> String {
    format!("{{name: {zone}, max: 9, nodeSelector: {{{ZONE}: {zone}}}}}")
}

/// Returns the group of a zone without nodes.
fn empty(zone: &str) -> String {
    empty_as(zone, zone, 4)
}

fn empty_as(name: &str, zone: &str, cpu: u32) -> String {
    let capacity = format!("{{cpu: {cpu}, memory: 16Gi}}");
    format!(
        "{{name: {name}, max: 9, template: {{capacity: {capacity}, labels: {{{ZONE}: {zone}}}}}}}"
    )
}

/// Returns a full node of four cores.
fn full(zone: &str) -> [Value; 2] {
    let name = format!("{zone}-0");
    [
        zonal(&name, zone, "4"),
        other(&format!("fill-{zone}"), "4", &name),
    ]
}

/// Returns a running pod of another application.
fn other(name: &str, cpu: &str, node: &str) -> Value {
    let labels = json!({"metadata": {"labels": {"app": "other"}}});
    merged(pod(name, cpu, node), &labels)
}

/// Returns a pod with a spread constraint over the domains of a key.
fn spread(pod: Value, key: &str) -> Value {
    let constraint = json!({
        "maxSkew": 1, "topologyKey": key, "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": {"matchLabels": {"app": "web"}},
    });
    merged(
        pod,
        &json!({"spec": {"topologySpreadConstraints": [constraint]}}),
    )
}

/// Returns pending pods of one core that spread over zones.
fn webs(count: usize) -> impl Iterator<Item = Value> {
    (0..count).map(|at| spread(waiting(&format!("web-{at}"), "1"), ZONE))
}

/// Returns a pod with affinity or anti-affinity to an application in its zone.
fn by_others(pod: Value, kind: &str, app: &str) -> Value {
    let term = json!({"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": app}}});
    let rule = json!({"requiredDuringSchedulingIgnoredDuringExecution": [term]});
    merged(pod, &json!({"spec": {"affinity": {kind: rule}}}))
}

#[test]
fn pods_that_spread_over_zones_use_the_room_on_nodes_that_are_there() {
    let table = Table::new();
    table
        .case("each pod on the new node lets one onto the node of the other zone")
        .listed(&live("a"))
        .listed(&live("b"))
        .items(full("a"))
        .items([
            zonal("b-0", "b", "32"),
            pod("there", "1", "b-0"),
            other("fill-b", "3", "b-0"),
        ])
        .items(webs(6))
        .orders(&[("a", 1, 2)]);
    let roomy = |zone: &str| {
        let name = format!("{zone}-0");
        [
            zonal(&name, zone, "16"),
            pod(&format!("there-{zone}"), "1", &name),
        ]
    };
    let three = |what| {
        let zones = ["a", "b", "c"];
        let case = zones
            .iter()
            .fold(table.case(what), |case, zone| case.listed(&live(zone)));
        case.items(full("a"))
    };
    three("three zones, and room in two of them")
        .items(roomy("b"))
        .items(roomy("c"))
        .items(webs(12))
        .orders(&[("a", 1, 2)]);
    three("room in one of them, for a part of the pods")
        .items(full("b"))
        .items(roomy("c"))
        .items(webs(12))
        .orders(&[("a", 1, 2), ("b", 1, 2)]);
}

#[test]
fn zones_without_room_grow_in_turn() {
    let table = Table::new();
    let three = |what| {
        let zones = ["a", "b", "c"];
        let case = zones
            .iter()
            .fold(table.case(what), |case, zone| case.listed(&live(zone)));
        case.items(zones.map(full).concat())
    };
    let each = [("a", 1, 2), ("b", 1, 2), ("c", 1, 2)];
    three("three pods in each zone")
        .items(webs(9))
        .orders(&each);
    three("the nodes are filled").items(webs(12)).orders(&each);
    three("the last pod needs one more")
        .items(webs(13))
        .orders(&[("a", 1, 3), ("b", 1, 2), ("c", 1, 2)]);

    let case = three("how it is shown").items(webs(9));
    let options = &case.plan()["rounds"][0]["input"]["options"];
    assert_eq!(options["partOption"], json!([0, 0, 0]), "{options:#}");
    assert_eq!(
        options["partNodeGroup"],
        json!(["a", "b", "c"]),
        "{options:#}"
    );
    assert_eq!(options["partNodeCount"], json!([1, 1, 1]), "{options:#}");
    let text = case.run(&[]);
    assert!(text.contains("a +1, b +1, c +1"), "{text}");

    // Two groups are possible for zone b: that choice comes before the others.
    let case = table
        .case("a choice of the group for a zone")
        .listed(&live("a"))
        .listed(&empty_as("b-large", "b", 8))
        .listed(&empty_as("b-small", "b", 6))
        .listed(&live("c"))
        .items(["a", "b", "c"].map(full).concat())
        .items(webs(9));
    let text = case.run(&[]);
    let domain = format!("Which group stands for {ZONE}=b");
    let (before, after) = text.split_once(&domain).unwrap();
    assert!(!before.contains("Options"), "{text}");
    assert!(after.contains("\nOptions\n"), "{text}");
    assert!(!text.contains("pods that are left"), "{text}");
}

#[test]
fn zones_without_nodes_are_opened_if_that_takes_no_more_nodes() {
    let table = Table::new();
    let three = |what| {
        let zones = ["a", "b", "c"];
        zones
            .iter()
            .fold(table.case(what), |case, zone| case.listed(&empty(zone)))
    };
    three("a node in each zone takes them all")
        .items(webs(12))
        .orders(&[("a", 0, 1), ("b", 0, 1), ("c", 0, 1)]);
    three("one node takes them all")
        .items(webs(4))
        .orders(&[("a", 0, 1)]);
    three("two nodes take them all")
        .items(webs(8))
        .orders(&[("a", 0, 1), ("b", 0, 1)]);
    three("the zone that has a node needs one as well")
        .items([zonal("d-0", "d", "4"), other("fill-d", "4", "d-0")])
        .listed(&live("d"))
        .items(webs(16))
        .orders(&[("a", 0, 1), ("b", 0, 1), ("c", 0, 1), ("d", 1, 2)]);
}

#[test]
fn pods_near_others_or_apart_from_them_use_the_room_on_nodes_that_are_there() {
    let table = Table::new();
    let case = |what| table.case(what).listed(&live("a")).listed(&live("b"));
    let node = |zone: &str, fill: &str| {
        let name = format!("{zone}-0");
        [
            zonal(&name, zone, "8"),
            other(&format!("fill-{zone}"), fill, &name),
        ]
    };
    let lead = || {
        merged(
            waiting("lead", "6"),
            &json!({"metadata": {"labels": {"app": "lead"}}}),
        )
    };
    let near =
        || (0..5).map(|at| by_others(waiting(&format!("near-{at}"), "1"), "podAffinity", "lead"));
    case("the new node brings what others want near, and two of them")
        .items(node("a", "5"))
        .items(node("b", "8"))
        .item(lead())
        .items(near())
        .orders(&[("a", 1, 2)]);
    case("it has to be in the other zone")
        .items(node("a", "8"))
        .items(node("b", "5"))
        .item(merged(
            lead(),
            &json!({"spec": {"nodeSelector": {ZONE: "b"}}}),
        ))
        .items(near())
        .orders(&[("b", 1, 2)]);
    let lone = |at: usize| {
        by_others(
            waiting(&format!("lone-{at}"), "1"),
            "podAntiAffinity",
            "web",
        )
    };
    case("one in each zone, and one zone has room")
        .listed(&live("c"))
        .items(node("a", "2"))
        .items(node("b", "8"))
        .items(node("c", "8"))
        .items((0..3).map(lone))
        .orders(&[("b", 1, 2), ("c", 1, 2)]);
}

#[test]
fn pods_that_spread_over_hosts_use_the_room_on_nodes_that_are_there() {
    let table = Table::new();
    let web = |at: usize| spread(waiting(&format!("web-{at}"), "1"), HOST);
    let two = || ["a-0", "a-1"].map(|name| node(name, "a", "8"));
    let there = || ["a-0", "a-1"].map(|name| pod(&format!("on-{name}"), "1", name));
    let of_three = json!({"spec": {"topologySpreadConstraints": [{"minDomains": 3}]}});
    table
        .case("a third host lets more pods onto the two that are there")
        .group("a")
        .items(two())
        .items(there())
        .items((0..5).map(|at| merged(web(at), &of_three)))
        .orders(&[("a", 2, 3)]);
    table
        .case("by zones as well, of which one has no room")
        .listed(&live("a"))
        .listed(&live("b"))
        .items(full("a"))
        .items([zonal("b-0", "b", "8"), zonal("b-1", "b", "8")])
        .items((0..6).map(|at| {
            let spread = json!({"spec": {"topologySpreadConstraints": [{}, {
                "maxSkew": 6, "topologyKey": HOST, "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {"matchLabels": {"app": "web"}},
            }]}});
            merged(
                webs(1).next().unwrap(),
                &merged(
                    spread,
                    &json!({
                        "metadata": {"name": format!("web-{at}")},
                    }),
                ),
            )
        }))
        .orders(&[("a", 1, 2)]);
}
