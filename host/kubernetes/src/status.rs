//! The status of a `ReplicaAutoscaler` in the API: times in RFC 3339, current metrics
//! in the form of autoscaling/v2, and the text that `kubectl get` prints under TARGETS.

mod list;
mod metrics;
mod targets;

use flyball_decision::text;
use flyball_decision::time::Timestamp;
use flyball_replicas::spec::limits::{MAX_METRICS, MAX_POLICIES};
use flyball_replicas::spec::{AutoscalerSpec, CrossVersionObjectReference};
use flyball_replicas::status::{AutoscalerStatus, Condition, PolicyStatus, condition};
use jiff::fmt::temporal::DateTimePrinter;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::list::first_elements;
use self::metrics::CurrentMetric;

/// Maximum number of conditions that are read.
pub(crate) const MAX_CONDITIONS: usize = 16;

/// Status of a `ReplicaAutoscaler`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct StatusObject {
    /// metadata.generation that the status speaks of.
    #[serde(skip_serializing_if = "Option::is_none")]
    observed_generation: Option<i64>,
    /// When replicas were last changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_scale_time: Option<Time>,
    /// Replicas that the target has.
    current_replicas: i32,
    /// Replicas that the last decision asks for.
    desired_replicas: i32,
    /// The target's kind and name, as `kubectl get` prints them.
    reference: String,
    /// Current value and target of each metric, as `kubectl get` prints them.
    targets: String,
    /// Names of the policies that the last decision asked, as `kubectl get` prints them.
    policy: String,
    /// Whether replicas can be decided as the spec says, as `kubectl get` prints it: True,
    /// or False with the reason of the first condition that is not True (AbleToScale,
    /// ScalingActive, PoliciesHealthy).
    ready: String,
    /// What was measured at the last decision, in the order of the spec's
    /// metrics. A metric that could not be had has an empty type.
    #[serde(deserialize_with = "first_elements::<_, _, MAX_METRICS>")]
    current_metrics: Vec<CurrentMetric>,
    /// Whether the target can be scaled, whether a decision could be made, and
    /// whether a guardrail changed it.
    #[serde(deserialize_with = "first_elements::<_, _, MAX_CONDITIONS>")]
    conditions: Vec<ConditionObject>,
    /// The policies that the last decision asked, and their answers.
    #[serde(deserialize_with = "first_elements::<_, _, MAX_POLICIES>")]
    policies: Vec<PolicyObject>,
}

/// A condition of an autoscaler.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct ConditionObject {
    /// Such as AbleToScale, ScalingActive or ScalingLimited.
    #[serde(rename = "type")]
    kind: String,
    /// True, False or Unknown.
    status: String,
    /// When status last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    last_transition_time: Option<Time>,
    /// A word for programs.
    #[serde(default)]
    reason: String,
    /// A sentence for people.
    #[serde(default)]
    message: String,
}

/// A policy that the last decision asked.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
struct PolicyObject {
    /// Name of the policy.
    name: String,
    /// Digest of the component that answered; empty if none did.
    #[serde(default)]
    digest: String,
    /// Replicas that it asked for; none if it asked to hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    desired_replicas: Option<i64>,
    /// A word for programs: why it answered so, or how it failed.
    #[serde(default)]
    reason: String,
    /// The reason as a sentence.
    #[serde(default)]
    message: String,
}

/// A point in time, in RFC 3339, to the second.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Time(#[schemars(extend("format" = "date-time"))] String);

impl Time {
    fn new(at: Timestamp) -> Option<Self> {
        let at = jiff::Timestamp::from_second(at.0.div_euclid(1000)).ok()?;
        Some(Self(DateTimePrinter::new().timestamp_to_string(&at)))
    }

    fn timestamp(&self) -> Option<Timestamp> {
        parse_time(&self.0)
    }
}

/// Parses a time of the API. `None` if it can't be parsed.
pub(crate) fn parse_time(text: &str) -> Option<Timestamp> {
    let at: jiff::Timestamp = text.parse().ok()?;
    Some(Timestamp(at.as_millisecond()))
}

impl StatusObject {
    /// Converts a status into the API's form. The targets are those of the spec. If the
    /// spec has no target because it could not be read, the fields about the target
    /// stay empty.
    #[must_use]
    pub(crate) fn new(status: &AutoscalerStatus, spec: &AutoscalerSpec) -> Self {
        let common = Self {
            observed_generation: status.observed_generation,
            last_scale_time: status.last_scale_time.and_then(Time::new),
            current_replicas: status.current_replicas,
            desired_replicas: status.desired_replicas,
            ready: ready(&status.conditions),
            conditions: status.conditions.iter().map(ConditionObject::new).collect(),
            policies: status.policies.iter().map(PolicyObject::new).collect(),
            ..Self::default()
        };
        let CrossVersionObjectReference { kind, name, .. } = &spec.scale_target_ref;
        if name.is_empty() {
            return common;
        }
        let policies = spec.effective_policies().iter();
        let policies: Vec<&str> = policies.map(|policy| policy.name.as_str()).collect();
        Self {
            reference: format!("{kind}/{name}"),
            targets: targets::text(spec.effective_metrics(), &status.current_metrics),
            policy: policies.join(","),
            current_metrics: metrics::to_api(spec.effective_metrics(), &status.current_metrics),
            ..common
        }
    }

    /// Converts the status into the core's form. Someone else may have written it, so its texts
    /// are bounded.
    #[must_use]
    pub(crate) fn to_core(&self) -> AutoscalerStatus {
        AutoscalerStatus {
            observed_generation: self.observed_generation,
            last_scale_time: self.last_scale_time.as_ref().and_then(Time::timestamp),
            current_replicas: self.current_replicas,
            desired_replicas: self.desired_replicas,
            current_metrics: self
                .current_metrics
                .iter()
                .map(CurrentMetric::to_core)
                .collect(),
            conditions: self
                .conditions
                .iter()
                .map(ConditionObject::to_core)
                .collect(),
            policies: self.policies.iter().map(PolicyObject::to_core).collect(),
        }
    }
}

/// Returns the text of READY. `kubectl get` prints values of an object as they are, so the
/// conditions are put in one text here.
fn ready(conditions: &[Condition]) -> String {
    let needed = [
        condition::ABLE_TO_SCALE,
        condition::SCALING_ACTIVE,
        condition::POLICIES_HEALTHY,
    ];
    let known = needed
        .iter()
        .filter_map(|kind| conditions.iter().find(|known| *known.kind == **kind));
    let mut known = known.peekable();
    if known.peek().is_none() {
        return "Unknown".to_owned();
    }
    match known.find(|condition| *condition.status != *"True") {
        Some(broken) => format!("{} ({})", broken.status, broken.reason),
        None => "True".to_owned(),
    }
}

impl ConditionObject {
    fn new(condition: &Condition) -> Self {
        Self {
            kind: condition.kind.to_string(),
            status: condition.status.to_string(),
            last_transition_time: Time::new(condition.last_transition_time),
            reason: condition.reason.to_string(),
            message: condition.message.to_string(),
        }
    }

    fn to_core(&self) -> Condition {
        let transition = self.last_transition_time.as_ref().and_then(Time::timestamp);
        Condition {
            kind: text::note(&*self.kind).into(),
            status: text::note(&*self.status).into(),
            last_transition_time: transition.unwrap_or_default(),
            reason: text::note(&*self.reason).into(),
            message: text::message(&*self.message).into(),
        }
    }
}

impl PolicyObject {
    fn new(policy: &PolicyStatus) -> Self {
        Self {
            name: policy.name.to_string(),
            digest: policy.digest.to_string(),
            desired_replicas: policy.desired_replicas,
            reason: policy.reason.clone(),
            message: policy.message.clone(),
        }
    }

    fn to_core(&self) -> PolicyStatus {
        PolicyStatus {
            name: text::note(&*self.name).into(),
            digest: text::note(&*self.digest).into(),
            desired_replicas: self.desired_replicas,
            reason: text::note(&*self.reason),
            message: text::message(&*self.message),
        }
    }
}

#[cfg(test)]
mod tests;
