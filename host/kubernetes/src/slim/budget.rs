//! PodDisruptionBudgets in JSON.

use flyball_decision::key::ObjectKey;
use flyball_nodes::state::BudgetFacts;
use flyball_placement::Name;
use serde::Deserialize;

use super::convert::selector;
use super::pod::{LabelSelector, ObjectMetadata};
use super::text::shared_option;

/// A PodDisruptionBudget of the API server.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub struct BudgetObject {
    /// Metadata.
    pub metadata: ObjectMetadata,
    spec: BudgetSpec,
    status: Option<BudgetStatus>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetSpec {
    selector: Option<LabelSelector>,
    #[serde(deserialize_with = "shared_option")]
    unhealthy_pod_eviction_policy: Option<Name>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct BudgetStatus {
    observed_generation: i64,
    disruptions_allowed: i32,
    current_healthy: i32,
    desired_healthy: i32,
}

impl BudgetObject {
    /// Converts the budget for the core.
    pub fn into_facts(self) -> BudgetFacts {
        let Self {
            metadata,
            spec,
            status,
        } = self;
        let observed = status.as_ref().map(|status| status.observed_generation);
        let status = status.unwrap_or_default();
        let policy = spec.unhealthy_pod_eviction_policy;
        BudgetFacts {
            // As the API server compares them.
            is_current: observed.is_some_and(|observed| observed >= metadata.generation),
            uid: metadata.uid,
            key: ObjectKey {
                namespace: metadata.namespace,
                name: metadata.name,
            },
            selector: spec.selector.map(selector),
            disruptions_allowed: status.disruptions_allowed,
            always_evict_unhealthy: policy.as_deref() == Some("AlwaysAllow"),
            min_healthy: status.desired_healthy,
            current_healthy: status.current_healthy,
        }
    }
}

#[cfg(test)]
mod tests {
    use flyball_nodes::state::BudgetFacts;
    use serde_json::{Value, json};

    use super::BudgetObject;

    fn facts(spec: Value, status: Value) -> Result<BudgetFacts, serde_json::Error> {
        let metadata = json!({ "namespace": "shop", "name": "cart", "uid": "u", "generation": 2 });
        let object = json!({ "metadata": metadata, "spec": spec, "status": status });
        Ok(serde_json::from_value::<BudgetObject>(object)?.into_facts())
    }

    #[test]
    fn a_budget_allows_what_the_api_server_would() -> Result<(), serde_json::Error> {
        let status = |observed: i64, allowed: i64| {
            json!({ "observedGeneration": observed, "disruptionsAllowed": allowed,
                    "currentHealthy": 3, "desiredHealthy": 2, "expectedPods": 3 })
        };
        let selector = json!({ "selector": { "matchLabels": { "app": "cart" } } });
        let current = facts(selector.clone(), status(2, 1))?;
        assert_eq!((current.allowed(), current.passes_unready()), (1, true));
        assert_eq!(current.selector.map(|selector| selector.0.len()), Some(1));
        // Its controller has not seen the spec, or has counted too many.
        assert_eq!(facts(selector.clone(), status(1, 1))?.allowed(), 0);
        assert_eq!(facts(selector.clone(), status(2, -1))?.allowed(), 0);
        let none = facts(selector.clone(), Value::Null)?;
        assert_eq!((none.allowed(), none.passes_unready()), (0, false));

        let everything = facts(json!({ "selector": {} }), status(2, 1))?;
        assert_eq!(
            everything.selector.map(|selector| selector.0.len()),
            Some(0)
        );
        let nothing = facts(
            json!({ "unhealthyPodEvictionPolicy": "AlwaysAllow" }),
            status(2, 0),
        )?;
        assert!(nothing.selector.is_none() && nothing.always_evict_unhealthy);
        Ok(())
    }
}
