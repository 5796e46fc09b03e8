//! Filters that depend on other pods: pod affinity, anti-affinity and topology spread.
//!
//! For each term, a counter holds the number of pods that it selects in each domain of
//! its topology key. A check only reads a few counts.

use super::counter::Counted;
use super::counting::{CounterInputs, Counting};
use super::domains::ViewKey;
use super::node_signature::Dependencies;
use super::nodes::NodeId;
use super::predicate::{PodTerm, Predicate};
use crate::intern::{Symbol, Table};
use crate::{AffinityTerm, LabelSelector, Operator, Pod, Requirement, SpreadConstraint};

/// Required terms of a pod, and the pod's namespace.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TermsKey {
    namespace: Symbol,
    affinity: Vec<AffinityTerm>,
    anti_affinity: Vec<AffinityTerm>,
}

/// Required terms, as counters.
#[derive(Debug, Default)]
struct Terms {
    /// Predicate that all terms of affinity together form. `None` without affinity.
    predicate: Option<u32>,
    /// A counter for each term of affinity.
    affinity: Box<[u32]>,
    /// A counter for each term of anti-affinity, of the pods that it selects.
    anti_affinity: Box<[u32]>,
    /// A counter for each term of anti-affinity, of the pods that have the term.
    owning: Box<[u32]>,
    /// A counter for each term of anti-affinity that kube-scheduler 1.36 applies to all
    /// namespaces ([`widened`]).
    widened: Box<[u32]>,
}

/// A spread constraint of a shape.
#[derive(Debug)]
struct Spread {
    key: u32,
    /// Counter of the pods that it selects. `None` if it selects no pods.
    counter: Option<u32>,
    view: u32,
    max_skew: i64,
    min_domains: usize,
    /// Whether it selects the pod itself.
    own: bool,
}

/// Terms and constraints of a shape.
#[derive(Debug)]
struct Shape {
    terms: u32,
    spread: Box<[Spread]>,
}

/// The first of these rules that rejects a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RelationMisfit {
    Spread,
    SpreadLabel,
    Affinity,
    AntiAffinity,
    ExistingAntiAffinity,
}

#[derive(Default)]
pub(super) struct Relations {
    pub(super) counting: Counting,
    terms_keys: Table<TermsKey>,
    terms: Vec<Terms>,
    shapes: Vec<Shape>,
}

impl Relations {
    /// Interns a pod's terms. Also returns whether they are new.
    pub(super) fn find_terms(&mut self, pod: &Pod, namespace: Symbol) -> (u32, bool) {
        let id = self.terms_keys.intern(TermsKey {
            namespace,
            affinity: pod.affinity.clone(),
            anti_affinity: pod.anti_affinity.clone(),
        });
        (id, id as usize == self.terms.len())
    }

    /// Sets the terms of a pod.
    pub(super) fn restore(&self, terms: u32, pod: &mut Pod) {
        let key = self.terms_keys.get(terms);
        pod.affinity = key.affinity.clone();
        pod.anti_affinity = key.anti_affinity.clone();
    }

    /// Whether there are terms of affinity, and of anti-affinity.
    pub(super) fn has_terms(&self, terms: u32) -> (bool, bool) {
        let terms = &self.terms[terms as usize];
        (terms.predicate.is_some(), !terms.anti_affinity.is_empty())
    }

    /// Returns the topology keys of a pod's terms of affinity.
    pub(super) fn affinity_keys(&self, terms: u32) -> impl Iterator<Item = u32> {
        let counters = self.terms[terms as usize].affinity.iter();
        counters.map(|counter| self.counting.key_of(*counter))
    }

    /// Returns the topology keys of a shape's constraints and terms.
    pub(super) fn topology_keys(&self, shape: u32) -> impl Iterator<Item = u32> {
        let own = &self.shapes[shape as usize];
        let terms = &self.terms[own.terms as usize];
        let counters = terms.affinity.iter().chain(&terms.anti_affinity);
        let keys = counters.map(|counter| self.counting.key_of(*counter));
        keys.chain(own.spread.iter().map(|spread| spread.key))
    }

    /// Returns the smallest domain count of each of a shape's spread constraints over a
    /// key, summed over the constraints.
    pub(super) fn spread_floor(&self, shape: u32, key: u32) -> u64 {
        let spread = self.shapes[shape as usize].spread.iter();
        let floors = spread
            .filter(|spread| spread.key == key)
            .map(|spread| u64::from(self.smallest(spread)));
        floors.sum()
    }

    /// Returns the smallest count of the domains that a constraint counts.
    fn smallest(&self, spread: &Spread) -> u32 {
        let domains = self.counting.domains.domains_in(spread.view);
        match spread.counter {
            Some(counter) if domains >= spread.min_domains => {
                self.counting.smallest(counter, domains)
            }
            _ => 0,
        }
    }

    /// Adds the counters of new terms, whose label keys are relevant to shapes already.
    pub(super) fn add_terms(
        &mut self,
        affinity: &[KeyedTerm],
        anti: &[KeyedTerm],
        widened: &[KeyedTerm],
        inputs: &mut CounterInputs<'_>,
    ) {
        let predicate: Predicate = affinity.iter().map(|(term, _)| term.clone()).collect();
        let predicate = (!affinity.is_empty()).then(|| self.counting.predicate(predicate, inputs));
        let mut terms = Terms {
            predicate,
            ..Terms::default()
        };
        terms.affinity = affinity
            .iter()
            .filter_map(|(_, key)| {
                Some(
                    self.counting
                        .counter(Counted::Matching(predicate?), *key, inputs),
                )
            })
            .collect();
        terms.widened = self
            .matching(widened, inputs)
            .map(|(_, _, counter)| counter)
            .collect();
        let anti: Vec<(u32, Symbol, u32)> = self.matching(anti, inputs).collect();
        terms.anti_affinity = anti.iter().map(|(.., counter)| *counter).collect();
        terms.owning = anti
            .iter()
            .map(|(predicate, key, _)| {
                self.counting
                    .counter(Counted::Owning(*predicate), *key, inputs)
            })
            .collect();
        self.terms.push(terms);
    }

    /// Returns the predicate and topology key of each term, and a counter of the pods
    /// that it selects.
    fn matching(
        &mut self,
        terms: &[KeyedTerm],
        inputs: &mut CounterInputs<'_>,
    ) -> impl Iterator<Item = (u32, Symbol, u32)> {
        terms.iter().map(move |(term, key)| {
            let predicate = self.counting.predicate([term.clone()].into(), inputs);
            let counter = Counted::Matching(predicate);
            (
                predicate,
                *key,
                self.counting.counter(counter, *key, inputs),
            )
        })
    }

    /// Adds a new shape. The label keys of its constraints are relevant already.
    pub(super) fn add_shape(&mut self, shape: u32, inputs: &mut CounterInputs<'_>) {
        let terms = inputs.classes.shape(shape).terms;
        let owning = &self.terms[terms as usize].owning;
        self.counting.add_shape(shape, owning, inputs);
        let spread = self.spread(shape, inputs);
        self.shapes.push(Shape { terms, spread });
    }

    fn spread(&mut self, shape: u32, inputs: &mut CounterInputs<'_>) -> Box<[Spread]> {
        let key = inputs.classes.shape(shape);
        let (namespace, labels) = (key.namespace, key.labels);
        let statics = inputs.statics.get(key.statics);
        let constraints = inputs.classes.spread(key.spread);
        let requires = constraints
            .iter()
            .map(|constraint| {
                self.counting.domains.key(
                    inputs.symbols.intern(&constraint.topology_key),
                    inputs.nodes,
                )
            })
            .collect::<smallvec::SmallVec<[u32; 2]>>();
        let mut all = Vec::with_capacity(constraints.len());
        for (constraint, key) in constraints.iter().zip(&requires) {
            let view = ViewKey {
                key: *key,
                requires: requires.clone(),
                affinity: constraint.honor_affinity.then_some(statics.affinity),
                tolerations: constraint.honor_taints.then_some(statics.tolerations),
            };
            let view =
                self.counting
                    .domains
                    .view(view, inputs.nodes, inputs.statics, inputs.symbols);
            let term = PodTerm::of_spread(constraint.selector.as_ref(), namespace, inputs.symbols);
            let labels = inputs.classes.labels(labels);
            let own = term.matches(namespace, None, labels, inputs.symbols);
            all.push(Spread {
                key: *key,
                counter: self.spread_counter(constraint, term, view, inputs),
                view,
                max_skew: constraint.max_skew.into(),
                min_domains: usize::try_from(constraint.min_domains).unwrap_or(0),
                own,
            });
        }
        all.into()
    }

    /// Returns the counter of a constraint. `None` if its selector is missing or empty:
    /// the scheduler then counts no existing pod.
    fn spread_counter(
        &mut self,
        constraint: &SpreadConstraint,
        term: PodTerm,
        view: u32,
        inputs: &mut CounterInputs<'_>,
    ) -> Option<u32> {
        let selector = constraint.selector.as_ref()?;
        if selector.0.is_empty() {
            return None;
        }
        let predicate = self.counting.predicate([term].into(), inputs);
        let key = inputs.symbols.intern(&constraint.topology_key);
        Some(
            self.counting
                .counter(Counted::Spread { predicate, view }, key, inputs),
        )
    }

    /// Adds the counters and topology keys on which a shape's rules depend.
    pub(super) fn add_dependencies(&self, shape: u32, dependencies: &mut Dependencies) {
        let own = &self.shapes[shape as usize];
        let terms = &self.terms[own.terms as usize];
        let counters = terms.affinity.iter().chain(&terms.anti_affinity);
        for counter in counters.chain(self.counting.excluding_counters(shape)) {
            dependencies.counter(*counter);
        }
        for spread in own.spread.iter() {
            dependencies.spread(spread.key, spread.view);
            if let Some(counter) = spread.counter {
                dependencies.counter(counter);
            }
        }
    }

    /// Returns the first rule that rejects a node.
    pub(super) fn misfit(&self, shape: u32, node: NodeId) -> Option<RelationMisfit> {
        self.misfit_over(shape, node, |_| true)
    }

    /// Returns the first rule that rejects a node, among those for whose topology key
    /// `counts` returns true.
    pub(super) fn misfit_over(
        &self,
        shape: u32,
        node: NodeId,
        counts: impl Fn(u32) -> bool,
    ) -> Option<RelationMisfit> {
        self.spread_misfit(shape, node, &counts)
            .or_else(|| self.affinity_misfit(shape, node, &counts))
    }

    fn spread_misfit(
        &self,
        shape: u32,
        node: NodeId,
        counts: &impl Fn(u32) -> bool,
    ) -> Option<RelationMisfit> {
        let spread = self.shapes[shape as usize].spread.iter();
        for spread in spread.filter(|spread| counts(spread.key)) {
            let Some(domain) = self.counting.domains.of(spread.key, node) else {
                return Some(RelationMisfit::SpreadLabel);
            };
            let counted = |counter| self.counting.get(counter, domain);
            let there = spread.counter.map_or(0, counted);
            let skew = i64::from(there) + i64::from(spread.own) - i64::from(self.smallest(spread));
            if skew > spread.max_skew {
                return Some(RelationMisfit::Spread);
            }
        }
        None
    }

    fn affinity_misfit(
        &self,
        shape: u32,
        node: NodeId,
        counts: &impl Fn(u32) -> bool,
    ) -> Option<RelationMisfit> {
        let terms = &self.terms[self.shapes[shape as usize].terms as usize];
        let counts = |counter: &&u32| counts(self.counting.key_of(**counter));
        if let Some(predicate) = terms.predicate {
            let mut near = true;
            for counter in terms.affinity.iter().filter(counts) {
                let Some(pods) = self.counting.pods_near(*counter, node) else {
                    return Some(RelationMisfit::Affinity);
                };
                near &= pods > 0;
            }
            if !near && !self.is_first_of_its_affinity(shape, predicate, &terms.affinity) {
                return Some(RelationMisfit::Affinity);
            }
        }
        let any = |counters: &[u32]| {
            let mut near = counters
                .iter()
                .filter(counts)
                .map(|counter| self.counting.pods_near(*counter, node));
            near.any(|pods| pods.is_some_and(|pods| pods > 0))
        };
        if any(&terms.anti_affinity) {
            return Some(RelationMisfit::AntiAffinity);
        }
        let is_excluded = any(self.counting.excluding_counters(shape));
        is_excluded.then(|| {
            if any(&terms.widened) {
                RelationMisfit::AntiAffinity
            } else {
                RelationMisfit::ExistingAntiAffinity
            }
        })
    }

    /// Returns a shape's anti-affinity terms over a key that select the shape's own
    /// pods. A domain fits one of all pods that share such a term.
    pub(super) fn exclusive(&self, shape: u32, key: u32) -> impl Iterator<Item = u32> {
        let terms = &self.terms[self.shapes[shape as usize].terms as usize];
        let counters = terms.anti_affinity.iter().copied();
        counters.filter(move |&counter| {
            self.counting.key_of(counter) == key && self.counting.predicate_matches(counter, shape)
        })
    }

    /// Whether a pod matches its own affinity terms and no pod in the cluster matches
    /// them yet. The scheduler then lets it onto any node.
    fn is_first_of_its_affinity(&self, shape: u32, predicate: u32, counters: &[u32]) -> bool {
        self.counting.is_matched(shape, predicate)
            && counters
                .iter()
                .all(|counter| self.counting.is_empty(*counter))
    }
}

/// A term and its topology key.
pub(super) type KeyedTerm = (PodTerm, Symbol);

/// Returns the term of a pending pod as kube-scheduler 1.36 applies it, if that
/// differs: a namespace selector that only has NotIn and DoesNotExist selects all
/// namespaces, as if none had labels. (Fixed in 1.37.) This does not affect where pods
/// fit here. It affects the reason: if existing pods exclude a pod, the scheduler names
/// the pod's own rules if it finds these violated too.
pub(super) fn widened(term: &AffinityTerm) -> Option<AffinityTerm> {
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
