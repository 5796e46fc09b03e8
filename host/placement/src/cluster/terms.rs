//! Required terms of a pod's affinity and anti-affinity, as counters.
//!
//! An anti-affinity term that only excludes labels (`NotIn`, `DoesNotExist`) selects nearly
//! all pods. It is kept as two counters: of all pods in its namespaces, which such terms
//! share, and of the few that it does not select.

use super::counter::{Counted, Selected};
use super::counting::{CounterInputs, Counting, Wanted};
use super::domains::WHOLE_CLUSTER;
use super::predicate::{PodTerm, Predicate};
use super::relevant_labels::ReadKey;
use crate::intern::{Symbol, Symbols};
use crate::{AffinityTerm, LabelSelector, Operator, Pod, Requirement, Unjudged};

/// Required terms, as counters.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Predicate that all terms of affinity together form. `None` without affinity.
    pub(super) predicate: Option<u32>,
    /// A counter for each term of affinity.
    pub(super) affinity: Box<[u32]>,
    /// The pods that each term of anti-affinity selects.
    pub(super) anti_affinity: Box<[Selected]>,
    /// Counters, for the terms of anti-affinity, of the pods that have the terms.
    pub(super) owning: Box<[u32]>,
    /// The pods that each term of anti-affinity selects that kube-scheduler 1.36 applies to
    /// all namespaces ([`widened`]).
    pub(super) widened: Box<[Selected]>,
    /// The namespace of the pod, if no term can select pods of others.
    pub(super) only_namespace: Option<Symbol>,
    /// Why the terms are not judged, if they are not.
    pub(super) unjudged: Option<Unjudged>,
}

/// A term and its topology key.
type KeyedTerm = (PodTerm, Symbol);

/// Required terms of a pod.
pub(super) struct KeyedTerms {
    affinity: Vec<KeyedTerm>,
    anti: Vec<Exclusion>,
    widened: Vec<Exclusion>,
}

/// A term of anti-affinity.
struct Exclusion {
    term: PodTerm,
    /// The pods that the term selects, or all in its namespaces.
    pods: Predicate,
    /// Those of them that the term does not select.
    except: Option<Predicate>,
    key: Symbol,
}

impl Exclusion {
    fn new((term, key): KeyedTerm) -> Self {
        let (pods, except) = match term.all_and_others() {
            Some((all, others)) => (all, Some([others].into())),
            None => (term.clone(), None),
        };
        Self {
            term,
            pods: [pods].into(),
            except,
            key,
        }
    }

    fn wanted(&self) -> impl Iterator<Item = Wanted> {
        let predicates = std::iter::once(&self.pods).chain(&self.except);
        predicates.map(|predicate| Wanted {
            predicate: predicate.clone(),
            key: self.key,
            view: None,
        })
    }

    fn selected(&self, counting: &mut Counting, inputs: &CounterInputs<'_>) -> Selected {
        let mut counter = |predicate: &Predicate| {
            let predicate = counting.predicate(predicate.clone(), inputs);
            counting.counter(Counted::Matching(predicate), self.key, inputs)
        };
        Selected {
            counter: counter(&self.pods),
            except: self.except.as_ref().map(counter),
        }
    }

    /// Appends the counters of the pods that have the term.
    fn add_owning(
        &self,
        owning: &mut Vec<u32>,
        counting: &mut Counting,
        inputs: &CounterInputs<'_>,
    ) {
        let pods = counting.predicate(self.pods.clone(), inputs);
        let counter = counting.counter(Counted::Owning(pods), self.key, inputs);
        owning.push(counter);
        match &self.except {
            None => counting.note_whole_term(counter),
            Some(except) => {
                let predicate = counting.predicate(except.clone(), inputs);
                let counted = Counted::Exempting {
                    predicate,
                    owning: counter,
                };
                owning.push(counting.counter(counted, self.key, inputs));
            }
        }
    }
}

impl KeyedTerms {
    /// Interns the terms of a pod.
    pub(super) fn of(pod: &Pod, namespace: Symbol, symbols: &mut Symbols) -> Self {
        let mut of = |term: &AffinityTerm| {
            let key = symbols.intern(&term.topology_key);
            (PodTerm::of_affinity(term, namespace, symbols), key)
        };
        let anti = pod.anti_affinity.iter();
        let widened = anti.clone().filter_map(widened);
        Self {
            affinity: pod.affinity.iter().map(&mut of).collect(),
            widened: widened.map(|term| Exclusion::new(of(&term))).collect(),
            anti: anti.map(|term| Exclusion::new(of(term))).collect(),
        }
    }

    fn terms(&self) -> impl Iterator<Item = &PodTerm> {
        let affinity = self.affinity.iter().map(|(term, _)| term);
        affinity.chain(self.anti.iter().map(|exclusion| &exclusion.term))
    }

    /// Returns the keys of pod labels that the terms read.
    pub(super) fn label_keys(&self) -> impl Iterator<Item = ReadKey> {
        self.terms().flat_map(PodTerm::keys)
    }

    /// The predicate of all terms of affinity together.
    fn affinity(&self) -> Predicate {
        self.affinity.iter().map(|(term, _)| term.clone()).collect()
    }

    /// Returns the predicates to count, each once for a topology key.
    pub(super) fn wanted(&self) -> Vec<Wanted> {
        let exclusions = self.anti.iter().chain(&self.widened);
        let affinity = self.affinity.iter().map(|(_, key)| Wanted {
            predicate: self.affinity(),
            key: *key,
            view: None,
        });
        let mut wanted: Vec<Wanted> = Vec::new();
        for one in affinity.chain(exclusions.flat_map(Exclusion::wanted)) {
            let mut known = wanted.iter();
            if !known.any(|known| known.key == one.key && known.predicate == one.predicate) {
                wanted.push(one);
            }
        }
        wanted
    }

    /// Returns the counters of the terms.
    pub(super) fn counters(
        &self,
        counting: &mut Counting,
        namespace: Symbol,
        inputs: &CounterInputs<'_>,
    ) -> Terms {
        let predicate =
            (!self.affinity.is_empty()).then(|| counting.predicate(self.affinity(), inputs));
        let affinity = self.affinity.iter().filter_map(|(_, key)| {
            Some(counting.counter(Counted::Matching(predicate?), *key, inputs))
        });
        let affinity = affinity.collect();
        let mut selected = |exclusions: &[Exclusion]| {
            let exclusions = exclusions.iter();
            exclusions
                .map(|exclusion| exclusion.selected(counting, inputs))
                .collect()
        };
        let (widened, anti_affinity) = (selected(&self.widened), selected(&self.anti));
        let mut owning = Vec::new();
        for exclusion in &self.anti {
            exclusion.add_owning(&mut owning, counting, inputs);
        }
        Terms {
            predicate,
            affinity,
            anti_affinity,
            owning: owning.into(),
            widened,
            only_namespace: (!self.terms().any(PodTerm::is_foreign)).then_some(namespace),
            unjudged: None,
        }
    }

    /// Returns the topology keys whose domains the pod keeps others off, if its terms are
    /// not judged. `known` are those of all such pods: the first `max` ones. Any further
    /// key stands for the whole cluster.
    pub(super) fn blocking_keys(
        &self,
        known: &mut Vec<Symbol>,
        max: usize,
        symbols: &mut Symbols,
    ) -> Vec<Symbol> {
        let mut keys: Vec<Symbol> = Vec::new();
        for exclusion in &self.anti {
            let mut key = exclusion.key;
            if !known.contains(&key) {
                if known.len() < max {
                    known.push(key);
                } else {
                    key = symbols.intern(&WHOLE_CLUSTER.into());
                }
            }
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        keys
    }

    /// Returns counters by which the pod keeps all others off the domains of its topology
    /// keys that its terms might select, by their namespaces.
    pub(super) fn blocking_counters(
        &self,
        counting: &mut Counting,
        keys: &[Symbol],
        (namespace, why): (Symbol, Unjudged),
        inputs: &CounterInputs<'_>,
    ) -> Terms {
        let mut anti = self.anti.iter();
        let is_own = anti.all(|exclusion| !exclusion.term.is_foreign());
        let all = PodTerm::of_all(is_own.then_some(namespace));
        let owning = keys.iter().map(|key| {
            let predicate = counting.predicate([all.clone()].into(), inputs);
            counting.counter(Counted::Blocking(predicate), *key, inputs)
        });
        Terms {
            owning: owning.collect(),
            unjudged: Some(why),
            ..Terms::default()
        }
    }
}

/// Returns the term of a pending pod as kube-scheduler 1.36 applies it, if that
/// differs: a namespace selector that only has NotIn and DoesNotExist selects all
/// namespaces, as if none had labels. (Fixed in 1.37.) This does not affect where pods
/// fit here. It affects the reason: if existing pods exclude a pod, the scheduler names
/// the pod's own rules if it finds these violated too.
fn widened(term: &AffinityTerm) -> Option<AffinityTerm> {
    let selector = term.namespace_selector.as_ref()?;
    let met_by_nothing = |requirement: &Requirement| {
        matches!(
            requirement.operator,
            Operator::NotIn | Operator::DoesNotExist
        )
    };
    let differs = !selector.0.is_empty() && selector.0.iter().all(met_by_nothing);
    differs.then(|| AffinityTerm {
        namespace_selector: Some(LabelSelector::default()),
        ..term.clone()
    })
}
