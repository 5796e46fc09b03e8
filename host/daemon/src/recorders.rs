//! Where records of decisions go beside the ring and the file: to several of them, and
//! to the log.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_core::ports::{ObjectKey, Recorder};
use flyball_core::record::{DecisionRecord, Outcome, PolicyRecord};
use flyball_core::status::{Condition, condition};

/// Hands each record to all of these, in order.
pub struct Several(pub Vec<Arc<dyn Recorder>>);

impl Recorder for Several {
    fn record(&self, record: &Arc<DecisionRecord>) {
        for recorder in &self.0 {
            recorder.record(record);
        }
    }

    fn forget(&self, object: &ObjectKey) {
        for recorder in &self.0 {
            recorder.forget(object);
        }
    }
}

/// Logs what was done, the lines that policies log, and what keeps an object from
/// being scaled (a target or metric that can't be had, a policy that gives no usable
/// answer): once, until it changes.
#[derive(Default)]
pub struct LogRecorder {
    troubles: Mutex<BTreeMap<ObjectKey, String>>,
}

impl Recorder for LogRecorder {
    fn record(&self, record: &Arc<DecisionRecord>) {
        let object = format!("{}/{}", record.object.namespace, record.object.name);
        for policy in record.policies.iter().flat_map(PolicyRecord::parts) {
            log_lines(policy, &object);
        }
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

    fn forget(&self, object: &ObjectKey) {
        self.troubles().remove(object);
    }
}

impl LogRecorder {
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

/// A policy's own lines, at the levels that the contract gives them.
fn log_lines(policy: &PolicyRecord, object: &str) {
    let name = &*policy.name;
    for (level, line) in &policy.log {
        log_line(*level, object, name, line);
    }
}

/// A policy's own line about an object.
pub fn log_line(level: u32, object: &str, policy: &str, line: &str) {
    match level {
        1 => tracing::error!(object, policy, "{line}"),
        2 => tracing::warn!(object, policy, "{line}"),
        3 => tracing::info!(object, policy, "{line}"),
        _ => tracing::debug!(object, policy, "{line}"),
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
