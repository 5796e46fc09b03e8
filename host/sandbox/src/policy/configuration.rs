//! Checks of configurations against a policy's schema.

use std::sync::{Arc, PoisonError};

use flyball_decision::context::Context;
use flyball_decision::policy::PolicyFailure;
use flyball_decision::text::readable;
use serde_json::{Map, Value};

use super::{CompiledPolicy, REFUSAL_MESSAGE_BYTES, refused};
use crate::contract::Refusal;
use crate::error::ConfigurationError;
use crate::panics::catch_panic;

/// Maximum number of configurations that are remembered as fitting.
const MAX_VALID_CONFIGURATIONS: usize = 1024;

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
        let valid_configurations = || {
            self.valid_configurations
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
        };
        let configuration = &context.configuration;
        if valid_configurations().contains(configuration) {
            return Ok(CheckedContext(context));
        }
        self.check_configuration_text(configuration)
            .map_err(|error| {
                refused(Refusal {
                    code: "InvalidConfiguration".into(),
                    message: error.to_string(),
                })
            })?;
        let mut valid_configurations = valid_configurations();
        if valid_configurations.len() >= MAX_VALID_CONFIGURATIONS {
            valid_configurations.clear();
        }
        valid_configurations.insert(Arc::clone(configuration));
        Ok(CheckedContext(context))
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
