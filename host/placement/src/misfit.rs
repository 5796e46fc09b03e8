//! Why a pod can't run on a node, in the scheduler's words.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Name;

/// Why a pod doesn't go on a node.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Misfit {
    /// A filter said no: the first in the scheduler's order.
    Rejected {
        /// The filter.
        plugin: Plugin,
        /// When it said so.
        stage: Stage,
        /// What it said, sorted by text.
        reasons: Vec<Reason>,
    },
    /// No filter said no, but one that isn't here might.
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

    /// Whether a filter said so.
    #[must_use]
    pub fn is_of(&self, filter: Plugin) -> bool {
        matches!(self, Self::Rejected { plugin, .. } if *plugin == filter)
    }

    /// Whether it says only that others are asked for by name.
    pub(crate) fn is_of_names(&self) -> bool {
        matches!(self, Self::Rejected { reasons, .. } if reasons.contains(&Reason::NotNamed))
    }

    /// What was said, in the words of FailedScheduling.
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

/// When a filter says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Stage {
    /// Before the nodes are looked at: it refuses all nodes, or all but a few by name.
    PreFilter,
    /// It refuses this node.
    Filter,
}

/// The scheduler's filters, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Plugin {
    /// The pod waits for scheduling gates.
    SchedulingGates,
    /// The node is cordoned.
    NodeUnschedulable,
    /// The pod names another node.
    NodeName,
    /// The node has taints that the pod doesn't tolerate.
    TaintToleration,
    /// The node's labels or name aren't what the pod asks for.
    NodeAffinity,
    /// Host ports are taken.
    NodePorts,
    /// Resources don't suffice.
    NodeResourcesFit,
    /// Volumes that can't be shared are in use.
    VolumeRestrictions,
    /// No more volumes can be attached.
    NodeVolumeLimits,
    /// Claims can't be bound there.
    VolumeBinding,
    /// A volume is in another zone.
    VolumeZone,
    /// Pods would be spread too unevenly.
    PodTopologySpread,
    /// Pods that must be near aren't, or pods that must not be near are.
    InterPodAffinity,
}

impl Plugin {
    /// The scheduler's name of it.
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

/// What a filter says, in the scheduler's words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Reason {
    /// Gates hold the pod back.
    Gated,
    /// The node is cordoned.
    Unschedulable,
    /// Another node is named.
    NodeName,
    /// A taint isn't tolerated.
    Taint,
    /// The node isn't one of those that the pod's affinity names.
    NotNamed,
    /// The names that the pod's affinity asks for contradict each other.
    Conflict,
    /// Node selector or node affinity doesn't match.
    NodeAffinity,
    /// Host ports are taken.
    Ports,
    /// As many pods as the node may have.
    TooManyPods,
    /// Too little of a resource.
    Insufficient(Name),
    /// Spread too unevenly.
    Spread,
    /// The node lacks the label to spread over.
    SpreadLabel,
    /// Pods that must be near aren't.
    Affinity,
    /// Pods that must not be near are.
    AntiAffinity,
    /// Pods that are near don't want this one.
    ExistingAntiAffinity,
    /// What filters of volumes say.
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

/// What no filter here can judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Unjudged {
    /// Claims of dynamic resource allocation (spec.resourceClaims).
    ResourceClaims,
}

impl fmt::Display for Unjudged {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::ResourceClaims => "resource claims can't be judged",
        })
    }
}
