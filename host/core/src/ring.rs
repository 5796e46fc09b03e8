//! The last records, in a ring bounded in bytes: columns that records share count
//! once.

use std::collections::{HashMap, VecDeque};
use std::mem::size_of;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ports::{ObjectKey, Recorder};
use crate::record::{Answer, DecisionRecord, PolicyRecord};
use crate::replica::{MetricInput, PodColumns};

/// The last records of all objects.
#[derive(Debug)]
pub struct Ring {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    records: VecDeque<Arc<DecisionRecord>>,
    bytes: usize,
    /// How many records hold what is shared, by its address.
    shared: HashMap<usize, usize>,
}

impl Ring {
    /// A ring that holds records of about `limit` bytes together.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self {
            limit,
            inner: Mutex::default(),
        }
    }

    /// The last records of an object, the latest first, at most `limit`.
    #[must_use]
    pub fn of(&self, object: &ObjectKey, limit: usize) -> Vec<Arc<DecisionRecord>> {
        self.find(limit, |record| record.object == *object)
    }

    /// The last records of all objects, the latest first, at most `limit`.
    #[must_use]
    pub fn latest(&self, limit: usize) -> Vec<Arc<DecisionRecord>> {
        self.find(limit, |_| true)
    }

    /// What the records take, in bytes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.inner
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .bytes
    }

    fn find(
        &self,
        limit: usize,
        matches: impl Fn(&DecisionRecord) -> bool,
    ) -> Vec<Arc<DecisionRecord>> {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let found = inner.records.iter().rev().filter(|record| matches(record));
        found.take(limit).cloned().collect()
    }
}

impl Recorder for Ring {
    fn record(&self, record: &Arc<DecisionRecord>) {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        inner.push(Arc::clone(record));
        while inner.bytes > self.limit && inner.records.len() > 1 {
            inner.pop();
        }
    }
}

impl Inner {
    fn push(&mut self, record: Arc<DecisionRecord>) {
        self.bytes += own_bytes(&record);
        each_shared(&record, |address, bytes| {
            let holders = self.shared.entry(address).or_default();
            if *holders == 0 {
                self.bytes += bytes;
            }
            *holders += 1;
        });
        self.records.push_back(record);
    }

    fn pop(&mut self) {
        let Some(record) = self.records.pop_front() else {
            return;
        };
        self.bytes -= own_bytes(&record);
        each_shared(&record, |address, bytes| {
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

/// Calls `visit` with address and size of each part that records may share.
fn each_shared(record: &DecisionRecord, mut visit: impl FnMut(usize, usize)) {
    let names = &record.names.pods;
    visit(
        names.as_ptr().addr(),
        names.iter().map(|name| name.len() + 32).sum(),
    );
    for policy in &record.policies {
        let Context {
            configuration,
            state,
        } = texts(policy);
        visit(configuration.as_ptr().addr(), configuration.len());
        visit(state.as_ptr().addr(), state.len());
    }
    let Some(input) = &record.input else { return };
    visit(Arc::as_ptr(&input.pods).addr(), pod_bytes(&input.pods));
    for metric in &input.metrics {
        visit(Arc::as_ptr(metric).addr(), metric_bytes(metric));
    }
}

struct Context<'a> {
    configuration: &'a str,
    state: &'a str,
}

fn texts(policy: &PolicyRecord) -> Context<'_> {
    Context {
        configuration: &policy.context.configuration,
        state: &policy.context.state,
    }
}

fn pod_bytes(pods: &PodColumns) -> usize {
    size_of::<PodColumns>() + pods.len() * (size_of::<u32>() + 3 * size_of::<i64>())
}

fn metric_bytes(metric: &MetricInput) -> usize {
    let numbers = metric.value.len() + metric.timestamp_ms.len() + metric.window_ms.len();
    let columns = (numbers + metric.request.len()) * size_of::<i64>();
    let rows = metric.pod.len() * size_of::<u32>();
    size_of::<MetricInput>() + columns + rows + metric.message.len() + 64
}

/// An estimate of what a record takes of its own: its fixed size, lists and texts.
fn own_bytes(record: &DecisionRecord) -> usize {
    let samples = |len: usize| len * (size_of::<i64>() + size_of::<i32>());
    let conditions = record.conditions.iter().map(|c| 160 + c.message.len());
    let events = record.events.iter().map(|event| 64 + event.message.len());
    let policies = record.policies.iter().map(|policy| {
        let answer = match &policy.answer {
            Answer::Decision(decision) => {
                let proposals = decision.proposals.iter();
                decision.reason.sentence.len()
                    + proposals
                        .map(|proposal| 192 + proposal.reason.sentence.len())
                        .sum::<usize>()
            }
            Answer::Failure(failure) => failure.message().len(),
        };
        let log: usize = policy.log.iter().map(|(_, line)| 32 + line.len()).sum();
        let inputs: usize = policy
            .context
            .inputs
            .iter()
            .map(|input| 128 + input.values.len() * 16)
            .sum();
        size_of::<PolicyRecord>()
            + answer
            + log
            + inputs
            + samples(policy.recommendations.at_ms.len())
    });
    let guard = record.guard.as_ref().map_or(0, |guard| {
        samples(guard.recommendations.at_ms.len() + guard.scale_events.at_ms.len())
    });
    size_of::<DecisionRecord>()
        + record.verdict.message.len()
        + guard
        + conditions.sum::<usize>()
        + events.sum::<usize>()
        + policies.sum::<usize>()
}
