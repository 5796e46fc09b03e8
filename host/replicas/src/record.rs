//! Records of decisions: input, answers, verdict and outcome. A record can be explained,
//! and decided again.
//!
//! In JSON a record is one line; floats read back exactly, times are
//! milliseconds since the Unix epoch, and what is missing is left out or null.

mod bytes;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::guard::{GuardInput, GuardStep};
use crate::spec::{Combine, Mode};
use crate::status::Condition;
use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;
use flyball_decision::part::PolicyRecord;
use flyball_decision::replica::ReplicaInput;
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// Value of [`DecisionRecord::format`].
pub const FORMAT: &str = "flyball.dev/decision/v1alpha1";

/// One decision about one autoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct DecisionRecord {
    /// [`FORMAT`].
    pub format: Arc<str>,
    /// Version of the host.
    pub host: Arc<str>,
    /// Sequence number within one daemon process.
    pub sequence: u64,
    /// Time of the decision.
    pub at: Timestamp,
    /// The autoscaler.
    pub object: ObjectKey,
    /// Unique id of the object.
    pub uid: Arc<str>,
    /// Generation of its spec.
    pub generation: i64,
    /// When the object was due, if its decision was put off because policies had used up
    /// the fuel of a tick for its namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub put_off_since: Option<Timestamp>,
    /// Whether the target may be written.
    pub mode: Mode,
    /// How the answers of several policies are combined.
    pub combine: Combine,
    /// Names of metrics and pods, for people; policies do not see them.
    pub names: Names,
    /// Input of all policies. `None` if no policy was asked: `verdict` says why.
    pub input: Option<ReplicaInput>,
    /// Each policy asked, in the order of the spec.
    pub policies: Vec<PolicyRecord>,
    /// Input of the guardrails. `None` if nothing was decided. If this is set without
    /// `input`, the replicas were outside the bounds and no policy was asked.
    pub guard: Option<GuardInput>,
    /// What each guardrail did, in order.
    pub guard_steps: Vec<GuardStep>,
    /// The verdict.
    pub verdict: Verdict,
    /// The outcome.
    pub outcome: Outcome,
    /// Conditions after it.
    pub conditions: Vec<Condition>,
    /// Events published for it.
    pub events: Vec<Event>,
}

impl DecisionRecord {
    /// Replaces `{pod:N}` and `{container:M:N}` in a policy's sentence with names.
    #[must_use]
    pub fn named(&self, sentence: &str) -> String {
        self.names.in_sentence(sentence)
    }
}

/// Names of the rows of an input, for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Names {
    /// Of the metrics, such as `cpu resource utilization (percentage of request)`.
    pub metrics: Arc<[Arc<str>]>,
    /// Of the pods.
    pub pods: Arc<[Arc<str>]>,
    /// Of containers without a request, by metric, then by pod.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub unrequested: Arc<[Unrequested]>,
}

/// A container without a request for the resource of a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Unrequested {
    /// Row of the metric.
    pub metric: usize,
    /// First row of the pods to which this applies, up to the metric's next entry.
    pub pod: usize,
    /// The first container without a request in each of these pods. Empty if their
    /// requests are complete.
    pub container: Arc<str>,
}

impl Names {
    /// Returns the name of the first container without a request for the resource of the
    /// metric in row `metric`, in the pod in row `pod`.
    #[must_use]
    pub fn unrequested(&self, metric: usize, pod: usize) -> Option<&Arc<str>> {
        let upto = self
            .unrequested
            .partition_point(|entry| (entry.metric, entry.pod) <= (metric, pod));
        let entry = &self.unrequested[upto.checked_sub(1)?];
        (entry.metric == metric && !entry.container.is_empty()).then_some(&entry.container)
    }

    /// Replaces `{pod:N}` and `{container:M:N}` in a sentence with names. Placeholders of
    /// unknown rows stay. The sentence with the names is a message of bounded size.
    #[must_use]
    pub fn in_sentence(&self, sentence: &str) -> String {
        let mut text = String::with_capacity(sentence.len());
        let mut rest = sentence;
        while let Some((before, after)) = rest.split_once('{') {
            text.push_str(before);
            match self.placeholder(after) {
                Some((name, tail)) => {
                    text.push_str(name);
                    rest = tail;
                }
                None => {
                    text.push('{');
                    rest = after;
                }
            }
        }
        text.push_str(rest);
        text::message(text)
    }

    /// Returns the name for a placeholder without its `{`, and the text after it.
    fn placeholder<'a>(&'a self, text: &'a str) -> Option<(&'a str, &'a str)> {
        let (inside, tail) = text.split_once('}')?;
        let name = match inside.split_once(':')? {
            ("pod", row) => self.pods.get(row.parse::<usize>().ok()?)?,
            ("container", rows) => {
                let (metric, pod) = rows.split_once(':')?;
                self.unrequested(metric.parse().ok()?, pod.parse().ok()?)?
            }
            _ => return None,
        };
        Some((name, tail))
    }
}

/// Verdict of a decision. A replay must reproduce it to the byte.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Verdict {
    /// spec.replicas of the scale before. `None` if not known.
    pub from: Option<i32>,
    /// Desired replicas after the guardrails. `None` to hold.
    pub to: Option<i32>,
    /// Replicas of all policies combined, before the guardrails. `None` to hold.
    pub proposed: Option<i64>,
    /// CamelCase code of the reason.
    pub reason: String,
    /// The reason as a sentence.
    pub message: String,
}

/// Outcome of a verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Nothing was to be done.
    Unchanged,
    /// Something was to be done, but mode Observe forbids it.
    Observed,
    /// The scale was written.
    Scaled,
    /// The write failed, for this reason.
    Failed(String),
}
