//! The log of decisions.

mod nodes;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use flyball_core::part::Part;
use flyball_core::ports::ObjectKey;
use flyball_core::question::{PolicyRecord, Question};
use flyball_core::record::{DecisionRecord, Outcome};
use flyball_core::recorder::{Record, Recorder};
use flyball_core::status::{Condition, condition};

/// Logs what was done, the lines that policies log, and what keeps an object from
/// being scaled (a target or metric that can't be had, a policy that gives no usable
/// answer): once, until it changes.
#[derive(Default)]
pub struct LogRecorder {
    troubles: Mutex<BTreeMap<ObjectKey, String>>,
    nodes: nodes::NodeLog,
}

impl Recorder for LogRecorder {
    fn record(&self, record: &Record) {
        match record {
            Record::Replicas(record) => self.log(record),
            Record::Nodes(record) => self.nodes.log(record),
        }
    }

    fn forget(&self, object: &ObjectKey) {
        self.troubles().remove(object);
    }
}

impl LogRecorder {
    fn log(&self, record: &DecisionRecord) {
        let object = format!("{}/{}", record.object.namespace, record.object.name);
        log_lines(&record.policies, &object);
        self.log_trouble(record, &object);
        let verdict = &record.verdict;
        let (from, to) = (
            verdict.from.unwrap_or_default(),
            verdict.to.unwrap_or_default(),
        );
        let policy = policies(record);
        let reason = &verdict.message;
        match &record.outcome {
            Outcome::Scaled => tracing::info!(object, from, to, policy, reason, "scaled"),
            Outcome::Observed => {
                tracing::info!(
                    object,
                    from,
                    to,
                    policy,
                    reason,
                    "would scale (mode Observe)"
                );
            }
            Outcome::Failed(error) => {
                tracing::warn!(object, from, to, policy, reason, error, "could not scale");
            }
            Outcome::Unchanged => tracing::debug!(object, from, policy, reason, "unchanged"),
        }
    }

    fn log_trouble(&self, record: &DecisionRecord, object: &str) {
        let failures: Vec<String> = record.policies.iter().filter_map(failure).collect();
        let (what, text) = match held(record) {
            _ if !failures.is_empty() => ("a policy gave no usable answer", failures.join("; ")),
            Some(reason) => ("nothing is decided", reason),
            None => ("", String::new()),
        };
        let mut known = self.troubles();
        let before = if text.is_empty() {
            known.remove(&record.object)
        } else {
            known.insert(record.object.clone(), text.clone())
        };
        if before.as_deref().unwrap_or_default() == text {
            return;
        }
        if text.is_empty() {
            tracing::info!(object, "decided again, all policies answer");
        } else {
            tracing::warn!(object, reason = text, "{what}");
        }
    }

    fn troubles(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, String>> {
        self.troubles.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Why an object is left as it is, where that is somebody's fault: its conditions
/// say so.
fn held(record: &DecisionRecord) -> Option<String> {
    let at_fault = |condition: &&Condition| {
        let decides = [condition::ABLE_TO_SCALE, condition::SCALING_ACTIVE];
        condition.status == "False"
            && decides.contains(&&*condition.kind)
            && condition.reason != "ScalingDisabled"
    };
    record.verdict.to.is_none().then_some(())?;
    let fault = record.conditions.iter().find(at_fault)?;
    Some(format!("{}: {}", fault.reason, fault.message))
}

/// The lines that policies logged about an object, at the levels that the contract gives
/// them.
fn log_lines<'a, Q: Question>(parts: impl IntoIterator<Item = &'a Part<Q>>, object: &str) {
    for part in parts.into_iter().flat_map(Part::parts) {
        let policy = &*part.name;
        for (level, line) in &part.log {
            match level {
                1 => tracing::error!(object, policy, "{line}"),
                2 => tracing::warn!(object, policy, "{line}"),
                3 => tracing::info!(object, policy, "{line}"),
                _ => tracing::debug!(object, policy, "{line}"),
            }
        }
    }
}

fn failure(policy: &PolicyRecord) -> Option<String> {
    let failure = policy.failure()?;
    let version = policy.version.as_ref().filter(|_| policy.previous);
    let then = version.map_or_else(String::new, |version| {
        format!(
            "; the version before, {} ({}), goes on",
            version.version,
            version.short_digest()
        )
    });
    Some(format!("{}: {failure}{then}", policy.name))
}

/// The policies that answered: `hpa@1a2b3c4d5e6f`.
pub fn policies(record: &DecisionRecord) -> String {
    let names = record.policies.iter().map(|policy| match &policy.version {
        Some(version) => format!("{}@{}", version.name, version.short_digest()),
        None => format!("{} (no answer)", policy.name),
    });
    names.collect::<Vec<_>>().join(", ")
}
