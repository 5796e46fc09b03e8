//! Configuration of the expander `priority`, in Cluster Autoscaler's format: YAML under
//! the key `priorities`, lists of regular expressions by priority. Warnings about it are
//! derived from the policy's reason, as Cluster Autoscaler emits them.

use std::collections::BTreeMap;

use flyball_decision::event::Event;
use flyball_decision::expander::{ExpanderRanking, OptionColumns};
use serde_json::{Value, json};
use serde_saphyr::DuplicateKeyPolicy;

use super::ConfigMapFormat;

pub(super) const FORMAT: ConfigMapFormat = ConfigMapFormat {
    expander: "priority",
    config_map: "cluster-autoscaler-priority-expander",
    key: "priorities",
    parse,
    warnings,
};

/// Reason of the event about a missing ConfigMap. Cluster Autoscaler emits none then.
const MISSING: &str = "PriorityConfigMapMissing";
const INVALID: &str = "PriorityConfigMapInvalid";
const NO_GROUP_MATCHED: &str = "PriorityConfigMapNoGroupMatched";
const NOT_MATCHED_GROUP: &str = "PriorityConfigMapNotMatchedGroup";
/// Name of the policy's argument with the row of a group that matches no priority.
const UNMATCHED: &str = "unmatched";

/// Parses lists of regular expressions by priority. As upstream, the last of equal keys is
/// used, and an entry without a value is the empty expression, which matches every name.
/// Whether the expressions compile is checked by the policy.
fn parse(text: &str) -> Result<Value, String> {
    let invalid = |error: String| format!("is no map of integers to lists: {error}");
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::LastWins,
    };
    type Lists = BTreeMap<String, Option<Vec<Option<String>>>>;
    let lists: Option<Lists> = serde_saphyr::from_str_with_options(text, options)
        .map_err(|error| invalid(error.without_snippet().to_string()))?;
    let mut priorities: BTreeMap<i64, Vec<String>> = BTreeMap::new();
    for (key, list) in lists.unwrap_or_default() {
        let priority = integer(&key).ok_or_else(|| invalid(format!("{key:?} is no integer")))?;
        let entries = list.unwrap_or_default().into_iter();
        priorities.insert(priority, entries.map(Option::unwrap_or_default).collect());
    }
    Ok(json!({ "priorities": priorities }))
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

/// Returns warnings about what the policy found wrong when it ranked these options.
fn warnings(options: &OptionColumns, ranking: &ExpanderRanking) -> Vec<Event> {
    let reason = &ranking.reason;
    let arguments = reason.arguments.iter();
    let unmatched = arguments.filter(|(name, _)| name == UNMATCHED);
    let groups =
        unmatched.filter_map(|(_, row)| options.node_group.get(row.parse::<usize>().ok()?));
    let unmatched = groups.map(|group| Event {
        warning: true,
        reason: NOT_MATCHED_GROUP.to_owned(),
        message: format!("node group {group} matches no priority: it is for when none does"),
    });
    let codes = [MISSING, INVALID, NO_GROUP_MATCHED].into_iter();
    let kept_all = codes.filter(|code| *code == reason.code);
    let kept_all = kept_all.map(|code| Event {
        warning: true,
        reason: code.to_owned(),
        message: format!("{}; every option is kept", reason.sentence),
    });
    unmatched.chain(kept_all).collect()
}

#[cfg(test)]
mod tests {
    use super::{integer, parse};

    #[test]
    fn the_format_of_cluster_autoscaler_is_read() {
        let text = "10:\n  - spot\n  - ~\n-5: null\n10:\n- 5\n- true\n";
        for (text, expected) in [
            (text, r#"{"priorities":{"-5":[],"10":["5","true"]}}"#),
            ("# none\n", r#"{"priorities":{}}"#),
        ] {
            assert_eq!(
                parse(text).map(|read| read.to_string()),
                Ok(expected.into())
            );
        }
        let integers = [
            ("010", Some(8)),
            ("1e1", Some(10)),
            ("-0x10", Some(-16)),
            ("+7", Some(7)),
            ("1.5", None),
            ("--1", None),
            ("9223372036854775808", None),
            ("ten", None),
        ];
        for (text, expected) in integers {
            assert_eq!(integer(text), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_map_of_integers_to_lists_is_refused() {
        for wrong in [
            "10: spot",
            "spot: [a]",
            "99999999999999999999: [a]",
            "10:\n  - a\n 20:\n",
        ] {
            let error = parse(wrong).err().unwrap_or_default();
            assert!(
                error.starts_with("is no map of integers to lists: "),
                "{wrong}: {error}"
            );
        }
    }
}
