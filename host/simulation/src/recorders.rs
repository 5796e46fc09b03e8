//! Recorders that take the records of both loops.

use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::recorder::Recorder;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::DecisionRecord;

/// Takes the records of both loops.
pub trait RunRecorder: Recorder<DecisionRecord> + Recorder<NodeDecisionRecord> {}

impl<T: Recorder<DecisionRecord> + Recorder<NodeDecisionRecord>> RunRecorder for T {}

/// Passes each record to all of these, in order.
#[derive(Default)]
pub struct Recorders(pub Vec<Arc<dyn RunRecorder>>);

impl Recorder<DecisionRecord> for Recorders {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.0.iter().for_each(|recorder| recorder.record(record));
    }

    fn forget(&self, object: &ObjectKey) {
        for recorder in &self.0 {
            Recorder::<DecisionRecord>::forget(&**recorder, object);
        }
    }
}

impl Recorder<NodeDecisionRecord> for Recorders {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.0.iter().for_each(|recorder| recorder.record(record));
    }
}
