//! Reasons to end a pass before it repairs or plans anything.

use super::pass_result::PassResult;
use crate::cloud::{CloudError, NOT_LEADER};
use crate::findings::Findings;
use crate::ports::NodeEvent;
use crate::record::{Incident, NodeVerdict};
use crate::reported::PassStage;
use crate::scale_up::Plan;

/// Why a pass ends without a plan, and without any change of the cluster.
pub(super) enum EarlyExit {
    /// The cloud failed to list its groups.
    CloudUnavailable(CloudError),
    /// The cloud was not asked for its groups, since another instance leads by now.
    NotLeader,
    /// Too many nodes are unready to decide anything.
    ClusterUnhealthy {
        /// Number of unready nodes.
        unready: u32,
        /// Number of all nodes.
        nodes: u32,
    },
}

impl EarlyExit {
    /// Returns why a pass ends if the groups could not be listed.
    pub(super) fn without_groups(error: CloudError) -> Self {
        match error.class {
            NOT_LEADER => Self::NotLeader,
            _ => Self::CloudUnavailable(error),
        }
    }

    /// Returns the result of the pass. `repairs` are the findings of the stages before.
    pub(super) fn result(self, repairs: Findings) -> PassResult {
        let (stage, code, message, event_message) = match self {
            Self::NotLeader => return PassResult::new(repairs, None),
            Self::CloudUnavailable(error) => {
                let message = format!("cannot list the node groups: {}", error.message);
                let event_message = message.clone();
                let stage = PassStage::Census;
                (stage, "CloudUnavailable", message, event_message)
            }
            Self::ClusterUnhealthy { unready, nodes } => {
                let message = format!("{unready} of {nodes} nodes are unready: nothing is ordered");
                let event_message = "Cluster is unhealthy".to_owned();
                let stage = PassStage::Health;
                (stage, "ClusterUnhealthy", message, event_message)
            }
        };
        let verdict = NodeVerdict {
            reason: code.to_owned(),
            message: message.clone(),
            ..NodeVerdict::default()
        };
        let mut findings = repairs;
        findings
            .events
            .push(NodeEvent::warning(code, event_message));
        findings.incidents.push(Incident {
            code: code.into(),
            group: None,
            message,
        });
        PassResult {
            stage,
            plan: Plan {
                verdict,
                ..Plan::default()
            },
            outcomes: Vec::new(),
            scale_down: None,
            findings,
        }
    }
}
