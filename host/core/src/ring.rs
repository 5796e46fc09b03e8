//! Ring of the latest records, bounded in bytes. Columns that records share count once.

mod bytes;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::bytes::{Weighed, input_bytes, policy_bytes};
use crate::nodes::record::NodeDecisionRecord;
use crate::ports::ObjectKey;
use crate::record::DecisionRecord;
use crate::recorded::{
    MOST_INPUT_BYTES, MOST_INPUTS, Origin, RecordedInput, RecordedInputs, spread,
};
use crate::recorder::{Record, Recorder};

/// Maximum number of records about nodes that are read for the inputs of an expander:
/// those of a large cluster are large.
const MOST_NODE_RECORDS: usize = 8;

/// Maximum number of inputs of an expander that a new version is tried on.
const MOST_NODE_INPUTS: usize = 16;

/// The latest records. Those about nodes have a limit of their own, so that many small
/// records about replicas do not drive out the few large ones.
pub struct Ring {
    replicas: Mutex<Latest<DecisionRecord>>,
    nodes: Mutex<Latest<NodeDecisionRecord>>,
}

/// The latest records of one kind.
struct Latest<R> {
    limit: usize,
    /// Each with its own size in bytes, without shared parts.
    records: VecDeque<(Arc<R>, usize)>,
    bytes: usize,
    /// Number of records that hold a shared part, by the part's address.
    shared: HashMap<usize, usize>,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl Ring {
    /// Creates a ring for about `replica_bytes` of records about replicas and about
    /// `node_bytes` of records about nodes.
    #[must_use]
    pub fn new(replica_bytes: usize, node_bytes: usize) -> Self {
        Self {
            replicas: Mutex::new(Latest::new(replica_bytes)),
            nodes: Mutex::new(Latest::new(node_bytes)),
        }
    }

    /// Returns the records of an object, the latest first, at most `limit`.
    #[must_use]
    pub fn of(&self, object: &ObjectKey, limit: usize) -> Vec<Arc<DecisionRecord>> {
        self.replicas()
            .find(limit, |record| record.object == *object)
    }

    /// Returns the records of all objects, the latest first, at most `limit`.
    #[must_use]
    pub fn latest(&self, limit: usize) -> Vec<Arc<DecisionRecord>> {
        self.replicas().find(limit, |_| true)
    }

    /// Returns the records about nodes, the latest first, at most `limit`.
    #[must_use]
    pub fn latest_about_nodes(&self, limit: usize) -> Vec<Arc<NodeDecisionRecord>> {
        self.nodes().find(limit, |_| true)
    }

    /// Returns the size of all records, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.replicas().bytes + self.nodes().bytes
    }

    fn replicas(&self) -> MutexGuard<'_, Latest<DecisionRecord>> {
        self.replicas.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn nodes(&self) -> MutexGuard<'_, Latest<NodeDecisionRecord>> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replica_inputs(&self, policy: &str) -> Vec<RecordedInput> {
        let records = self.replicas().find(usize::MAX, |record| {
            let mut asked = record.policies.iter();
            record.input.is_some() && asked.any(|part| *part.name == *policy)
        });
        let parts = records.iter().flat_map(|record| {
            let parts = record.policies.iter();
            let parts = parts.filter(|part| *part.name == *policy);
            parts.map(|part| (&**record, part))
        });
        let parts: Vec<_> = parts.collect();
        let origins = parts.iter().filter_map(|(record, part)| {
            let input = record.input.as_ref()?;
            Some(Origin {
                namespace: &input.target.namespace,
                configuration: &part.context.configuration,
                object: &input.target.name,
                bytes: input_bytes(input) + policy_bytes(part),
            })
        });
        let chosen = spread(&origins.collect::<Vec<_>>(), MOST_INPUTS, MOST_INPUT_BYTES);
        let chosen = chosen.into_iter().filter_map(|place| parts.get(place));
        chosen
            .filter_map(|(record, part)| RecordedInput::of(record, part))
            .collect()
    }

    fn node_inputs(&self, expander: &str) -> Vec<RecordedInput> {
        let records = self.nodes().find(MOST_NODE_RECORDS, |record| {
            let mut asked = record.rounds.iter().flat_map(|round| &round.expanders);
            asked.any(|part| *part.name == *expander)
        });
        let inputs = records
            .iter()
            .flat_map(|record| RecordedInput::of_nodes(record, expander));
        inputs.take(MOST_NODE_INPUTS).collect()
    }
}

impl RecordedInputs for Ring {
    fn latest(&self, policy: &str) -> Vec<RecordedInput> {
        let mut inputs = self.node_inputs(policy);
        inputs.extend(self.replica_inputs(policy));
        inputs
    }
}

impl Recorder for Ring {
    fn record(&self, record: &Record) {
        match record {
            Record::Replicas(record) => {
                let own = record.own_bytes();
                self.replicas().push(Arc::clone(record), own);
            }
            Record::Nodes(record) => {
                let own = record.own_bytes();
                self.nodes().push(Arc::clone(record), own);
            }
        }
    }
}

impl<R: Weighed> Latest<R> {
    fn new(limit: usize) -> Self {
        Self {
            limit,
            records: VecDeque::new(),
            bytes: 0,
            shared: HashMap::new(),
        }
    }

    fn find(&self, limit: usize, matches: impl Fn(&R) -> bool) -> Vec<Arc<R>> {
        let found = self.records.iter().rev().map(|(record, _)| record);
        let found = found.filter(|record| matches(record));
        found.take(limit).cloned().collect()
    }

    fn push(&mut self, record: Arc<R>, own: usize) {
        self.bytes += own;
        record.each_shared(|address, bytes| {
            let holders = self.shared.entry(address).or_default();
            if *holders == 0 {
                self.bytes += bytes;
            }
            *holders += 1;
        });
        self.records.push_back((record, own));
        while self.bytes > self.limit && self.records.len() > 1 {
            self.pop();
        }
    }

    fn pop(&mut self) {
        let Some((record, own)) = self.records.pop_front() else {
            return;
        };
        self.bytes -= own;
        record.each_shared(|address, bytes| {
            if let Some(holders) = self.shared.get_mut(&address) {
                *holders -= 1;
                if *holders == 0 {
                    self.shared.remove(&address);
                    self.bytes -= bytes;
                }
            }
        });
    }
}
