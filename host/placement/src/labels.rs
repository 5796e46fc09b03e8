//! Labels, and the selectors of pods and nodes that read them.

use serde::{Deserialize, Serialize};

use crate::Name;

/// Labels, sorted by key, each key once.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Labels(Vec<(Name, Name)>);

impl Labels {
    /// Returns the value of a key.
    pub fn get(&self, key: &str) -> Option<&Name> {
        let found = self
            .0
            .binary_search_by(|(known, _)| known.as_ref().cmp(key));
        found.ok().map(|at| &self.0[at].1)
    }

    /// Sets a label.
    pub fn set(&mut self, key: Name, value: Name) {
        match self.0.binary_search_by(|(known, _)| known.cmp(&key)) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (key, value)),
        }
    }

    /// All labels, ordered by key.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Name, &Name)> {
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Collects labels. Of a duplicate key, the last value is kept.
impl<K: Into<Name>, V: Into<Name>> FromIterator<(K, V)> for Labels {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(labels: I) -> Self {
        let pair = |(key, value): (K, V)| (key.into(), value.into());
        let mut labels: Vec<(Name, Name)> = labels.into_iter().map(pair).collect();
        labels.sort_by(|(a, _), (b, _)| a.cmp(b));
        labels.dedup_by(|later, kept| {
            let same = later.0 == kept.0;
            if same {
                std::mem::swap(later, kept);
            }
            same
        });
        Self(labels)
    }
}

/// Operator of a requirement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Operator {
    /// The label is present and has one of the values.
    In,
    /// The label is missing, or has none of the values.
    NotIn,
    /// The label is present.
    Exists,
    /// The label is missing.
    DoesNotExist,
    /// The label is an integer above the only value. For node labels only.
    Gt,
    /// The label is an integer below the only value. For node labels only.
    Lt,
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Requirement {
    /// Key of the label.
    pub key: Name,
    /// How the label is compared.
    pub operator: Operator,
    /// Values to compare with.
    #[serde(default)]
    pub values: Vec<Name>,
}

impl Requirement {
    /// Whether a pod whose label of this key has this value meets it. `None`: the label
    /// is missing. Pods meet no requirement with [`Operator::Gt`] or [`Operator::Lt`].
    pub fn holds(&self, value: Option<&Name>) -> bool {
        match self.operator {
            Operator::In => value.is_some_and(|value| self.values.contains(value)),
            Operator::NotIn => value.is_none_or(|value| !self.values.contains(value)),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt | Operator::Lt => false,
        }
    }

    /// Returns a requirement that the label has this value.
    pub fn equals(key: impl Into<Name>, value: impl Into<Name>) -> Self {
        Self {
            key: key.into(),
            operator: Operator::In,
            values: vec![value.into()],
        }
    }
}

/// Selects label sets that meet all requirements. Without requirements, selects every
/// label set. (matchLabels are requirements with [`Operator::In`] and one value.)
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LabelSelector(pub Vec<Requirement>);

impl LabelSelector {
    /// Whether it selects a pod. `label` returns the value of a key.
    pub fn selects<'a>(&self, label: impl Fn(&str) -> Option<&'a Name>) -> bool {
        let mut requirements = self.0.iter();
        requirements.all(|requirement| requirement.holds(label(&requirement.key)))
    }
}

/// A term of required node affinity. Matches a node if all of its conditions hold. An
/// empty term matches nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct NodeSelectorTerm {
    /// Conditions on labels (matchExpressions).
    pub expressions: Vec<Requirement>,
    /// Conditions on metadata.name (matchFields).
    pub fields: Vec<Requirement>,
}
