//! Conditions on interned labels.

use crate::intern::{Symbol, Symbols};
use crate::{LabelSelector, Labels, Operator, Requirement};

/// Interned labels, sorted by the key's id.
pub(crate) type LabelSet = Box<[(Symbol, Symbol)]>;

/// What a pod can be found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Feature {
    /// A label with this key and value.
    Label(Symbol, Symbol),
    /// A label with this key.
    Key(Symbol),
    /// The namespace.
    Namespace(Symbol),
}

/// A condition on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Condition {
    pub(crate) key: Symbol,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Test {
    /// One of these values, which are sorted.
    In(Box<[Symbol]>),
    /// None of these values, which are sorted.
    NotIn(Box<[Symbol]>),
    Exists,
    DoesNotExist,
    Above(i64),
    Below(i64),
    Never,
}

impl Condition {
    /// Interns a requirement on a pod's or a namespace's labels.
    pub(crate) fn of_selector(requirement: &Requirement, symbols: &mut Symbols) -> Self {
        let values = |symbols: &mut Symbols| {
            let values = requirement.values.iter();
            let mut values: Vec<Symbol> = values.map(|value| symbols.intern(value)).collect();
            values.sort_unstable();
            values.dedup();
            values.into()
        };
        let test = match requirement.operator {
            Operator::In => Test::In(values(symbols)),
            Operator::NotIn => Test::NotIn(values(symbols)),
            Operator::Exists => Test::Exists,
            Operator::DoesNotExist => Test::DoesNotExist,
            Operator::Gt | Operator::Lt => Test::Never,
        };
        let key = symbols.intern(&requirement.key);
        Self { key, test }
    }

    /// Interns a requirement on a node's labels. One that is an error for the scheduler
    /// (too many or too few values, not a number) never matches.
    pub(crate) fn of_node(requirement: &Requirement, symbols: &mut Symbols) -> Self {
        let number = || match requirement.values.as_slice() {
            [only] => only.parse::<i64>().ok(),
            _ => None,
        };
        let values = requirement.values.len();
        let test = match requirement.operator {
            Operator::In | Operator::NotIn if values == 0 => Test::Never,
            Operator::Exists | Operator::DoesNotExist if values > 0 => Test::Never,
            Operator::Gt => number().map_or(Test::Never, Test::Above),
            Operator::Lt => number().map_or(Test::Never, Test::Below),
            _ => return Self::of_selector(requirement, symbols),
        };
        let key = symbols.intern(&requirement.key);
        Self { key, test }
    }

    /// Returns the features of which label sets that meet the condition have one. `None`
    /// if the condition is not of that form.
    pub(crate) fn features(&self) -> Option<Vec<Feature>> {
        match &self.test {
            Test::In(values) => Some(self.labels(values)),
            Test::Exists => Some(vec![Feature::Key(self.key)]),
            _ => None,
        }
    }

    /// Returns the features of which label sets that don't meet the condition have one.
    /// `None` if the condition is not of that form.
    pub(crate) fn features_of_others(&self) -> Option<Vec<Feature>> {
        match &self.test {
            Test::NotIn(values) => Some(self.labels(values)),
            Test::DoesNotExist => Some(vec![Feature::Key(self.key)]),
            _ => None,
        }
    }

    fn labels(&self, values: &[Symbol]) -> Vec<Feature> {
        let values = values.iter();
        values
            .map(|value| Feature::Label(self.key, *value))
            .collect()
    }

    pub(crate) fn holds(&self, labels: &[(Symbol, Symbol)], symbols: &Symbols) -> bool {
        let value = value_of(labels, self.key);
        let number = || value.and_then(|value| symbols.text(value).parse::<i64>().ok());
        match &self.test {
            Test::In(values) => value.is_some_and(|value| values.binary_search(&value).is_ok()),
            Test::NotIn(values) => value.is_none_or(|value| values.binary_search(&value).is_err()),
            Test::Exists => value.is_some(),
            Test::DoesNotExist => value.is_none(),
            Test::Above(bound) => number().is_some_and(|number| number > *bound),
            Test::Below(bound) => number().is_some_and(|number| number < *bound),
            Test::Never => false,
        }
    }
}

/// Interns the requirements of a selector.
pub(crate) fn conditions(selector: &LabelSelector, symbols: &mut Symbols) -> Box<[Condition]> {
    let requirements = selector.0.iter();
    requirements
        .map(|requirement| Condition::of_selector(requirement, symbols))
        .collect()
}

/// Whether all conditions hold.
pub(crate) fn all_hold(
    conditions: &[Condition],
    labels: &[(Symbol, Symbol)],
    symbols: &Symbols,
) -> bool {
    conditions
        .iter()
        .all(|condition| condition.holds(labels, symbols))
}

/// Returns the value of a key. The labels are sorted, as in a [`LabelSet`].
pub(crate) fn value_of(labels: &[(Symbol, Symbol)], key: Symbol) -> Option<Symbol> {
    let at = labels.binary_search_by_key(&key, |(known, _)| *known);
    at.ok().map(|at| labels[at].1)
}

/// Interns labels.
pub(crate) fn label_set(labels: &Labels, symbols: &mut Symbols) -> LabelSet {
    let pairs = labels.iter();
    let mut set: Vec<_> = pairs
        .map(|(key, value)| (symbols.intern(key), symbols.intern(value)))
        .collect();
    set.sort_unstable();
    set.into()
}
