//! Converts pods for placement.

use std::collections::BTreeMap;

use flyball_placement as placement;
use flyball_placement::{Name, Operator, Pod, Requirement, TolerationOperator, Unjudged};

use super::defaults::merge;
use super::pod::{
    AffinityTerm, Container, LabelSelector, NodeSelector, NodeSelectorTerm, PodObject,
    SpreadConstraint, Toleration,
};
use super::requests::effective;
use super::volumes::pod_volumes;

impl PodObject {
    /// Converts the pod for placement, without the node that it is bound to.
    pub fn into_pod(self) -> Pod {
        let requests = effective(&self);
        let host_ports = host_ports(&self);
        let Self { metadata, spec, .. } = self;
        let spread = spec.topology_spread_constraints.into_iter();
        let spread = spread
            .filter(|constraint| &*constraint.when_unsatisfiable != "ScheduleAnyway")
            .map(|constraint| spread_constraint(constraint, &metadata.labels))
            .collect();
        let near = |terms: Vec<AffinityTerm>| terms.into_iter().map(affinity_term).collect();
        let volumes = pod_volumes(spec.volumes, &metadata);
        let claims = !spec.resource_claims.is_empty();
        Pod {
            namespace: metadata.namespace,
            labels: metadata.labels.into_iter().collect(),
            requests,
            node_name: None,
            tolerations: spec.tolerations.into_iter().map(toleration).collect(),
            node_selector: spec.node_selector.into_iter().collect(),
            node_affinity: spec
                .affinity
                .node_affinity
                .required
                .map(node_selector_terms),
            affinity: near(spec.affinity.pod_affinity.required),
            anti_affinity: near(spec.affinity.pod_anti_affinity.required),
            spread,
            host_ports,
            gated: !spec.scheduling_gates.is_empty(),
            priority: spec.priority,
            volumes,
            unjudged: claims
                .then_some(Unjudged::ResourceClaims)
                .into_iter()
                .collect(),
        }
    }
}

/// Returns the host ports of containers and sidecars.
fn host_ports(pod: &PodObject) -> Vec<placement::HostPort> {
    let sidecars = pod.spec.init_containers.iter();
    let containers = pod
        .spec
        .containers
        .iter()
        .chain(sidecars.filter(|container| Container::is_restartable(container)));
    let ports = containers.flat_map(|container| &container.ports);
    let taken = ports.filter_map(|port| {
        let number = u16::try_from(port.host_port)
            .ok()
            .filter(|port| *port > 0)?;
        Some(placement::HostPort {
            ip: port.host_ip.clone(),
            protocol: port.protocol,
            port: number,
        })
    });
    taken.collect()
}

pub(super) fn node_selector_terms(selector: NodeSelector) -> Vec<placement::NodeSelectorTerm> {
    let terms = selector.node_selector_terms.into_iter();
    let term = |term: NodeSelectorTerm| placement::NodeSelectorTerm {
        expressions: term.match_expressions,
        fields: term.match_fields,
    };
    terms.map(term).collect()
}

fn affinity_term(term: AffinityTerm) -> placement::AffinityTerm {
    placement::AffinityTerm {
        topology_key: term.topology_key,
        selector: term.label_selector.map(selector),
        namespaces: term.namespaces,
        namespace_selector: term.namespace_selector.map(selector),
    }
}

pub(super) fn selector(selector: LabelSelector) -> placement::LabelSelector {
    let labels = selector.match_labels.into_iter();
    let labels = labels.map(|(key, value)| Requirement::equals(key, value));
    placement::LabelSelector(labels.chain(selector.match_expressions).collect())
}

/// Converts a spread constraint. Merges matchLabelKeys into the selector, as the
/// scheduler does and, since 1.34, the API server.
fn spread_constraint(
    mut constraint: SpreadConstraint,
    labels: &BTreeMap<Name, Name>,
) -> placement::SpreadConstraint {
    merge(
        &mut constraint.label_selector,
        &constraint.match_label_keys,
        Operator::In,
        labels,
    );
    placement::SpreadConstraint {
        max_skew: constraint.max_skew,
        topology_key: constraint.topology_key,
        selector: constraint.label_selector.map(selector),
        min_domains: constraint.min_domains.unwrap_or(1),
        honor_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
        honor_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
    }
}

fn toleration(toleration: Toleration) -> placement::Toleration {
    placement::Toleration {
        key: toleration.key,
        operator: match toleration.operator.as_ref() {
            "" | "Equal" => TolerationOperator::Equal,
            "Exists" => TolerationOperator::Exists,
            _ => TolerationOperator::Unknown,
        },
        value: toleration.value,
        effect: toleration.effect,
    }
}
