//! A policy's configuration schema, and configurations checked against it.

use jsonschema::{Draft, PatternOptions, Validator};
use serde_json::{Map, Value};

use crate::error::{ConfigurationError, LoadError};

const SCHEMA_BYTES: usize = 256 << 10;

/// A compiled schema, or the lack of one.
pub(crate) struct Schema(Option<Validator>);

impl Schema {
    /// Compiles a schema; the empty text is that of a policy which takes no
    /// configuration.
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
        // The schema comes from outside: nothing is fetched for it, and its
        // patterns are matched in linear time.
        jsonschema::options()
            .with_draft(Draft::Draft202012)
            .with_pattern_options(PatternOptions::regex())
            .offline()
            .build(&schema)
            .map(|validator| Self(Some(validator)))
            .map_err(|error| {
                fault(format!(
                    "is no JSON Schema: {error} (at `{}`)",
                    error.instance_path()
                ))
            })
    }

    /// Checks a configuration.
    pub fn check(&self, configuration: &Map<String, Value>) -> Result<(), ConfigurationError> {
        let Some(validator) = &self.0 else {
            return match configuration.keys().next() {
                Some(key) => Err(ConfigurationError::TakesNone(key.clone())),
                None => Ok(()),
            };
        };
        let configuration = Value::Object(configuration.clone());
        validator.validate(&configuration).map_err(|error| {
            let path = error.instance_path().to_string();
            ConfigurationError::Field {
                path: if path.is_empty() { "/".into() } else { path },
                message: error.to_string(),
            }
        })
    }

    /// Checks a configuration in text form; the empty text stands for none.
    pub fn check_text(&self, configuration: &str) -> Result<(), ConfigurationError> {
        if configuration.is_empty() {
            return self.check(&Map::new());
        }
        let configuration = serde_json::from_str(configuration)
            .map_err(|error| ConfigurationError::NotAnObject(error.to_string()))?;
        self.check(&configuration)
    }
}
