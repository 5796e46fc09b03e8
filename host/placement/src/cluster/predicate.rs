//! Predicates on pods, by namespace and labels.

use crate::condition::{Condition, LabelSet, all_hold, conditions};
use crate::intern::{Symbol, Symbols};
use crate::{AffinityTerm, LabelSelector, Name};

/// Matches pods in some namespaces that a selector selects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PodTerm {
    namespaces: Box<[Symbol]>,
    more: Option<Box<[Condition]>>,
    selector: Option<Box<[Condition]>>,
}

/// Matches pods that match all of these terms.
pub(super) type Predicate = Box<[PodTerm]>;

impl PodTerm {
    /// Interns a term of pod affinity or anti-affinity.
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

    /// Interns the selector of a spread constraint.
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

    /// Returns the keys of pod labels that the term uses.
    pub(super) fn keys(&self) -> impl Iterator<Item = Symbol> {
        let conditions = self.selector.iter().flatten();
        conditions.map(|condition| condition.key)
    }

    /// Returns labels of which one is required. `None` if the term has no such
    /// condition.
    pub(super) fn pairs(&self) -> Option<Vec<(Symbol, Symbol)>> {
        let mut conditions = self.selector.iter().flatten();
        conditions.find_map(Condition::pairs)
    }

    /// Whether it matches no pod at all.
    pub(super) fn is_void(&self) -> bool {
        self.selector.is_none()
    }

    /// Whether it has a namespace selector.
    pub(super) fn reads_namespaces(&self) -> bool {
        self.more.is_some()
    }

    /// Whether it matches a pod with these labels. An empty namespace selector selects
    /// all namespaces, any other only those that exist.
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
