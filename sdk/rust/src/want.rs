//! Inputs beyond the standard ones: what a policy wishes for, and what it got.

use crate::bindings::types;
use crate::rows::{LONG_TEXT, text};
use crate::time::Time;

/// An input that a policy wants beyond the standard ones. The host fetches it,
/// so the policy needs no network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    kind: &'static str,
    arguments: Vec<(&'static str, String)>,
}

impl Want {
    /// The spec's first metric, summed over the pods, in the past: over `window`,
    /// a mean for each `step` (durations such as `1h` or `30s`).
    #[must_use]
    pub fn history(window: &str, step: &str) -> Self {
        let arguments = vec![("window", window.to_owned()), ("step", step.to_owned())];
        Self {
            kind: "metric-history",
            arguments,
        }
    }

    /// The same of the metric named `metric` in the spec.
    #[must_use]
    pub fn history_of(metric: &str, window: &str, step: &str) -> Self {
        let mut want = Self::history(window, step);
        want.arguments.push(("metric", metric.to_owned()));
        want
    }

    /// Labels of the scale target.
    #[must_use]
    pub const fn labels() -> Self {
        Self {
            kind: "target-labels",
            arguments: Vec::new(),
        }
    }

    /// Annotations of the scale target.
    #[must_use]
    pub const fn annotations() -> Self {
        Self {
            kind: "target-annotations",
            arguments: Vec::new(),
        }
    }

    /// A label of each pod that is judged.
    #[must_use]
    pub fn pod_label(key: &str) -> Self {
        Self::by_row("pod-label", key)
    }

    /// An annotation of each pod that is judged.
    #[must_use]
    pub fn pod_annotation(key: &str) -> Self {
        Self::by_row("pod-annotation", key)
    }

    /// A label of the namespace of each pod that is judged.
    #[must_use]
    pub fn namespace_label(key: &str) -> Self {
        Self::by_row("namespace-label", key)
    }

    /// A label of each node, or of each option's template node.
    #[must_use]
    pub fn node_label(key: &str) -> Self {
        Self::by_row("node-label", key)
    }

    /// An annotation of each node, or of each option's template node.
    #[must_use]
    pub fn node_annotation(key: &str) -> Self {
        Self::by_row("node-annotation", key)
    }

    fn by_row(kind: &'static str, key: &str) -> Self {
        Self {
            kind,
            arguments: vec![("key", key.to_owned())],
        }
    }

    pub(crate) fn into_wire(self) -> types::WantedInput {
        let argument = |(name, value): (&str, String)| types::Argument {
            name: name.into(),
            value,
        };
        types::WantedInput {
            kind: self.kind.into(),
            arguments: self.arguments.into_iter().map(argument).collect(),
        }
    }
}

/// The answer to a [`Want`].
#[derive(Clone, Copy, Debug)]
pub struct Granted<'a>(pub(crate) &'a types::GrantedInput);

impl<'a> Granted<'a> {
    /// Why the host could not fetch it. `None` if it could.
    #[must_use]
    pub fn error(&self) -> Option<&'a str> {
        let error = self.0.error.as_str();
        (!error.is_empty()).then_some(error)
    }

    /// History: the end of each step and the metric's mean over it, oldest
    /// first. Steps without a sample are left out.
    pub fn points(&self) -> impl DoubleEndedIterator<Item = (Time, f64)> + 'a {
        let Self(input) = *self;
        input
            .times_ms
            .iter()
            .zip(&input.values)
            .map(|(&ms, &value)| (Time::from_ms(ms), value))
    }

    /// Labels or annotations, sorted by key.
    pub fn pairs(&self) -> impl DoubleEndedIterator<Item = (&'a str, &'a str)> + 'a {
        let Self(input) = *self;
        input
            .keys
            .iter()
            .map(String::as_str)
            .zip(input.texts.iter().map(String::as_str))
    }

    /// Labels or annotations by row: the value in that row of the table. `None` if it has
    /// none, or one that is too long.
    #[must_use]
    pub fn of_row(&self, row: usize) -> Option<&'a str> {
        let Self(input) = *self;
        text(&input.texts, &input.rows, row)
    }

    /// Labels or annotations by row: whether the value in that row has more than 1 KiB. The
    /// host does not hand it over.
    #[must_use]
    pub fn is_too_long(&self, row: usize) -> bool {
        self.0.rows.get(row) == Some(&LONG_TEXT)
    }

    /// The value of the label or annotation `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&'a str> {
        self.pairs()
            .find(|&(name, _)| name == key)
            .map(|(_, value)| value)
    }
}
