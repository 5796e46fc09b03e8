//! What the API server makes of a pod that is submitted.

use std::collections::BTreeMap;

use flyball_placement::{Effect, Name, Operator, Requirement};

use super::pod::{AffinityTerm, Container, LabelSelector, PodObject, Toleration};
use super::requests::{fill_in, fill_in_pod_level, of_containers};

/// Every pod tolerates these for a while.
const NODE_TROUBLE: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];

impl PodObject {
    /// Fills in what the API server fills in when a pod is created: requests from
    /// limits, host ports of pods on the host's network, label keys into
    /// selectors, tolerations of nodes in trouble. On a pod that was stored it
    /// changes nothing that decides.
    pub fn fill_in_defaults(&mut self) {
        let spec = &mut self.spec;
        for container in spec.containers.iter_mut().chain(&mut spec.init_containers) {
            fill_in(
                &mut container.resources.requests,
                &container.resources.limits,
            );
            if spec.host_network {
                fill_in_ports(container);
            }
        }
        let resources = &self.spec.resources;
        if !resources.requests.is_empty() || !resources.limits.is_empty() {
            let containers = of_containers(self);
            let resources = &mut self.spec.resources;
            fill_in_pod_level(&mut resources.requests, &containers);
            fill_in_pod_level(&mut resources.requests, &resources.limits);
        }
        self.merge_label_keys();
        self.tolerate_trouble();
    }

    fn merge_label_keys(&mut self) {
        let labels = &self.metadata.labels;
        let affinity = &mut self.spec.affinity;
        let terms = affinity.pod_affinity.required.iter_mut();
        for term in terms.chain(&mut affinity.pod_anti_affinity.required) {
            let AffinityTerm {
                label_selector,
                match_label_keys,
                mismatch_label_keys,
                ..
            } = term;
            merge(label_selector, match_label_keys, Operator::In, labels);
            merge(label_selector, mismatch_label_keys, Operator::NotIn, labels);
        }
    }

    fn tolerate_trouble(&mut self) {
        for key in NODE_TROUBLE {
            let tolerates = |toleration: &Toleration| {
                (toleration.key.is_empty() || &*toleration.key == key)
                    && toleration
                        .effect
                        .is_none_or(|effect| effect == Effect::NoExecute)
            };
            if !self.spec.tolerations.iter().any(tolerates) {
                self.spec.tolerations.push(Toleration {
                    key: key.into(),
                    operator: "Exists".into(),
                    effect: Some(Effect::NoExecute),
                    ..Toleration::default()
                });
            }
        }
    }
}

fn fill_in_ports(container: &mut Container) {
    for port in &mut container.ports {
        if port.host_port == 0 {
            port.host_port = port.container_port;
        }
    }
}

/// Adds the pod's own values of label keys to a selector, if there is one. What is
/// in it already isn't added again: such pods would be of two classes.
pub(super) fn merge(
    selector: &mut Option<LabelSelector>,
    keys: &[Name],
    operator: Operator,
    labels: &BTreeMap<Name, Name>,
) {
    let Some(selector) = selector else { return };
    let expressions = &mut selector.match_expressions;
    for (key, value) in keys.iter().filter_map(|key| labels.get_key_value(key)) {
        let requirement = Requirement {
            key: key.clone(),
            operator,
            values: vec![value.clone()],
        };
        if !expressions.contains(&requirement) {
            expressions.push(requirement);
        }
    }
}
