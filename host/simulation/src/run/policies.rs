//! The policies that a scenario names: a name with nothing behind it would hold its
//! objects from the start to the end, which no figure tells from a policy's choice.

use flyball_core::policy::{PolicyEngine, PolicyFailure};

use super::RunError;
use crate::scenario::{AutoscalerTemplate, EventSpec, Scenario};

/// Whether each policy that the scenario names is there, or is brought by one of its
/// swaps.
///
/// # Errors
/// [`RunError::Policy`] with the first one that is not.
pub fn check_policies(scenario: &Scenario, engine: &dyn PolicyEngine) -> Result<(), RunError> {
    for (place, template) in autoscalers(scenario) {
        for (index, policy) in template.policies.iter().enumerate() {
            let found = engine.replica_policy(&policy.name).map(drop);
            there(scenario, &policy.name, found, || {
                format!("{place}.policies[{index}]")
            })?;
        }
    }
    let expanders = &scenario.node_autoscaler.expanders;
    for (index, expander) in expanders.iter().enumerate() {
        let found = engine.expander_policy(&expander.name).map(drop);
        there(scenario, &expander.name, found, || {
            format!("nodeAutoscaler.expanders[{index}]")
        })?;
    }
    Ok(())
}

/// The specs of autoscalers, each with its path: those at the start, and those that
/// they are changed to.
fn autoscalers(scenario: &Scenario) -> impl Iterator<Item = (String, &AutoscalerTemplate)> {
    let workloads = scenario.workloads.iter().enumerate();
    let at_start = workloads.filter_map(|(index, workload)| {
        let template = workload.autoscaler.as_ref()?;
        Some((format!("workloads[{index}].autoscaler"), template))
    });
    let events = scenario.events.iter().enumerate();
    let later = events.filter_map(|(index, event)| {
        let EventSpec::ChangeAutoscaler { autoscaler, .. } = event else {
            return None;
        };
        let place = format!("events[{index}].changeAutoscaler.autoscaler");
        Some((place, &**autoscaler))
    });
    at_start.chain(later)
}

fn there(
    scenario: &Scenario,
    name: &str,
    found: Result<(), PolicyFailure>,
    place: impl FnOnce() -> String,
) -> Result<(), RunError> {
    match found {
        Err(failure) if !scenario.brings(name) => Err(RunError::Policy {
            field: place(),
            failure,
        }),
        _ => Ok(()),
    }
}
