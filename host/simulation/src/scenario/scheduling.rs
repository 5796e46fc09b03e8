//! Scheduling constraints of a workload's pods, with Kubernetes' fields: only required
//! ones, not preferred ones.

use std::collections::BTreeMap;

use flyball_placement as placement;
use flyball_placement::{Effect, Operator};
use serde::Deserialize;

use super::{DaemonSetSpec, Resources, WorkloadSpec};

/// Required affinity of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Affinity {
    /// Affinity to nodes.
    pub node_affinity: NodeAffinity,
    /// Affinity to pods.
    pub pod_affinity: PodAffinity,
    /// Anti-affinity to pods.
    pub pod_anti_affinity: PodAffinity,
}

/// Affinity to nodes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeAffinity {
    /// The required terms.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Option<NodeSelector>,
}

/// Nodes that match one of the terms.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodeSelector {
    /// The terms (required).
    pub node_selector_terms: Vec<NodeSelectorTerm>,
}

/// Nodes that match all of these expressions.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct NodeSelectorTerm {
    /// On labels.
    pub match_expressions: Vec<Expression>,
    /// On `metadata.name`.
    pub match_fields: Vec<Expression>,
}

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expression {
    /// Key (required).
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`; of nodes also `Gt` and `Lt`
    /// (required). Example: `Exists`.
    pub operator: Operator,
    /// Values; left out: none, for `Exists` and `DoesNotExist`. Example: `[a, b]`.
    #[serde(default)]
    pub values: Vec<String>,
}

/// Affinity or anti-affinity to pods.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodAffinity {
    /// The required terms.
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub required: Vec<PodAffinityTerm>,
}

/// Pods, and the topology of a term.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodAffinityTerm {
    /// Label that defines the topology domains (required). Example:
    /// `topology.kubernetes.io/zone`.
    pub topology_key: String,
    /// The pods; left out: no pods.
    #[serde(default)]
    pub label_selector: Option<LabelSelector>,
    /// Their namespaces; left out: the namespace of the pod. Example: `[default]`.
    #[serde(default)]
    pub namespaces: Vec<String>,
}

/// Selects pods by their labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct LabelSelector {
    /// Labels they have.
    pub match_labels: BTreeMap<String, String>,
    /// Conditions on their labels.
    pub match_expressions: Vec<Expression>,
}

/// A toleration of taints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Toleration {
    /// Key; left out: every key.
    pub key: String,
    /// How values compare (`Equal`).
    pub operator: TolerationOperator,
    /// Value, for `Equal`; left out: empty.
    pub value: String,
    /// Effect; left out: every effect. Example: `NoSchedule`.
    pub effect: Option<Effect>,
}

/// How a toleration compares values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum TolerationOperator {
    /// The same value.
    #[default]
    Equal,
    /// Any value.
    Exists,
}

/// A topology spread constraint.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct TopologySpreadConstraint {
    /// Maximum difference to the domain with the fewest pods (required).
    pub max_skew: i32,
    /// Label whose values are the domains (required). Example:
    /// `topology.kubernetes.io/zone`.
    pub topology_key: String,
    /// What happens if it can't be met (`DoNotSchedule`).
    #[serde(default)]
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// The pods that are counted; left out: no pods.
    #[serde(default)]
    pub label_selector: Option<LabelSelector>,
    /// Minimum number of domains: if there are fewer, the smallest count is taken as 0 (1).
    #[serde(default = "one")]
    pub min_domains: i32,
    /// Whether only nodes count that the pod's affinity allows (`Honor`). Example: `Ignore`.
    #[serde(default = "honor")]
    pub node_affinity_policy: InclusionPolicy,
    /// Whether only nodes count whose taints the pod tolerates (`Ignore`). Example: `Honor`.
    #[serde(default)]
    pub node_taints_policy: InclusionPolicy,
}

/// What happens if a constraint can't be met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum WhenUnsatisfiable {
    /// The pod stays pending.
    #[default]
    DoNotSchedule,
}

/// Whether a property of the pod restricts the nodes that count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum InclusionPolicy {
    /// It does.
    Honor,
    /// It does not.
    #[default]
    Ignore,
}

/// Returns a pod of a copy of a workload, as input of the scheduler.
pub fn pod(spec: &WorkloadSpec, name: &str) -> placement::Pod {
    let template = &spec.pod;
    let mut labels = placement::Labels::from_iter([("app", name)]);
    for (key, value) in &template.labels {
        labels.set(key.as_str().into(), value.as_str().into());
    }
    let affinity = &template.affinity;
    let terms = |affinity: &PodAffinity| affinity.required.iter().map(affinity_term).collect();
    let required = affinity.node_affinity.required.as_ref();
    placement::Pod {
        namespace: spec.namespace.as_str().into(),
        labels,
        requests: requests(&template.requests),
        tolerations: template.tolerations.iter().map(toleration).collect(),
        node_selector: node_selector(&template.node_selector),
        node_affinity: required.map(|nodes| {
            let terms = nodes.node_selector_terms.iter();
            terms.map(node_selector_term).collect()
        }),
        affinity: terms(&affinity.pod_affinity),
        anti_affinity: terms(&affinity.pod_anti_affinity),
        spread: template
            .topology_spread_constraints
            .iter()
            .map(spread_constraint)
            .collect(),
        priority: template.priority,
        ..placement::Pod::default()
    }
}

/// Taint of a cordoned node, which the pods of all DaemonSets tolerate.
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Returns a pod of a DaemonSet, as input of the scheduler.
pub fn daemon_pod(spec: &DaemonSetSpec) -> placement::Pod {
    let cordoned = placement::Toleration {
        key: UNSCHEDULABLE.into(),
        operator: placement::TolerationOperator::Exists,
        value: "".into(),
        effect: Some(Effect::NoSchedule),
    };
    let tolerations = spec.tolerations.iter().map(toleration);
    placement::Pod {
        namespace: spec.namespace.as_str().into(),
        labels: placement::Labels::from_iter([("app", spec.name.as_str())]),
        requests: requests(&spec.requests),
        tolerations: tolerations.chain([cordoned]).collect(),
        node_selector: node_selector(&spec.node_selector),
        ..placement::Pod::default()
    }
}

/// Rounds up, as the API server does.
fn requests(spec: &Resources) -> placement::Resources {
    let mut requests = placement::Resources {
        cpu: (spec.cpu * 1000.0).ceil() as i64,
        memory: spec.memory.ceil() as i64,
        ..placement::Resources::default()
    };
    for (name, amount) in &spec.extended {
        requests.set(name, *amount);
    }
    requests
}

fn node_selector(labels: &BTreeMap<String, String>) -> placement::Labels {
    let labels = labels.iter();
    labels
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect()
}

fn toleration(spec: &Toleration) -> placement::Toleration {
    placement::Toleration {
        key: spec.key.as_str().into(),
        operator: match spec.operator {
            TolerationOperator::Equal => placement::TolerationOperator::Equal,
            TolerationOperator::Exists => placement::TolerationOperator::Exists,
        },
        value: spec.value.as_str().into(),
        effect: spec.effect,
    }
}

fn node_selector_term(spec: &NodeSelectorTerm) -> placement::NodeSelectorTerm {
    placement::NodeSelectorTerm {
        expressions: spec.match_expressions.iter().map(requirement).collect(),
        fields: spec.match_fields.iter().map(requirement).collect(),
    }
}

fn requirement(spec: &Expression) -> placement::Requirement {
    placement::Requirement {
        key: spec.key.as_str().into(),
        operator: spec.operator,
        values: spec
            .values
            .iter()
            .map(|value| value.as_str().into())
            .collect(),
    }
}

/// Returns a selector of pods.
pub fn selector(spec: &LabelSelector) -> placement::LabelSelector {
    let labels = spec.match_labels.iter();
    let labels =
        labels.map(|(key, value)| placement::Requirement::equals(key.as_str(), value.as_str()));
    let expressions = spec.match_expressions.iter().map(requirement);
    placement::LabelSelector(labels.chain(expressions).collect())
}

fn affinity_term(spec: &PodAffinityTerm) -> placement::AffinityTerm {
    placement::AffinityTerm {
        topology_key: spec.topology_key.as_str().into(),
        selector: spec.label_selector.as_ref().map(selector),
        namespaces: spec
            .namespaces
            .iter()
            .map(|name| name.as_str().into())
            .collect(),
        namespace_selector: None,
    }
}

fn spread_constraint(spec: &TopologySpreadConstraint) -> placement::SpreadConstraint {
    placement::SpreadConstraint {
        max_skew: spec.max_skew,
        topology_key: spec.topology_key.as_str().into(),
        selector: spec.label_selector.as_ref().map(selector),
        min_domains: spec.min_domains,
        honor_affinity: spec.node_affinity_policy == InclusionPolicy::Honor,
        honor_taints: spec.node_taints_policy == InclusionPolicy::Honor,
    }
}

fn one() -> i32 {
    1
}

fn honor() -> InclusionPolicy {
    InclusionPolicy::Honor
}
