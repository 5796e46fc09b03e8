//! The last checks before code may decide: the configurations in use, and a
//! decision for trial with each of them, of each kind that the policy has.

use std::sync::Arc;

use flyball_core::policy::{
    ExpanderPolicy as _, Policy as _, PolicyOutcome, ReplicaPolicy as _, kind,
};
use flyball_core::replica::Context;
use flyball_core::time::Timestamp;

use crate::error::LoadError;
use crate::policy::CompiledPolicy;
use crate::registry::sample;

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const NO_CONFIGURATION: &str = "{}";

/// Checks code against the configurations that objects use. One that does not fit
/// is a fault only if it fits what the code would replace: else nothing gets worse,
/// and the object at fault is refused on its own. A typed error in the trial is no
/// fault: the input is made up.
pub(super) fn admit(
    policy: &CompiledPolicy,
    replaced: Option<&CompiledPolicy>,
    in_use: &[Arc<str>],
) -> Result<(), LoadError> {
    let mut fitting = Vec::new();
    for configuration in in_use {
        let fits = |policy: &CompiledPolicy| policy.check_configuration_text(configuration);
        match fits(policy) {
            Ok(()) => fitting.push(Arc::clone(configuration)),
            Err(error) if replaced.is_some_and(|replaced| fits(replaced).is_ok()) => {
                return Err(LoadError::Configuration(error));
            }
            Err(_) => {}
        }
    }
    // Without users the empty configuration stands in, if the schema has it.
    if fitting.is_empty() && policy.check_configuration_text(NO_CONFIGURATION).is_ok() {
        fitting.push(NO_CONFIGURATION.into());
    }
    fitting
        .iter()
        .try_for_each(|configuration| trial(policy, configuration))
}

fn trial(policy: &CompiledPolicy, configuration: &Arc<str>) -> Result<(), LoadError> {
    let context = Context {
        now: NOW,
        seed: 1,
        configuration: Arc::clone(configuration),
        state: "".into(),
        inputs: sample::granted(policy.description(), NOW),
    };
    if policy.description().has_kind(kind::REPLICA) {
        judge(
            policy,
            configuration,
            policy.decide(&context, &sample::replica(NOW)),
        )?;
    }
    if policy.description().has_kind(kind::EXPANDER) {
        judge(
            policy,
            configuration,
            policy.rank(&context, &sample::expander()),
        )?;
    }
    Ok(())
}

fn judge<A>(
    policy: &CompiledPolicy,
    configuration: &str,
    outcome: PolicyOutcome<A>,
) -> Result<(), LoadError> {
    match outcome.answer {
        Err(failure) if failure.is_misbehaviour() => {
            // A panic's message is among them.
            for (_, line) in &outcome.log {
                tracing::warn!(policy = %policy.version().name, "canary decision: {line}");
            }
            Err(LoadError::Canary {
                configuration: configuration.to_owned(),
                failure,
            })
        }
        _ => Ok(()),
    }
}
