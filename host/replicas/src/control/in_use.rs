//! Policies in use: which objects name them, and with which configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::observe;
use crate::ports::Autoscaler;
use crate::status::Condition;
use crate::status::condition::{ABLE_TO_SCALE, SCALING_ACTIVE, SCALING_DISABLED};
use flyball_decision::policy::PolicyUser;

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

/// Returns the configurations with which objects use each policy, as JSON, without
/// duplicates. A new version of a policy must accept them before it takes over. The
/// namespaces take turns in the order, so that none displaces those of others where only
/// the first are looked at.
#[must_use]
pub fn configurations_in_use(autoscalers: &[Arc<Autoscaler>]) -> BTreeMap<String, Vec<Arc<str>>> {
    let mut in_use: BTreeMap<&str, BTreeMap<&str, BTreeSet<Arc<str>>>> = BTreeMap::new();
    for autoscaler in autoscalers {
        for policy in autoscaler.spec.effective_policies() {
            let namespaces = in_use.entry(&policy.name).or_default();
            let of_namespace = namespaces.entry(&autoscaler.key.namespace).or_default();
            of_namespace.insert(policy.configuration());
        }
    }
    let in_use = in_use.into_iter();
    in_use
        .map(|(name, namespaces)| (name.to_owned(), in_turns(namespaces.into_values())))
        .collect()
}

/// Returns the first element of each set, then the second of each, and so on, without
/// duplicates.
fn in_turns(sets: impl Iterator<Item = BTreeSet<Arc<str>>>) -> Vec<Arc<str>> {
    let mut turns: Vec<_> = sets.map(BTreeSet::into_iter).collect();
    let mut seen = BTreeSet::new();
    let mut ordered = Vec::new();
    while !turns.is_empty() {
        turns.retain_mut(|set| {
            let Some(next) = set.next() else {
                return false;
            };
            if seen.insert(Arc::clone(&next)) {
                ordered.push(next);
            }
            true
        });
    }
    ordered
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;

    use super::{Condition, in_turns, keeps_from_asking};
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

    #[test]
    fn namespaces_take_turns_with_their_configurations() {
        let set = |texts: &[&str]| texts.iter().map(|text| Arc::from(*text)).collect();
        let sets: [BTreeSet<Arc<str>>; 3] = [set(&["a", "b", "c"]), set(&["z"]), set(&["a", "y"])];
        let ordered: Vec<Arc<str>> = in_turns(sets.into_iter());
        let ordered: Vec<&str> = ordered.iter().map(|text| &**text).collect();
        assert_eq!(ordered, ["a", "z", "b", "y", "c"]);
    }
}
