//! Policies in use: which objects name them, and with which configurations.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::observe;
use crate::ports::Autoscaler;
use crate::status::Condition;
use crate::status::condition::{ABLE_TO_SCALE, SCALING_ACTIVE, SCALING_DISABLED};
use flyball_decision::policy::{ConfigurationsInUse, PolicyUser};

/// Conditions, with their reasons, of objects that no policy is asked about.
const NOT_ASKED: [(&str, &str); 6] = [
    (ABLE_TO_SCALE, "FailedGetScale"),
    (SCALING_ACTIVE, SCALING_DISABLED),
    (SCALING_ACTIVE, "AmbiguousSelector"),
    (SCALING_ACTIVE, "AmbiguousTarget"),
    (SCALING_ACTIVE, "InvalidSelector"),
    (SCALING_ACTIVE, "InvalidSpec"),
];

/// Returns the objects that name each policy.
#[must_use]
pub fn policy_users(autoscalers: &[Arc<Autoscaler>]) -> BTreeMap<String, Vec<PolicyUser>> {
    let mut users: BTreeMap<String, Vec<PolicyUser>> = BTreeMap::new();
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
    let known = (&*condition.kind, &*condition.reason);
    *condition.status == *"False" && NOT_ASKED.contains(&known)
}

/// Returns the configurations with which objects use each policy. A new version of a policy
/// must accept them before it takes over.
#[must_use]
pub fn configurations_in_use(
    autoscalers: &[Arc<Autoscaler>],
) -> BTreeMap<String, ConfigurationsInUse> {
    let mut in_use: BTreeMap<String, ConfigurationsInUse> = BTreeMap::new();
    for autoscaler in autoscalers {
        for policy in autoscaler.spec.effective_policies() {
            let namespaces = in_use.entry(policy.name.clone()).or_default();
            let namespace = Arc::clone(&autoscaler.key.namespace);
            let of_namespace = namespaces.entry(namespace).or_default();
            of_namespace.insert(policy.configuration());
        }
    }
    in_use
}

#[cfg(test)]
mod tests {
    use super::{Condition, keeps_from_asking};
    use flyball_decision::time::Timestamp;

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
                kind: kind.into(),
                status: status.into(),
                last_transition_time: Timestamp(0),
                reason: reason.into(),
                message: "".into(),
            };
            assert_eq!(!keeps_from_asking(&condition), asked, "{kind} {reason}");
        }
    }
}
