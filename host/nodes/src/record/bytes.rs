//! Estimates of the memory that records about nodes take: from their JSON, which is mostly
//! columns of numbers and names.

use std::io::{self, Write};
use std::mem::size_of;

use flyball_decision::part::Part;
use flyball_decision::question::Question;
use flyball_decision::ring::{Asked, AskedPart, RingRecord};
use serde::Serialize;

use super::NodeDecisionRecord;

impl RingRecord for NodeDecisionRecord {
    // The records of a large cluster are large.
    const MAX_TRIAL_RECORDS: usize = 8;
    const MAX_TRIAL_INPUTS: usize = 16;

    fn own_bytes(&self) -> usize {
        size_of::<Self>() + json_bytes(self)
    }

    fn each_shared(&self, _: impl FnMut(usize, &dyn Fn() -> usize)) {}

    fn asked<'a>(&'a self, policy: &str) -> Vec<Box<dyn Asked + 'a>> {
        let mut asked = Vec::new();
        for round in &self.rounds {
            add_asked(&mut asked, policy, &round.input, &round.expanders);
        }
        let questions = self.scale_down.iter().map(|record| &record.questions);
        for questions in questions {
            for pods in &questions.pods {
                add_asked(&mut asked, policy, &pods.input, &pods.policies);
            }
            for nodes in &questions.nodes {
                add_asked(&mut asked, policy, &nodes.input, &nodes.policies);
            }
            for moves in &questions.moves {
                add_asked(&mut asked, policy, &moves.input, &moves.policies);
            }
        }
        asked
    }
}

/// Adds the parts of a question that the policy of that name was asked.
fn add_asked<'a, Q: Question<Input: Serialize>>(
    asked: &mut Vec<Box<dyn Asked + 'a>>,
    policy: &str,
    input: &'a Q::Input,
    parts: &'a [Part<Q>],
) {
    let parts = parts.iter().filter(|part| *part.name == *policy);
    asked.extend(parts.map(|part| {
        let weigh: fn(&Part<Q>, &Q::Input) -> usize = |_, input| json_bytes(input);
        Box::new(AskedPart { part, input, weigh }) as Box<dyn Asked + 'a>
    }));
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
