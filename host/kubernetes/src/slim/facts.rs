//! Converts pods and nodes for the core's `ClusterState`.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::time::{Timestamp, parse_go_duration};
use flyball_nodes::state::{AnnotationKeys, NodeFacts, Owner, PodFacts, PodPhase};
use flyball_placement::Pod;
use flyball_replicas::pods::{Phase, Ready};

use super::node::NodeObject;
use super::pod::{Condition, ObjectMetadata, PodObject};
use super::requests::resources;
use super::time::timestamp;

impl ObjectMetadata {
    fn created(&self) -> Timestamp {
        timestamp(self.creation_timestamp).unwrap_or_default()
    }

    fn controller(&self) -> Option<Arc<Owner>> {
        let owner = self
            .owner_references
            .iter()
            .find(|owner| owner.controller)?;
        Some(Arc::new(Owner {
            uid: owner.uid.clone(),
            kind: owner.kind.clone(),
            name: owner.name.clone(),
        }))
    }
}

impl PodObject {
    /// Converts the pod for the core and for placement. No policy wants an annotation.
    pub fn into_facts(self) -> (PodFacts, Pod) {
        self.into_facts_with(&AnnotationKeys::none())
    }

    /// Converts the pod, with these annotations for policies.
    pub fn into_facts_with(mut self, wanted: &AnnotationKeys) -> (PodFacts, Pod) {
        let wanted = self.metadata.annotations.with_keys(wanted);
        let metadata = &self.metadata;
        let annotations = &metadata.annotations;
        let delay = annotations.scale_up_delay.as_deref();
        let nominated = self.status.nominated_node_name.as_ref();
        let facts = PodFacts {
            uid: metadata.uid.clone(),
            key: ObjectKey {
                namespace: metadata.namespace.clone(),
                name: metadata.name.clone(),
            },
            node: self.node_name().cloned(),
            nominated: nominated.filter(|name| !name.is_empty()).cloned(),
            phase: match self.phase() {
                Phase::Running => PodPhase::Running,
                Phase::Succeeded => PodPhase::Succeeded,
                Phase::Failed => PodPhase::Failed,
                Phase::Pending | Phase::Unknown => PodPhase::Pending,
            },
            created: metadata.created(),
            deletion: timestamp(metadata.deletion_timestamp),
            unschedulable: self.status.conditions.iter().any(is_unschedulable),
            owner: metadata.controller(),
            mirror: annotations.mirror.is_some(),
            like_daemon_set: annotations.daemon_set.as_deref() == Some("true"),
            scale_up_delay_ms: delay.and_then(parse_go_duration),
            ready: self.ready().is_some_and(|(ready, _)| ready == Ready::True),
            drain: self.drain_facts(wanted),
        };
        (facts, self.into_pod())
    }
}

impl NodeObject {
    /// Converts the node for the core. No policy wants an annotation.
    pub fn into_facts(self) -> NodeFacts {
        self.into_facts_with(&AnnotationKeys::none())
    }

    /// Converts the node, with these annotations for policies.
    pub fn into_facts_with(mut self, wanted: &AnnotationKeys) -> NodeFacts {
        let mut annotations = self.metadata.annotations.with_keys(wanted);
        annotations.append(&mut self.metadata.annotations.kept);
        let mut conditions = self.status.conditions.iter();
        let ready = conditions.find(|condition| &*condition.kind == "Ready");
        NodeFacts {
            condition_ready: ready.is_some_and(|ready| &*ready.status == "True"),
            ready_since: ready.and_then(|ready| timestamp(ready.last_transition_time)),
            annotations: Arc::new(annotations),
            uid: self.metadata.uid.clone(),
            provider_id: Some(self.spec.provider_id.clone()).filter(|id| !id.is_empty()),
            created: self.metadata.created(),
            ready: self.can_take_pods(),
            deleting: self.metadata.is_terminating(),
            capacity: resources(&self.status.capacity),
            node: Arc::new(self.into_node()),
        }
    }
}

/// Taints and conditions of a node that does not accept pods although it may be Ready:
/// the taint of a new node is removed shortly after its condition becomes true.
const NOT_READY_TAINTS: [&str; 3] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/disk-pressure",
    "node.kubernetes.io/network-unavailable",
];
const NOT_READY_CONDITIONS: [&str; 2] = ["DiskPressure", "NetworkUnavailable"];

impl NodeObject {
    /// Whether the node is ready as Cluster Autoscaler defines it.
    fn can_take_pods(&self) -> bool {
        let is_true = |kind: &str| {
            let mut conditions = self.status.conditions.iter();
            conditions.any(|condition| *condition.kind == *kind && &*condition.status == "True")
        };
        let mut taints = self.spec.taints.iter();
        is_true("Ready")
            && !NOT_READY_CONDITIONS.into_iter().any(is_true)
            && !taints.any(|taint| NOT_READY_TAINTS.contains(&&*taint.key))
    }
}

fn is_unschedulable(condition: &Condition) -> bool {
    &*condition.kind == "PodScheduled"
        && &*condition.status == "False"
        && &*condition.reason == "Unschedulable"
}

#[cfg(test)]
mod tests {
    use flyball_nodes::state::PodPhase;
    use serde_json::json;

    use crate::slim::{NodeObject, PodObject};

    #[test]
    fn a_pod_that_waits_is_told_with_its_owner_and_delay() -> Result<(), serde_json::Error> {
        let object: PodObject = serde_json::from_value(json!({
            "metadata": {
                "namespace": "default", "name": "web-1", "uid": "u",
                "creationTimestamp": "2026-01-02T03:04:05Z",
                "annotations": {
                    "cluster-autoscaler.kubernetes.io/pod-scale-up-delay": "1m30s",
                    "other": "text",
                },
                "ownerReferences": [
                    { "uid": "x", "kind": "Thing", "name": "x" },
                    { "uid": "rs", "kind": "ReplicaSet", "name": "web", "controller": true },
                ],
            },
            "spec": { "containers": [{ "name": "a", "resources": { "requests": { "cpu": "200m" } } }] },
            "status": { "phase": "Pending", "conditions": [
                { "type": "PodScheduled", "status": "False", "reason": "Unschedulable" },
            ] },
        }))?;
        let (facts, pod) = object.into_facts();
        assert_eq!(facts.phase, PodPhase::Pending);
        assert!(facts.unschedulable && facts.node.is_none() && !facts.mirror);
        assert_eq!(facts.scale_up_delay_ms, Some(90_000));
        assert_eq!(facts.created.0, 1_767_323_045_000);
        let owner = facts.owner.map(|owner| owner.kind.to_string());
        assert_eq!(owner.as_deref(), Some("ReplicaSet"));
        assert_eq!(pod.requests.cpu, 200);
        Ok(())
    }

    #[test]
    fn a_node_is_told_with_its_instance_and_whether_it_is_ready() -> Result<(), serde_json::Error> {
        let node = |ready: &str| {
            json!({
                "metadata": { "name": "a", "deletionTimestamp": "2026-01-02T03:04:05Z" },
                "spec": { "providerID": "aws:///z/i-1" },
                "status": {
                    "capacity": { "cpu": "2", "memory": "4Gi" },
                    "allocatable": { "cpu": "1900m" },
                    "conditions": [{ "type": "Ready", "status": ready }],
                },
            })
        };
        let facts = serde_json::from_value::<NodeObject>(node("True"))?.into_facts();
        assert_eq!(facts.provider_id.as_deref(), Some("aws:///z/i-1"));
        assert!(facts.ready && facts.deleting);
        assert_eq!(
            (facts.capacity.cpu, facts.node.allocatable.cpu),
            (2000, 1900)
        );
        let facts = serde_json::from_value::<NodeObject>(node("Unknown"))?.into_facts();
        assert!(!facts.ready);
        let mut tainted = node("True");
        let taint = json!({ "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" });
        tainted["spec"]["taints"] = json!([taint]);
        let facts = serde_json::from_value::<NodeObject>(tainted)?.into_facts();
        assert!(!facts.ready, "the scheduler keeps pods away still");
        Ok(())
    }
}
