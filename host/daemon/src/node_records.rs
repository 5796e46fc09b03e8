//! Where records of node decisions go beside the file: a ring of the latest, and
//! the log, in the peers' words.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_core::nodes::ports::NodesRecorder;
use flyball_core::nodes::record::{
    ExpanderRecord, NodeDecisionRecord, OrderOutcome, RankingAnswer,
};
use flyball_core::recorded::RecordedInput;

use crate::recorders::log_line;

/// Hands each record to all of these, in order.
pub struct Several(pub Vec<Arc<dyn NodesRecorder>>);

impl NodesRecorder for Several {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        for recorder in &self.0 {
            recorder.record(record);
        }
    }
}

/// Records that are read for the inputs of an expander.
const MOST_READ: usize = 8;

/// Most inputs of an expander that a new version is tried on.
const MOST_NODE_INPUTS: usize = 16;

/// The latest records, as many as fit into some memory.
pub struct NodeRing {
    most_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    /// Lines of JSON, oldest first.
    lines: VecDeque<Arc<str>>,
    bytes: usize,
}

impl NodeRing {
    /// A ring of so many bytes.
    pub fn new(most_bytes: usize) -> Self {
        Self {
            most_bytes,
            kept: Mutex::default(),
        }
    }

    /// The latest records, oldest first, as lines of JSON.
    pub fn latest(&self, limit: usize) -> Vec<Arc<str>> {
        let kept = self.kept();
        let skipped = kept.lines.len().saturating_sub(limit);
        kept.lines.iter().skip(skipped).cloned().collect()
    }

    /// The latest inputs of the expander of that name, the latest first: from a few
    /// records, as each has to be read, and a large cluster's are large.
    pub fn inputs(&self, expander: &str) -> Vec<RecordedInput> {
        let named = format!("\"name\":\"{expander}\"");
        let lines: Vec<Arc<str>> = {
            let kept = self.kept();
            let lines = kept.lines.iter().rev();
            let lines = lines.filter(|line| line.contains(&named));
            lines.take(MOST_READ).cloned().collect()
        };
        let records = lines
            .iter()
            .filter_map(|line| NodeDecisionRecord::from_line(0, line).ok());
        let inputs = records.flat_map(|record| {
            let inputs = RecordedInput::of_nodes(&record, expander);
            inputs.collect::<Vec<_>>()
        });
        inputs.take(MOST_NODE_INPUTS).collect()
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl NodesRecorder for NodeRing {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        let line = match record.to_line() {
            Ok(line) => line,
            Err(error) => {
                tracing::error!(%error, "a record can't be written");
                return;
            }
        };
        let mut kept = self.kept();
        kept.bytes += line.len();
        kept.lines.push_back(line.into());
        while kept.bytes > self.most_bytes {
            let Some(oldest) = kept.lines.pop_front() else {
                break;
            };
            kept.bytes -= oldest.len();
        }
    }
}

/// Logs what was decided, what came of it, and expanders that give no usable answer.
#[derive(Default)]
pub struct NodeLog {
    /// What was told last of expanders and of incidents: told once, until it changes.
    told: Mutex<String>,
}

impl NodesRecorder for NodeLog {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        let expanders = record.rounds.iter().flat_map(|round| &round.expanders);
        for expander in expanders.clone().flat_map(parts) {
            for (level, line) in &expander.log {
                log_line(*level, "nodes", &expander.name, line);
            }
        }
        self.tell_failures(expanders);
        for line in &record.log {
            tracing::info!("{line}");
        }
        for incident in &record.incidents {
            let group = incident.group.as_deref();
            tracing::warn!(code = %incident.code, group, "{}", incident.message);
        }
        for (order, outcome) in record.verdict.orders.iter().zip(&record.outcomes) {
            if let OrderOutcome::Failed { class, message } = outcome {
                tracing::warn!(group = %order.group, %class, "could not order nodes: {message}");
            }
        }
    }
}

impl NodeLog {
    fn tell_failures<'a>(&self, expanders: impl Iterator<Item = &'a ExpanderRecord>) {
        let failures = expanders
            .flat_map(parts)
            .filter_map(|part| match &part.answer {
                RankingAnswer::Failure(failure) => Some(format!("{}: {failure}", part.name)),
                RankingAnswer::Ranking(_) => None,
            });
        let text = failures.collect::<Vec<_>>().join("; ");
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if !text.is_empty() && *told != text {
            tracing::warn!(failures = text, "an expander gave no usable answer");
        }
        *told = text;
    }
}

/// The part of an expander that failed, then that of the one that answered.
pub fn parts(expander: &ExpanderRecord) -> impl Iterator<Item = &ExpanderRecord> {
    expander.failed.as_deref().into_iter().chain([expander])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use flyball_core::nodes::ports::NodesRecorder as _;

    use flyball_core::nodes::record::NodeDecisionRecord;

    use super::NodeRing;

    #[test]
    fn the_ring_keeps_the_latest_that_fit() -> anyhow::Result<()> {
        let record = |sequence| NodeDecisionRecord {
            sequence,
            ..NodeDecisionRecord::default()
        };
        let ring = NodeRing::new(3 * record(1).to_line()?.len());
        for sequence in 1..=5 {
            ring.record(&Arc::new(record(sequence)));
        }
        let kept = ring.latest(10);
        assert_eq!(kept.len(), 3);
        assert!(kept[0].contains("\"sequence\":3") && kept[2].contains("\"sequence\":5"));
        assert_eq!(ring.latest(1), kept[2..]);
        Ok(())
    }
}
