//! A pod, as far as the scheduler reads it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::{Effect, LabelSelector, Labels, Name, PodVolumes, Requirement, Resources, Unjudged};

/// What a pod asks of the node it is to run on, and what it means to other pods.
///
/// Where it runs, whether it is being deleted and what it is called are not here:
/// the owner of the pods knows it, and says so in [`crate::Cluster::place`].
/// Defaults of the API server are already filled in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Pod {
    /// Namespace.
    pub namespace: Name,
    /// Labels.
    pub labels: Labels,
    /// Effective request: what the scheduler sums over containers, sidecars, init
    /// containers, pod-level resources and overhead.
    pub requests: Resources,
    /// The only node it may run on (spec.nodeName of a pod that is still to be
    /// placed; the filter NodeName). Not for pods that run.
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
    /// Ports of the node it takes: of containers and sidecars.
    pub host_ports: Vec<HostPort>,
    /// Whether scheduling gates hold it back.
    pub gated: bool,
    /// Priority.
    pub priority: i32,
    /// Volumes, none if no volume can decide anything.
    pub volumes: Option<Arc<PodVolumes>>,
    /// What it asks for that no filter here can judge; each once.
    pub unjudged: Vec<Unjudged>,
}

/// Lets a pod onto nodes with matching taints.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Toleration {
    /// Key of the taint; empty: every key.
    pub key: Name,
    /// How it compares.
    pub operator: TolerationOperator,
    /// Value of the taint, if compared.
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
    /// One that 1.36 doesn't know by default (`Gt`, `Lt`): tolerates nothing.
    Unknown,
}

/// One of the terms of required node affinity: all of its conditions must hold.
/// An empty term matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSelectorTerm {
    /// Conditions on labels (matchExpressions).
    pub expressions: Vec<Requirement>,
    /// Conditions on metadata.name (matchFields).
    pub fields: Vec<Requirement>,
}

/// Other pods that must, or must not, be near.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AffinityTerm {
    /// What near means: nodes with the same value of this label.
    pub topology_key: Name,
    /// The pods by their labels. `None` selects no pods.
    #[serde(default)]
    pub selector: Option<LabelSelector>,
    /// The pods' namespaces by name. Without these and without a selector: the
    /// own namespace.
    #[serde(default)]
    pub namespaces: Vec<Name>,
    /// More namespaces, by their labels.
    #[serde(default)]
    pub namespace_selector: Option<LabelSelector>,
}

/// How evenly pods must be spread: a topology spread constraint with
/// DoNotSchedule.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SpreadConstraint {
    /// How many more pods than in the emptiest domain are allowed.
    pub max_skew: i32,
    /// Label whose values are the domains.
    pub topology_key: Name,
    /// The pods that are counted, of the own namespace. `None` selects no pods.
    pub selector: Option<LabelSelector>,
    /// With fewer domains than this the emptiest counts as empty.
    pub min_domains: i32,
    /// Count only nodes that the pod's node affinity allows
    /// (nodeAffinityPolicy: Honor, the default).
    pub honor_affinity: bool,
    /// Count only nodes whose taints the pod tolerates (nodeTaintsPolicy: Honor,
    /// not the default).
    pub honor_taints: bool,
}

/// A port of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostPort {
    /// Address; empty and 0.0.0.0: all of them.
    #[serde(default)]
    pub ip: Name,
    /// Protocol.
    #[serde(default)]
    pub protocol: Protocol,
    /// Number.
    pub port: u16,
}

/// Protocol of a port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
