//! Checks of configurations against a policy's schema.

use std::sync::{Arc, PoisonError};

use flyball_core::policy::PolicyFailure;
use flyball_core::replica::Context;
use serde_json::{Map, Value};

use super::{CompiledPolicy, REFUSAL_MESSAGE_BYTES, refused};
use crate::contract::Refusal;
use crate::error::ConfigurationError;
use crate::panics::caught;
use crate::text::readable;

/// Configurations that are remembered as fitting.
const FITTING: usize = 1024;

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

    /// The same for a configuration as text; the empty text stands for none.
    ///
    /// # Errors
    /// The field at fault, or that the text is no JSON object.
    pub fn check_configuration_text(&self, text: &str) -> Result<(), ConfigurationError> {
        checked(|| text.to_owned(), || self.schema.check_text(text))
    }

    /// Refuses a decision whose configuration does not fit the policy's schema.
    pub(crate) fn check_decision<'a>(
        &self,
        context: &'a Context,
    ) -> Result<Checked<'a>, PolicyFailure> {
        let fitting = || self.fitting.lock().unwrap_or_else(PoisonError::into_inner);
        let configuration = &context.configuration;
        if fitting().contains(configuration) {
            return Ok(Checked(context));
        }
        self.check_configuration_text(configuration)
            .map_err(|error| {
                refused(Refusal {
                    code: "InvalidConfiguration".into(),
                    message: error.to_string(),
                })
            })?;
        let mut fitting = fitting();
        if fitting.len() >= FITTING {
            fitting.clear();
        }
        fitting.insert(Arc::clone(configuration));
        Ok(Checked(context))
    }
}

/// The context of a decision whose configuration fits the policy's schema.
pub(crate) struct Checked<'a>(pub(super) &'a Context);

/// Runs a check of a configuration; a panic refuses the configuration, which comes from
/// outside, as the schema does.
fn checked(
    configuration: impl FnOnce() -> String,
    check: impl FnOnce() -> Result<(), ConfigurationError>,
) -> Result<(), ConfigurationError> {
    caught(check).unwrap_or_else(|panic| {
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
