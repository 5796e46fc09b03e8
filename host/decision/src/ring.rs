//! Ring of the latest records, bounded in bytes. Columns that records share count once.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hashbrown::HashMap;

use crate::part::Part;
use crate::question::Question;
use crate::recorded::{MAX_INPUT_BYTES, Origin, RecordedInput, RecordedInputs, spread};
use crate::recorder::Recorder;

/// A record that a ring keeps.
pub trait RingRecord: Send + Sync {
    /// Maximum number of records that are read for the inputs of a trial.
    const MAX_TRIAL_RECORDS: usize;
    /// Maximum number of inputs for a trial.
    const MAX_TRIAL_INPUTS: usize;

    /// Returns its own size in bytes, without shared parts.
    fn own_bytes(&self) -> usize;

    /// Calls `visit` with the address of each part that records may share, and with a
    /// function that weighs it, in bytes.
    fn each_shared(&self, visit: impl FnMut(usize, &dyn Fn() -> usize));

    /// Returns what the policy of that name was asked, of all kinds of questions.
    fn asked<'a>(&'a self, policy: &str) -> Vec<Box<dyn Asked + 'a>>;
}

/// What a policy was asked, by its record, whatever the question.
pub trait Asked {
    /// Returns the interface of the contract that asks the question.
    fn interface(&self) -> &'static str;

    /// Returns namespace and object of the decision.
    fn object(&self) -> (Arc<str>, String);

    /// Returns the policy's configuration.
    fn configuration(&self) -> &str;

    /// Returns the approximate size of what was asked, in bytes.
    fn bytes(&self) -> usize;

    /// Returns it for a trial.
    fn input(&self) -> RecordedInput;
}

/// A policy's part in a record, and the input that it has in common with others.
pub struct AskedPart<'a, Q: Question> {
    /// The policy's part.
    pub part: &'a Part<Q>,
    /// Input of all policies of the decision.
    pub input: &'a Q::Input,
    /// Weighs them, in bytes.
    pub weigh: fn(&Part<Q>, &Q::Input) -> usize,
}

impl<Q: Question> Asked for AskedPart<'_, Q> {
    fn interface(&self) -> &'static str {
        Q::INTERFACE
    }

    fn object(&self) -> (Arc<str>, String) {
        Q::object(self.input)
    }

    fn configuration(&self) -> &str {
        &self.part.context.configuration
    }

    fn bytes(&self) -> usize {
        (self.weigh)(self.part, self.input)
    }

    fn input(&self) -> RecordedInput {
        RecordedInput::of(self.part, self.input)
    }
}

/// The latest records of one kind.
pub struct Ring<R>(Mutex<Latest<R>>);

/// The latest records, without a lock.
struct Latest<R> {
    limit: usize,
    /// Each with its own size in bytes, without shared parts.
    records: VecDeque<(Arc<R>, usize)>,
    bytes: usize,
    /// Number of records that hold a shared part, by the part's address.
    shared: HashMap<usize, usize>,
}

impl<R> fmt::Debug for Ring<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").finish_non_exhaustive()
    }
}

impl<R: RingRecord> Ring<R> {
    /// Creates a ring for about that many bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Mutex::new(Latest::new(limit)))
    }

    /// Returns the records that match, the latest first, at most `limit`.
    #[must_use]
    pub fn find(&self, limit: usize, matches: impl Fn(&R) -> bool) -> Vec<Arc<R>> {
        self.latest_records().find(limit, matches)
    }

    /// Returns the latest records, the latest first, at most `limit`.
    #[must_use]
    pub fn latest(&self, limit: usize) -> Vec<Arc<R>> {
        self.find(limit, |_| true)
    }

    /// Returns the size of all records, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.latest_records().bytes
    }

    fn latest_records(&self) -> MutexGuard<'_, Latest<R>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<R: RingRecord> RecordedInputs for Ring<R> {
    fn latest(&self, policy: &str) -> Vec<RecordedInput> {
        let asked = |record: &R| !record.asked(policy).is_empty();
        let records = self.find(R::MAX_TRIAL_RECORDS, asked);
        let asked: Vec<_> = records
            .iter()
            .flat_map(|record| record.asked(policy))
            .collect();
        let objects: Vec<_> = asked.iter().map(|asked| asked.object()).collect();
        let origins = asked.iter().zip(&objects);
        let origins: Vec<_> = origins
            .map(|(asked, (namespace, object))| Origin {
                interface: asked.interface(),
                namespace,
                configuration: asked.configuration(),
                object,
                bytes: asked.bytes(),
            })
            .collect();
        let chosen = spread(&origins, R::MAX_TRIAL_INPUTS, MAX_INPUT_BYTES).into_iter();
        let chosen = chosen.filter_map(|place| asked.get(place));
        chosen.map(|asked| asked.input()).collect()
    }
}

impl<R: RingRecord> Recorder<R> for Ring<R> {
    fn record(&self, record: &Arc<R>) {
        // Weighed before the lock is taken.
        let own = record.own_bytes();
        self.latest_records().push(Arc::clone(record), own);
    }
}

impl<R: RingRecord> Latest<R> {
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
                self.bytes += bytes();
            }
            *holders += 1;
        });
        self.records.push_back((record, own));
        while self.bytes > self.limit && !self.records.is_empty() {
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
                    self.bytes -= bytes();
                }
            }
        });
    }
}
