//! Checks of configurations against a policy's schema.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, MutexGuard, PoisonError};

use flyball_decision::context::Context;
use flyball_decision::policy::PolicyFailure;
use flyball_decision::text::readable;
use flyball_tasks::beat;
use serde_json::{Map, Value};

use super::charge::{REFUSAL_MESSAGE_BYTES, refused};
use super::{CompiledPolicy, NamespaceChecks};
use crate::contract::Refusal;
use crate::error::ConfigurationError;
use crate::panics::catch_panic;

/// Maximum size of the configurations of which it is remembered whether they fit, in bytes.
const MAX_CHECKED_BYTES: usize = 16 << 20;

/// What counts of a configuration besides its text, in bytes.
const ENTRY_BYTES: usize = 128;

/// Configurations that were checked against the schema, so that they are not checked again
/// with every decision, and what is wrong with them.
#[derive(Default)]
pub(super) struct CheckedConfigurations {
    known: HashMap<Arc<str>, Option<PolicyFailure>>,
    /// The same by the namespace for which they were checked first; it is empty if there was
    /// none.
    by_namespace: BTreeMap<String, NamespaceConfigurations>,
    bytes: usize,
}

/// Configurations that were checked for a namespace.
#[derive(Default)]
struct NamespaceConfigurations {
    configurations: Vec<Arc<str>>,
    bytes: usize,
}

impl CheckedConfigurations {
    fn insert(
        &mut self,
        namespace: &str,
        configuration: &Arc<str>,
        problem: Option<PolicyFailure>,
    ) {
        if self.bytes > MAX_CHECKED_BYTES {
            self.forget_largest();
        }
        let known = self.known.insert(Arc::clone(configuration), problem);
        if known.is_some() {
            return;
        }
        let bytes = configuration.len() + ENTRY_BYTES;
        self.bytes += bytes;
        let own = self.by_namespace.entry(namespace.to_owned()).or_default();
        own.bytes += bytes;
        own.configurations.push(Arc::clone(configuration));
    }

    /// Forgets the configurations of the namespace that has most, so that those of others are
    /// not checked again because of it.
    fn forget_largest(&mut self) {
        let namespaces = self.by_namespace.iter();
        let largest = namespaces.max_by_key(|(_, own)| own.bytes);
        let Some(largest) = largest.map(|(namespace, _)| namespace.clone()) else {
            return;
        };
        let forgotten = self.by_namespace.remove(&largest).unwrap_or_default();
        self.bytes -= forgotten.bytes;
        for configuration in &forgotten.configurations {
            self.known.remove(configuration);
        }
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
        self.remembered().insert("", configuration, None);
    }

    fn remembered(&self) -> MutexGuard<'_, CheckedConfigurations> {
        self.checked_configurations
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a decision whose configuration does not fit the policy's schema, or is not
    /// checked yet since checks of others took long. Without `checks`, all are checked.
    pub(crate) fn check_decision<'a>(
        &self,
        context: &'a Context,
        checks: Option<NamespaceChecks<'_>>,
    ) -> Result<CheckedContext<'a>, PolicyFailure> {
        let known = self.remembered().known.get(&context.configuration).cloned();
        let problem = match known {
            Some(known) => known,
            None => self.check_new(context, checks)?,
        };
        match problem {
            None => Ok(CheckedContext(context)),
            Some(problem) => Err(problem),
        }
    }

    /// Checks a configuration that is not known, and returns what is wrong with it.
    ///
    /// # Errors
    /// That the check is put off.
    fn check_new(
        &self,
        context: &Context,
        checks: Option<NamespaceChecks<'_>>,
    ) -> Result<Option<PolicyFailure>, PolicyFailure> {
        if let Some(checks) = checks {
            checks.begin(context.now)?;
        }
        let configuration = &context.configuration;
        let mut steps = 0;
        let problem = self.check_text_counted(configuration, &mut steps).err();
        let problem = problem.map(|error| error.failure());
        // Each check has a limit of its own.
        beat();
        if let Some(checks) = checks {
            checks.took(steps);
        }
        let namespace = checks.map_or("", |checks| checks.namespace);
        self.remembered()
            .insert(namespace, configuration, problem.clone());
        Ok(problem)
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
