//! DaemonSets in JSON, and the pod that each would run on a new node.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_nodes::state::DaemonSetFacts;
use flyball_placement::{Effect, Toleration, TolerationOperator};
use serde::Deserialize;

use super::pod::{ObjectMetadata, PodObject, PodSpec, PodStatus};

/// Tolerations that the DaemonSet controller adds to its pods.
const TOLERATED: [(&str, Effect); 6] = [
    ("node.kubernetes.io/not-ready", Effect::NoExecute),
    ("node.kubernetes.io/unreachable", Effect::NoExecute),
    ("node.kubernetes.io/disk-pressure", Effect::NoSchedule),
    ("node.kubernetes.io/memory-pressure", Effect::NoSchedule),
    ("node.kubernetes.io/pid-pressure", Effect::NoSchedule),
    ("node.kubernetes.io/unschedulable", Effect::NoSchedule),
];
/// Toleration that it adds to pods on the host's network.
const TOLERATED_ON_HOST: (&str, Effect) =
    ("node.kubernetes.io/network-unavailable", Effect::NoSchedule);

/// A DaemonSet of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct DaemonSetObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    spec: DaemonSetSpec,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct DaemonSetSpec {
    template: PodTemplate,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct PodTemplate {
    metadata: ObjectMetadata,
    spec: PodSpec,
}

impl DaemonSetObject {
    /// Converts it for the core. The priority of its pods is not known, since a
    /// template only names its priority class.
    pub fn into_facts(self) -> DaemonSetFacts {
        let Self { metadata, spec } = self;
        let on_host = spec.template.spec.host_network;
        let mut pod = PodObject {
            metadata: ObjectMetadata {
                namespace: metadata.namespace.clone(),
                ..spec.template.metadata
            },
            spec: spec.template.spec,
            status: PodStatus::default(),
        };
        pod.fill_in_defaults();
        let mut pod = pod.into_pod();
        let tolerated = TOLERATED
            .into_iter()
            .chain(on_host.then_some(TOLERATED_ON_HOST));
        pod.tolerations
            .extend(tolerated.map(|(key, effect)| Toleration {
                key: key.into(),
                operator: TolerationOperator::Exists,
                effect: Some(effect),
                ..Toleration::default()
            }));
        DaemonSetFacts {
            uid: metadata.uid,
            key: ObjectKey {
                namespace: metadata.namespace,
                name: metadata.name,
            },
            pod: Arc::new(pod),
        }
    }
}

#[cfg(test)]
mod tests {
    use flyball_placement::Effect;
    use serde_json::json;

    use super::DaemonSetObject;

    #[test]
    fn its_pod_tolerates_what_the_controller_adds() -> Result<(), serde_json::Error> {
        let object: DaemonSetObject = serde_json::from_value(json!({
            "metadata": { "namespace": "kube-system", "name": "proxy", "uid": "u" },
            "spec": { "template": {
                "metadata": { "labels": { "app": "proxy" } },
                "spec": {
                    "hostNetwork": true,
                    "containers": [{ "name": "a", "resources": { "limits": { "cpu": "50m" } } }],
                },
            } },
        }))?;
        let facts = object.into_facts();
        assert_eq!(&*facts.pod.namespace, "kube-system");
        assert_eq!(facts.pod.requests.cpu, 50);
        let tolerates = |key: &str, effect| {
            let all = &facts.pod.tolerations;
            all.iter()
                .any(|t| *t.key == *key && t.effect == Some(effect))
        };
        assert!(tolerates(
            "node.kubernetes.io/unschedulable",
            Effect::NoSchedule
        ));
        assert!(tolerates(
            "node.kubernetes.io/network-unavailable",
            Effect::NoSchedule
        ));
        Ok(())
    }
}
