//! What volumes ask of new nodes.

use serde_json::{Value, json};

use super::world::{Case, labelled, merged, mounting, node, pod, waiting};

const EBS: &str = "ebs.csi.aws.com";
const TOPOLVM: &str = "topolvm.io";
const LIMIT: &str = "node(s) exceed max volume count";
const ELSEWHERE: &str = "node(s) didn't match PersistentVolume's node affinity";

/// A CSINode: drivers with their limits and topology keys.
fn csi_node(name: &str, drivers: &[(&str, Option<u64>, &[&str])]) -> Value {
    let driver = |(name, limit, keys): &(&str, Option<u64>, &[&str])| {
        let allocatable = limit.map(|count| json!({"count": count}));
        json!({"name": name, "nodeID": "x", "topologyKeys": keys, "allocatable": allocatable})
    };
    let drivers: Vec<Value> = drivers
        .iter()
        .map(driver)
        .map(|driver| merged(json!({}), &driver))
        .collect();
    json!({"kind": "CSINode", "metadata": {"name": name}, "spec": {"drivers": drivers}})
}

/// Says that drivers attach the volumes of these plugins on a node.
fn migrated(csi_node: Value, plugins: &str) -> Value {
    let key = "storage.alpha.kubernetes.io/migrated-plugins";
    merged(
        csi_node,
        &json!({"metadata": {"annotations": {key: plugins}}}),
    )
}

/// A claim that binds when its pod is scheduled.
fn claim(name: &str, class: &str) -> Value {
    json!({
        "kind": "PersistentVolumeClaim",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": class,
            "resources": {"requests": {"storage": "5Gi"}},
        },
        "status": {"phase": "Pending"},
    })
}

fn class(name: &str, provisioner: &str) -> Value {
    json!({
        "kind": "StorageClass", "metadata": {"name": name}, "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

/// A volume and the claim of the same name that is bound to it. `volume`: its source, and
/// what else is said of it.
fn bound(name: &str, volume: &Value) -> [Value; 2] {
    let claim = merged(
        claim(name, "any"),
        &json!({
            "metadata": {"annotations": {"pv.kubernetes.io/bind-completed": "yes"}},
            "spec": {"volumeName": name},
            "status": {"phase": "Bound"},
        }),
    );
    let known = json!({
        "kind": "PersistentVolume", "metadata": {"name": name},
        "spec": {
            "accessModes": ["ReadWriteOnce"], "capacity": {"storage": "5Gi"},
            "storageClassName": "any",
            "claimRef": {"namespace": "default", "name": name, "uid": format!("default/{name}")},
        },
        "status": {"phase": "Bound"},
    });
    [claim, merged(known, volume)]
}

/// Node affinity of a volume: each term says what labels there must be.
fn affinity(terms: &[&[(&str, &str)]]) -> Value {
    let term = |labels: &&[(&str, &str)]| {
        let expressions = labels.iter();
        let expressions: Vec<Value> = expressions
            .map(|(key, value)| json!({"key": key, "operator": "In", "values": [value]}))
            .collect();
        json!({"matchExpressions": expressions})
    };
    let terms: Vec<Value> = terms.iter().map(term).collect();
    json!({"spec": {"nodeAffinity": {"required": {"nodeSelectorTerms": terms}}}})
}

#[test]
fn volumes_of_plugins_that_left_the_tree_are_translated_as_the_scheduler_does_it() {
    const BETA_ZONE: &str = "failure-domain.beta.kubernetes.io/zone";
    const BETA_REGION: &str = "failure-domain.beta.kubernetes.io/region";
    const ZONE: &str = "topology.kubernetes.io/zone";
    const REGION: &str = "topology.kubernetes.io/region";
    let ebs = json!({"spec": {"awsElasticBlockStore": {"volumeID": "aws://z-a/vol-1"}}});
    let gce = json!({"spec": {"gcePersistentDisk": {"pdName": "disk"}}});
    let cinder = json!({"spec": {"cinder": {"volumeID": "1"}}});
    let portworx = json!({"spec": {"portworxVolume": {"volumeID": "1"}}});
    let disk =
        json!({"spec": {"azureDisk": {"diskName": "d", "diskURI": "/d", "kind": "Managed"}}});
    let file = json!({"spec": {"azureFile": {"secretName": "s", "shareName": "s"}}});
    let vsphere = json!({"spec": {"vsphereVolume": {"volumePath": "[ds] v.vmdk"}}});
    let labels = |labels: &Value| json!({"metadata": {"labels": labels}});
    let beta = || affinity(&[&[(BETA_ZONE, "z-a"), (BETA_REGION, "r")]]);
    let plugins = [
        "aws-ebs",
        "azure-disk",
        "azure-file",
        "cinder",
        "gce-pd",
        "portworx-volume",
        "vsphere-volume",
    ];
    let all = plugins
        .map(|plugin| format!("kubernetes.io/{plugin}"))
        .join(",");
    let but_ebs = all.replace("kubernetes.io/aws-ebs,", "");
    // The driver's name of the zone is not the cloud's, so that it shows which one is read.
    let nodes = |driver_key: &str, plugins: &str| {
        let n1 = node("n1", "a", "4");
        let mut items = vec![
            labelled(n1, &json!({ZONE: "z-a", REGION: "r"})),
            migrated(csi_node("n1", &[]), plugins),
            pod("filler", "3", "n1"),
        ];
        if !driver_key.is_empty() {
            items[0] = labelled(items[0].clone(), &json!({driver_key: "z-a"}));
        }
        items
    };
    let helped: &[(&str, u64, u64)] = &[("a", 1, 2)];
    let volume =
        |what, driver_key: &str, plugins: &str, source: &Value, more: &Value, fits: bool| {
            let case = Case::new(what)
                .group("a")
                .items(nodes(driver_key, plugins))
                .items(bound("data", &merged(source.clone(), more)))
                .item(mounting(waiting("db", "2"), &["data"]));
            if fits {
                case.orders(helped);
            } else {
                case.remaining(1).orders(&[]);
            }
        };
    let ebs_key = "topology.ebs.csi.aws.com/zone";
    for (source, key) in [
        (&ebs, ebs_key),
        (&gce, "topology.gke.io/zone"),
        (&cinder, "topology.cinder.csi.openstack.org/zone"),
    ] {
        volume(
            "beta labels become the driver's and the newer region",
            key,
            &all,
            source,
            &beta(),
            true,
        );
        volume(
            "the newer zone becomes the driver's",
            key,
            &all,
            source,
            &affinity(&[&[(ZONE, "z-a")]]),
            true,
        );
        volume(
            "the driver does not say where the node is",
            "",
            &all,
            source,
            &beta(),
            false,
        );
        volume(
            "no affinity, but labels of several zones",
            key,
            &all,
            source,
            &labels(&json!({BETA_ZONE: "z-b__z-a"})),
            true,
        );
        let elsewhere = labels(&json!({BETA_ZONE: "z-b"}));
        volume(
            "the label of another zone",
            key,
            &all,
            source,
            &elsewhere,
            false,
        );
        volume(
            "the driver does not say where, with the label alone",
            "",
            &all,
            source,
            &labels(&json!({ZONE: "z-a"})),
            false,
        );
        volume(
            "one term of several",
            key,
            &all,
            source,
            &affinity(&[&[(BETA_ZONE, "z-b")], &[(BETA_ZONE, "z-a")]]),
            true,
        );
        volume(
            "another zone",
            key,
            &all,
            source,
            &affinity(&[&[(BETA_ZONE, "z-b")]]),
            false,
        );
        volume(
            "another region",
            key,
            &all,
            source,
            &affinity(&[&[(BETA_ZONE, "z-a"), (BETA_REGION, "s")]]),
            false,
        );
        volume(
            "the region alone is no zone, and stays",
            key,
            &all,
            source,
            &affinity(&[&[(BETA_REGION, "r")]]),
            false,
        );
        volume(
            "what names the newer zone keeps its region",
            key,
            &all,
            source,
            &affinity(&[&[(ZONE, "z-a"), (BETA_REGION, "r")]]),
            false,
        );
    }
    volume(
        "the node does not list the plugin",
        ebs_key,
        &but_ebs,
        &ebs,
        &beta(),
        false,
    );
    volume("no plugin is listed", ebs_key, "", &ebs, &beta(), false);
    volume(
        "the newer zone, not translated",
        "",
        &but_ebs,
        &ebs,
        &affinity(&[&[(ZONE, "z-a")]]),
        true,
    );
    let azure_key = "topology.disk.csi.azure.com/zone";
    for source in [&disk, &file, &portworx, &vsphere] {
        volume(
            "no topology is made of it",
            azure_key,
            &all,
            source,
            &beta(),
            false,
        );
        volume(
            "its affinity stands",
            azure_key,
            &all,
            source,
            &affinity(&[&[(ZONE, "z-a")]]),
            true,
        );
        let zone = labels(&json!({BETA_ZONE: "z-a"}));
        volume(
            "its label is a zone's",
            azure_key,
            &all,
            source,
            &zone,
            true,
        );
    }
    let unmanaged = merged(
        disk.clone(),
        &json!({"spec": {"azureDisk": {"kind": "Shared"}}}),
    );
    volume(
        "an unmanaged disk can't be translated",
        azure_key,
        &all,
        &unmanaged,
        &json!({}),
        false,
    );
    volume(
        "an unmanaged disk, not migrated",
        azure_key,
        "kubernetes.io/aws-ebs",
        &unmanaged,
        &json!({}),
        true,
    );

    // The nodes that are there and the new ones of a group that has none.
    Case::new("a node that is there")
        .items(nodes(ebs_key, &all))
        .items(bound("data", &merged(ebs.clone(), &beta())))
        .item(mounting(waiting("db", "1"), &["data"]))
        .group("a")
        .orders(&[]);
    Case::new("a group without nodes, where the plugin is migrated as everywhere")
        .items(nodes(ebs_key, &all))
        .items(bound("data", &merged(ebs, &beta())))
        .item(mounting(waiting("db", "6"), &["data"]))
        .listed("{name: z, max: 2, template: {capacity: {cpu: 8, memory: 8Gi}, labels: {topology.ebs.csi.aws.com/zone: z-a, topology.kubernetes.io/region: r}}}")
        .orders(&[("z", 0, 1)]);
}

#[test]
fn what_is_said_of_storage_on_new_nodes_is_told_by_their_label() {
    let driver = json!({
        "kind": "CSIDriver", "metadata": {"name": TOPOLVM}, "spec": {"storageCapacity": true},
    });
    let capacity = |name: &str, size: &str, labels: &Value| {
        json!({
            "kind": "CSIStorageCapacity", "metadata": {"name": name, "namespace": "kube-system"},
            "storageClassName": "local", "capacity": size, "nodeTopology": {"matchLabels": labels},
        })
    };
    let template = json!({"cluster-autoscaler.kubernetes.io/template-node": "true"});
    let case = |what| {
        Case::new(what)
            .items([
                driver.clone(),
                class("local", TOPOLVM),
                claim("data", "local"),
            ])
            .item(mounting(waiting("db", "1"), &["data"]))
    };
    let n1 = labelled(
        node("n1", "a", "4"),
        &json!({"topology.topolvm.io/node": "n1"}),
    );
    let new = "{name: z, max: 2, template: {capacity: {cpu: 4, memory: 8Gi}}}";
    let empty = || {
        [
            n1.clone(),
            csi_node("n1", &[(TOPOLVM, None, &["topology.topolvm.io/node"])]),
            capacity("n1", "1Gi", &json!({"topology.topolvm.io/node": "n1"})),
        ]
    };
    case("of a live node's group")
        .group("a")
        .items(empty())
        .item(capacity("new", "100Gi", &template))
        .orders(&[("a", 1, 2)]);
    case("of a group without nodes")
        .listed(new)
        .items(empty())
        .item(capacity("new", "100Gi", &template))
        .orders(&[("z", 0, 1)]);
    case("of one group among others")
        .group("a")
        .listed(new)
        .items(empty())
        .item(capacity(
            "new",
            "100Gi",
            &merged(template.clone(), &json!({"pool": "a"})),
        ))
        .orders(&[("a", 1, 2)]);
    case("not enough of it")
        .group("a")
        .items(empty())
        .item(capacity("new", "4Gi", &template))
        .remaining(1)
        .reason("node(s) did not have enough free storage")
        .orders(&[]);
    for label in ["topology.topolvm.io/node", "kubernetes.io/hostname"] {
        case("a live node's own says nothing of a new one")
            .group("a")
            .items(empty())
            .item(pod("filler", "4", "n1"))
            .item(capacity("own", "100Gi", &json!({label: "n1"})))
            .remaining(1)
            .orders(&[]);
    }
    // It does not keep groups from being alike, whatever their live nodes say.
    let named = json!({"cluster-autoscaler.kubernetes.io/template-node": "false"});
    Case::new("similar groups share what is ordered")
        .items([labelled(node("n1", "a", "4"), &named), node("n2", "b", "4")])
        .items([pod("f1", "4", "n1"), pod("f2", "4", "n2")])
        .items(["w1", "w2"].map(|name| waiting(name, "3")))
        .group("a")
        .group("b")
        .flag("--balance-similar-node-groups")
        .flag("--balancing-ignore-label=pool")
        .orders(&[("a", 1, 2), ("b", 1, 2)]);
}

#[test]
fn labels_that_a_node_has_to_itself_are_not_taken_over() {
    const OWN: &str = "topology.topolvm.io/node";
    let local = json!({"spec": {"csi": {"driver": TOPOLVM, "volumeHandle": "v"}}});
    let labels =
        |name: &str, key: &str, value: &str| labelled(node(name, "a", "4"), &json!({key: value}));
    // A volume on n1, which is full, and a pod that mounts it.
    let case = |what, key: &'static str, value: &'static str| {
        Case::new(what)
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
    // New nodes differ there, as live ones do.
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
        Case::new("pods that are kept apart by it")
            .group("a")
            .item(labels("n1", OWN, "n1"))
            .item(pod("filler", "4", "n1"))
            .items(["w1", "w2", "w3"].map(|name| merged(waiting(name, "1"), &rule)))
            .orders(&[("a", 1, nodes)]);
    }
    Case::new("groups are similar whatever their nodes are called")
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

#[test]
fn new_nodes_attach_as_many_volumes_as_live_ones() {
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
    let case = |what| Case::new(what).group("a").items(n1());
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
    // Claims of the old plugin count where its volumes are the driver's.
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
        .reason(LIMIT)
        .orders(&[]);
    // Nothing but the limit tells these groups apart, and one whose node is not known.
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
