//! Policies in use: which objects name them, and with which configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::nodes::options::ExpanderChoice;
use crate::observe;
use crate::policy::NODE_GROUPS;
use crate::ports::Autoscaler;
use crate::status::Condition;
use crate::status::condition::{ABLE_TO_SCALE, SCALING_ACTIVE, SCALING_DISABLED};

/// Conditions, with their reasons, of objects that no policy is asked about.
const NOT_ASKED: [(&str, &str); 6] = [
    (ABLE_TO_SCALE, "FailedGetScale"),
    (SCALING_ACTIVE, SCALING_DISABLED),
    (SCALING_ACTIVE, "AmbiguousSelector"),
    (SCALING_ACTIVE, "AmbiguousTarget"),
    (SCALING_ACTIVE, "InvalidSelector"),
    (SCALING_ACTIVE, "InvalidSpec"),
];

/// An object that names a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyUser {
    /// The object's target, or the node groups.
    pub object: String,
    /// Namespace of the target; empty for node groups.
    pub namespace: Arc<str>,
    /// Whether the policy is asked about it. It is not while scaling is disabled, or
    /// while the target or its pods are unknown.
    pub is_asked: bool,
}

/// Returns the objects that name each policy. The node groups count as one object.
#[must_use]
pub fn policy_users(
    autoscalers: &[Arc<Autoscaler>],
    expanders: &[ExpanderChoice],
) -> BTreeMap<String, Vec<PolicyUser>> {
    let mut users: BTreeMap<String, Vec<PolicyUser>> = BTreeMap::new();
    for expander in expanders {
        let own = users.entry(expander.name.to_string()).or_default();
        own.push(PolicyUser {
            object: NODE_GROUPS.to_owned(),
            namespace: Arc::default(),
            is_asked: true,
        });
    }
    for autoscaler in autoscalers {
        let user = PolicyUser {
            object: observe::target(autoscaler).to_string(),
            namespace: Arc::clone(&autoscaler.key.namespace),
            is_asked: !autoscaler.status.conditions.iter().any(keeps_from_asking),
        };
        for policy in autoscaler.spec.effective_policies() {
            users
                .entry(policy.name.clone())
                .or_default()
                .push(user.clone());
        }
    }
    users
}

/// Returns whether no policy is asked about an object with this condition.
fn keeps_from_asking(condition: &Condition) -> bool {
    let known = (condition.kind.as_str(), condition.reason.as_str());
    condition.status == "False" && NOT_ASKED.contains(&known)
}

/// Returns the configurations with which objects and the chain of expanders use each
/// policy, as JSON and without duplicates. A new version of a policy must accept them
/// before it takes over.
#[must_use]
pub fn configurations_in_use(
    autoscalers: &[Arc<Autoscaler>],
    expanders: &[ExpanderChoice],
) -> BTreeMap<String, Vec<Arc<str>>> {
    let mut in_use: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for expander in expanders {
        in_use
            .entry(expander.name.to_string())
            .or_default()
            .insert(expander.configuration.to_string());
    }
    for policy in autoscalers
        .iter()
        .flat_map(|autoscaler| autoscaler.spec.effective_policies())
    {
        let configuration = policy.config.clone().unwrap_or_default();
        let configuration = serde_json::Value::Object(configuration).to_string();
        in_use
            .entry(policy.name.clone())
            .or_default()
            .insert(configuration);
    }
    in_use
        .into_iter()
        .map(|(name, set)| (name, set.into_iter().map(Arc::from).collect()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Condition, keeps_from_asking};
    use crate::time::Timestamp;

    #[test]
    fn objects_that_cannot_be_asked_about_are_told_from_those_that_can() {
        for (kind, status, reason, asked) in [
            ("AbleToScale", "False", "FailedGetScale", false),
            ("AbleToScale", "False", "FailedUpdateScale", true),
            ("AbleToScale", "True", "SucceededGetScale", true),
            ("ScalingActive", "False", "ScalingDisabled", false),
            ("ScalingActive", "False", "InvalidSelector", false),
            ("ScalingActive", "False", "AmbiguousSelector", false),
            ("ScalingActive", "False", "FailedGetResourceMetric", true),
            ("ScalingActive", "True", "ValidMetricFound", true),
        ] {
            let condition = Condition {
                kind: kind.to_owned(),
                status: status.to_owned(),
                last_transition_time: Timestamp(0),
                reason: reason.to_owned(),
                message: String::new(),
            };
            assert_eq!(!keeps_from_asking(&condition), asked, "{kind} {reason}");
        }
    }
}
