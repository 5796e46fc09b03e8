//! The ConfigMap of the expander `priority`, in Cluster Autoscaler's format: YAML under
//! the key `priorities`, lists of regular expressions by priority. It becomes the
//! policy's configuration.

use std::collections::BTreeMap;

use flyball_decision::key::ObjectKey;
use flyball_nodes::ports::{ExpanderConfiguration, Subject};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::watch_object;
use serde_json::json;
use serde_saphyr::DuplicateKeyPolicy;
use tokio::sync::watch;

use crate::watch::Watches;

/// The expander that it configures.
pub const EXPANDER: &str = "priority";
/// Name of the ConfigMap.
pub const CONFIG_MAP: &str = "cluster-autoscaler-priority-expander";
/// Key of its data.
const KEY: &str = "priorities";

/// Why a ConfigMap has no valid priorities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrioritiesError {
    /// The key is missing.
    #[error("the ConfigMap {CONFIG_MAP} has no key {KEY}: put the lists there")]
    NoKey,
    /// The key's value is empty.
    #[error("the key {KEY} of the ConfigMap {CONFIG_MAP} is empty: put the lists there")]
    Empty,
    /// The key's value is not a map of integers to lists.
    #[error("the key {KEY} of the ConfigMap {CONFIG_MAP} is no map of integers to lists: {0}")]
    Yaml(String),
}

/// Reads lists of regular expressions by priority from the data of the ConfigMap. As
/// upstream, the last of equal keys is used, and an entry without a value is the empty
/// expression, which matches every name.
///
/// # Errors
/// If the data is invalid. Whether the expressions compile is checked by the policy.
pub fn priorities(
    data: &BTreeMap<String, String>,
) -> Result<BTreeMap<i64, Vec<String>>, PrioritiesError> {
    let text = data.get(KEY).ok_or(PrioritiesError::NoKey)?;
    if text.is_empty() {
        return Err(PrioritiesError::Empty);
    }
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
    };
    type Lists = BTreeMap<String, Option<Vec<Option<String>>>>;
    let lists: Option<Lists> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| PrioritiesError::Yaml(error.without_snippet().to_string()))?;
    let lists = lists.unwrap_or_default().into_iter().map(|(key, list)| {
        let not_integer = || PrioritiesError::Yaml(format!("{key:?} is no integer"));
        let priority = integer(&key).ok_or_else(not_integer)?;
        let entries = list.unwrap_or_default().into_iter();
        Ok((priority, entries.map(Option::unwrap_or_default).collect()))
    });
    lists.collect()
}

/// Parses an integer of YAML 1.1, which upstream uses: `010` is eight, and so is `8.0`.
fn integer(text: &str) -> Option<i64> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let octal = |digits: &str| digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let (radix, digits) = match digits.split_at_checked(2) {
        Some(("0x", digits)) => (16, digits),
        Some(("0o", digits)) => (8, digits),
        Some(("0b", digits)) => (2, digits),
        _ if digits.starts_with('0') && octal(digits) => (8, digits),
        _ => (10, digits),
    };
    if let Ok(size) = u64::from_str_radix(digits, radix) {
        let size = i128::from(size);
        return i64::try_from(if text.starts_with('-') { -size } else { size }).ok();
    }
    let number: f64 = text.parse().ok()?;
    // Above 2^53, floats don't represent all integers.
    let whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    whole.then_some(number as i64)
}

/// Returns the configuration of the policy `priority`, a JSON object as text, from the
/// ConfigMap's data. `data` is `None` if there is no such ConfigMap.
#[must_use]
pub fn configuration(data: Option<&BTreeMap<String, String>>) -> String {
    let configuration = match data.map(priorities) {
        None => json!({}),
        Some(Ok(priorities)) => json!({ "priorities": priorities }),
        Some(Err(error)) => json!({ "error": error.to_string() }),
    };
    configuration.to_string()
}

/// The latest content of the ConfigMap of a namespace. `None` if it has not been read
/// yet.
pub(crate) type LatestConfiguration = watch::Receiver<Option<ExpanderConfiguration>>;

/// Watches the ConfigMap in a namespace, and no other.
pub(crate) fn watch_config_map(namespace: &str, watches: &mut Watches) -> LatestConfiguration {
    let (latest, receiver) = watch::channel(None);
    let (client, namespace) = (watches.client().clone(), namespace.to_owned());
    watches.spawn(async move {
        let api = Api::<ConfigMap>::namespaced(client, &namespace);
        let mut stream = std::pin::pin!(watch_object(api, CONFIG_MAP).default_backoff());
        while let Some(found) = stream.next().await {
            match found {
                Ok(found) => {
                    let configuration = read(&namespace, found.as_ref());
                    latest.send_replace(Some(configuration));
                }
                Err(error) => {
                    tracing::warn!(name = CONFIG_MAP, namespace, %error, "the watch of a ConfigMap broke and is started again");
                }
            }
        }
    });
    receiver
}

fn read(namespace: &str, found: Option<&ConfigMap>) -> ExpanderConfiguration {
    let data = found.map(|found| found.data.clone().unwrap_or_default());
    let uid = found.and_then(|found| found.metadata.uid.as_deref());
    ExpanderConfiguration {
        text: configuration(data.as_ref()).into(),
        source: Subject::ConfigMap {
            key: ObjectKey {
                namespace: namespace.into(),
                name: CONFIG_MAP.into(),
            },
            uid: uid.map(Into::into),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{PrioritiesError, configuration, priorities};

    fn data(text: &str) -> BTreeMap<String, String> {
        BTreeMap::from([("priorities".to_owned(), text.to_owned())])
    }

    #[test]
    fn the_peers_format_is_read() {
        let text = "10:\n  - spot\n  - ~\n-5: null\n10:\n- 5\n- true\n";
        assert_eq!(
            configuration(Some(&data(text))),
            r#"{"priorities":{"-5":[],"10":["5","true"]}}"#
        );
        assert_eq!(
            configuration(Some(&data("# none\n"))),
            r#"{"priorities":{}}"#
        );
        assert_eq!(configuration(None), "{}");
        let integers = [
            "010",
            "1e1",
            "-0x10",
            "+7",
            "1.5",
            "--1",
            "9223372036854775808",
            "ten",
        ];
        let read = integers.map(super::integer);
        assert_eq!(
            read,
            [
                Some(8),
                Some(10),
                Some(-16),
                Some(7),
                None,
                None,
                None,
                None
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert_eq!(priorities(&BTreeMap::new()), Err(PrioritiesError::NoKey));
        assert_eq!(priorities(&data("")), Err(PrioritiesError::Empty));
        for wrong in [
            "10: spot",
            "spot: [a]",
            "99999999999999999999: [a]",
            "10:\n  - a\n 20:\n",
        ] {
            let error = priorities(&data(wrong))
                .err()
                .map(|error| error.to_string());
            let error = error.unwrap_or_default();
            assert!(
                error.contains("no map of integers to lists"),
                "{wrong}: {error}"
            );
        }
        let json = configuration(Some(&data("10: spot")));
        assert!(
            json.starts_with(r#"{"error":"the key priorities"#),
            "{json}"
        );
    }
}
