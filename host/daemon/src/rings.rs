//! The latest records of both halves: the HTTP interface serves them, and new versions of
//! policies are tried on them.

use std::sync::{Arc, Mutex, PoisonError};

use flyball_decision::recorded::{RecordedInput, RecordedInputs};
use flyball_decision::recorder::Recorder;
use flyball_decision::ring::Ring;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_nodes::standing::{NodeStanding, NodeStandings};
use flyball_replicas::record::DecisionRecord;

/// A ring for each half, so that many small records about replicas do not drive out the
/// few large ones about nodes.
#[derive(Debug)]
pub struct Rings {
    /// Records about replicas.
    pub replicas: Ring<DecisionRecord>,
    /// Records about nodes.
    pub nodes: Ring<NodeDecisionRecord>,
    /// Where each node stands. A ring forgets the records that say so.
    standings: Mutex<NodeStandings>,
}

impl Rings {
    /// Creates rings for about that many bytes of records about replicas and about nodes.
    pub fn new(replicas: usize, nodes: usize) -> Self {
        Self {
            replicas: Ring::new(replicas),
            nodes: Ring::new(nodes),
            standings: Mutex::default(),
        }
    }

    /// Returns where the node of that name stands, or where all do.
    pub fn standings(&self, node: Option<&str>) -> Vec<NodeStanding> {
        let standings = self.standings.lock();
        let standings = standings.unwrap_or_else(PoisonError::into_inner);
        match node {
            Some(node) => standings.get(node).into_iter().cloned().collect(),
            None => standings.iter().cloned().collect(),
        }
    }
}

impl Recorder<DecisionRecord> for Rings {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.replicas.record(record);
    }
}

impl Recorder<NodeDecisionRecord> for Rings {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.nodes.record(record);
        let standings = self.standings.lock();
        let mut standings = standings.unwrap_or_else(PoisonError::into_inner);
        standings.add(record);
    }
}

impl RecordedInputs for Rings {
    fn latest(&self, policy: &str) -> Vec<RecordedInput> {
        let mut inputs = RecordedInputs::latest(&self.nodes, policy);
        inputs.extend(RecordedInputs::latest(&self.replicas, policy));
        inputs
    }
}
