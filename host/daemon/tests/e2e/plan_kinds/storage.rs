//! Requirements of volumes on new nodes.

use serde_json::{Value, json};

use super::world::{Table, labelled, merged, mounting, node, pod, waiting};

pub(super) const EBS: &str = "ebs.csi.aws.com";
pub(super) const TOPOLVM: &str = "topolvm.io";
pub(super) const ELSEWHERE: &str = "node(s) didn't match PersistentVolume's node affinity";

/// Returns a CSINode: drivers with their limits and topology keys.
pub(super) fn csi_node(name: &str, drivers: &[(&str, Option<u64>, &[&str])]) -> Value {
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

/// Marks the volumes of these plugins as migrated to drivers on a node.
pub(super) fn migrated(csi_node: Value, plugins: &str) -> Value {
    let key = "storage.alpha.kubernetes.io/migrated-plugins";
    merged(
        csi_node,
        &json!({"metadata": {"annotations": {key: plugins}}}),
    )
}

/// Returns a claim that is bound when its pod is scheduled.
pub(super) fn claim(name: &str, class: &str) -> Value {
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

pub(super) fn class(name: &str, provisioner: &str) -> Value {
    json!({
        "kind": "StorageClass", "metadata": {"name": name}, "provisioner": provisioner,
        "volumeBindingMode": "WaitForFirstConsumer",
    })
}

/// Returns a volume and the claim of the same name that is bound to it. `volume`: its
/// source, and other fields.
pub(super) fn bound(name: &str, volume: &Value) -> [Value; 2] {
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

/// Returns a node affinity of a volume: each term lists required labels.
pub(super) fn affinity(terms: &[&[(&str, &str)]]) -> Value {
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
fn what_is_said_of_storage_on_new_nodes_is_told_by_their_label() {
    let table = Table::new();
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
        table
            .case(what)
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
    // It does not make groups different, whatever their live nodes have.
    let named = json!({"cluster-autoscaler.kubernetes.io/template-node": "false"});
    table
        .case("similar groups share what is ordered")
        .items([labelled(node("n1", "a", "4"), &named), node("n2", "b", "4")])
        .items([pod("f1", "4", "n1"), pod("f2", "4", "n2")])
        .items(["w1", "w2"].map(|name| waiting(name, "3")))
        .group("a")
        .group("b")
        .flag("--balance-similar-node-groups")
        .flag("--balancing-ignore-label=pool")
        .orders(&[("a", 1, 2), ("b", 1, 2)]);
}
