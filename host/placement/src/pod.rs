//! Pods: the fields that the scheduler reads.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{
    Effect, LabelSelector, Labels, Name, NodeSelectorTerm, PodVolumes, Resources, Unjudged,
};

/// A pod's requirements on nodes and on other pods.
///
/// Its node, its deletion and its name are not part of it: the caller keeps them and
/// passes them to [`crate::Cluster::place`]. Defaults of the API server are already
/// filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pod {
    /// Namespace.
    pub namespace: Name,
    /// Labels.
    pub labels: Labels,
    /// Effective request: the scheduler's sum over containers, sidecars, init
    /// containers, pod-level resources and overhead.
    pub requests: Resources,
    /// The only node it may run on (spec.nodeName of a pod without a node; the filter
    /// NodeName). Not set for running pods.
    pub node_name: Option<Name>,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Labels the node must have (spec.nodeSelector).
    pub node_selector: Labels,
    /// Required node affinity: one of the terms must match. `Some` without terms
    /// matches no node.
    pub node_affinity: Option<Vec<NodeSelectorTerm>>,
    /// Required pod affinity.
    pub affinity: Vec<AffinityTerm>,
    /// Required pod anti-affinity.
    pub anti_affinity: Vec<AffinityTerm>,
    /// Topology spread constraints with DoNotSchedule.
    pub spread: Vec<SpreadConstraint>,
    /// Host ports of its containers and sidecars.
    pub host_ports: Vec<HostPort>,
    /// Whether it has scheduling gates.
    pub gated: bool,
    /// Priority.
    pub priority: i32,
    /// Volumes. `None` if no volume restricts where the pod can run.
    pub volumes: Option<Arc<PodVolumes>>,
    /// Requirements that no filter here can judge, without duplicates.
    pub unjudged: Vec<Unjudged>,
}

/// A toleration of taints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Toleration {
    /// Key of the taint. Empty matches every key.
    pub key: Name,
    /// How the values are compared.
    pub operator: TolerationOperator,
    /// Value of the taint, for [`TolerationOperator::Equal`].
    pub value: Name,
    /// Effect of the taint. `None` if it tolerates every effect.
    pub effect: Option<Effect>,
}

/// How a toleration compares a taint's value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TolerationOperator {
    /// The same value.
    #[default]
    Equal,
    /// Any value.
    Exists,
    /// An operator that 1.36 does not enable by default (`Gt`, `Lt`). Tolerates
    /// nothing.
    Unknown,
}

/// A required term of pod affinity or anti-affinity.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AffinityTerm {
    /// Label whose value defines the topology domain.
    pub topology_key: Name,
    /// Selects pods by their labels. `None` selects no pods.
    #[serde(default)]
    pub selector: Option<LabelSelector>,
    /// The pods' namespaces by name. If there are neither names nor a selector, the
    /// pod's own namespace is used.
    #[serde(default)]
    pub namespaces: Vec<Name>,
    /// Further namespaces, selected by their labels.
    #[serde(default)]
    pub namespace_selector: Option<LabelSelector>,
}

/// A topology spread constraint with DoNotSchedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpreadConstraint {
    /// Largest allowed difference to the domain with the fewest pods.
    pub max_skew: i32,
    /// Label whose values are the domains.
    pub topology_key: Name,
    /// Selects the pods to count, in the pod's own namespace. `None` selects no pods.
    pub selector: Option<LabelSelector>,
    /// If there are fewer domains than this, the smallest count is taken as 0.
    pub min_domains: i32,
    /// Count only nodes that the pod's node affinity allows
    /// (nodeAffinityPolicy: Honor, the default).
    pub honor_affinity: bool,
    /// Count only nodes whose taints the pod tolerates (nodeTaintsPolicy: Honor,
    /// not the default).
    pub honor_taints: bool,
}

/// A host port.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// Address. Empty and 0.0.0.0 mean all addresses.
    #[serde(default)]
    pub ip: Name,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// Number.
    pub port: u16,
}

/// Protocol of a port.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "UPPERCASE")]
pub enum Protocol {
    /// TCP.
    #[default]
    Tcp,
    /// UDP.
    Udp,
    /// SCTP.
    Sctp,
}
