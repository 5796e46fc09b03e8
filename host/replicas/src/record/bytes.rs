//! Estimates of the memory that records about replicas take.

use std::mem::{size_of, size_of_val};
use std::sync::Arc;

use flyball_decision::context::{GrantedInput, Reason};
use flyball_decision::event::Event;
use flyball_decision::part::PolicyRecord;
use flyball_decision::policy::PolicyVersion;
use flyball_decision::question::ReplicaQuestion;
use flyball_decision::recorded::MAX_INPUTS;
use flyball_decision::replica::{
    MetricInput, PodColumns, Proposal, ReplicaDecision, ReplicaInput, Samples, Target,
};
use flyball_decision::ring::{Asked, AskedPart, RingRecord};

use super::{DecisionRecord, Outcome};
use crate::status::Condition;

impl RingRecord for DecisionRecord {
    const MAX_TRIAL_RECORDS: usize = usize::MAX;
    const MAX_TRIAL_INPUTS: usize = MAX_INPUTS;

    fn own_bytes(&self) -> usize {
        own_bytes(self)
    }

    fn each_shared(&self, visit: impl FnMut(usize, &dyn Fn() -> usize)) {
        each_shared(self, visit);
    }

    fn asked<'a>(&'a self, policy: &str) -> Vec<Box<dyn Asked + 'a>> {
        let Some(input) = &self.input else {
            return Vec::new();
        };
        let parts = self.policies.iter().filter(|part| *part.name == *policy);
        let asked = parts.map(|part| AskedPart::<ReplicaQuestion> {
            part,
            input,
            weigh: |part, input| input_bytes(input) + policy_bytes(part),
        });
        asked.map(|asked| Box::new(asked) as _).collect()
    }
}

impl DecisionRecord {
    /// Estimates the memory that the answers of all policies take that were asked, and what
    /// they logged.
    pub(crate) fn answer_bytes(&self) -> usize {
        let parts = self.policies.iter().flat_map(PolicyRecord::parts);
        parts.map(answer_bytes).sum()
    }
}

/// See [`RingRecord::each_shared`].
fn each_shared(record: &DecisionRecord, mut visit: impl FnMut(usize, &dyn Fn() -> usize)) {
    for names in [&record.names.pods, &record.names.metrics] {
        visit(names.as_ptr().addr(), &|| {
            names.iter().map(|name| shared_text(name)).sum()
        });
    }
    let containers = &record.names.unrequested;
    visit(containers.as_ptr().addr(), &|| {
        let bytes = containers.iter();
        let bytes = bytes.map(|entry| size_of_val(entry) + shared_text(&entry.container));
        bytes.sum()
    });
    for policy in record.policies.iter().flat_map(PolicyRecord::parts) {
        let context = &policy.context;
        for text in [&context.configuration, &context.state] {
            visit(text.as_ptr().addr(), &|| text.len());
        }
    }
    let Some(input) = &record.input else { return };
    let pods = &input.pods;
    visit(Arc::as_ptr(pods).addr(), &|| pod_bytes(pods));
    let target = &input.target;
    visit(Arc::as_ptr(target).addr(), &|| target_bytes(target));
    for metric in &input.metrics {
        visit(Arc::as_ptr(metric).addr(), &|| metric_bytes(metric));
    }
}

fn input_bytes(input: &ReplicaInput) -> usize {
    let metrics = input.metrics.iter();
    pod_bytes(&input.pods) + metrics.map(|metric| metric_bytes(metric)).sum::<usize>()
}

fn target_bytes(target: &Target) -> usize {
    let texts = [
        &target.api_version,
        &target.kind,
        &target.namespace,
        &target.name,
    ];
    let texts = texts.iter().map(|text| text.len());
    size_of::<Target>() + texts.sum::<usize>()
}

fn pod_bytes(pods: &PodColumns) -> usize {
    size_of::<PodColumns>() + pods.len() * (size_of::<u32>() + 3 * size_of::<i64>())
}

fn metric_bytes(metric: &MetricInput) -> usize {
    let numbers = metric.value.len() + metric.timestamp_ms.len() + metric.window_ms.len();
    let columns = (numbers + metric.request.len()) * size_of::<i64>();
    let rows = metric.pod.len() * size_of::<u32>();
    let texts = [
        &metric.source,
        &metric.name,
        &metric.container,
        &metric.selector,
        &metric.target_type,
        &metric.error,
        &metric.message,
    ];
    let texts = texts.iter().map(|text| text.len());
    size_of::<MetricInput>() + columns + rows + texts.sum::<usize>()
}

/// Estimates the record's own size: its fixed size, lists and texts.
fn own_bytes(record: &DecisionRecord) -> usize {
    let conditions = record.conditions.iter().map(|known| {
        let texts = [&known.kind, &known.status, &known.reason, &known.message];
        let texts = texts.iter().map(|text| text.len());
        size_of::<Condition>() + texts.sum::<usize>()
    });
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
    let failure = match &record.outcome {
        Outcome::Failed(failure) => failure.len(),
        _ => 0,
    };
    let steps = record.guard_steps.iter().map(|step| {
        let texts = [&step.guardrail, &step.reason, &step.message];
        size_of_val(step) + texts.iter().map(|text| text.len()).sum::<usize>()
    });
    // What all records of an object have in common is small.
    let object = shared_text(&record.object.namespace) + shared_text(&record.object.name);
    let texts = [&record.uid, &record.host, &record.format];
    let texts = texts.iter().map(|text| shared_text(text));
    size_of::<DecisionRecord>()
        + text(&record.verdict.reason)
        + text(&record.verdict.message)
        + failure
        + object
        + texts.sum::<usize>()
        + steps.sum::<usize>()
        + guard
        + input
        + conditions.sum::<usize>()
        + events.sum::<usize>()
        + policies.map(policy_bytes).sum::<usize>()
}

fn policy_bytes(policy: &PolicyRecord) -> usize {
    let inputs = policy.context.inputs.iter().map(granted_bytes);
    let version = policy.version.iter().flat_map(|version| {
        let PolicyVersion {
            name,
            digest,
            contract,
            version,
            ..
        } = &**version;
        [name, digest, contract, version]
    });
    let version: usize = version.map(|text| shared_text(text)).sum();
    size_of::<PolicyRecord>()
        + shared_text(&policy.name)
        + version
        + answer_bytes(policy)
        + inputs.sum::<usize>()
        + samples(&policy.own)
}

fn answer_bytes(policy: &PolicyRecord) -> usize {
    let answer = match &policy.answer {
        Ok(decision) => decision_bytes(decision),
        Err(failure) => text(failure.message()),
    };
    let log = policy.log.iter().map(|(_, line)| text(line));
    answer + log.sum::<usize>()
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
        + (input.times_ms.len() + input.numbers.len()) * size_of::<i64>()
        + input.rows.len() * size_of::<i32>()
        + texts.map(|each| text(each)).sum::<usize>()
}

/// Returns the size of a text in a list, its `String` included.
fn text(text: &str) -> usize {
    size_of::<String>() + text.len()
}

/// Returns the size of a text that is held with a count of its holders.
fn shared_text(text: &str) -> usize {
    size_of::<Arc<str>>() + 2 * size_of::<usize>() + text.len()
}

fn samples(samples: &Samples) -> usize {
    samples.at_ms.len() * (size_of::<i64>() + size_of::<i32>())
}
