//! Checks that the policies which a scenario names exist. A missing policy would hold its
//! objects for the whole run, and the figures would look like a policy's choice.

use flyball_decision::policy::{PolicyEngine, PolicyFailure, kind};

use super::RunError;
use crate::scenario::{AutoscalerTemplate, EventSpec, Scenario};

/// Checks that each policy that the scenario names exists, or is added by one of its
/// swaps.
///
/// # Errors
/// [`RunError::Policy`] with the first one that does not.
pub fn check_policies(scenario: &Scenario, engine: &dyn PolicyEngine) -> Result<(), RunError> {
    for (place, template) in autoscalers(scenario) {
        for (index, policy) in template.policies.iter().enumerate() {
            let found = engine.policy(kind::REPLICA, &policy.name).map(drop);
            check_exists(scenario, &policy.name, found, || {
                format!("{place}.policies[{index}]")
            })?;
        }
    }
    let expanders = &scenario.node_autoscaler.expanders;
    for (index, expander) in expanders.iter().enumerate() {
        let found = engine.policy(kind::EXPANDER, &expander.name).map(drop);
        check_exists(scenario, &expander.name, found, || {
            format!("nodeAutoscaler.expanders[{index}]")
        })?;
    }
    let scale_down = scenario.node_autoscaler.scale_down.iter();
    for (index, policy) in scale_down.flat_map(|spec| &spec.policies).enumerate() {
        let found = engine.policy(kind::SCALE_DOWN, &policy.name).map(drop);
        check_exists(scenario, &policy.name, found, || {
            format!("nodeAutoscaler.scaleDown.policies[{index}]")
        })?;
    }
    Ok(())
}

/// Returns the autoscaler specs with their paths: those at the start, and those that
/// events set.
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

fn check_exists(
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
