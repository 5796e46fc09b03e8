//! Records of any kind of decision, one line of JSON each.

use std::sync::Arc;

use flyball_decision::columns::RaggedColumn;
use flyball_nodes::record::{NODE_FORMAT, NodeDecisionRecord};
use flyball_replicas::record::{DecisionRecord, FORMAT};
use serde::{Deserialize, Serialize};

/// The record of a decision.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Record {
    /// About replicas.
    Replicas(Arc<DecisionRecord>),
    /// About nodes.
    Nodes(Arc<NodeDecisionRecord>),
}

/// A text that is not a record.
#[derive(Debug, thiserror::Error)]
pub enum InvalidRecord {
    /// It is not the JSON of a record, or has unknown fields.
    #[error("not the record of a decision")]
    Json(#[from] serde_json::Error),
    /// The columns of an input do not fit together.
    #[error("a record of a decision whose input can't be used")]
    Columns(#[from] RaggedColumn),
    /// It is a record of an unknown format.
    #[error("a record of format {0:?}: this flyball reads {FORMAT:?} and {NODE_FORMAT:?}")]
    Format(String),
}

impl Record {
    /// Reads a line of a file of records.
    ///
    /// # Errors
    /// The line is not a record, or one that this version can't read.
    pub fn from_line(line: &[u8]) -> Result<Self, InvalidRecord> {
        #[derive(Deserialize)]
        struct Form {
            format: String,
        }
        let Form { format } = serde_json::from_slice(line)?;
        match &*format {
            FORMAT => {
                let mut record: DecisionRecord = serde_json::from_slice(line)?;
                if let Some(input) = &mut record.input {
                    input.complete()?;
                }
                Ok(Self::Replicas(Arc::new(record)))
            }
            NODE_FORMAT => {
                let mut record: NodeDecisionRecord = serde_json::from_slice(line)?;
                for round in &mut record.rounds {
                    round.input.complete()?;
                }
                if let Some(removals) = &mut record.scale_down {
                    removals.questions.complete()?;
                }
                Ok(Self::Nodes(Arc::new(record)))
            }
            _ => Err(InvalidRecord::Format(format)),
        }
    }
}
