//! Test cases of policies: an input, and the expected answer.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use flyball_decision::policy::PolicyFailure;
use serde::Serialize;
use serde_json::Value;

use super::input::{DecisionInput, complete};

/// A test case.
pub struct Case {
    /// Name of the file without its extension.
    pub name: String,
    /// The input.
    pub input: DecisionInput,
    /// The expected answer.
    pub expect: Expectation,
}

/// The expected answer.
pub enum Expectation {
    /// These fields of the answer; others are ignored.
    Answer(Value),
    /// A failure with this code.
    Failure(String),
}

/// Reads all cases of a folder: the files *.json, ordered by name.
pub fn read_folder(folder: &Path) -> anyhow::Result<Vec<Case>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("no cases in {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .collect();
    paths.sort();
    ensure!(
        !paths.is_empty(),
        "no cases in {}: a case is a file NAME.json with \"input\" and \"expect\"",
        folder.display()
    );
    paths.iter().map(|path| read(path)).collect()
}

fn read(path: &Path) -> anyhow::Result<Case> {
    let parse = || -> anyhow::Result<Case> {
        let mut document: Value = serde_json::from_str(&flyball_files::read_to_string(path)?)?;
        let expect = expectation(&mut document)?;
        let input = complete(document)?;
        let name = path
            .file_stem()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        Ok(Case {
            name,
            input,
            expect,
        })
    };
    parse().with_context(|| format!("the case {} is not usable", path.display()))
}

fn expectation(document: &mut Value) -> anyhow::Result<Expectation> {
    let fields = document.as_object_mut().context("not a JSON object")?;
    fields.remove("description");
    match (fields.remove("expect"), fields.remove("expectFailure")) {
        (Some(answer @ Value::Object(_)), None) => Ok(Expectation::Answer(answer)),
        (None, Some(Value::String(code))) => Ok(Expectation::Failure(code)),
        _ => anyhow::bail!(
            "it must have either \"expect\", an object with fields of the answer, or \
             \"expectFailure\", a code such as \"PolicyRefused\""
        ),
    }
}

impl Expectation {
    /// Returns the differences of the answer from the expected one. Empty if there are
    /// none.
    pub fn differences<A: Serialize>(&self, answer: &Result<A, PolicyFailure>) -> Vec<Difference> {
        let mut differences = Vec::new();
        match (self, answer) {
            (Self::Answer(expected), Ok(answer)) => {
                let actual = serde_json::to_value(answer).unwrap_or_default();
                compare(String::new(), expected, &actual, &mut differences);
            }
            (Self::Failure(expected), Err(failure)) if expected == failure.code() => {}
            (Self::Answer(_), Err(failure)) => {
                differences.push(Difference::new("answer", "an answer", failure));
            }
            (Self::Failure(expected), Err(failure)) => {
                differences.push(Difference::new("failure", expected, failure));
            }
            (Self::Failure(expected), Ok(answer)) => {
                let actual = serde_json::to_value(answer).unwrap_or_default();
                differences.push(Difference::new("answer", expected, actual));
            }
        }
        differences
    }
}

/// A field with an unexpected value.
#[derive(Debug, PartialEq, Eq)]
pub struct Difference {
    /// The field, such as `reason.code` or `proposals[0].replicas`.
    pub field: String,
    /// The expected value.
    pub expected: String,
    /// The actual value.
    pub actual: String,
}

impl Difference {
    fn new(field: &str, expected: impl ToString, actual: impl ToString) -> Self {
        Self {
            field: field.to_owned(),
            expected: expected.to_string(),
            actual: actual.to_string(),
        }
    }
}

fn compare(field: String, expected: &Value, actual: &Value, differences: &mut Vec<Difference>) {
    match (expected, actual) {
        (Value::Object(expected), Value::Object(actual)) => {
            for (key, expected) in expected {
                let name = if field.is_empty() {
                    key.clone()
                } else {
                    format!("{field}.{key}")
                };
                compare(
                    name,
                    expected,
                    actual.get(key).unwrap_or(&Value::Null),
                    differences,
                );
            }
        }
        (Value::Array(expected), Value::Array(actual)) if expected.len() == actual.len() => {
            for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                compare(format!("{field}[{index}]"), expected, actual, differences);
            }
        }
        _ if expected == actual => {}
        _ => differences.push(Difference::new(&field, expected, actual)),
    }
}

#[cfg(test)]
mod tests {
    use flyball_decision::context::Reason;
    use flyball_decision::policy::PolicyFailure;
    use flyball_decision::replica::ReplicaDecision;
    use serde_json::json;

    use super::{Difference, Expectation};

    #[test]
    fn only_what_is_named_is_compared() {
        let reason = Reason {
            code: "AboveTarget".into(),
            ..Reason::default()
        };
        let answer = Ok(ReplicaDecision {
            replicas: Some(4),
            reason,
            ..ReplicaDecision::default()
        });
        let right = Expectation::Answer(json!({"replicas": 4}));
        assert_eq!(right.differences(&answer), []);
        let wrong = Expectation::Answer(json!({"replicas": 4, "reason": {"code": "OnTarget"}}));
        let difference = Difference::new("reason.code", r#""OnTarget""#, r#""AboveTarget""#);
        assert_eq!(wrong.differences(&answer), [difference]);
    }

    #[test]
    fn failures_are_expected_by_code() {
        let answer: Result<ReplicaDecision, _> =
            Err(PolicyFailure::Refused("InvalidConfiguration: no".into()));
        assert_eq!(
            Expectation::Failure("PolicyRefused".into()).differences(&answer),
            []
        );
        assert_eq!(
            Expectation::Failure("PolicyTrapped".into())
                .differences(&answer)
                .len(),
            1
        );
        assert_eq!(Expectation::Answer(json!({})).differences(&answer).len(), 1);
    }
}
