//! Predicates on pods, by namespace and labels.

use super::relevant_labels::ReadKey;
use crate::condition::{Condition, Feature, LabelSet, all_hold, conditions};
use crate::intern::{Symbol, Symbols};
use crate::{AffinityTerm, LabelSelector, Name};

/// Matches pods in some namespaces that a selector selects.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct PodTerm {
    /// Sorted.
    namespaces: Box<[Symbol]>,
    more: Option<Box<[Condition]>>,
    selector: Option<Box<[Condition]>>,
    /// Whether it matches the pods in these namespaces that the selector does not select.
    inverted: bool,
    /// Whether it may match pods of other namespaces than that of the pod that has it. Then
    /// it differs from a term that a pod of such a namespace has.
    is_foreign: bool,
}

/// Matches pods that match all of these terms.
pub(super) type Predicate = Box<[PodTerm]>;

/// Returns the only namespace of the pods that a predicate may match, which is that of the
/// pods that have the terms. `None` if it may match pods of others.
pub(super) fn scope(predicate: &[PodTerm]) -> Option<Symbol> {
    let mut own = predicate.iter().filter(|term| !term.is_foreign);
    own.find_map(|term| term.namespaces.first().copied())
}

impl PodTerm {
    /// Interns a term of pod affinity or anti-affinity.
    pub(super) fn of_affinity(term: &AffinityTerm, own: Symbol, symbols: &mut Symbols) -> Self {
        let names = |names: &[Name], symbols: &mut Symbols| {
            let mut names: Vec<Symbol> = names.iter().map(|name| symbols.intern(name)).collect();
            names.sort_unstable();
            names.dedup();
            names.into()
        };
        let namespaces: Box<[Symbol]> =
            if term.namespaces.is_empty() && term.namespace_selector.is_none() {
                [own].into()
            } else {
                names(&term.namespaces, symbols)
            };
        let mut of = |selector: &LabelSelector| conditions(selector, symbols);
        let is_foreign = term.namespace_selector.is_some() || *namespaces != [own];
        Self {
            namespaces,
            more: term.namespace_selector.as_ref().map(&mut of),
            selector: term.selector.as_ref().map(&mut of),
            inverted: false,
            is_foreign,
        }
    }

    /// Returns a term that matches all pods in a namespace, or in all namespaces if `None`.
    pub(super) fn of_all(namespace: Option<Symbol>) -> Self {
        Self {
            namespaces: namespace.into_iter().collect(),
            more: namespace.is_none().then(Box::default),
            selector: Some(Box::default()),
            inverted: false,
            is_foreign: namespace.is_none(),
        }
    }

    /// Whether it may match pods of other namespaces than that of the pod that has it.
    pub(super) fn is_foreign(&self) -> bool {
        self.is_foreign
    }

    /// Returns a term that matches all pods in its namespaces, and one that matches those
    /// of them that it does not match. `None` unless it excludes pods by single labels
    /// only: it then matches nearly all of them, and few have one of these labels.
    pub(super) fn all_and_others(&self) -> Option<(Self, Self)> {
        let selector = self.selector.as_deref()?;
        let excludes = |condition: &Condition| condition.features_of_others().is_some();
        if self.inverted || selector.is_empty() || !selector.iter().all(excludes) {
            return None;
        }
        let all = Self {
            selector: Some(Box::default()),
            ..self.clone()
        };
        let others = Self {
            inverted: true,
            ..self.clone()
        };
        Some((all, others))
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
            inverted: false,
            is_foreign: false,
        }
    }

    /// Returns the keys of pod labels that the term reads.
    pub(super) fn keys(&self) -> impl Iterator<Item = ReadKey> {
        let namespace = match *self.namespaces {
            [only] if self.more.is_none() => Some(only),
            _ => None,
        };
        let conditions = self.selector.iter().flatten();
        conditions.map(move |condition| ReadKey {
            key: condition.key,
            namespace,
        })
    }

    /// Returns labels of which every pod that it matches has one: each of the lists is of
    /// that kind.
    pub(super) fn features(&self) -> Vec<Vec<Feature>> {
        let conditions = self.selector.iter().flatten();
        if self.inverted {
            let features: Option<Vec<_>> = conditions.map(Condition::features_of_others).collect();
            return features
                .map(|features| features.concat())
                .into_iter()
                .collect();
        }
        conditions.filter_map(Condition::features).collect()
    }

    /// Returns the namespaces of the pods that it matches. `None` if they depend on the
    /// labels of namespaces.
    pub(super) fn named_namespaces(&self) -> Option<Vec<Feature>> {
        let names = self.namespaces.iter();
        let names = names.map(|name| Feature::Namespace(*name));
        self.more.is_none().then(|| names.collect())
    }

    /// Whether it matches no pod at all.
    pub(super) fn is_void(&self) -> bool {
        self.selector.is_none()
    }

    /// Whether it has a namespace selector.
    pub(super) fn reads_namespaces(&self) -> bool {
        self.more.is_some()
    }

    /// Returns the number of steps of comparing it with a pod, at most.
    pub(super) fn weight(&self) -> usize {
        let conditions = self.selector.iter().chain(&self.more);
        1 + conditions.map(|conditions| conditions.len()).sum::<usize>()
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
        (more || self.namespaces.binary_search(&namespace).is_ok())
            && selected.is_some_and(|selector| all_hold(selector, labels, symbols) != self.inverted)
    }
}
