//! Which objects name which policies, and with which configurations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::nodes::options::ExpanderChoice;
use crate::observe;
use crate::policy::NODE_GROUPS;
use crate::ports::Autoscaler;
use crate::status::condition::{self, SCALING_DISABLED};

/// An object that names a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyUser {
    /// Its target, or the node groups.
    pub object: String,
    /// Namespace of it; empty for node groups.
    pub namespace: Arc<str>,
    /// Whether the policy is asked about it: not while scaling is disabled.
    pub is_asked: bool,
}

/// The objects that name each policy; the node groups are one.
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
        let conditions = &autoscaler.status.conditions;
        let user = PolicyUser {
            object: observe::target(autoscaler).to_string(),
            namespace: Arc::clone(&autoscaler.key.namespace),
            is_asked: !conditions.iter().any(|condition| {
                condition.kind == condition::SCALING_ACTIVE && condition.reason == SCALING_DISABLED
            }),
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

/// The configurations that objects and the chain of expanders use each policy with,
/// as JSON, each once: what a new version of a policy must accept before it takes
/// over.
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
