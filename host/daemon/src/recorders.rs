//! Recorder that logs decisions.

mod nodes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flyball_decision::key::ObjectKey;
use flyball_decision::part::Part;
use flyball_decision::part::PolicyRecord;
use flyball_decision::question::Question;
use flyball_decision::recorder::Recorder;
use flyball_nodes::record::NodeDecisionRecord;
use flyball_replicas::record::{DecisionRecord, Outcome};
use flyball_replicas::status::{Condition, condition};

/// Logs actions, the lines that policies log, and the problem that keeps an object from
/// being scaled (a missing target or metric, a policy without a usable answer): once,
/// until it changes.
#[derive(Default)]
pub struct LogRecorder {
    problems: Mutex<BTreeMap<ObjectKey, String>>,
    nodes: nodes::NodeLog,
}

impl Recorder<DecisionRecord> for LogRecorder {
    fn record(&self, record: &Arc<DecisionRecord>) {
        self.log(record);
    }

    fn forget(&self, object: &ObjectKey) {
        self.problems().remove(object);
    }
}

impl Recorder<NodeDecisionRecord> for LogRecorder {
    fn record(&self, record: &Arc<NodeDecisionRecord>) {
        self.nodes.log(record);
    }
}

impl LogRecorder {
    fn log(&self, record: &DecisionRecord) {
        let object = format!("{}/{}", record.object.namespace, record.object.name);
        log_lines(&record.policies, &object);
        self.log_problem(record, &object);
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

    fn log_problem(&self, record: &DecisionRecord, object: &str) {
        let failures: Vec<String> = record.policies.iter().filter_map(failure).collect();
        let (what, text) = match hold_reason(record) {
            _ if !failures.is_empty() => ("a policy gave no usable answer", failures.join("; ")),
            Some(reason) => ("nothing is decided", reason),
            None => ("", String::new()),
        };
        let mut known = self.problems();
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

    fn problems(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, String>> {
        self.problems.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns why an object is held, if its conditions name a fault.
fn hold_reason(record: &DecisionRecord) -> Option<String> {
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

/// Logs the lines that policies logged about an object, at the contract's levels.
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

/// Returns the policies that answered: `hpa@1a2b3c4d5e6f`.
pub fn policies(record: &DecisionRecord) -> String {
    let names = record.policies.iter().map(|policy| match &policy.version {
        Some(version) => format!("{}@{}", version.name, version.short_digest()),
        None => format!("{} (no answer)", policy.name),
    });
    names.collect::<Vec<_>>().join(", ")
}
