//! Defaults that the API server fills in when a pod is created.

use std::collections::BTreeMap;

use flyball_placement::{Effect, Name, Operator, Requirement};

use super::pod::{AffinityTerm, Container, LabelSelector, PodObject, Requirements, Toleration};
use super::requests::{fill_in, fill_in_pod_level, of_containers};

/// Taints that every pod tolerates for a while by default.
const NODE_TROUBLE: [&str; 2] = [
    "node.kubernetes.io/not-ready",
    "node.kubernetes.io/unreachable",
];

impl PodObject {
    /// Fills in the defaults of the API server: requests from limits, host ports of
    /// pods on the host's network, label keys in selectors, tolerations of nodes that
    /// are not ready or unreachable. Rounds quantities up to thousandths. Does not
    /// change how a stored pod is scheduled.
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
        self.round();
        self.merge_label_keys();
        self.tolerate_trouble();
    }

    /// Rounds each quantity of any resource up to thousandths, after missing ones were
    /// filled in (`SetDefaults_ResourceList`).
    fn round(&mut self) {
        let spec = &mut self.spec;
        let containers = spec.containers.iter_mut().chain(&mut spec.init_containers);
        let of_containers = containers.map(|container| &mut container.resources);
        let resources = of_containers.chain([&mut spec.resources]);
        let of_spec = resources.flat_map(Requirements::lists);
        let status = &mut self.status;
        let statuses = status.container_statuses.iter_mut();
        let statuses = statuses.chain(&mut status.init_container_statuses);
        let of_status = statuses.flat_map(|status| {
            let resources = status.resources.iter_mut().flat_map(Requirements::lists);
            resources.chain([&mut status.allocated_resources])
        });
        let lists = of_spec.chain([&mut spec.overhead]).chain(of_status);
        for quantity in lists.flat_map(|list| list.values_mut()) {
            *quantity = quantity.to_whole_milli();
        }
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

/// Adds the pod's own values of label keys to a selector, if there is one. Requirements
/// that it already has are not added again, since equal pods would get different
/// classes.
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::slim::PodObject;

    /// Returns the requests of a pod, as submitted and as stored: milli cpu, bytes of
    /// memory, and GPUs.
    fn requests(spec: &Value) -> Result<[(i64, i64, i64); 2], serde_json::Error> {
        let object: PodObject = serde_json::from_value(json!({ "spec": spec }))?;
        let mut submitted = object.clone();
        submitted.fill_in_defaults();
        Ok([submitted, object].map(|object| {
            let requests = object.into_pod().requests;
            let gpus = requests.get("example.com/gpu");
            (requests.cpu, requests.memory, gpus)
        }))
    }

    #[test]
    fn each_quantity_becomes_whole_thousandths_before_they_are_added()
    -> Result<(), serde_json::Error> {
        let container = |cpu: &str, memory: &str| json!({ "resources": { "requests": { "cpu": cpu, "memory": memory } } });
        let three = [
            container("100u", "100u"),
            container("100u", "100u"),
            container("1500u", "1m"),
        ];
        let [submitted, stored] = requests(&json!({ "containers": three }))?;
        assert_eq!((submitted, stored), ((4, 1, 0), (2, 1, 0)));
        // 1001 thousandths are rounded up to 2.
        let many: Vec<Value> = (0..1001).map(|_| container("0", "1u")).collect();
        let [submitted, stored] = requests(&json!({ "containers": many }))?;
        assert_eq!((submitted, stored), ((0, 2, 0), (0, 1, 0)));

        // Limits, sidecars, overhead and pod-level resources are rounded too.
        let limits = json!({ "resources": { "limits": {
            "cpu": "100u", "memory": "1u", "example.com/gpu": "1u",
        } } });
        let sidecar = json!({ "restartPolicy": "Always", "resources": limits["resources"] });
        let [submitted, stored] = requests(&json!({
            "containers": [limits, limits], "initContainers": [sidecar],
            "overhead": { "cpu": "100u" },
        }))?;
        assert_eq!((submitted, stored), ((4, 1, 1), (1, 0, 0)));
        let whole = json!({
            "containers": [container("100u", "0"), container("100u", "0")],
            "resources": { "requests": { "memory": "1" } },
        });
        // The pod-level request is filled in with the exact sum and then rounded.
        assert_eq!(requests(&whole)?[0], (1, 1, 0));
        Ok(())
    }
}
