//! The latest records of both halves: the HTTP interface serves them, and new versions of
//! policies are tried on them.

use std::sync::Arc;

use flyball_decision::recorded::{RecordedInput, RecordedInputs};
use flyball_decision::recorder::Recorder;
use flyball_decision::ring::Ring;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;

/// A ring for each half, so that many small records about replicas do not drive out the
/// few large ones about nodes.
#[derive(Debug)]
pub struct Rings {
    /// Records about replicas.
    pub replicas: Ring<DecisionRecord>,
    /// Records about nodes.
    pub nodes: Ring<NodeDecisionRecord>,
}

impl Recorder<DecisionRecord> for Rings {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.replicas.record(record);
    }
}

impl Recorder<NodeDecisionRecord> for Rings {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.nodes.record(record);
    }
}

impl RecordedInputs for Rings {
    fn latest(&self, policy: &str) -> Vec<RecordedInput> {
        let mut inputs = RecordedInputs::latest(&self.nodes, policy);
        inputs.extend(RecordedInputs::latest(&self.replicas, policy));
        inputs
    }
}
