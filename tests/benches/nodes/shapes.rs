//! Objects of the benchmarks, as the API server sends them.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_kubernetes::slim::{NodeObject, PodObject};
use flyball_nodes::cloud::{GroupScaleDown, Instance, InstanceState, NodeGroup, NodeTemplate};
use flyball_nodes::state::NodeFacts;
use serde_json::{Value, json};

/// Zone label of a node.
pub const ZONE: &str = "topology.kubernetes.io/zone";

/// Hostname label of a node.
pub const HOSTNAME: &str = "kubernetes.io/hostname";

/// Returns a pod as the API server sends it, with the usual parts that are not needed:
/// they cost time and memory while the pod is parsed.
pub fn pod(name: &str, owner: Option<&str>, requests: &Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "default",
            "uid": format!("uid-{name}"),
            "resourceVersion": "1000",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": { "app": owner.unwrap_or("single"), "pod-template-hash": "6f9c7d8b5" },
            "annotations": { "kubectl.kubernetes.io/restartedAt": "2026-01-02T03:04:05Z" },
            "managedFields": managed_fields(),
        },
        "spec": {
            "containers": [{
                "name": "app",
                "image": "registry/app:1.0",
                "resources": { "requests": requests },
                "volumeMounts": [{ "name": "kube-api-access-x7k2p",
                    "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true }],
            }],
            "tolerations": [
                { "key": "node.kubernetes.io/not-ready", "operator": "Exists",
                  "effect": "NoExecute", "tolerationSeconds": 300 },
                { "key": "node.kubernetes.io/unreachable", "operator": "Exists",
                  "effect": "NoExecute", "tolerationSeconds": 300 },
            ],
            "volumes": [{
                "name": format!("kube-api-access-{name}"),
                "projected": { "sources": [
                    { "serviceAccountToken": { "expirationSeconds": 3607, "path": "token" } },
                    { "configMap": { "name": "kube-root-ca.crt" } },
                ] },
            }],
            "serviceAccountName": "default",
            "schedulerName": "default-scheduler",
        },
        "status": {
            "phase": "Pending",
            "conditions": [{ "type": "PodScheduled", "status": "False",
                             "reason": "Unschedulable", "message": "0/1 nodes are available" }],
        },
    });
    if let Some(owner) = owner {
        pod["metadata"]["ownerReferences"] = json!([
            { "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": owner,
              "uid": format!("uid-{owner}"), "controller": true, "blockOwnerDeletion": true },
        ]);
    }
    pod
}

/// Returns managed fields: usually the longest part of an object.
fn managed_fields() -> Value {
    let fields = |names: &[&str]| -> Value {
        let fields = names.iter().map(|name| (format!("f:{name}"), json!({})));
        Value::Object(fields.collect())
    };
    json!([
        { "manager": "kube-controller-manager", "operation": "Update", "apiVersion": "v1",
          "fieldsV1": { "f:metadata": fields(&["generateName", "labels", "ownerReferences"]),
                        "f:spec": fields(&["containers", "dnsPolicy", "restartPolicy",
                                           "schedulerName", "securityContext"]) } },
        { "manager": "kubelet", "operation": "Update", "apiVersion": "v1", "subresource": "status",
          "fieldsV1": { "f:status": fields(&["conditions", "containerStatuses", "hostIP", "phase",
                                             "podIP", "podIPs", "startTime"]) } },
    ])
}

/// Returns the pod, bound and running.
pub fn running(mut pod: Value, node: &str) -> Value {
    pod["spec"]["nodeName"] = node.into();
    pod["status"] = json!({
        "phase": "Running",
        "hostIP": "10.0.0.1",
        "podIP": "10.1.0.1",
        "startTime": "2026-01-02T03:04:06Z",
        "conditions": [
            { "type": "PodScheduled", "status": "True", "lastTransitionTime": "2026-01-02T03:04:06Z" },
            { "type": "Ready", "status": "True", "lastTransitionTime": "2026-01-02T03:04:09Z" },
        ],
        "containerStatuses": [{ "name": "app", "ready": true, "restartCount": 0,
            "image": "registry/app:1.0", "containerID": "containerd://0123456789abcdef",
            "state": { "running": { "startedAt": "2026-01-02T03:04:08Z" } } }],
    });
    pod
}

/// Returns a ready node of a group.
pub fn node(name: &str, labels: &Value, size: &Value) -> Value {
    let mut labels = labels.clone();
    labels[HOSTNAME] = name.into();
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "uid": format!("uid-{name}"),
            "resourceVersion": "1000",
            "creationTimestamp": "2026-01-02T03:04:05Z",
            "labels": labels,
            "managedFields": managed_fields(),
        },
        "spec": { "providerID": provider_id(name) },
        "status": {
            "capacity": size,
            "allocatable": size,
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

fn provider_id(node: &str) -> String {
    format!("bench:///{node}")
}

/// Parses objects as the watches do, from text that was generated before.
pub fn pods(all: impl Iterator<Item = Value>) -> anyhow::Result<Vec<PodObject>> {
    let texts: Vec<String> = all.map(|pod| pod.to_string()).collect();
    let read = texts.iter().map(|text| serde_json::from_str(text));
    Ok(read.collect::<Result<_, _>>()?)
}

/// Reads the facts of a node from its JSON.
pub fn node_facts(node: Value) -> anyhow::Result<NodeFacts> {
    Ok(serde_json::from_value::<NodeObject>(node)?.into_facts())
}

/// Returns capacity or allocatable: cpu in milli, memory in bytes, and pods.
pub fn size(cpu: i64, memory: i64, pods: i64) -> BTreeMap<Arc<str>, i64> {
    BTreeMap::from([
        ("cpu".into(), cpu),
        ("memory".into(), memory * 1000),
        ("pods".into(), pods * 1000),
    ])
}

/// Returns a node group of these nodes, which may grow by another 10,000.
pub fn group(name: &str, template: NodeTemplate, price: f64, nodes: &[String]) -> Arc<NodeGroup> {
    let instance = |node: &String| Instance {
        provider_id: provider_id(node).into(),
        zone: None,
        state: InstanceState::Running,
        instance_type: None,
        spot: None,
    };
    let target_size = u32::try_from(nodes.len()).unwrap_or(u32::MAX);
    Arc::new(NodeGroup {
        name: name.into(),
        min_size: 0,
        max_size: target_size + 10_000,
        target_size,
        instances: nodes.iter().map(instance).collect(),
        zones: Vec::new(),
        template: Some(Arc::new(template)),
        price: Some(price),
        instance_type: None,
        spot: None,
        scale_down: GroupScaleDown::default(),
        suspended: Vec::new(),
    })
}

/// Returns a template without labels whose allocatable is its capacity.
pub fn template(size: &BTreeMap<Arc<str>, i64>) -> NodeTemplate {
    NodeTemplate {
        capacity: size.clone(),
        allocatable: size.clone(),
        ..NodeTemplate::default()
    }
}
