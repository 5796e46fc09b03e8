//! The last records, in a ring bounded in bytes: columns that records share count
//! once.

use std::collections::{HashMap, VecDeque};
use std::mem::{size_of, size_of_val};
use std::sync::{Arc, Mutex, PoisonError};

use crate::ports::{ObjectKey, Recorder};
use crate::record::{Answer, DecisionRecord, PolicyRecord};
use crate::recorded::{MOST_INPUT_BYTES, MOST_INPUTS, Origin, RecordedInput, spread};
use crate::replica::{
    GrantedInput, MetricInput, PodColumns, Proposal, Reason, ReplicaDecision, ReplicaInput, Samples,
};
use crate::status::{Condition, Event};

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

    /// The latest inputs of the policy of that name, as
    /// [`RecordedInputs::latest`](crate::recorded::RecordedInputs::latest) chooses them.
    #[must_use]
    pub fn inputs(&self, policy: &str) -> Vec<RecordedInput> {
        let records = self.find(usize::MAX, |record| {
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
    for policy in record.policies.iter().flat_map(PolicyRecord::parts) {
        let context = &policy.context;
        for text in [&context.configuration, &context.state] {
            visit(text.as_ptr().addr(), text.len());
        }
    }
    let Some(input) = &record.input else { return };
    visit(Arc::as_ptr(&input.pods).addr(), pod_bytes(&input.pods));
    for metric in &input.metrics {
        visit(Arc::as_ptr(metric).addr(), metric_bytes(metric));
    }
}

fn input_bytes(input: &ReplicaInput) -> usize {
    let metrics = input.metrics.iter();
    pod_bytes(&input.pods) + metrics.map(|metric| metric_bytes(metric)).sum::<usize>()
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
    let conditions = record
        .conditions
        .iter()
        .map(|known| size_of::<Condition>() + known.kind.len() + text(&known.message));
    let events = record
        .events
        .iter()
        .map(|event| size_of::<Event>() + event.reason.len() + text(&event.message));
    let guard = record.guard.as_ref().map_or(0, |guard| {
        samples(&guard.recommendations) + samples(&guard.scale_events)
    });
    let input = record.input.as_ref().map_or(0, |input| {
        samples(&input.scale_events) + input.metrics.len() * size_of::<Arc<MetricInput>>()
    });
    let policies = record.policies.iter().flat_map(PolicyRecord::parts);
    size_of::<DecisionRecord>()
        + text(&record.verdict.message)
        + size_of_val(&*record.guard_steps)
        + guard
        + input
        + conditions.sum::<usize>()
        + events.sum::<usize>()
        + policies.map(policy_bytes).sum::<usize>()
}

fn policy_bytes(policy: &PolicyRecord) -> usize {
    let answer = match &policy.answer {
        Answer::Decision(decision) => decision_bytes(decision),
        Answer::Failure(failure) => text(failure.message()),
    };
    let log = policy.log.iter().map(|(_, line)| text(line));
    let inputs = policy.context.inputs.iter().map(granted_bytes);
    size_of::<PolicyRecord>()
        + answer
        + log.sum::<usize>()
        + inputs.sum::<usize>()
        + samples(&policy.recommendations)
}

fn decision_bytes(decision: &ReplicaDecision) -> usize {
    let proposals = decision.proposals.iter().map(|proposal| {
        size_of::<Proposal>() + proposal.error.len() + reason_bytes(&proposal.reason)
    });
    reason_bytes(&decision.reason)
        + proposals.sum::<usize>()
        + decision.state.as_deref().map_or(0, text)
}

fn reason_bytes(reason: &Reason) -> usize {
    let arguments = reason.arguments.iter();
    text(&reason.code)
        + text(&reason.sentence)
        + arguments
            .map(|(name, value)| text(name) + text(value))
            .sum::<usize>()
}

fn granted_bytes(input: &GrantedInput) -> usize {
    let texts = input.keys.iter().chain(&input.texts);
    size_of::<GrantedInput>()
        + input.error.len()
        + input.values.len() * size_of::<f64>()
        + input.times_ms.len() * size_of::<i64>()
        + texts.map(|each| text(each)).sum::<usize>()
}

/// A text in a list, with what holds it.
fn text(text: &str) -> usize {
    size_of::<String>() + text.len()
}

fn samples(samples: &Samples) -> usize {
    samples.at_ms.len() * (size_of::<i64>() + size_of::<i32>())
}
