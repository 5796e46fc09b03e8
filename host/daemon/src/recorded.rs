//! Inputs of earlier decisions from the rings of the latest records.

use std::fmt;
use std::sync::Arc;

use flyball_core::recorded::{RecordedInput, RecordedInputs};
use flyball_core::ring::Ring;

use crate::node_records::NodeRing;

/// The rings of a daemon.
pub struct Recorded {
    /// The latest records.
    pub ring: Arc<Ring>,
    /// The latest records of node decisions.
    pub node_ring: Arc<NodeRing>,
}

impl fmt::Debug for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recorded").finish_non_exhaustive()
    }
}

impl RecordedInputs for Recorded {
    fn latest(&self, policy: &str) -> Vec<RecordedInput> {
        let mut inputs = self.node_ring.inputs(policy);
        inputs.extend(self.ring.inputs(policy));
        inputs
    }
}
