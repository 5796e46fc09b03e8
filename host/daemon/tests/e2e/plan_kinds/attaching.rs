//! Limits of attached volumes per node.

use serde_json::{Value, json};

use super::storage::{EBS, bound, claim, class, csi_node, migrated};
use super::world::{Table, merged, mounting, node, pod, waiting};

#[test]
fn new_nodes_attach_as_many_volumes_as_live_ones() {
    let table = Table::new();
    let names: Vec<String> = (0..9).map(|at| format!("data-{at}")).collect();
    let databases = |class: &str| -> Vec<Value> {
        let each = names.iter();
        each.flat_map(|name| {
            [
                claim(name, class),
                mounting(waiting(&format!("db-{name}"), "100m"), &[name]),
            ]
        })
        .collect()
    };
    let n1 = || {
        [
            node("n1", "a", "4"),
            pod("filler", "4", "n1"),
            class("any", EBS),
        ]
    };
    let limited = |name: &str, limit: u64| csi_node(name, &[(EBS, Some(limit), &[])]);
    let case = |what| table.case(what).group("a").items(n1());
    case("three each")
        .item(limited("n1", 3))
        .items(databases("any"))
        .orders(&[("a", 1, 4)]);
    case("another driver's limit")
        .item(csi_node("n1", &[("efs.csi.aws.com", Some(1), &[])]))
        .items(databases("any"))
        .orders(&[("a", 1, 2)]);
    let younger = json!({"metadata": {"creationTimestamp": "2026-01-02T00:00:00Z"}});
    case("the youngest node's driver has not registered")
        .item(limited("n1", 3))
        .item(merged(node("n2", "a", "4"), &younger))
        .items([csi_node("n2", &[]), pod("filler-2", "4", "n2")])
        .items(databases("any"))
        .orders(&[("a", 2, 5)]);
    case("nodes on their way")
        .listed("{name: b, max: 9, size: 3, nodeSelector: {pool: b}}")
        .item(limited("n1", 0))
        .items([
            node("n2", "b", "4"),
            pod("filler-2", "4", "n2"),
            limited("n2", 3),
        ])
        .items(databases("any"))
        .orders(&[("b", 3, 4)]);
    // Claims of the old plugin count if the driver provides its volumes.
    let in_tree = class("old", "kubernetes.io/aws-ebs");
    case("a migrated plugin")
        .item(migrated(limited("n1", 3), "kubernetes.io/aws-ebs"))
        .item(in_tree.clone())
        .items(databases("old"))
        .orders(&[("a", 1, 4)]);
    case("a plugin that is not migrated")
        .item(limited("n1", 3))
        .item(in_tree)
        .items(databases("old"))
        .orders(&[("a", 1, 2)]);
    let sources = [
        ("aws-ebs", EBS, "awsElasticBlockStore", "volumeID"),
        ("azure-disk", "disk.csi.azure.com", "azureDisk", "diskURI"),
        ("cinder", "cinder.csi.openstack.org", "cinder", "volumeID"),
        (
            "gce-pd",
            "pd.csi.storage.gke.io",
            "gcePersistentDisk",
            "pdName",
        ),
        (
            "portworx-volume",
            "pxd.portworx.com",
            "portworxVolume",
            "volumeID",
        ),
    ];
    for (plugin, driver, source, id) in sources {
        let limited = csi_node("n1", &[(driver, Some(2), &[])]);
        let limited = migrated(limited, &format!("kubernetes.io/{plugin}"));
        let disk = |at: usize| {
            let disk = json!({source: {id: format!("disk-{at}")}});
            if plugin == "azure-disk" {
                merged(disk, &json!({source: {"kind": "Managed"}}))
            } else {
                disk
            }
        };
        let bound = |at: usize| bound(&format!("data-{at}"), &json!({"spec": disk(at)}));
        case("bound volumes of a migrated plugin")
            .item(limited.clone())
            .items((0..4).flat_map(bound))
            .items((0..4).map(|at| {
                mounting(
                    waiting(&format!("db-{at}"), "100m"),
                    &[&format!("data-{at}")],
                )
            }))
            .orders(&[("a", 1, 3)]);
        let inline = |at: usize| {
            let volume = merged(json!({"name": "data"}), &disk(at));
            merged(
                waiting(&format!("db-{at}"), "100m"),
                &json!({"spec": {"volumes": [volume]}}),
            )
        };
        case("volumes that pods name themselves")
            .item(limited.clone())
            .items((0..4).map(inline))
            .orders(&[("a", 1, 3)]);
    }
    let many: Vec<&str> = names.iter().map(String::as_str).collect();
    case("more than any node takes")
        .item(limited("n1", 3))
        .items(names.iter().map(|name| claim(name, "any")))
        .item(mounting(waiting("db", "100m"), &many))
        .remaining(1)
        .reason("the pod mounts 9 volumes of ebs.csi.aws.com, and a node attaches 3")
        .orders(&[]);
    // These groups differ only in the limit, and in one group whose node is not known.
    case("each group by its own limit")
        .group("b")
        .listed("{name: z, max: 9, template: {capacity: {cpu: 4, memory: 8Gi}}}")
        .items([node("n2", "b", "4"), pod("filler-2", "4", "n2")])
        .items([limited("n1", 1), limited("n2", 3)])
        .items(databases("any"))
        .flag("--expander=least-nodes")
        .orders(&[("z", 0, 1)]);
    case("each group by its own limit, live nodes alone")
        .group("b")
        .items([node("n2", "b", "4"), pod("filler-2", "4", "n2")])
        .items([limited("n1", 1), limited("n2", 3)])
        .items(databases("any"))
        .flag("--expander=least-nodes")
        .orders(&[("b", 1, 4)]);
}
