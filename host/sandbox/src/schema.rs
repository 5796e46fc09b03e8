//! A policy's configuration schema, and checks of configurations against it.

mod cost;
mod graph;
mod size;

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};

use crate::error::{ConfigurationError, LoadError};
use cost::Cost;
pub(crate) use cost::STEPS;

const SCHEMA_BYTES: usize = 256 << 10;
/// Maximum memory of a pattern in bytes, for its program and for its cache each.
const PATTERN_BYTES: usize = 64 << 10;

/// A compiled schema, or none.
pub struct Schema(Option<Compiled>);

struct Compiled {
    validator: Validator,
    cost: Cost,
}

impl Schema {
    /// Compiles a schema. The empty text means that the policy takes no configuration.
    ///
    /// # Errors
    /// If it is not a schema, or one that costs too much.
    pub fn parse(text: &str) -> Result<Self, LoadError> {
        if text.is_empty() {
            return Ok(Self(None));
        }
        let fault = |message| LoadError::Description {
            field: "configuration-schema",
            message,
        };
        if text.len() > SCHEMA_BYTES {
            return Err(fault(format!(
                "has {} bytes, at most {SCHEMA_BYTES} are allowed",
                text.len()
            )));
        }
        let schema: Value =
            serde_json::from_str(text).map_err(|error| fault(format!("is not JSON: {error}")))?;
        let cost = Cost::of(&schema).map_err(fault)?;
        // The schema comes from outside: no reference is fetched, and patterns are
        // matched in linear time. Formats are not checked: by default they would be where a part
        // of the schema names an older draft.
        let patterns = PatternOptions::regex()
            .size_limit(PATTERN_BYTES)
            .dfa_size_limit(PATTERN_BYTES);
        let validator = jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(patterns)
            .should_validate_formats(false)
            .offline()
            .build(&schema)
            .map_err(|error| {
                fault(format!(
                    "is no JSON Schema: {error} (at `{}`)",
                    error.instance_path()
                ))
            })?;
        Ok(Self(Some(Compiled { validator, cost })))
    }

    /// Checks a configuration.
    ///
    /// # Errors
    /// The field that does not fit, and why.
    pub fn check(&self, configuration: &Map<String, Value>) -> Result<(), ConfigurationError> {
        self.check_counted(configuration, &mut 0)
    }

    /// As [`Self::check`], and adds the steps that it took.
    fn check_counted(
        &self,
        configuration: &Map<String, Value>,
        steps: &mut u64,
    ) -> Result<(), ConfigurationError> {
        let Some(compiled) = &self.0 else {
            return match configuration.keys().next() {
                Some(key) => Err(ConfigurationError::TakesNone(key.clone())),
                None => Ok(()),
            };
        };
        let configuration = Value::Object(configuration.clone());
        let fault = |path: String, message| ConfigurationError::Field {
            path: if path.is_empty() { "/".into() } else { path },
            message,
        };
        let allowed = compiled.cost.allows(&configuration);
        *steps += allowed.as_ref().map_or(STEPS, |allowed| allowed.checked);
        let allowed = allowed.map_err(|message| fault(String::new(), message))?;
        if compiled.validator.is_valid(&configuration) {
            return Ok(());
        }
        // Errors are made in a second check, so that they do not count if there are none.
        let Some(located) = allowed.located else {
            let message = format!(
                "it does not fit the policy's schema, and it takes more than {STEPS} steps to say \
                 where"
            );
            return Err(fault(String::new(), message));
        };
        *steps += located;
        let checked = compiled.validator.validate(&configuration);
        checked.map_err(|error| fault(error.instance_path().to_string(), error.to_string()))
    }

    /// Checks a configuration in text form; the empty text means no configuration.
    ///
    /// # Errors
    /// As [`Self::check`], or if it is not a JSON object.
    pub fn check_text(&self, configuration: &str) -> Result<(), ConfigurationError> {
        self.check_text_counted(configuration, &mut 0)
    }

    /// As [`Self::check_text`], and adds the steps that it took.
    pub(crate) fn check_text_counted(
        &self,
        configuration: &str,
        steps: &mut u64,
    ) -> Result<(), ConfigurationError> {
        if configuration.is_empty() {
            return self.check_counted(&Map::new(), steps);
        }
        let configuration = serde_json::from_str(configuration)
            .map_err(|error| ConfigurationError::NotAnObject(error.to_string()))?;
        self.check_counted(&configuration, steps)
    }
}
