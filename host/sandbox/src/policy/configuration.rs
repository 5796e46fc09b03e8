//! Checks of configurations against a policy's schema.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError};

use flyball_decision::context::Context;
use flyball_decision::policy::PolicyFailure;
use flyball_decision::text::readable;
use serde_json::{Map, Value};

use super::{CompiledPolicy, REFUSAL_MESSAGE_BYTES, refused};
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
    bytes: usize,
}

impl CheckedConfigurations {
    fn insert(&mut self, configuration: &Arc<str>, problem: Option<PolicyFailure>) {
        if self.bytes > MAX_CHECKED_BYTES {
            *self = Self::default();
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
        checked(|| text.to_owned(), || self.schema.check_text(text))
    }

    /// Refuses a decision whose configuration does not fit the policy's schema.
    pub(crate) fn check_decision<'a>(
        &self,
        context: &'a Context,
    ) -> Result<CheckedContext<'a>, PolicyFailure> {
        let checked = || {
            self.checked_configurations
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let configuration = &context.configuration;
        let known = checked().known.get(configuration).cloned();
        let problem = known.unwrap_or_else(|| {
            let problem = self.check_configuration_text(configuration).err();
            let problem = problem.map(|error| {
                refused(Refusal {
                    code: "InvalidConfiguration".into(),
                    message: error.to_string(),
                })
            });
            checked().insert(configuration, problem.clone());
            problem
        });
        match problem {
            None => Ok(CheckedContext(context)),
            Some(problem) => Err(problem),
        }
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
