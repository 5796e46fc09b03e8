//! What every question to a policy has in common: its context, the inputs that it was
//! granted, and the reason of its answer.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// Input of every decision, whatever the kind of policy.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Context {
    /// Time of the decision.
    pub now: Timestamp,
    /// Seed for random choices.
    #[serde(default)]
    pub seed: u64,
    /// The policy's configuration, a JSON object as text.
    #[serde(default = "empty_object")]
    pub configuration: Arc<str>,
    /// The policy's state; empty at first.
    #[serde(default)]
    pub state: Arc<str>,
    /// Answers to the policy's wanted inputs, in their order.
    #[serde(default)]
    pub inputs: Vec<GrantedInput>,
}

fn empty_object() -> Arc<str> {
    "{}".into()
}

/// The answer to a [`crate::policy::WantedInput`].
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct GrantedInput {
    /// Why the input is unavailable; empty if it is available.
    pub error: String,
    /// Keys of labels or annotations, sorted.
    pub keys: Vec<String>,
    /// Values of `keys`.
    pub texts: Vec<String>,
    /// Ends of the steps of a history, ascending.
    pub times_ms: Vec<i64>,
    /// Means over the steps, in units of the metric.
    pub values: Vec<f64>,
    /// For each row of the question's table: the row of `texts` that has its value,
    /// [`NO_TEXT`](Self::NO_TEXT), or [`LONG_TEXT`](Self::LONG_TEXT).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<i32>,
    /// For each row of the question's table: a number. No kind of wanted input has any
    /// yet.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub numbers: Vec<i64>,
}

impl GrantedInput {
    /// Returns the bytes of its keys and texts.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.keys.iter().chain(&self.texts).map(String::len).sum()
    }

    /// Mark in [`GrantedInput::rows`] of a row without a value.
    pub const NO_TEXT: i32 = -1;

    /// Mark in [`GrantedInput::rows`] of a row whose value is longer than
    /// [`MAX_TEXT`](Self::MAX_TEXT), and is not handed over.
    pub const LONG_TEXT: i32 = -2;

    /// Maximum size of a value by row, in bytes.
    pub const MAX_TEXT: usize = 1024;

    /// Returns an input with a text for each row of the question's table. `None` marks a
    /// row without one.
    #[must_use]
    pub fn by_row(values: impl IntoIterator<Item = Option<Arc<str>>>) -> Self {
        let mut known: BTreeMap<Arc<str>, i32> = BTreeMap::new();
        let mut input = Self::default();
        for value in values {
            let row = match value {
                None => Self::NO_TEXT,
                Some(value) if value.len() > Self::MAX_TEXT => Self::LONG_TEXT,
                Some(value) => *known.entry(value).or_insert_with_key(|value| {
                    input.texts.push(value.to_string());
                    i32::try_from(input.texts.len() - 1).unwrap_or(Self::NO_TEXT)
                }),
            };
            input.rows.push(row);
        }
        input
    }

    /// Returns the size of all texts, in bytes.
    #[must_use]
    pub fn text_bytes(&self) -> usize {
        self.texts.iter().map(String::len).sum()
    }

    /// Returns the input with these rows alone.
    #[must_use]
    pub fn narrowed(&self, rows: &[u32]) -> Self {
        fn of<T: Copy>(column: &[T], rows: &[u32]) -> Vec<T> {
            let entry = |row: &u32| column.get(*row as usize).copied();
            rows.iter().filter_map(entry).collect()
        }
        Self {
            rows: of(&self.rows, rows),
            numbers: of(&self.numbers, rows),
            ..self.clone()
        }
    }

    /// Returns an input that is unavailable for this reason.
    #[must_use]
    pub fn refused(error: String) -> Self {
        Self {
            error,
            ..Self::default()
        }
    }
}

/// Why something was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reason {
    /// CamelCase and stable.
    pub code: String,
    /// Named values in text form.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<(String, String)>,
    /// Sentence for people.
    #[serde(default)]
    pub sentence: String,
}
