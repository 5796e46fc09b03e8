//! The operator's ConfigMap for the expander `priority`, in Cluster Autoscaler's
//! format: YAML under the key `priorities`, lists of regular expressions by priority.
//! It becomes the policy's configuration; what the policy makes of it becomes the
//! warnings that Cluster Autoscaler writes to the ConfigMap.

use std::collections::BTreeMap;

use flyball_core::nodes::expander::{ExpanderRanking, OptionColumns};
use flyball_core::status::Event;
use serde_json::json;
use serde_saphyr::DuplicateKeyPolicy;

/// Name of the ConfigMap.
pub const CONFIG_MAP: &str = "cluster-autoscaler-priority-expander";
/// Key of its data.
const KEY: &str = "priorities";

const INVALID: &str = "PriorityConfigMapInvalid";
const NO_GROUP_MATCHED: &str = "PriorityConfigMapNoGroupMatched";
const NOT_MATCHED_GROUP: &str = "PriorityConfigMapNotMatchedGroup";

/// Why a ConfigMap has no priorities.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrioritiesError {
    /// The key is not there.
    #[error("the ConfigMap {CONFIG_MAP} has no key {KEY}: put the lists there")]
    NoKey,
    /// There is nothing under the key.
    #[error("the key {KEY} of the ConfigMap {CONFIG_MAP} is empty: put the lists there")]
    Empty,
    /// It is not what it should be.
    #[error("the key {KEY} of the ConfigMap {CONFIG_MAP} is no map of integers to lists: {0}")]
    Yaml(String),
}

/// Lists of regular expressions by priority, from the data of the ConfigMap. As
/// upstream reads it, the last of equal keys holds, and an entry without a value is
/// the empty expression, which matches every name.
///
/// # Errors
/// What is wrong with it. Whether expressions compile is for the policy to say.
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

/// An integer as YAML 1.1 has it, by which upstream reads: `010` is eight, and so is
/// `8.0`.
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
    // Beyond this a float no longer tells integers apart.
    let whole = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    whole.then_some(number as i64)
}

/// The configuration of the policy `priority`, a JSON object as text, from the data of
/// the ConfigMap; none: there is no such ConfigMap.
#[must_use]
pub fn configuration(data: Option<&BTreeMap<String, String>>) -> String {
    let configuration = match data.map(priorities) {
        None => json!({}),
        Some(Ok(priorities)) => json!({ "priorities": priorities }),
        Some(Err(error)) => json!({ "error": error.to_string() }),
    };
    configuration.to_string()
}

/// Warnings that Cluster Autoscaler would write to the ConfigMap about what `priority`
/// made of these options: at most 30 groups are told of.
#[must_use]
pub fn warnings(options: &OptionColumns, ranking: &ExpanderRanking) -> Vec<Event> {
    let reason = &ranking.reason;
    let unmatched = reason
        .arguments
        .iter()
        .filter(|(name, _)| name == "unmatched");
    let names = unmatched.filter_map(|(_, row)| options.node_group.get(row.parse::<usize>().ok()?));
    let mut warnings: Vec<Event> = names
        .map(|name| {
            let message = format!("node group {name} matches no priority: it won't be used");
            warning(NOT_MATCHED_GROUP, message)
        })
        .collect();
    for code in [INVALID, NO_GROUP_MATCHED] {
        if reason.code == code {
            warnings.push(warning(
                code,
                format!("{}; every option is kept", reason.sentence),
            ));
        }
    }
    warnings
}

fn warning(reason: &str, message: String) -> Event {
    Event {
        warning: true,
        reason: reason.to_owned(),
        message,
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
        let told = configuration(Some(&data("10: spot")));
        assert!(
            told.starts_with(r#"{"error":"the key priorities"#),
            "{told}"
        );
    }
}
