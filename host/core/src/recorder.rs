//! Records of any kind of decision, one line of JSON each, and the recorders that take
//! them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::nodes::record::{NODE_FORMAT, NodeDecisionRecord};
use crate::ports::ObjectKey;
use crate::record::{DecisionRecord, FORMAT};

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
            FORMAT => Ok(Self::Replicas(Arc::new(serde_json::from_slice(line)?))),
            NODE_FORMAT => Ok(Self::Nodes(Arc::new(serde_json::from_slice(line)?))),
            _ => Err(InvalidRecord::Format(format)),
        }
    }
}

/// Takes the records of decisions: the ring, a file, a report, a terminal, the log.
pub trait Recorder: Send + Sync {
    /// Takes a record.
    fn record(&self, record: &Record);

    /// Drops what is held for the next record of an object that is gone.
    fn forget(&self, _object: &ObjectKey) {}
}

/// Passes each record to all of these, in order.
pub struct Recorders(pub Vec<Arc<dyn Recorder>>);

impl Recorder for Recorders {
    fn record(&self, record: &Record) {
        for recorder in &self.0 {
            recorder.record(record);
        }
    }

    fn forget(&self, object: &ObjectKey) {
        for recorder in &self.0 {
            recorder.forget(object);
        }
    }
}
