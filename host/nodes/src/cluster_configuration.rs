//! Configurations of expanders that come from the cluster, and change while the daemon
//! runs.
//!
//! ```text
//! ConfigMap ──▶ text of a key ──▶ JSON configuration ──▶ expander ──▶ warnings about it
//!  (a watch)          ConfigMapFormat::parse                    ConfigMapFormat::warnings
//! ```
//!
//! Another expander that is configured in this way is a line in the table of formats.

mod priority;

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::event::Event;
use flyball_decision::expander::{ExpanderRanking, OptionColumns};
use flyball_decision::key::ObjectKey;
use serde_json::{Value, json};

use crate::ports::{ExpanderConfiguration, Subject};

/// The formats of all expanders that can be configured in the cluster.
const FORMATS: &[ConfigMapFormat] = &[priority::FORMAT];

/// A ConfigMap that configures an expander.
#[derive(Clone, Debug)]
pub struct ClusterConfiguration {
    namespace: Arc<str>,
    format: &'static ConfigMapFormat,
}

/// Where an expander's configuration is in a namespace, and how it is read.
#[derive(Debug)]
struct ConfigMapFormat {
    /// The expander's name.
    expander: &'static str,
    /// Name of the ConfigMap.
    config_map: &'static str,
    /// Key of its data.
    key: &'static str,
    /// Returns the text of the key as a JSON object, or what is wrong with it, as the end
    /// of a sentence about the key.
    parse: fn(&str) -> Result<Value, String>,
    /// Returns warnings about what the expander found wrong with its configuration when it
    /// ranked these options.
    warnings: fn(&OptionColumns, &ExpanderRanking) -> Vec<Event>,
}

impl ClusterConfiguration {
    /// Returns the ConfigMap that configures an expander in a namespace, or `None` if no
    /// ConfigMap does.
    #[must_use]
    pub fn of_expander(expander: &str, namespace: &str) -> Option<Self> {
        Some(Self {
            namespace: namespace.into(),
            format: format_of(expander)?,
        })
    }

    /// Returns the name of the expander that it configures.
    #[must_use]
    pub fn expander(&self) -> &'static str {
        self.format.expander
    }

    /// Returns the namespace of the ConfigMap.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Returns the name of the ConfigMap.
    #[must_use]
    pub fn config_map(&self) -> &'static str {
        self.format.config_map
    }

    /// Returns the expander's configuration from the data of the ConfigMap: an empty
    /// object if there is no such ConfigMap (`data` is `None`), and an object with the
    /// field `error` if its data is invalid. `uid` is the ConfigMap's.
    #[must_use]
    pub fn read(
        &self,
        uid: Option<&str>,
        data: Option<&BTreeMap<String, String>>,
    ) -> ExpanderConfiguration {
        let configuration = match data.map(|data| self.parse(data)) {
            None => json!({}),
            Some(Ok(configuration)) => configuration,
            Some(Err(error)) => json!({ "error": error }),
        };
        ExpanderConfiguration {
            text: configuration.to_string().into(),
            source: Subject::ConfigMap {
                key: ObjectKey {
                    namespace: Arc::clone(&self.namespace),
                    name: self.config_map().into(),
                },
                uid: uid.map(Into::into),
            },
        }
    }

    fn parse(&self, data: &BTreeMap<String, String>) -> Result<Value, String> {
        let ConfigMapFormat {
            config_map,
            key,
            parse,
            ..
        } = self.format;
        match data.get(*key).map(String::as_str) {
            None => Err(format!(
                "the ConfigMap {config_map} has no key {key}: put the configuration there"
            )),
            Some("") => Err(format!(
                "the key {key} of the ConfigMap {config_map} is empty: put the configuration there"
            )),
            Some(text) => parse(text)
                .map_err(|error| format!("the key {key} of the ConfigMap {config_map} {error}")),
        }
    }
}

/// Returns warnings about what an expander found wrong with its configuration from the
/// cluster when it ranked these options.
#[must_use]
pub fn warnings(expander: &str, options: &OptionColumns, ranking: &ExpanderRanking) -> Vec<Event> {
    format_of(expander).map_or_else(Vec::new, |format| (format.warnings)(options, ranking))
}

fn format_of(expander: &str) -> Option<&'static ConfigMapFormat> {
    FORMATS.iter().find(|format| format.expander == expander)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::ClusterConfiguration;
    use crate::ports::Subject;

    /// Returns the configuration of `priority` from this value of its key.
    fn read(data: Option<(&str, &str)>) -> Option<String> {
        let configuration = ClusterConfiguration::of_expander("priority", "kube-system")?;
        let data = data.map(|(key, text)| BTreeMap::from([(key.to_owned(), text.to_owned())]));
        let read = configuration.read(Some("uid"), data.as_ref());
        assert!(matches!(
            read.source,
            Subject::ConfigMap { uid: Some(_), .. }
        ));
        Some(read.text.to_string())
    }

    #[test]
    fn a_config_map_becomes_a_configuration_or_an_error_that_names_it() {
        let valid = r#"{"priorities":{"10":["spot"]}}"#;
        assert_eq!(
            read(Some(("priorities", "10: [spot]"))).as_deref(),
            Some(valid)
        );
        assert_eq!(read(None).as_deref(), Some("{}"));
        let name = "cluster-autoscaler-priority-expander";
        for (data, error) in [
            (
                ("other", ""),
                format!("the ConfigMap {name} has no key priorities: put"),
            ),
            (
                ("priorities", ""),
                format!("the key priorities of the ConfigMap {name} is empty: put"),
            ),
            (
                ("priorities", "10: spot"),
                format!("the key priorities of the ConfigMap {name} is no map of integers"),
            ),
        ] {
            let text = read(Some(data)).unwrap_or_default();
            assert!(
                text.starts_with(&format!(r#"{{"error":"{error}"#)),
                "{text}"
            );
        }
        assert!(ClusterConfiguration::of_expander("price", "kube-system").is_none());
    }
}
