//! Checks of configurations against a policy's schema.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use flyball_decision::context::Context;
use flyball_decision::policy::PolicyFailure;
use flyball_decision::text::readable;
use flyball_decision::time::Timestamp;
use serde_json::{Map, Value};

use super::{CompiledPolicy, REFUSAL_MESSAGE_BYTES, refused};
use crate::contract::Refusal;
use crate::error::ConfigurationError;
use crate::panics::catch_panic;

/// Maximum size of the configurations of which it is remembered whether they fit, in bytes.
const MAX_CHECKED_BYTES: usize = 16 << 20;

/// Steps after which no further configuration of a namespace is checked at the same time, or
/// with a new version: about two seconds' worth. Otherwise one tenant's configurations would
/// keep all others from being decided.
pub(crate) const NAMESPACE_STEPS: u64 = 20_000_000;

/// What counts of a configuration besides its text, in bytes.
const ENTRY_BYTES: usize = 128;

/// Configurations that were checked against the schema, so that they are not checked again
/// with every decision, and what is wrong with them.
#[derive(Default)]
pub(super) struct CheckedConfigurations {
    known: HashMap<Arc<str>, Option<PolicyFailure>>,
    bytes: usize,
    /// When decisions were last made.
    now: Timestamp,
    /// Steps that checks took at that time, by namespace.
    steps: BTreeMap<String, u64>,
}

impl CheckedConfigurations {
    /// Whether another configuration of the namespace may be checked at this time.
    fn may_check(&mut self, now: Timestamp, namespace: &str) -> bool {
        if now != self.now {
            (self.now, self.steps) = (now, BTreeMap::new());
        }
        let steps = self.steps.get(namespace).copied().unwrap_or(0);
        steps < NAMESPACE_STEPS
    }

    /// Counts the steps of a check.
    fn took(&mut self, namespace: &str, steps: u64) {
        let taken = self.steps.entry(namespace.to_owned()).or_default();
        *taken = taken.saturating_add(steps);
    }

    fn insert(&mut self, configuration: &Arc<str>, problem: Option<PolicyFailure>) {
        if self.bytes > MAX_CHECKED_BYTES {
            (self.known, self.bytes) = (HashMap::new(), 0);
        }
        self.bytes += configuration.len() + ENTRY_BYTES;
        self.known.insert(Arc::clone(configuration), problem);
    }
}

impl CompiledPolicy {
    /// Checks a configuration against the policy's schema.
    ///
    /// # Errors
    /// The field at fault.
    pub fn check_configuration(
        &self,
        configuration: &Map<String, Value>,
    ) -> Result<(), ConfigurationError> {
        let text = || Value::Object(configuration.clone()).to_string();
        checked(text, || self.schema.check(configuration))
    }

    /// Checks a configuration in text form; the empty text means no configuration.
    ///
    /// # Errors
    /// The field at fault, or that the text is not a JSON object.
    pub fn check_configuration_text(&self, text: &str) -> Result<(), ConfigurationError> {
        self.check_text_counted(text, &mut 0)
    }

    /// As [`Self::check_configuration_text`], and adds the steps that it took.
    pub(crate) fn check_text_counted(
        &self,
        text: &str,
        steps: &mut u64,
    ) -> Result<(), ConfigurationError> {
        checked(
            || text.to_owned(),
            || self.schema.check_text_counted(text, steps),
        )
    }

    /// Remembers that a configuration fits, so that decisions do not check it again.
    pub(crate) fn remember_fitting(&self, configuration: &Arc<str>) {
        self.remembered().insert(configuration, None);
    }

    fn remembered(&self) -> MutexGuard<'_, CheckedConfigurations> {
        self.checked_configurations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a decision whose configuration does not fit the policy's schema, or is not
    /// checked yet since others of the namespace took long. Without a namespace, all are
    /// checked.
    pub(crate) fn check_decision<'a>(
        &self,
        context: &'a Context,
        namespace: Option<&str>,
    ) -> Result<CheckedContext<'a>, PolicyFailure> {
        let configuration = &context.configuration;
        let known = self.remembered().known.get(configuration).cloned();
        let problem = match known {
            Some(known) => known,
            None => {
                if namespace.is_some_and(|it| !self.remembered().may_check(context.now, it)) {
                    return Err(PolicyFailure::NotAsked(
                        "checks of other configurations of the namespace took long: that of this \
                         one follows"
                            .to_owned(),
                    ));
                }
                let mut steps = 0;
                let problem = self.check_text_counted(configuration, &mut steps).err();
                let problem = problem.map(|error| error.failure());
                let mut checked = self.remembered();
                if let Some(namespace) = namespace {
                    checked.took(namespace, steps);
                }
                checked.insert(configuration, problem.clone());
                problem
            }
        };
        match problem {
            None => Ok(CheckedContext(context)),
            Some(problem) => Err(problem),
        }
    }
}

impl ConfigurationError {
    /// Returns the failure of decisions with the configuration, shortened: it is recorded.
    #[must_use]
    pub fn failure(&self) -> PolicyFailure {
        refused(Refusal {
            code: "InvalidConfiguration".into(),
            message: self.to_string(),
        })
    }
}

/// A context whose configuration fits the policy's schema.
pub(crate) struct CheckedContext<'a>(pub(super) &'a Context);

/// Runs a check of a configuration. A panic refuses the configuration, since it comes
/// from outside, like the schema.
fn checked(
    configuration: impl FnOnce() -> String,
    check: impl FnOnce() -> Result<(), ConfigurationError>,
) -> Result<(), ConfigurationError> {
    catch_panic(check).unwrap_or_else(|panic| {
        let mut configuration = configuration();
        readable(&mut configuration, REFUSAL_MESSAGE_BYTES / 4);
        Err(ConfigurationError::NotCheckable {
            configuration,
            panic,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::checked;
    use crate::error::ConfigurationError;

    #[test]
    fn a_panic_while_a_configuration_is_checked_refuses_the_configuration() {
        let text = || r#"{"ceiling": 5}"#.to_owned();
        assert_eq!(checked(text, || Ok(())), Ok(()));
        let none = || ConfigurationError::TakesNone("ceiling".into());
        assert_eq!(checked(text, || Err(none())), Err(none()));
        let error = checked(text, || panic!("of the validator"));
        assert_eq!(
            error.map_err(|error| error.to_string()),
            Err(
                "{\"ceiling\": 5} cannot be checked: flyball panicked on it: of the validator"
                    .to_owned()
            )
        );
    }
}
