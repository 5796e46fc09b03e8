//! Manifests of nodes and pods of generated clusters.

use flyball_nodes::state::{NodeFacts, PodFacts};
use flyball_placement::{AffinityTerm, Effect, LabelSelector, Pod, Requirement, Resources};
use flyball_placement::{SpreadConstraint, Toleration};
use flyball_test_plans::REVISION;
use serde_json::{Map, Value, json};

use crate::generate::no_kubelet;

/// Returns a ready node.
pub fn node(facts: &NodeFacts) -> Value {
    let node = &facts.node;
    let labels = node.labels.iter();
    let labels: Map<String, Value> = labels
        .map(|(key, value)| (key.to_string(), json!(value)))
        .collect();
    let taints = node.taints.iter();
    let taints = taints.map(
        |taint| json!({ "key": taint.key, "value": taint.value, "effect": effect(taint.effect) }),
    );
    json!({
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": { "name": node.name, "labels": labels, "annotations": no_kubelet() },
        "spec": { "providerID": facts.provider_id, "taints": taints.collect::<Vec<_>>() },
        "status": {
            "allocatable": amounts(&node.allocatable),
            "capacity": amounts(&facts.capacity),
            "conditions": [{ "type": "Ready", "status": "True" }],
        },
    })
}

/// Returns a pod, bound if it runs.
pub fn pod(facts: &PodFacts, pod: &Pod) -> Value {
    let labels = |labels: &flyball_placement::Labels| -> Map<String, Value> {
        let labels = labels.iter();
        labels
            .map(|(key, value)| (key.to_string(), json!(value)))
            .collect()
    };
    let required = |terms: &[AffinityTerm]| {
        let terms: Vec<Value> = terms.iter().map(term).collect();
        json!({ "requiredDuringSchedulingIgnoredDuringExecution": terms })
    };
    let requests = &pod.requests;
    let mut manifest = json!({
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": facts.key.name,
            "namespace": facts.key.namespace,
            "annotations": no_kubelet(),
            "labels": labels(&pod.labels),
        },
        "spec": {
            "containers": [{ "name": "main", "image": "none", "resources": { "requests": {
                "cpu": format!("{}m", requests.cpu), "memory": requests.memory.to_string(),
            } } }],
            "nodeSelector": labels(&pod.node_selector),
            "tolerations": pod.tolerations.iter().map(toleration).collect::<Vec<_>>(),
            "affinity": {
                "podAffinity": required(&pod.affinity),
                "podAntiAffinity": required(&pod.anti_affinity),
            },
            "topologySpreadConstraints": pod.spread.iter().map(spread).collect::<Vec<_>>(),
        },
    });
    if let Some(node) = &facts.node {
        manifest["spec"]["nodeName"] = json!(node);
    }
    if pod.priority > 0 {
        manifest["spec"]["priorityClassName"] = json!("first");
    }
    manifest
}

fn amounts(resources: &Resources) -> Value {
    json!({
        "cpu": format!("{}m", resources.cpu),
        "memory": resources.memory.to_string(),
        "pods": resources.pods.to_string(),
    })
}

/// Returns a toleration. Generated ones have only a key.
fn toleration(toleration: &Toleration) -> Value {
    json!({ "key": toleration.key, "operator": "Exists" })
}

fn effect(effect: Effect) -> &'static str {
    match effect {
        Effect::NoSchedule => "NoSchedule",
        Effect::PreferNoSchedule => "PreferNoSchedule",
        Effect::NoExecute => "NoExecute",
    }
}

fn term(term: &AffinityTerm) -> Value {
    json!({
        "topologyKey": term.topology_key,
        "labelSelector": selector(requirements(term.selector.as_ref())),
        "namespaces": term.namespaces,
    })
}

/// Returns a spread constraint. A requirement on the revision is written as
/// matchLabelKeys.
fn spread(constraint: &SpreadConstraint) -> Value {
    let all = requirements(constraint.selector.as_ref());
    let (keys, others): (Vec<_>, Vec<_>) = all
        .into_iter()
        .partition(|requirement| *requirement.key == *REVISION);
    let mut written = json!({
        "maxSkew": constraint.max_skew,
        "topologyKey": constraint.topology_key,
        "whenUnsatisfiable": "DoNotSchedule",
        "labelSelector": selector(others),
        "matchLabelKeys": keys.iter().map(|requirement| &requirement.key).collect::<Vec<_>>(),
    });
    if constraint.min_domains > 1 {
        written["minDomains"] = json!(constraint.min_domains);
    }
    written
}

fn requirements(selector: Option<&LabelSelector>) -> Vec<&Requirement> {
    selector.map_or_else(Vec::new, |selector| selector.0.iter().collect())
}

/// Returns a selector. Generated requirements have one value.
fn selector(requirements: Vec<&Requirement>) -> Value {
    let labels = requirements.into_iter();
    let labels: Map<String, Value> = labels
        .map(|requirement| (requirement.key.to_string(), json!(requirement.values[0])))
        .collect();
    json!({ "matchLabels": labels })
}
