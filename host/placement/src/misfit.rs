//! Reasons why a pod can't run on a node, in the scheduler's words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Name;

/// Why a pod does not fit on a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Misfit {
    /// A filter rejected the node. Names the first such filter in the scheduler's
    /// order.
    Rejected {
        /// The filter.
        plugin: Plugin,
        /// Stage in which it rejected the node.
        stage: Stage,
        /// Its reasons, sorted by text.
        reasons: Vec<Reason>,
    },
    /// No filter rejected the node, but one that is not implemented here might.
    Unjudged(Unjudged),
}

impl Misfit {
    pub(crate) fn rejected(plugin: Plugin, stage: Stage, reason: Reason) -> Self {
        Self::Rejected {
            plugin,
            stage,
            reasons: vec![reason],
        }
    }

    /// Whether this filter rejected the node.
    #[must_use]
    pub fn is_of(&self, filter: Plugin) -> bool {
        matches!(self, Self::Rejected { plugin, .. } if *plugin == filter)
    }

    /// Whether the reason is that the pod requests other nodes by name.
    pub(crate) fn is_not_named(&self) -> bool {
        matches!(self, Self::Rejected { reasons, .. } if reasons.contains(&Reason::NotNamed))
    }

    /// Returns the reasons in the words of the event FailedScheduling.
    pub fn reasons(&self) -> Vec<String> {
        match self {
            Self::Rejected { reasons, .. } => reasons.iter().map(Reason::to_string).collect(),
            Self::Unjudged(what) => vec![what.to_string()],
        }
    }
}

impl fmt::Display for Misfit {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rejected {
                plugin, reasons, ..
            } => {
                write!(to, "{plugin}: ")?;
                for (at, reason) in reasons.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(to, "{comma}{reason}")?;
                }
                Ok(())
            }
            Self::Unjudged(what) => write!(to, "{what}"),
        }
    }
}

/// Stage in which a filter rejects a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Before individual nodes are considered: rejects all nodes, or all but a few
    /// named ones.
    PreFilter,
    /// Rejects this node.
    Filter,
}

/// The scheduler's filters, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Plugin {
    /// The pod has scheduling gates.
    SchedulingGates,
    /// The node is cordoned.
    NodeUnschedulable,
    /// The pod names another node.
    NodeName,
    /// The node has taints that the pod doesn't tolerate.
    TaintToleration,
    /// The node's labels or name don't match the pod's node selector or node affinity.
    NodeAffinity,
    /// Host ports are taken.
    NodePorts,
    /// The node has too few free resources.
    NodeResourcesFit,
    /// A volume that can't be shared is in use.
    VolumeRestrictions,
    /// No more volumes can be attached to the node.
    NodeVolumeLimits,
    /// A claim can't be bound on the node.
    VolumeBinding,
    /// A volume is in another zone.
    VolumeZone,
    /// Pods would be spread too unevenly.
    PodTopologySpread,
    /// Required pod affinity or anti-affinity is not met.
    InterPodAffinity,
}

impl Plugin {
    /// Returns the scheduler's name of the filter.
    pub fn name(self) -> &'static str {
        match self {
            Self::SchedulingGates => "SchedulingGates",
            Self::NodeUnschedulable => "NodeUnschedulable",
            Self::NodeName => "NodeName",
            Self::TaintToleration => "TaintToleration",
            Self::NodeAffinity => "NodeAffinity",
            Self::NodePorts => "NodePorts",
            Self::NodeResourcesFit => "NodeResourcesFit",
            Self::VolumeRestrictions => "VolumeRestrictions",
            Self::NodeVolumeLimits => "NodeVolumeLimits",
            Self::VolumeBinding => "VolumeBinding",
            Self::VolumeZone => "VolumeZone",
            Self::PodTopologySpread => "PodTopologySpread",
            Self::InterPodAffinity => "InterPodAffinity",
        }
    }
}

impl fmt::Display for Plugin {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// Reason of a filter. `Display` prints the scheduler's text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// The pod has scheduling gates.
    Gated,
    /// The node is cordoned.
    Unschedulable,
    /// The pod names another node.
    NodeName,
    /// The pod doesn't tolerate a taint.
    Taint,
    /// The pod's node affinity names other nodes.
    NotNamed,
    /// The node names in the pod's node affinity exclude each other.
    Conflict,
    /// Node selector or node affinity doesn't match.
    NodeAffinity,
    /// Host ports are taken.
    Ports,
    /// The node has its maximum number of pods.
    TooManyPods,
    /// Too little of a resource.
    Insufficient(Name),
    /// A topology spread constraint is not met.
    Spread,
    /// The node lacks the topology label of a spread constraint.
    SpreadLabel,
    /// Required pod affinity is not met.
    Affinity,
    /// Required pod anti-affinity is not met.
    AntiAffinity,
    /// The anti-affinity of a running pod excludes this one.
    ExistingAntiAffinity,
    /// Reason of a volume filter.
    Volume(Name),
}

impl fmt::Display for Reason {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Gated => "Scheduling is blocked due to non-empty scheduling gates",
            Self::Unschedulable => "node(s) were unschedulable",
            Self::NodeName => "node(s) didn't match the requested node name",
            Self::Taint => "node(s) had untolerated taint(s)",
            Self::NotNamed => "node(s) didn't satisfy plugin(s) [NodeAffinity]",
            Self::Conflict => "pod affinity terms conflict",
            Self::NodeAffinity => "node(s) didn't match Pod's node affinity/selector",
            Self::Ports => "node(s) didn't have free ports for the requested pod ports",
            Self::TooManyPods => "Too many pods",
            Self::Insufficient(resource) => return write!(to, "Insufficient {resource}"),
            Self::Spread => "node(s) didn't match pod topology spread constraints",
            Self::SpreadLabel => {
                "node(s) didn't match pod topology spread constraints (missing required label)"
            }
            Self::Affinity => "node(s) didn't match pod affinity rules",
            Self::AntiAffinity => "node(s) didn't match pod anti-affinity rules",
            Self::ExistingAntiAffinity => {
                "node(s) didn't satisfy existing pods anti-affinity rules"
            }
            Self::Volume(text) => text,
        })
    }
}

/// A requirement that no filter here can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unjudged {
    /// Claims of dynamic resource allocation (spec.resourceClaims).
    ResourceClaims,
    /// More than 32 required terms of pod affinity and anti-affinity, or topology spread
    /// constraints.
    TooManyTerms,
    /// More than 1,000 conditions, values and namespaces in these terms, or in these
    /// constraints.
    TooManyConditions,
    /// Requests of more than 64 extended resources.
    TooManyResources,
    /// More than 128 claims and disks.
    TooManyVolumes,
    /// More than 128 host ports.
    TooManyPorts,
    /// More than 1,000 names of nodes, with the conditions and tolerations beside them.
    TooManyNodeNames,
    /// The pod's terms select too many pods, or too many terms select it.
    TooManyConnections,
    /// More than 1,000 terms of the pod's namespace select the same pods.
    TooManySelectors,
    /// Comparing the terms and pods of the namespace takes too many steps.
    TooManyComparisons,
    /// Pods whose terms can't be judged are in a domain of the node.
    OtherPods,
}

impl fmt::Display for Unjudged {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::ResourceClaims => "resource claims can't be judged",
            Self::TooManyTerms => {
                "the pod has more than 32 terms of pod affinity or spread: it can't be judged"
            }
            Self::TooManyConditions => {
                "the pod's terms of pod affinity or spread have more than 1000 conditions, values \
                 and namespaces: it can't be judged"
            }
            Self::TooManyResources => {
                "the pod requests more than 64 extended resources: it can't be judged"
            }
            Self::TooManyVolumes => {
                "the pod has more than 128 claims, disks and monitors of rbd disks: it can't be \
                 judged"
            }
            Self::TooManyPorts => "the pod has more than 128 host ports: it can't be judged",
            Self::TooManyNodeNames => {
                "the pod selects nodes by name, with more than 1000 names, conditions and \
                 tolerations: it can't be judged"
            }
            Self::TooManyConnections => {
                "terms of pod affinity and spread select too many pods (over a million times \
                 in the cluster): the pod can't be judged"
            }
            Self::TooManySelectors => {
                "more than 1000 terms of pod affinity and spread of the namespace select the \
                 same pods: the pod can't be judged"
            }
            Self::TooManyComparisons => {
                "terms of pod affinity and spread of the namespace are compared with too many \
                 pods: the pod can't be judged"
            }
            Self::OtherPods => "node(s) had pods whose pod affinity can't be judged",
        })
    }
}
