//! Label selectors in Kubernetes' text form, set-based ones included.

use std::sync::Arc;

use flyball_decision::text;

use crate::spec::{LabelSelector, LabelSelectorRequirement};

/// Maximum size of a selector. It becomes part of the URLs of requests for metrics.
const MAX_BYTES: usize = 8 << 10;

/// Maximum size of a selector in an error, and of what is wrong with it.
const SHOWN_BYTES: usize = 256;

/// A parsed label selector: labels match it if they meet all its requirements.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    requirements: Vec<Requirement>,
    cost: usize,
}

/// A text that is not a label selector.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not a label selector: {problem}")]
pub struct InvalidSelector {
    text: String,
    problem: String,
}

impl InvalidSelector {
    fn new(text: &str, problem: &str) -> Self {
        Self {
            text: text::within(text, SHOWN_BYTES),
            problem: text::within(problem, SHOWN_BYTES),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Requirement {
    key: String,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    In(Vec<String>),
    NotIn(Vec<String>),
    Exists,
    DoesNotExist,
    GreaterThan(i64),
    LessThan(i64),
}

impl Selector {
    /// Parses a selector such as `app=web,tier in (a, b),!canary`. The empty text selects
    /// everything.
    ///
    /// # Errors
    /// If `text` is not a selector; the message says what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, InvalidSelector> {
        if text.len() > MAX_BYTES {
            let problem = format!("it has more than {MAX_BYTES} bytes");
            return Err(InvalidSelector::new(text, &problem));
        }
        let requirements: Result<Vec<_>, String> =
            split_requirements(text).map(parse_requirement).collect();
        match requirements {
            Ok(requirements) => Ok(Self::of(requirements)),
            Err(problem) => Err(InvalidSelector::new(text, &problem)),
        }
    }

    /// Returns the text of a selector as it is kept: whole, or so much of one that is too long
    /// that [`Self::parse`] still refuses it.
    #[must_use]
    pub fn kept(mut text: String) -> Arc<str> {
        let is_end = |end: &usize| text.is_char_boundary(*end);
        if let Some(end) = (MAX_BYTES + 1..text.len()).find(is_end) {
            text.truncate(end);
        }
        text.into()
    }

    fn of(mut requirements: Vec<Requirement>) -> Self {
        // Most labels lack a label that is required: they are refused at once.
        requirements.sort_by_key(|requirement| !requirement.needs_label());
        let cost = requirements.iter().map(Requirement::cost).sum();
        Self { requirements, cost }
    }

    /// Returns how many comparisons it takes at most to match a set of labels.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.cost.max(1)
    }

    /// Returns whether everything matches.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.requirements.is_empty()
    }

    /// Returns whether the labels that `value_of` looks up match.
    pub fn matches<'a>(&self, value_of: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.requirements
            .iter()
            .all(|requirement| requirement.meets(value_of(&requirement.key)))
    }

    /// Returns key and values of the requirement that names the fewest values: matching labels
    /// have one of these pairs. `None` if the selector names no values.
    #[must_use]
    pub fn one_of(&self) -> Option<(&str, &[String])> {
        let all = self.requirements.iter();
        let named = all.filter_map(|requirement| match &requirement.test {
            Test::In(values) => Some((requirement.key.as_str(), values.as_slice())),
            _ => None,
        });
        named.min_by_key(|(_, values)| values.len())
    }
}

impl Requirement {
    /// Returns whether only labels that have its key can match.
    fn needs_label(&self) -> bool {
        !matches!(self.test, Test::NotIn(_) | Test::DoesNotExist)
    }

    fn cost(&self) -> usize {
        match &self.test {
            Test::In(values) | Test::NotIn(values) => values.len(),
            Test::Exists | Test::DoesNotExist | Test::GreaterThan(_) | Test::LessThan(_) => 1,
        }
    }

    fn meets(&self, value: Option<&str>) -> bool {
        let number = || value.and_then(|value| value.parse::<i64>().ok());
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.iter().any(|v| v == value)),
            Test::NotIn(values) => value.is_none_or(|value| values.iter().all(|v| v != value)),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
            Test::GreaterThan(bound) => number().is_some_and(|number| number > *bound),
            Test::LessThan(bound) => number().is_some_and(|number| number < *bound),
        }
    }
}

/// Splits at commas outside parentheses.
fn split_requirements(text: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    let separator = move |c: char| {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        c == ',' && depth == 0
    };
    let parts = if text.trim().is_empty() {
        None
    } else {
        Some(text.split(separator))
    };
    parts.into_iter().flatten().map(str::trim)
}

fn parse_requirement(text: &str) -> Result<Requirement, String> {
    if let Some(key) = text.strip_prefix('!') {
        return Ok(Requirement {
            key: label_key(key)?,
            test: Test::DoesNotExist,
        });
    }
    let operator = text.find(|c: char| c.is_whitespace() || "=!<>".contains(c));
    let (key, rest) = text.split_at(operator.unwrap_or(text.len()));
    let rest = rest.trim_start();
    let test = if rest.is_empty() {
        Test::Exists
    } else if let Some(value) = rest.strip_prefix("!=") {
        Test::NotIn(vec![label_value(value)?])
    } else if let Some(value) = rest.strip_prefix("==").or_else(|| rest.strip_prefix('=')) {
        Test::In(vec![label_value(value)?])
    } else if let Some(bound) = rest.strip_prefix('>') {
        Test::GreaterThan(integer(bound)?)
    } else if let Some(bound) = rest.strip_prefix('<') {
        Test::LessThan(integer(bound)?)
    } else if let Some(values) = rest.strip_prefix("notin") {
        Test::NotIn(value_set(values)?)
    } else if let Some(values) = rest.strip_prefix("in") {
        Test::In(value_set(values)?)
    } else {
        return Err(format!(
            "{rest:?} is no operator: write =, !=, in, notin, < or >"
        ));
    };
    Ok(Requirement {
        key: label_key(key)?,
        test,
    })
}

fn value_set(text: &str) -> Result<Vec<String>, String> {
    let inner = text
        .trim()
        .strip_prefix('(')
        .and_then(|text| text.strip_suffix(')'));
    let inner = inner.ok_or_else(|| format!("{text:?} is no set of values: write (a,b)"))?;
    let values = inner.split(',').map(label_value);
    let mut values = values.collect::<Result<Vec<_>, _>>()?;
    // A value that is named twice selects its pods once.
    values.sort_unstable();
    values.dedup();
    Ok(values)
}

fn integer(text: &str) -> Result<i64, String> {
    text.trim()
        .parse()
        .map_err(|_| format!("{text:?} is not an integer"))
}

/// Parses a label key: an optional DNS name and a slash, then a name of up to 63
/// characters.
fn label_key(text: &str) -> Result<String, String> {
    let key = text.trim();
    let (prefix, name) = key
        .rsplit_once('/')
        .map_or((None, key), |(p, n)| (Some(p), n));
    let prefix_fits = prefix.is_none_or(|p| p.len() <= 253 && is_name(p) && !p.contains('/'));
    if prefix_fits && name.len() <= 63 && is_name(name) {
        Ok(key.to_owned())
    } else {
        Err(format!("{key:?} is no label key"))
    }
}

fn label_value(text: &str) -> Result<String, String> {
    let value = text.trim();
    if value.is_empty() || (value.len() <= 63 && is_name(value)) {
        Ok(value.to_owned())
    } else {
        Err(format!("{value:?} is no label value"))
    }
}

/// Returns whether the text consists of letters, digits, `-`, `_` and `.`, and starts and
/// ends with a letter or digit.
fn is_name(text: &str) -> bool {
    let inner = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    let outer = |c: char| c.is_ascii_alphanumeric();
    text.chars().all(inner) && text.starts_with(outer) && text.ends_with(outer)
}

impl LabelSelector {
    /// Returns the selector in the canonical text form that metrics APIs take:
    /// requirements sorted by key, values sorted. Empty if it selects everything.
    ///
    /// # Errors
    /// If a part of it is not a valid requirement; the message says which.
    pub(crate) fn to_text(&self) -> Result<String, InvalidSelector> {
        let mut requirements: Vec<(&str, String)> = Vec::new();
        for (key, value) in &self.match_labels {
            requirements.push((key, format!("{key}={value}")));
        }
        for requirement in &self.match_expressions {
            requirements.push((&requirement.key, requirement.to_text()?));
        }
        requirements.sort_by_key(|&(key, _)| key);
        let texts: Vec<String> = requirements.into_iter().map(|(_, text)| text).collect();
        let text = texts.join(",");
        // A label that Kubernetes would refuse can parse as another selector.
        let parsed = Selector::parse(&text)?;
        if parsed.requirements.len() != texts.len() {
            let problem = "a key or value of it is no label";
            return Err(InvalidSelector::new(&text, problem));
        }
        Ok(text)
    }
}

impl LabelSelectorRequirement {
    fn to_text(&self) -> Result<String, InvalidSelector> {
        let Self {
            key,
            operator,
            values,
        } = self;
        let mut sorted = values.clone();
        sorted.sort();
        let set = sorted.join(",");
        match (operator.as_str(), values.is_empty()) {
            ("In", false) => Ok(format!("{key} in ({set})")),
            ("NotIn", false) => Ok(format!("{key} notin ({set})")),
            ("Exists", true) => Ok(key.clone()),
            ("DoesNotExist", true) => Ok(format!("!{key}")),
            ("In" | "NotIn", true) => Err(self.invalid("needs values")),
            ("Exists" | "DoesNotExist", false) => Err(self.invalid("takes no values")),
            _ => Err(self.invalid("is no operator: write In, NotIn, Exists or DoesNotExist")),
        }
    }

    fn invalid(&self, problem: &str) -> InvalidSelector {
        InvalidSelector::new(&self.key, &format!("{:?} {problem}", self.operator))
    }
}

#[cfg(test)]
mod tests {
    use super::Selector;
    use crate::spec::{LabelSelector, LabelSelectorRequirement};

    #[test]
    fn labels_match_a_selector_as_kubernetes_says() {
        let labels = |key: &str| match key {
            "app" => Some("web"),
            "example.com/size" => Some("7"),
            "empty" => Some(""),
            _ => None,
        };
        let cases = [
            ("", true),
            ("app=web", true),
            ("app == web , example.com/size=7", true),
            ("app!=web", false),
            ("other!=web", true),
            ("app in (api, web)", true),
            ("app in (api,web),app notin (x)", true),
            ("app notin (web)", false),
            ("other notin (web)", true),
            ("app", true),
            ("!app", false),
            ("!other", true),
            ("empty=", true),
            ("example.com/size>6", true),
            ("example.com/size<7", false),
            ("app>1", false),
        ];
        for (text, expected) in cases {
            let selector = Selector::parse(text).map(|selector| selector.matches(labels));
            assert_eq!(selector, Ok(expected), "{text}");
        }
    }

    fn requirement(key: &str, operator: &str, values: &[&str]) -> LabelSelector {
        let requirement = LabelSelectorRequirement {
            key: key.to_owned(),
            operator: operator.to_owned(),
            values: values.iter().map(|&value| value.to_owned()).collect(),
        };
        LabelSelector {
            match_expressions: vec![requirement],
            ..LabelSelector::default()
        }
    }

    #[test]
    fn texts_are_ordered_by_key_and_value() {
        let mut selector = requirement("b", "In", &["y", "x"]);
        selector.match_labels.insert("c".to_owned(), "1".to_owned());
        selector
            .match_labels
            .insert("a.example/n".to_owned(), String::new());
        assert_eq!(
            selector.to_text(),
            Ok("a.example/n=,b in (x,y),c=1".to_owned())
        );
        let empty = LabelSelector::default();
        assert_eq!(empty.to_text(), Ok(String::new()));
    }

    #[test]
    fn requirements_that_kubernetes_refuses_are_refused() {
        let cases = [
            ("a", "in", &["x"][..]),
            ("a", "In", &[]),
            ("a", "Exists", &["x"]),
            ("-a", "Exists", &[]),
            ("", "Exists", &[]),
            ("a", "In", &["x y"]),
        ];
        for (key, operator, values) in cases {
            let selector = requirement(key, operator, values);
            assert!(selector.to_text().is_err(), "{selector:?}");
        }
    }

    #[test]
    fn what_is_no_selector_is_named() {
        for text in [
            ",",
            "app=web,",
            "=",
            "a b",
            "app in web",
            "a in (b",
            "-a",
            "a/b/c=1",
            "a=b=c",
        ] {
            assert!(Selector::parse(text).is_err(), "{text}");
        }
        let error = Selector::parse("app~web").map_err(|error| error.to_string());
        assert_eq!(
            error,
            Err("\"app~web\" is not a label selector: \"app~web\" is no label key".to_owned())
        );
    }
}
