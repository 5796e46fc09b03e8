//! Pods in JSON: the fields that scheduling uses.

use std::collections::BTreeMap;

use flyball_decision::quantity::Nano;
use flyball_placement::{Effect, Name};
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::annotations::Annotations;
use super::text::{shared, shared_keys, shared_map, shared_option};
use super::time::Time;
use super::volumes::{self, Volume};

/// Quantities by resource.
pub(super) type Quantities = BTreeMap<Name, Nano>;

/// The slim metadata of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ObjectMetadata {
    /// Name.
    pub name: Name,
    /// Namespace. Empty for cluster-scoped objects.
    #[serde(deserialize_with = "shared")]
    pub namespace: Name,
    /// Labels.
    #[serde(deserialize_with = "shared_map")]
    pub labels: BTreeMap<Name, Name>,
    /// Unique id.
    pub uid: Name,
    pub(crate) resource_version: Option<String>,
    pub(super) generation: i64,
    pub(super) creation_timestamp: Option<Time>,
    pub(super) deletion_timestamp: Option<Time>,
    pub(super) annotations: Annotations,
    pub(super) owner_references: Vec<OwnerReference>,
}

/// An owner of an object.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct OwnerReference {
    #[serde(deserialize_with = "shared")]
    pub(super) uid: Name,
    #[serde(deserialize_with = "shared")]
    pub(super) kind: Name,
    #[serde(deserialize_with = "shared")]
    pub(super) name: Name,
    pub(super) controller: bool,
}

impl ObjectMetadata {
    /// Returns metadata of which only the identity is known.
    pub(crate) fn identified(namespace: Name, name: Name, uid: Name) -> Self {
        Self {
            name,
            namespace,
            uid,
            ..Self::default()
        }
    }

    /// Whether it is being deleted.
    pub fn is_terminating(&self) -> bool {
        self.deletion_timestamp.is_some()
    }
}

/// A pod of the API server, or one from a manifest (see
/// [`PodObject::fill_in_defaults`]).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct PodObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    pub(super) spec: PodSpec,
    pub(super) status: PodStatus,
}

impl PodObject {
    /// Returns the node that it is bound to.
    pub fn node_name(&self) -> Option<&Name> {
        self.spec.node_name.as_ref().filter(|name| !name.is_empty())
    }

    /// Whether it succeeded or failed, so that it uses no resources of its node any
    /// more.
    pub fn is_finished(&self) -> bool {
        matches!(self.status.phase.as_ref(), "Succeeded" | "Failed")
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) containers: Vec<Container>,
    pub(super) init_containers: Vec<Container>,
    pub(super) resources: Requirements,
    #[serde(deserialize_with = "shared_keys")]
    pub(super) overhead: Quantities,
    #[serde(deserialize_with = "shared_option")]
    pub(super) node_name: Option<Name>,
    #[serde(deserialize_with = "shared_map")]
    pub(super) node_selector: BTreeMap<Name, Name>,
    pub(super) affinity: Affinity,
    pub(super) tolerations: Vec<Toleration>,
    pub(super) topology_spread_constraints: Vec<SpreadConstraint>,
    pub(super) host_network: bool,
    pub(super) priority: i32,
    pub(super) termination_grace_period_seconds: Option<i64>,
    #[serde(deserialize_with = "shared_option")]
    pub(super) restart_policy: Option<Name>,
    pub(super) scheduling_gates: Vec<IgnoredAny>,
    pub(super) resource_claims: Vec<IgnoredAny>,
    #[serde(deserialize_with = "volumes::needed")]
    pub(super) volumes: Vec<Volume>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    #[serde(deserialize_with = "shared")]
    pub(super) name: Name,
    pub(super) resources: Requirements,
    #[serde(deserialize_with = "shared_option")]
    pub(super) restart_policy: Option<Name>,
    pub(super) ports: Vec<ContainerPort>,
}

impl Container {
    /// Whether an init container is a sidecar.
    pub(super) fn is_restartable(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Requirements {
    #[serde(deserialize_with = "shared_keys")]
    pub(super) requests: Quantities,
    #[serde(deserialize_with = "shared_keys")]
    pub(super) limits: Quantities,
}

impl Requirements {
    pub(super) fn lists(&mut self) -> [&mut Quantities; 2] {
        [&mut self.requests, &mut self.limits]
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerPort {
    pub(super) container_port: i64,
    pub(super) host_port: i64,
    #[serde(rename = "hostIP", deserialize_with = "shared")]
    pub(super) host_ip: Name,
    pub(super) protocol: flyball_placement::Protocol,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Affinity {
    pub(super) node_affinity: NodeAffinity,
    pub(super) pod_affinity: PodAffinity,
    pub(super) pod_anti_affinity: PodAffinity,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct NodeAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(super) required: Option<NodeSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeSelector {
    pub(super) node_selector_terms: Vec<NodeSelectorTerm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct NodeSelectorTerm {
    pub(super) match_expressions: Vec<flyball_placement::Requirement>,
    pub(super) match_fields: Vec<flyball_placement::Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct PodAffinity {
    #[serde(rename = "requiredDuringSchedulingIgnoredDuringExecution")]
    pub(super) required: Vec<AffinityTerm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct AffinityTerm {
    #[serde(deserialize_with = "shared")]
    pub(super) topology_key: Name,
    pub(super) label_selector: Option<LabelSelector>,
    pub(super) namespaces: Vec<Name>,
    pub(super) namespace_selector: Option<LabelSelector>,
    pub(super) match_label_keys: Vec<Name>,
    pub(super) mismatch_label_keys: Vec<Name>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct LabelSelector {
    #[serde(deserialize_with = "shared_map")]
    pub(super) match_labels: BTreeMap<Name, Name>,
    pub(super) match_expressions: Vec<flyball_placement::Requirement>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Toleration {
    #[serde(deserialize_with = "shared")]
    pub(super) key: Name,
    #[serde(deserialize_with = "shared")]
    pub(super) operator: Name,
    #[serde(deserialize_with = "shared")]
    pub(super) value: Name,
    /// `None` for every effect. May be missing or empty in JSON.
    #[serde(deserialize_with = "effect")]
    pub(super) effect: Option<Effect>,
}

/// Reads an effect. An empty text is `None`.
fn effect<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Effect>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Text {
        Effect(Effect),
        Other(Option<Name>),
    }
    match Text::deserialize(deserializer)? {
        Text::Effect(effect) => Ok(Some(effect)),
        Text::Other(other) if other.as_deref().unwrap_or("").is_empty() => Ok(None),
        Text::Other(_) => Err(serde::de::Error::custom(
            "unknown effect of a toleration: use NoSchedule, PreferNoSchedule or NoExecute",
        )),
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SpreadConstraint {
    pub(super) max_skew: i32,
    #[serde(deserialize_with = "shared")]
    pub(super) topology_key: Name,
    #[serde(deserialize_with = "shared")]
    pub(super) when_unsatisfiable: Name,
    pub(super) label_selector: Option<LabelSelector>,
    pub(super) min_domains: Option<i32>,
    pub(super) node_affinity_policy: Option<Name>,
    pub(super) node_taints_policy: Option<Name>,
    pub(super) match_label_keys: Vec<Name>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodStatus {
    #[serde(deserialize_with = "shared")]
    pub(super) phase: Name,
    pub(super) start_time: Option<Time>,
    #[serde(deserialize_with = "shared_option")]
    pub(super) nominated_node_name: Option<Name>,
    pub(super) conditions: Vec<Condition>,
    pub(super) container_statuses: Vec<ContainerStatus>,
    pub(super) init_container_statuses: Vec<ContainerStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Condition {
    #[serde(rename = "type", deserialize_with = "shared")]
    pub(super) kind: Name,
    #[serde(deserialize_with = "shared")]
    pub(super) status: Name,
    #[serde(deserialize_with = "shared")]
    pub(super) reason: Name,
    pub(super) last_transition_time: Option<Time>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct ContainerStatus {
    #[serde(deserialize_with = "shared")]
    pub(super) name: Name,
    pub(super) resources: Option<Requirements>,
    #[serde(deserialize_with = "shared_keys")]
    pub(super) allocated_resources: Quantities,
}
