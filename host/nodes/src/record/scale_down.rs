//! The part of a record about removals: what policies were asked, which nodes are not
//! needed, which go, and why the others stay.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pod_names::PodNames;
use crate::reasons::Stay;
use flyball_decision::columns::RaggedColumn;
use flyball_decision::key::ObjectKey;
use flyball_decision::part::Part;
use flyball_decision::question::{
    ScaleDownMovesQuestion, ScaleDownNodesQuestion, ScaleDownPodsQuestion,
};
use flyball_decision::scale_down::{ScaleDownMovesInput, ScaleDownNodesInput, ScaleDownPodsInput};
use flyball_decision::time::Timestamp;

/// One question to the chain of scale-down policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodsAsked {
    /// The pods, of nodes that changed.
    pub input: ScaleDownPodsInput,
    /// The pod of each row, for people.
    pub names: PodNames,
    /// The policies that were asked, in the order of the chain.
    pub policies: Vec<Part<ScaleDownPodsQuestion>>,
}

/// One question to the chain of scale-down policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NodesAsked {
    /// The nodes that changed.
    pub input: ScaleDownNodesInput,
    /// Name of the node of each row, for people.
    pub names: Vec<Arc<str>>,
    /// The policies that were asked, in the order of the chain.
    pub policies: Vec<Part<ScaleDownNodesQuestion>>,
}

/// One question to the chain of scale-down policies.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MovesAsked {
    /// The moves.
    pub input: ScaleDownMovesInput,
    /// Name of the node of each row of nodes, for people.
    pub names: Vec<Arc<str>>,
    /// The policies that were asked, in the order of the chain.
    pub policies: Vec<Part<ScaleDownMovesQuestion>>,
}

/// What policies were asked in a pass: only about pods and nodes that changed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScaleDownQuestions {
    /// Questions about pods, each of a part of them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<PodsAsked>,
    /// Questions about nodes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nodes: Vec<NodesAsked>,
    /// Questions about moves.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moves: Vec<MovesAsked>,
}

impl ScaleDownQuestions {
    /// Returns whether no policy was asked.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.pods.is_empty() && self.nodes.is_empty() && self.moves.is_empty()
    }

    /// Fills columns that a record of an earlier release lacks.
    ///
    /// # Errors
    /// A column has another number of entries than there are rows.
    pub fn complete(&mut self) -> Result<(), RaggedColumn> {
        for asked in &mut self.pods {
            asked.input.complete()?;
        }
        for asked in &mut self.nodes {
            asked.input.complete()?;
        }
        for asked in &mut self.moves {
            asked.input.complete()?;
        }
        Ok(())
    }
}

/// A node that is not needed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UnneededRecord {
    /// The node.
    pub node: Arc<str>,
    /// Its group.
    pub group: Arc<str>,
    /// Since when it has not been needed.
    pub since: Timestamp,
    /// Why it stays for now. `None` if it goes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stay: Option<Stay>,
    /// When that is over, if only time has to pass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Pods that move, and where each finds room.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pods: Vec<MovedPodRecord>,
}

/// A pod that moves when its node goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MovedPodRecord {
    /// The pod.
    pub pod: ObjectKey,
    /// The node with room for it. `None` if no room is sought.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Arc<str>>,
}

/// A node that is needed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NeededRecord {
    /// The node.
    pub node: Arc<str>,
    /// Why it stays.
    pub stay: Stay,
}

/// Nodes that cheaper ones can take the place of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ReplacementRecord {
    /// Names of the nodes that leave.
    pub leaving: Vec<Arc<str>>,
    /// Name of the group whose nodes come.
    pub group: Arc<str>,
    /// Number of nodes that come.
    pub count: u32,
    /// Price of the nodes that leave, for an hour.
    pub price_before: f64,
    /// Price of the nodes that come, for an hour.
    pub price_after: f64,
    /// Since when it has been proposed in every pass.
    pub since: Timestamp,
    /// Whether the nodes are ordered in this pass.
    pub ordered: bool,
}

/// A step of a removal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DrainStepRecord {
    /// The node.
    pub node: Arc<str>,
    /// CamelCase: `Started`, `Marked`, `Evicted`, `EvictionRefused`, `Drained`,
    /// `Terminating`, `TakenBack`, `Gone`, `Resumed`, `Lingers`, `ReplacementOrdered`,
    /// `ReplacementReady`, `ReplacementResumed`, `ReplacementDropped`.
    pub step: Arc<str>,
    /// Message for people.
    pub message: String,
}

/// What a pass found and did about removals.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ScaleDownRecord {
    /// Nodes that are not needed, in the order in which they were found.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub unneeded: Vec<UnneededRecord>,
    /// Nodes that cheaper ones can take the place of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub replacements: Vec<ReplacementRecord>,
    /// Nodes that are needed and whose reason is new in this pass.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needed: Vec<NeededRecord>,
    /// Number of nodes that are needed.
    pub needed_count: u32,
    /// Nodes that were there in the pass before, and are no longer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<Arc<str>>,
    /// What policies were asked.
    pub questions: ScaleDownQuestions,
    /// Steps of removals.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<DrainStepRecord>,
}
