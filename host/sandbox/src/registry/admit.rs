//! The last checks before code may decide: the configurations in use, and a trial
//! decision with each of them, for each kind of the policy.

use std::sync::{Arc, PoisonError};

use flyball_decision::context::Context;
use flyball_decision::policy::{ConfigurationsInUse, Policy as _, PolicyOutcome, interface};
use flyball_decision::time::Timestamp;
use flyball_tasks::beat;

use crate::digest::digest;
use crate::error::LoadError;
use crate::policy::CompiledPolicy;
use crate::registry::reconcile::{Configurations, Shared};
use crate::registry::sample;
use crate::registry::slot::{Candidate, Slot};
use crate::registry::trial::{self, Trial};
use crate::registry::turns::check_in_turns;

const NOW: Timestamp = Timestamp(1_767_225_600_000);
const NO_CONFIGURATION: &str = "{}";

/// Maximum number of configurations with which new code makes a trial decision.
const MAX_TRIALS: usize = 64;

/// Length of a digest in an error: `sha256:` and twelve digits.
const DIGEST_CHARACTERS: usize = 19;

impl Shared {
    /// Tries code with the configurations in use on made-up input, then on recorded input
    /// beside the code that it would replace. Configurations that the active code refuses
    /// as well do not count. If the operator accepts any, only code that fails with all that
    /// fit it is refused.
    pub fn judge(&self, name: &str, policy: &CompiledPolicy) -> Result<Option<Trial>, LoadError> {
        let in_use = self
            .configurations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .as_ref()
            .and_then(|configurations| configurations.get(name).cloned())
            .unwrap_or_default();
        let replaced = self.slots().get(name).and_then(Slot::replaced);
        let accepts_any = self.accepts_any(name);
        // Without a replaced version, a configuration that does not fit is no veto.
        let vetoing = match accepts_any {
            true => None,
            false => replaced.as_deref(),
        };
        admit(policy, vetoing, &in_use)?;
        let (Some(replaced), Some(recorded)) = (replaced, &self.recorded) else {
            return Ok(None);
        };
        let described = |digest: &str| match *policy.version().digest == *digest {
            true => Some(policy.description().clone()),
            false => Some(self.by_digest(digest)?.description().clone()),
        };
        let users = self.users(name);
        let users = (!accepts_any).then_some(&*users);
        trial::trial(policy, &replaced, &recorded.latest(name), users, described)
    }

    /// Reports whether the operator lets new versions of a policy take over whatever
    /// configurations and recorded inputs there are.
    pub fn accepts_any(&self, name: &str) -> bool {
        self.accept_any_configuration.contains(name)
    }

    /// Sets the configurations in use, and marks files for another check that were
    /// refused because of the old ones. Returns whether there is any.
    pub fn set_configurations(&self, configurations: Configurations) -> bool {
        let mut current = self
            .configurations
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if current.as_ref() == Some(&configurations) {
            return false;
        }
        // Files may have waited for the configurations.
        let mut again = current.replace(configurations).is_none();
        drop(current);
        let mut slots = self.slots_mut();
        for slot in slots.values_mut() {
            if let Candidate::Failed {
                error: LoadError::Configuration { .. } | LoadError::Canary { .. },
                digest,
            } = &mut slot.candidate
            {
                *digest = None;
                again = true;
            }
        }
        again
    }
}

/// Checks code against the configurations that objects use, as far as [`check_in_turns`]
/// goes. A configuration that does not fit is an error only if it fits `replaced`, the code
/// that would be replaced: otherwise nothing gets worse, and only its object is refused. The
/// first [`MAX_TRIALS`] that fit are tried out.
fn admit(
    policy: &CompiledPolicy,
    replaced: Option<&CompiledPolicy>,
    in_use: &ConfigurationsInUse,
) -> Result<(), LoadError> {
    let mut fitting = Vec::new();
    check_in_turns(in_use, |configuration| {
        // Each check has a limit of its own.
        beat();
        let mut steps = 0;
        match policy.check_text_counted(configuration, &mut steps) {
            Ok(()) if fitting.len() < MAX_TRIALS => {
                policy.remember_fitting(configuration);
                fitting.push(Arc::clone(configuration));
            }
            Ok(()) => {}
            Err(error) => {
                let fits = |replaced: &CompiledPolicy| {
                    let outcome = replaced.check_text_counted(configuration, &mut steps);
                    outcome.is_ok()
                };
                if replaced.is_some_and(fits) {
                    return Err(LoadError::Configuration {
                        digest: short_digest(configuration),
                        message: error.to_string(),
                    });
                }
            }
        }
        Ok(steps)
    })?;
    // Without users the empty configuration is tried, if the schema accepts it.
    if fitting.is_empty() && policy.check_configuration_text(NO_CONFIGURATION).is_ok() {
        fitting.push(NO_CONFIGURATION.into());
    }
    try_out(policy, &fitting)
}

/// Makes a trial decision with each of these configurations. The code is refused if it fails
/// with all of them. Otherwise the objects whose configuration it fails with keep the version
/// before, and others are not kept from the new one. A typed error is no failure, since the
/// input is made up.
fn try_out(policy: &CompiledPolicy, configurations: &[Arc<str>]) -> Result<(), LoadError> {
    let mut first = None;
    let mut has_passed = configurations.is_empty();
    for configuration in configurations {
        match canary(policy, configuration) {
            Ok(()) => has_passed = true,
            Err(error) => {
                tracing::warn!(
                    policy = %policy.version().name, %error,
                    "objects with this configuration keep the version before"
                );
                first.get_or_insert(error);
            }
        }
    }
    match first {
        Some(error) if !has_passed => Err(error),
        _ => Ok(()),
    }
}

/// Returns the beginning of a configuration's digest: what the digest stands for is nobody's
/// business but its object's.
fn short_digest(configuration: &str) -> String {
    let mut digest = digest(configuration.as_bytes());
    digest.truncate(DIGEST_CHARACTERS);
    digest
}

fn canary(policy: &CompiledPolicy, configuration: &Arc<str>) -> Result<(), LoadError> {
    let context = Context {
        now: NOW,
        seed: 1,
        configuration: Arc::clone(configuration),
        state: "".into(),
        inputs: sample::granted(policy.description(), NOW),
    };
    let judge = |outcome: PolicyOutcome<()>| judge(policy, configuration, outcome);
    if policy.answers(interface::REPLICA) {
        judge(policy.decide(&context, &sample::replica(NOW)).map(drop))?;
    }
    if policy.answers(interface::EXPANDER) {
        judge(policy.rank(&context, &sample::expander()).map(drop))?;
    }
    if policy.answers(interface::SCALE_DOWN_PODS) {
        judge(policy.judge_pods(&context, &sample::pods(NOW)).map(drop))?;
    }
    if policy.answers(interface::SCALE_DOWN_NODES) {
        judge(policy.judge_nodes(&context, &sample::nodes(NOW)).map(drop))?;
    }
    if policy.answers(interface::SCALE_DOWN_MOVES) {
        judge(policy.judge_moves(&context, &sample::moves(NOW)).map(drop))?;
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
            let configuration = match configuration {
                NO_CONFIGURATION => String::new(),
                configuration => short_digest(configuration),
            };
            Err(LoadError::Canary {
                configuration,
                failure,
            })
        }
        _ => Ok(()),
    }
}
