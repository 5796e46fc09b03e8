//! Summary of a run's decisions: which policies decided, when they changed, and the
//! decisions that changed something. The records themselves are only forwarded: a day of
//! a hundred workloads has half a million of them.

mod node_entries;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_decision::key::ObjectKey;
use flyball_decision::part::Part;
use flyball_decision::policy::PolicyVersion;
use flyball_decision::question::Question;
use flyball_decision::recorder::Recorder;
use flyball_decision::replica::MetricInput;
use flyball_decision::time::Timestamp;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::{DecisionRecord, Outcome};
use flyball_replicas::status::event;

pub use node_entries::NodeEntries;

use crate::recorders::{Recorders, RunRecorder};

/// Maximum number of decisions kept: the last ones.
pub(crate) const MAX_DECISIONS: usize = 200;

/// Recorder that keeps what a report needs of a run's records, and forwards them.
#[derive(Default)]
pub struct Journal {
    entries: Mutex<Entries>,
    nodes: Mutex<NodeEntries>,
    forward: Recorders,
}

/// Summary of the decisions about replicas of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Entries {
    /// Number of decisions.
    pub count: u64,
    /// Number of decisions for which some policy gave no usable answer.
    pub failures: u64,
    /// The policies that decided.
    pub uses: PolicyUses,
    /// How often each metric was read, by name.
    pub metrics: BTreeMap<String, MetricReads>,
    /// The last decisions that changed something.
    pub decisions: VecDeque<Decision>,
    /// Objects whose `minReplicas` of 0 was not applied, and the last message about it.
    pub kept_from_zero: BTreeMap<ObjectKey, String>,
    /// The last record.
    pub last: Option<Arc<DecisionRecord>>,
    /// Reason of each object's last verdict.
    reasons: BTreeMap<ObjectKey, String>,
}

/// How often a metric was read for a decision.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetricReads {
    /// Number of decisions that needed the metric.
    pub decisions: u64,
    /// Number of those for which it could not be read.
    pub failures: u64,
    /// The last error.
    pub message: String,
}

impl MetricReads {
    fn take(&mut self, metric: &MetricInput) {
        self.decisions += 1;
        if !metric.error.is_empty() {
            self.failures += 1;
            self.message.clone_from(&metric.message);
        }
    }
}

/// The policies that decided in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PolicyUses {
    /// The versions, ordered by their first decision.
    pub versions: Vec<PolicyUse>,
    /// Changes of the code behind a policy's name, ordered by time.
    pub changes: Vec<PolicyChange>,
    /// Last digest by policy name.
    digests: BTreeMap<Arc<str>, Arc<str>>,
}

/// Number of decisions of a version of a policy.
#[derive(Clone, Debug, PartialEq)]
pub struct PolicyUse {
    /// The code.
    pub version: Arc<PolicyVersion>,
    /// Its first decision.
    pub first: Timestamp,
    /// Its last decision.
    pub last: Timestamp,
    /// Number of answers.
    pub answers: u64,
    /// Number of times it gave no usable answer.
    pub failures: u64,
}

/// A change of the code behind a policy's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyChange {
    /// Time of the first decision of the new code.
    pub at: Timestamp,
    /// Digest of the old code.
    pub from: Arc<str>,
    /// The new code.
    pub to: Arc<PolicyVersion>,
}

/// A decision that changed replicas, or that failed with another reason than the one
/// before it.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// Time of the decision.
    pub at: Timestamp,
    /// The autoscaler.
    pub object: ObjectKey,
    /// spec.replicas before.
    pub from: Option<i32>,
    /// Replicas that the policies proposed.
    pub proposed: Option<i64>,
    /// Desired replicas. `None` if the decision was to hold.
    pub to: Option<i32>,
    /// The policies asked: name and short digest.
    pub policies: Vec<String>,
    /// What guardrails changed.
    pub guardrails: Vec<String>,
    /// CamelCase code of the reason.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
    /// Why the write failed or was not allowed; empty if it succeeded.
    pub remark: String,
}

impl Journal {
    /// Creates a journal that forwards records to these recorders.
    #[must_use]
    pub fn new(forward: Vec<Arc<dyn RunRecorder>>) -> Self {
        Self {
            forward: Recorders(forward),
            ..Self::default()
        }
    }

    /// Returns the last record.
    #[must_use]
    pub fn last(&self) -> Option<Arc<DecisionRecord>> {
        self.with(|entries| entries.last.clone())
    }

    /// Returns the summary of the decisions about replicas so far.
    #[must_use]
    pub fn entries(&self) -> Entries {
        self.with(|entries| entries.clone())
    }

    /// Returns the summary of the decisions about nodes so far.
    #[must_use]
    pub fn node_entries(&self) -> NodeEntries {
        self.nodes().clone()
    }

    fn nodes(&self) -> MutexGuard<'_, NodeEntries> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn with<T>(&self, f: impl FnOnce(&mut Entries) -> T) -> T {
        f(&mut self.entries.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Recorder<DecisionRecord> for Journal {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.with(|entries| entries.take(record));
        self.forward.record(record);
    }

    fn forget(&self, object: &ObjectKey) {
        self.with(|entries| entries.reasons.remove(object));
        Recorder::<DecisionRecord>::forget(&self.forward, object);
    }
}

impl Recorder<NodeDecisionRecord> for Journal {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.nodes().take(record);
        self.forward.record(record);
    }
}

impl Entries {
    /// Returns a sentence for each metric that no decision could read: what was simulated
    /// says nothing about the policy then.
    pub fn unread_metrics(&self) -> impl Iterator<Item = String> {
        let metrics = self.metrics.iter();
        let unread = metrics.filter(|(_, reads)| reads.failures == reads.decisions);
        unread.map(|(name, reads)| {
            let MetricReads {
                decisions,
                failures,
                message,
            } = reads;
            format!("{failures} of {decisions} decisions could not read {name}: {message}")
        })
    }

    fn take(&mut self, record: &Arc<DecisionRecord>) {
        self.count += 1;
        for policy in &record.policies {
            self.uses.take(record.at, policy);
        }
        for metric in record.input.iter().flat_map(|input| &input.metrics) {
            match self.metrics.get_mut(&metric.name) {
                Some(reads) => reads.take(metric),
                None => {
                    let reads = self.metrics.entry(metric.name.clone());
                    reads.or_default().take(metric);
                }
            }
        }
        let mut policies = record.policies.iter();
        let failed = policies.any(|policy| policy.failure().is_some());
        self.failures += u64::from(failed);
        let reason = &record.verdict.reason;
        let before = self.reasons.get_mut(&record.object);
        let reason_changed = before.as_ref().is_none_or(|before| *before != reason);
        if reason_changed {
            self.reasons.insert(record.object.clone(), reason.clone());
        }
        let newly_held = record.verdict.to.is_none() && reason_changed;
        if record.outcome != Outcome::Unchanged || (failed && reason_changed) || newly_held {
            if self.decisions.len() == MAX_DECISIONS {
                self.decisions.pop_front();
            }
            self.decisions.push_back(decision(record));
        }
        let mut events = record.events.iter().rev();
        if let Some(kept) = events.find(|event| event.reason == event::SCALE_TO_ZERO_DISABLED) {
            self.kept_from_zero
                .insert(record.object.clone(), kept.message.clone());
        }
        self.last = Some(Arc::clone(record));
    }
}

impl PolicyUses {
    /// Counts a part in a decision: each version that was asked, and a change of the code
    /// behind the name of the policy asked for.
    fn take<Q: Question>(&mut self, at: Timestamp, part: &Part<Q>) {
        for part in part.parts() {
            self.take_use(at, part);
        }
        // A fallback is not a change of policy.
        self.take_change(at, part.asked());
    }

    fn take_use<Q: Question>(&mut self, at: Timestamp, part: &Part<Q>) {
        let Some(version) = &part.version else {
            return;
        };
        let mut known = self.versions.iter_mut();
        let known = known.find(|known| known.version == *version);
        let failed = u64::from(part.answer.is_err());
        if let Some(known) = known {
            known.last = at;
            known.answers += 1 - failed;
            known.failures += failed;
        } else {
            self.versions.push(PolicyUse {
                version: version.clone(),
                first: at,
                last: at,
                answers: 1 - failed,
                failures: failed,
            });
        }
    }

    fn take_change<Q: Question>(&mut self, at: Timestamp, part: &Part<Q>) {
        let Some(version) = &part.version else {
            return;
        };
        if self.digests.get(&version.name) == Some(&version.digest) {
            return;
        }
        let before = self
            .digests
            .insert(Arc::clone(&version.name), Arc::clone(&version.digest));
        if let Some(from) = before {
            self.changes.push(PolicyChange {
                at,
                from,
                to: version.clone(),
            });
        }
    }
}

fn decision(record: &DecisionRecord) -> Decision {
    let verdict = &record.verdict;
    let policies = record.policies.iter().map(|policy| match &policy.version {
        Some(version) => format!("{} {}", version.name, version.short_digest()),
        None => policy.name.to_string(),
    });
    let guardrails = record.guard_steps.iter().filter(|step| step.changed());
    Decision {
        at: record.at,
        object: record.object.clone(),
        from: verdict.from,
        proposed: verdict.proposed,
        to: verdict.to,
        policies: policies.collect(),
        guardrails: guardrails
            .map(|step| format!("{}: {} → {}", step.guardrail, step.before, step.after))
            .collect(),
        reason: verdict.reason.clone(),
        message: verdict.message.clone(),
        remark: match &record.outcome {
            Outcome::Unchanged | Outcome::Scaled => String::new(),
            Outcome::Observed => "observed only".to_owned(),
            Outcome::Failed(error) => format!("not written: {error}"),
        },
    }
}
