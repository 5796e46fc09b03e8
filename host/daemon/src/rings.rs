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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use flyball_decision::recorder::Recorder as _;
    use flyball_decision::ring::{Ring, RingRecord};
    use flyball_replicas::record::DecisionRecord;
    use flyball_report::record::Record;
    use flyball_test_support::vectors;
    use serde_json::Value;

    /// Length of the texts that replace others.
    const LONG: usize = 100_000;

    fn size(record: &DecisionRecord) -> usize {
        let mut bytes = record.own_bytes();
        record.each_shared(|_, shared| bytes += shared());
        bytes
    }

    fn parse(value: &Value) -> Option<Arc<DecisionRecord>> {
        match Record::from_line(value.to_string().as_bytes()) {
            Ok(Record::Replicas(record)) => Some(record),
            _ => None,
        }
    }

    /// Returns the JSON pointers of all texts in a value.
    fn texts(value: &Value, pointer: &str) -> Vec<String> {
        match value {
            Value::String(_) => vec![pointer.to_owned()],
            Value::Array(items) => {
                let items = items.iter().enumerate();
                let texts =
                    items.flat_map(|(index, item)| texts(item, &format!("{pointer}/{index}")));
                texts.collect()
            }
            Value::Object(fields) => {
                let fields = fields.iter();
                let texts =
                    fields.flat_map(|(name, field)| texts(field, &format!("{pointer}/{name}")));
                texts.collect()
            }
            _ => Vec::new(),
        }
    }

    #[test]
    fn every_text_of_a_record_counts() -> anyhow::Result<()> {
        let (mut counted, mut uncounted) = (BTreeSet::new(), BTreeSet::new());
        for value in vectors::read::<Value>("records/daemon")? {
            let Some(record) = parse(&value) else {
                continue;
            };
            for pointer in texts(&value, "") {
                let mut longer = value.clone();
                if let Some(text) = longer.pointer_mut(&pointer) {
                    *text = Value::String("x".repeat(LONG));
                }
                // Other texts have to be one of a few.
                let Some(longer) = parse(&longer) else {
                    continue;
                };
                let more = size(&longer).saturating_sub(size(&record));
                match more >= LONG - 1_000 {
                    true => counted.insert(pointer),
                    false => uncounted.insert(pointer),
                };
            }
        }
        assert!(uncounted.is_empty(), "{uncounted:#?}");
        assert!(counted.len() > 20, "{counted:?}");
        Ok(())
    }

    #[test]
    fn a_ring_holds_no_more_than_its_limit() -> anyhow::Result<()> {
        let values = vectors::read::<Value>("records/daemon")?;
        let record = values.iter().find_map(parse);
        let record = record.ok_or_else(|| anyhow::anyhow!("no record about replicas"))?;
        let ring = Ring::new(LONG);
        for number in 0..20 {
            let mut record = (*record).clone();
            record.verdict.message = "x".repeat(LONG / 10 * (number % 15));
            ring.record(&Arc::new(record));
            let held: usize = ring.latest(100).iter().map(|record| size(record)).sum();
            assert!(ring.bytes() <= LONG, "record {number}");
            assert!(held <= 2 * LONG, "record {number}: {held}");
        }
        assert!(!ring.latest(100).is_empty());
        Ok(())
    }
}
