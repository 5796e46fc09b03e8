//! Filters that depend on other pods: pod affinity, anti-affinity and topology spread.
//!
//! For each term, a counter holds the number of pods that it selects in each domain of
//! its topology key. A check only reads a few counts.

mod misfit;

pub(super) use self::misfit::RelationMisfit;
use super::classes::Key;
use super::counter::Counted;
use super::counting::{CounterInputs, Counting, Wanted};
use super::domains::ViewKey;
use super::node_signature::Dependencies;
use super::pod_limits::{MAX_TERMS, exceeded_by_spread};
use super::predicate::PodTerm;
use super::terms::{KeyedTerms, Terms};
use crate::intern::{Symbol, Table};
use crate::{AffinityTerm, Pod, SpreadConstraint, Unjudged};

/// What the rules of a shape about other pods are made of. Shapes for which it is equal depend
/// on the same counters, views and topology keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    namespace: Symbol,
    terms: u32,
    spread: u32,
    /// Decides which nodes views of spread constraints include.
    statics: u32,
    profile: u32,
    unjudged: Option<Unjudged>,
}

/// Required terms of a pod, and the pod's namespace.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TermsKey {
    namespace: Symbol,
    affinity: Vec<AffinityTerm>,
    anti_affinity: Vec<AffinityTerm>,
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
    /// Why its pods are not judged, if they are not.
    unjudged: Option<Unjudged>,
}

#[derive(Default)]
pub(super) struct Relations {
    pub(super) counting: Counting,
    terms_keys: Table<TermsKey>,
    terms: Vec<Terms>,
    shapes: Vec<Shape>,
    /// Topology keys of the terms of pods that are not judged.
    blocking_keys: Vec<Symbol>,
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
        (terms.predicate.is_some(), !terms.owning.is_empty())
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
        let excluded = terms.anti_affinity.iter().map(|term| &term.counter);
        let counters = terms.affinity.iter().chain(excluded);
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
        terms: &KeyedTerms,
        namespace: Symbol,
        inputs: &mut CounterInputs<'_>,
    ) {
        let wanted = terms.wanted();
        let terms = match self.counting.add_predicates(&wanted, namespace, inputs) {
            Ok(()) => terms.counters(&mut self.counting, namespace, inputs),
            Err(why) => self.blocking_terms(terms, namespace, why, inputs),
        };
        self.terms.push(terms);
    }

    /// Adds new terms that are not judged.
    pub(super) fn add_unjudged_terms(
        &mut self,
        terms: &KeyedTerms,
        (namespace, why): (Symbol, Unjudged),
        inputs: &mut CounterInputs<'_>,
    ) {
        let terms = self.blocking_terms(terms, namespace, why, inputs);
        self.terms.push(terms);
    }

    fn blocking_terms(
        &mut self,
        terms: &KeyedTerms,
        namespace: Symbol,
        why: Unjudged,
        inputs: &mut CounterInputs<'_>,
    ) -> Terms {
        let keys = terms.blocking_keys(&mut self.blocking_keys, MAX_TERMS, inputs.symbols);
        terms.blocking_counters(&mut self.counting, &keys, (namespace, why), inputs)
    }

    /// Finds the profile of a new shape. `reshaped_by` is as in [`Counting::add_shape`].
    pub(super) fn add_profile(
        &mut self,
        shape: u32,
        reshaped_by: Option<Symbol>,
        inputs: &CounterInputs<'_>,
    ) {
        let terms = inputs.classes.shape(shape).terms;
        let owning = &self.terms[terms as usize].owning;
        self.counting.add_shape(shape, owning, reshaped_by, inputs);
    }

    /// Adds a new shape, which has a profile. The label keys of its constraints are relevant
    /// already, unless they are refused.
    pub(super) fn add_shape(&mut self, shape: u32, inputs: &mut CounterInputs<'_>) {
        let terms = inputs.classes.shape(shape).terms;
        let spread = self.spread(shape, inputs);
        let unjudged = self.terms[terms as usize].unjudged;
        self.shapes.push(Shape {
            terms,
            unjudged: unjudged.or(spread.as_ref().err().copied()),
            spread: spread.unwrap_or_default(),
        });
    }

    /// Why a shape's pods are not judged, if they are not.
    pub(super) fn unjudged(&self, shape: u32) -> Option<Unjudged> {
        let by_profile = || self.counting.profile(shape).unjudged;
        self.shapes[shape as usize].unjudged.or_else(by_profile)
    }

    fn spread(
        &mut self,
        shape: u32,
        inputs: &mut CounterInputs<'_>,
    ) -> Result<Box<[Spread]>, Unjudged> {
        let key = inputs.classes.shape(shape);
        let (namespace, labels) = (key.namespace, key.labels);
        let statics = inputs.statics.get(key.statics);
        let constraints = inputs.classes.spread(key.spread);
        if let Some(what) = key.beyond {
            return Err(what);
        }
        if let Some(what) = exceeded_by_spread(constraints) {
            return Err(what);
        }
        let requires = constraints
            .iter()
            .map(|constraint| {
                let key = inputs.symbols.intern(&constraint.topology_key);
                self.counting.key(key, inputs)
            })
            .collect::<smallvec::SmallVec<[u32; 2]>>();
        let mut all = Vec::with_capacity(constraints.len());
        for (constraint, key) in constraints.iter().zip(&requires) {
            let term = PodTerm::of_spread(constraint.selector.as_ref(), namespace, inputs.symbols);
            if !term.keys().all(|key| inputs.classes.is_read(key)) {
                return Err(Unjudged::TooManyComparisons);
            }
            let view = ViewKey {
                key: *key,
                requires: requires.clone(),
                affinity: constraint.honor_affinity.then_some(statics.affinity),
                tolerations: constraint.honor_taints.then_some(statics.tolerations),
            };
            let view = self.counting.view(view, namespace, inputs);
            let view = view.ok_or(Unjudged::TooManyConnections)?;
            let labels = inputs.classes.labels(labels);
            let own = term.matches(namespace, None, labels, inputs.symbols);
            all.push(Spread {
                key: *key,
                counter: self.spread_counter(constraint, term, (namespace, view), inputs)?,
                view,
                max_skew: constraint.max_skew.into(),
                min_domains: usize::try_from(constraint.min_domains).unwrap_or(0),
                own,
            });
        }
        Ok(all.into())
    }

    /// Returns the counter of a constraint. `None` if its selector is missing or empty:
    /// the scheduler then counts no existing pod.
    fn spread_counter(
        &mut self,
        constraint: &SpreadConstraint,
        term: PodTerm,
        (namespace, view): (Symbol, u32),
        inputs: &mut CounterInputs<'_>,
    ) -> Result<Option<u32>, Unjudged> {
        let selector = constraint.selector.as_ref();
        if selector.is_none_or(|selector| selector.0.is_empty()) {
            return Ok(None);
        }
        let key = inputs.symbols.intern(&constraint.topology_key);
        let wanted = [Wanted {
            predicate: [term].into(),
            key,
            view: Some(view),
        }];
        self.counting.add_predicates(&wanted, namespace, inputs)?;
        let [Wanted { predicate, .. }] = wanted;
        let predicate = self.counting.predicate(predicate, inputs);
        let counted = Counted::Spread { predicate, view };
        Ok(Some(self.counting.counter(counted, key, inputs)))
    }

    /// Returns what a shape's rules are made of. `key` is the shape's.
    pub(super) fn rules(&self, shape: u32, key: &Key) -> Rules {
        Rules {
            namespace: key.namespace,
            terms: key.terms,
            spread: key.spread,
            statics: key.statics,
            profile: self.counting.profile_of(shape),
            unjudged: self.shapes[shape as usize].unjudged,
        }
    }

    /// Adds the counters and topology keys on which a shape's rules depend.
    pub(super) fn add_dependencies(&self, shape: u32, dependencies: &mut Dependencies) {
        let own = &self.shapes[shape as usize];
        let terms = &self.terms[own.terms as usize];
        let excluded = terms.anti_affinity.iter();
        let excluded = excluded.flat_map(|term| [Some(term.counter), term.except]);
        let profile = self.counting.profile(shape);
        for &excluding in &profile.excluding {
            let exempting = profile.exempting(excluding).iter();
            for counter in exempting.chain([&excluding]) {
                dependencies.counter(*counter);
            }
        }
        let counters = terms.affinity.iter().chain(&profile.blocking).copied();
        for counter in counters.chain(excluded.flatten()) {
            dependencies.counter(counter);
        }
        if self.topology_keys(shape).next().is_some() {
            dependencies.unjudged_of(terms.only_namespace);
        }
        for spread in own.spread.iter() {
            dependencies.spread(spread.key, spread.view);
            if let Some(counter) = spread.counter {
                dependencies.counter(counter);
            }
        }
    }

    pub(super) fn terms_of(&self, shape: u32) -> &Terms {
        &self.terms[self.shapes[shape as usize].terms as usize]
    }

    /// Returns a shape's anti-affinity terms over a key that select the shape's own
    /// pods. A domain fits one of all pods that share such a term.
    pub(super) fn exclusive(&self, shape: u32, key: u32) -> impl Iterator<Item = u32> {
        let terms = self.terms_of(shape);
        let terms = terms.anti_affinity.iter().filter(move |term| {
            self.counting.key_of(term.counter) == key && self.counting.selects(**term, shape)
        });
        terms.map(|term| term.except.unwrap_or(term.counter))
    }

    /// Whether the anti-affinity of some pods may select a shape's pods.
    pub(super) fn is_unwanted(&self, shape: u32) -> bool {
        let profile = self.counting.profile(shape);
        let mut excluding = profile.excluding.iter();
        !profile.blocking.is_empty()
            || excluding.any(|counter| {
                let exempting = profile.exempting(*counter).len();
                self.counting.term_count(*counter) > exempting
            })
    }
}
