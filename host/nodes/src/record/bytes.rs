//! Estimates of the memory that records about nodes take: from their JSON, which is mostly
//! columns of numbers and names.

use std::io::{self, Write};
use std::mem::size_of;

use flyball_decision::question::ExpanderQuestion;
use flyball_decision::ring::{Asked, RingRecord};
use serde::Serialize;

use super::NodeDecisionRecord;

impl RingRecord for NodeDecisionRecord {
    type Question = ExpanderQuestion;

    // The records of a large cluster are large.
    const MAX_TRIAL_RECORDS: usize = 8;
    const MAX_TRIAL_INPUTS: usize = 16;

    fn own_bytes(&self) -> usize {
        size_of::<Self>() + json_bytes(self)
    }

    fn each_shared(&self, _: impl FnMut(usize, usize)) {}

    fn asked<'a>(&'a self, policy: &str) -> Vec<Asked<'a, ExpanderQuestion>> {
        let mut asked = Vec::new();
        for round in &self.rounds {
            let input = &round.input;
            let parts = round.expanders.iter();
            let parts = parts.filter(|part| *part.name == *policy);
            asked.extend(parts.map(|part| Asked { part, input }));
        }
        asked
    }

    fn asked_bytes(asked: &Asked<'_, ExpanderQuestion>) -> usize {
        json_bytes(asked.input)
    }
}

fn json_bytes(value: &impl Serialize) -> usize {
    let mut counter = Counter(0);
    // A counter accepts everything.
    let _ = serde_json::to_writer(&mut counter, value);
    counter.0
}

/// Counts the bytes written.
struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
