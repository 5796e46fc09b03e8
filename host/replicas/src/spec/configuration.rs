//! Configurations of policies.

use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// A policy's configuration: a JSON object, kept as compact text with sorted keys. Clones
/// share the text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configuration(Arc<str>);

/// A configuration with more bytes than [`Configuration::MAX_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the configuration has {0} bytes as compact JSON, at most {max} are allowed",
    max = Configuration::MAX_BYTES
)]
pub struct ConfigurationTooLarge(usize);

impl Configuration {
    /// Maximum size of the text.
    pub const MAX_BYTES: usize = 64 << 10;

    /// Returns the JSON text.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.0
    }
}

impl TryFrom<Map<String, Value>> for Configuration {
    type Error = ConfigurationTooLarge;

    fn try_from(object: Map<String, Value>) -> Result<Self, ConfigurationTooLarge> {
        let text = Value::Object(object).to_string();
        if text.len() > Self::MAX_BYTES {
            return Err(ConfigurationTooLarge(text.len()));
        }
        Ok(Self(text.into()))
    }
}

impl<'de> Deserialize<'de> for Configuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let object = Map::deserialize(deserializer)?;
        Self::try_from(object).map_err(D::Error::custom)
    }
}

impl Serialize for Configuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let object: Map<String, Value> =
            serde_json::from_str(&self.0).map_err(serde::ser::Error::custom)?;
        object.serialize(serializer)
    }
}

#[cfg(feature = "schema")]
impl schemars::JsonSchema for Configuration {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Configuration".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        Map::<String, Value>::json_schema(generator)
    }
}
