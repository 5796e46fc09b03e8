//! What a policy answers.

use std::time::Duration;

use serde::Serialize;

use crate::bindings::replica::exports::flyball::policy::replica as wire;
use crate::reason::{Reason, Refusal};
use crate::time::milliseconds;

/// How many replicas there should be, and why.
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Decision {
    replicas: Option<i64>,
    reason: Reason,
    proposals: Vec<Proposal>,
    leading: Option<usize>,
    state: Option<Result<String, String>>,
    again_after: Option<Duration>,
}

/// What one metric asks for.
#[derive(Clone, Debug, Default, PartialEq)]
#[must_use]
pub struct Proposal {
    replicas: Option<i64>,
    utilization: Option<i64>,
    average: Option<i64>,
    value: Option<i64>,
    error: String,
    reason: Reason,
}

impl Decision {
    /// There should be so many replicas. The host then enforces the
    /// object's bounds and its rate limits. Say why with [`because`](Self::because):
    /// else the code is `Unexplained`.
    pub fn to(replicas: impl Into<i64>) -> Self {
        Self::new(Some(replicas.into()), Reason::none_given())
    }

    /// Leave things as they are, for that reason, whose code is `Hold` unless
    /// [`because`](Self::because) names another.
    pub fn hold(sentence: impl Into<String>) -> Self {
        Self::new(None, Reason::new("Hold", sentence))
    }

    fn new(replicas: Option<i64>, reason: Reason) -> Self {
        Self {
            replicas,
            reason,
            proposals: Vec::new(),
            leading: None,
            state: None,
            again_after: None,
        }
    }

    /// Why: a CamelCase code that machines compare, and a sentence, which is cut
    /// after 1 KiB.
    pub fn because(mut self, code: impl Into<String>, sentence: impl Into<String>) -> Self {
        self.reason.say(code, sentence);
        self
    }

    /// A named value that the sentence speaks of, for machines; cut after 1 KiB.
    pub fn argument(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.reason.arguments.push((name.into(), value.to_string()));
        self
    }

    /// What each metric asks for, in the order of the spec.
    pub fn with_proposals(mut self, proposals: Vec<Proposal>) -> Self {
        self.proposals = proposals;
        self
    }

    /// The proposal that the decision follows.
    pub fn led_by(mut self, proposal: usize) -> Self {
        self.leading = Some(proposal);
        self
    }

    /// The state handed to the next decision for this object. Without it the state
    /// stays as it was. The policies of an object have 768 bytes of JSON for their
    /// states together.
    pub fn with_state<S: Serialize>(mut self, state: &S) -> Self {
        self.state = Some(serde_json::to_string(state).map_err(|error| error.to_string()));
        self
    }

    /// Asks to be asked again after this time, before the next sync or later. A policy
    /// whose answer depends on the time needs it: while nothing but the time
    /// changes, one without a wish may be asked once a minute only.
    pub fn ask_again_after(mut self, delay: Duration) -> Self {
        self.again_after = Some(delay);
        self
    }

    /// Desired replicas. `None` to hold.
    #[must_use]
    pub fn replicas(&self) -> Option<i64> {
        self.replicas
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    /// What each metric asks for.
    pub fn proposals(&self) -> &[Proposal] {
        &self.proposals
    }

    /// The proposal that the decision follows.
    #[must_use]
    pub fn leading(&self) -> Option<usize> {
        self.leading
    }

    /// The new state as JSON. `None` leaves it as it was.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.state.as_ref()?.as_deref().ok()
    }

    pub(crate) fn into_wire(self) -> Result<wire::Decision, Refusal> {
        let unwritable = |error| Refusal::new("InvalidState", format!("state is no JSON: {error}"));
        Ok(wire::Decision {
            replicas: self.replicas,
            reason: self.reason.into_wire(),
            proposals: self
                .proposals
                .into_iter()
                .map(Proposal::into_wire)
                .collect(),
            leading: self.leading.and_then(|row| u32::try_from(row).ok()),
            state: self.state.transpose().map_err(unwritable)?,
            again_after_ms: self
                .again_after
                .map(|delay| milliseconds(delay).unsigned_abs()),
        })
    }
}

impl Proposal {
    /// The metric asks for so many replicas.
    pub fn to(replicas: impl Into<i64>) -> Self {
        Self {
            replicas: Some(replicas.into()),
            ..Self::default()
        }
    }

    /// The metric asks for nothing: a stable class of error, and a sentence.
    pub fn failed(class: impl Into<String>, sentence: impl Into<String>) -> Self {
        let reason = Reason::new("MetricFailed", sentence);
        Self {
            error: class.into(),
            reason,
            ..Self::default()
        }
    }

    /// To be reported: percent of the request.
    pub fn with_utilization(mut self, percent: i64) -> Self {
        self.utilization = Some(percent);
        self
    }

    /// To be reported: the average over pods, in milli.
    pub fn with_average(mut self, milli: i64) -> Self {
        self.average = Some(milli);
        self
    }

    /// To be reported: the value itself, in milli.
    pub fn with_value(mut self, milli: i64) -> Self {
        self.value = Some(milli);
        self
    }

    /// Why: a CamelCase code that machines compare, and a sentence, which is cut
    /// after 1 KiB.
    pub fn because(mut self, code: impl Into<String>, sentence: impl Into<String>) -> Self {
        self.reason.say(code, sentence);
        self
    }

    /// A named value that the sentence speaks of, for machines; cut after 1 KiB.
    pub fn argument(mut self, name: impl Into<String>, value: impl ToString) -> Self {
        self.reason.arguments.push((name.into(), value.to_string()));
        self
    }

    /// Replicas asked for. `None` if it failed.
    #[must_use]
    pub fn replicas(&self) -> Option<i64> {
        self.replicas
    }

    /// The class of its error; empty if it did not fail.
    #[must_use]
    pub fn error(&self) -> &str {
        &self.error
    }

    /// Utilization, average and value, as far as they are reported.
    #[must_use]
    pub fn reported(&self) -> (Option<i64>, Option<i64>, Option<i64>) {
        (self.utilization, self.average, self.value)
    }

    /// Why.
    #[must_use]
    pub fn reason(&self) -> &Reason {
        &self.reason
    }

    fn into_wire(self) -> wire::Proposal {
        wire::Proposal {
            replicas: self.replicas,
            utilization: self.utilization,
            average: self.average,
            value: self.value,
            error: self.error,
            reason: self.reason.into_wire(),
        }
    }
}
