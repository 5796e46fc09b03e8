//! Which pods a term speaks of, by namespace and labels.

use super::condition::{Condition, LabelSet, all_hold, conditions};
use crate::intern::{Symbol, Symbols};
use crate::{AffinityTerm, LabelSelector, Name};

/// Pods of some namespaces that a selector selects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PodTerm {
    namespaces: Box<[Symbol]>,
    more: Option<Box<[Condition]>>,
    selector: Option<Box<[Condition]>>,
}

/// Pods that match all of these.
pub(super) type Predicate = Box<[PodTerm]>;

impl PodTerm {
    /// Of a term of pod affinity.
    pub(super) fn of_affinity(term: &AffinityTerm, own: Symbol, symbols: &mut Symbols) -> Self {
        let names = |names: &[Name], symbols: &mut Symbols| {
            let mut names: Vec<Symbol> = names.iter().map(|name| symbols.intern(name)).collect();
            names.sort_unstable();
            names.dedup();
            names.into()
        };
        let namespaces = if term.namespaces.is_empty() && term.namespace_selector.is_none() {
            [own].into()
        } else {
            names(&term.namespaces, symbols)
        };
        let mut of = |selector: &LabelSelector| conditions(selector, symbols);
        Self {
            namespaces,
            more: term.namespace_selector.as_ref().map(&mut of),
            selector: term.selector.as_ref().map(&mut of),
        }
    }

    /// Of a spread constraint.
    pub(super) fn of_spread(
        selector: Option<&LabelSelector>,
        own: Symbol,
        symbols: &mut Symbols,
    ) -> Self {
        Self {
            namespaces: [own].into(),
            more: None,
            selector: selector.map(|selector| conditions(selector, symbols)),
        }
    }

    /// Keys of pods' labels that are read.
    pub(super) fn keys(&self) -> impl Iterator<Item = Symbol> {
        let conditions = self.selector.iter().flatten();
        conditions.map(|condition| condition.key)
    }

    /// A condition that one of few labels is there, if it has one.
    pub(super) fn pairs(&self) -> Option<Vec<(Symbol, Symbol)>> {
        let mut conditions = self.selector.iter().flatten();
        conditions.find_map(Condition::pairs)
    }

    /// Whether it speaks of no pod at all.
    pub(super) fn is_void(&self) -> bool {
        self.selector.is_none()
    }

    /// Whether it reads namespaces' labels.
    pub(super) fn reads_namespaces(&self) -> bool {
        self.more.is_some()
    }

    /// Whether it speaks of pods of a namespace with these labels. An empty
    /// selector selects all namespaces, any other only those that are known.
    pub(super) fn matches(
        &self,
        namespace: Symbol,
        namespace_labels: Option<&LabelSet>,
        labels: &[(Symbol, Symbol)],
        symbols: &Symbols,
    ) -> bool {
        let more = self.more.as_deref().is_some_and(|more| {
            more.is_empty()
                || namespace_labels.is_some_and(|labels| all_hold(more, labels, symbols))
        });
        let selected = self.selector.as_deref();
        (more || self.namespaces.contains(&namespace))
            && selected.is_some_and(|selector| all_hold(selector, labels, symbols))
    }
}
