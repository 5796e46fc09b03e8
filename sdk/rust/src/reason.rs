//! Why something was decided, or was not.

use crate::bindings::types;

/// Longest sentence and longest value of an argument that a host takes, in bytes.
const TEXT_BYTES: usize = 1024;

/// Why something was decided.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason {
    /// CamelCase and stable: what a machine compares.
    pub code: String,
    /// Named values that the sentence speaks of.
    pub arguments: Vec<(String, String)>,
    /// What a person reads. `{pod:N}` stands for the name of the pod in row N,
    /// `{container:M:N}` for the name of that pod's first container without a request
    /// for the metric in row M.
    pub sentence: String,
}

/// A policy's refusal to decide: the host then holds, or asks the fallback.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Such as `MissingInput` or `Unsupported`.
    pub code: String,
    /// The refusal as a sentence.
    pub message: String,
}

impl Refusal {
    /// A refusal.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            message: message.into(),
        }
    }
}

/// What a policy's function may return: an answer, or a result with it.
pub trait Answer<A> {
    /// The answer as a result.
    ///
    /// # Errors
    /// The refusal, if it is one.
    fn into_result(self) -> Result<A, Refusal>;
}

impl<A> Answer<A> for A {
    fn into_result(self) -> Result<A, Refusal> {
        Ok(self)
    }
}

impl<A> Answer<A> for Result<A, Refusal> {
    fn into_result(self) -> Self {
        self
    }
}

impl Reason {
    pub(crate) fn new(code: impl Into<String>, sentence: impl Into<String>) -> Self {
        Self {
            code: code.into(),
            arguments: Vec::new(),
            sentence: sentence.into(),
        }
    }

    /// The reason of an answer that comes without one: it says that the policy gives no
    /// reason.
    pub(crate) fn none_given() -> Self {
        Self::new("Unexplained", "the policy gives no reason")
    }

    /// Sets code and sentence; the arguments stay.
    pub(crate) fn say(&mut self, code: impl Into<String>, sentence: impl Into<String>) {
        (self.code, self.sentence) = (code.into(), sentence.into());
    }

    /// The value of the argument of that name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.arguments
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn into_wire(self) -> types::Reason {
        let argument = |(name, value)| types::Argument {
            name,
            value: cut(value),
        };
        types::Reason {
            code: self.code,
            arguments: self.arguments.into_iter().map(argument).collect(),
            sentence: cut(self.sentence),
        }
    }
}

/// Texts quote what others wrote, such as a metric's selector: that one is long is
/// no reason to decide nothing.
fn cut(mut text: String) -> String {
    if text.len() > TEXT_BYTES {
        text.truncate(text.floor_char_boundary(TEXT_BYTES));
    }
    text
}
