//! What pods mean to each other: affinity, anti-affinity, spread.
//!
//! Each term is a predicate over pods and a topology key, and pods are counted by
//! domain as they come and go. Pods with the same namespace, labels that are read
//! and terms have one profile: which counters they move, and which counters they
//! are stopped by.

use hashbrown::HashMap;

use super::classes::Classes;
use super::condition::LabelSet;
use super::counter::{Counted, Counter, CounterKey};
use super::domains::{Domains, ViewKey};
use super::nodes::{NodeId, Nodes};
use super::predicate::{PodTerm, Predicate};
use super::statics::Statics;
use super::{ClassId, Count};
use crate::intern::{Symbol, Symbols, Table};
use crate::{AffinityTerm, Pod, SpreadConstraint};

/// Required terms of a pod, and the namespace they are read in.
#[derive(Debug, PartialEq, Eq, Hash)]
struct TermsKey {
    namespace: Symbol,
    affinity: Vec<AffinityTerm>,
    anti_affinity: Vec<AffinityTerm>,
}

/// Required terms, as counters.
#[derive(Debug, Default)]
struct Terms {
    /// Pods that must be near match this.
    predicate: Option<u32>,
    /// A counter for each term of affinity.
    affinity: Box<[u32]>,
    /// A counter for each term of anti-affinity: the pods it speaks of.
    anti_affinity: Box<[u32]>,
    /// The same: the pods that have the term.
    owning: Box<[u32]>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct ProfileKey {
    namespace: Symbol,
    labels: u32,
    terms: u32,
}

#[derive(Debug, Default)]
struct Profile {
    /// Predicates that match.
    matches: Vec<u32>,
    /// Counters that count all pods of it.
    counted: Vec<u32>,
    /// Counters that count those that aren't being deleted.
    spread: Vec<u32>,
    /// Counters of pods that don't want it near.
    unwanted: Vec<u32>,
    placed: u64,
}

#[derive(Debug, Default)]
struct Matching {
    profiles: Vec<u32>,
    counters: Vec<u32>,
    spread: Vec<u32>,
    owning: Vec<u32>,
}

/// A spread constraint of a shape.
#[derive(Debug)]
struct Spread {
    key: u32,
    /// None: no pods are counted.
    counter: Option<u32>,
    view: u32,
    max_skew: i64,
    min_domains: usize,
    /// Whether the pod itself counts.
    own: bool,
}

/// What of a shape is about other pods.
#[derive(Debug)]
struct Shape {
    profile: u32,
    spread: Box<[Spread]>,
}

/// The first of these rules that says no.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Objection {
    Spread,
    SpreadLabel,
    Affinity,
    AntiAffinity,
    ExistingAntiAffinity,
}

#[derive(Default)]
pub(super) struct Relations {
    pub(super) domains: Domains,
    namespaces: HashMap<Symbol, LabelSet>,
    predicates: Table<Predicate>,
    matching: Vec<Matching>,
    counter_keys: Table<CounterKey>,
    counters: Vec<Counter>,
    terms_keys: Table<TermsKey>,
    terms: Vec<Terms>,
    profile_keys: Table<ProfileKey>,
    profiles: Vec<Profile>,
    shapes: Vec<Shape>,
    /// Pods placed, by class.
    placed: Vec<u64>,
}

/// What the counters are counted from.
pub(super) struct World<'a> {
    pub(super) nodes: &'a Nodes,
    pub(super) classes: &'a Classes,
    pub(super) statics: &'a Statics,
    pub(super) symbols: &'a mut Symbols,
}

impl Relations {
    /// The number of a pod's terms, if they are known.
    pub(super) fn find_terms(&mut self, pod: &Pod, namespace: Symbol) -> (u32, bool) {
        let id = self.terms_keys.intern(TermsKey {
            namespace,
            affinity: pod.affinity.clone(),
            anti_affinity: pod.anti_affinity.clone(),
        });
        (id, id as usize == self.terms.len())
    }

    /// Whether terms ask for pods that must be near, and for some that must not.
    pub(super) fn has_terms(&self, terms: u32) -> (bool, bool) {
        let terms = &self.terms[terms as usize];
        (terms.predicate.is_some(), !terms.anti_affinity.is_empty())
    }

    /// Makes the counters of terms that are new. The keys they read must be read.
    pub(super) fn add_terms(
        &mut self,
        affinity: &[Topological],
        anti: &[Topological],
        world: &mut World<'_>,
    ) {
        let predicate: Predicate = affinity.iter().map(|(term, _)| term.clone()).collect();
        let predicate = (!affinity.is_empty()).then(|| self.predicate(predicate, world));
        let mut terms = Terms {
            predicate,
            ..Terms::default()
        };
        terms.affinity = affinity
            .iter()
            .filter_map(|(_, key)| Some(self.counter(Counted::Matching(predicate?), *key, world)))
            .collect();
        let anti: Vec<(u32, Symbol)> = anti
            .iter()
            .map(|(term, key)| (self.predicate([term.clone()].into(), world), *key))
            .collect();
        terms.anti_affinity = anti
            .iter()
            .map(|(predicate, key)| self.counter(Counted::Matching(*predicate), *key, world))
            .collect();
        terms.owning = anti
            .iter()
            .map(|(predicate, key)| self.counter(Counted::Owning(*predicate), *key, world))
            .collect();
        self.terms.push(terms);
    }

    fn predicate(&mut self, predicate: Predicate, world: &World<'_>) -> u32 {
        let id = self.predicates.intern(predicate);
        if id as usize == self.matching.len() {
            self.matching.push(Matching::default());
            for profile in 0..self.profiles.len() {
                let profile = crate::intern::number(profile);
                if self.matches(id, profile, world.classes, world.symbols) {
                    self.connect(id, profile);
                }
            }
        }
        id
    }

    fn matches(&self, predicate: u32, profile: u32, classes: &Classes, symbols: &Symbols) -> bool {
        let key = self.profile_keys.get(profile);
        let labels = classes.labels(key.labels);
        let namespace = self.namespaces.get(&key.namespace);
        let mut terms = self.predicates.get(predicate).iter();
        terms.all(|term| term.matches(key.namespace, namespace, labels, symbols))
    }

    /// A predicate matches a profile: its counters count it.
    fn connect(&mut self, predicate: u32, profile: u32) {
        let matching = &mut self.matching[predicate as usize];
        let known = &mut self.profiles[profile as usize];
        matching.profiles.push(profile);
        known.matches.push(predicate);
        known.counted.extend(&matching.counters);
        known.spread.extend(&matching.spread);
        known.unwanted.extend(&matching.owning);
    }

    /// The opposite of `connect`.
    fn disconnect(&mut self, predicate: u32, profile: u32) {
        let matching = &mut self.matching[predicate as usize];
        let known = &mut self.profiles[profile as usize];
        matching.profiles.retain(|known| *known != profile);
        known.matches.retain(|known| *known != predicate);
        known
            .counted
            .retain(|counter| !matching.counters.contains(counter));
        known
            .spread
            .retain(|counter| !matching.spread.contains(counter));
        known
            .unwanted
            .retain(|counter| !matching.owning.contains(counter));
    }

    fn counter(&mut self, counted: Counted, key: Symbol, world: &World<'_>) -> u32 {
        let key = self.domains.key(key, world.nodes);
        let id = self.counter_keys.intern(CounterKey { counted, key });
        if id as usize == self.counters.len() {
            self.counters.push(Counter::default());
            self.join(id, counted);
            self.recount(id, counted, world);
        }
        id
    }

    /// Lets the profiles that a new counter is about know of it.
    fn join(&mut self, counter: u32, counted: Counted) {
        let (Counted::Matching(predicate)
        | Counted::Owning(predicate)
        | Counted::Spread { predicate, .. }) = counted;
        let matching = &mut self.matching[predicate as usize];
        match counted {
            Counted::Matching(_) => matching.counters.push(counter),
            Counted::Owning(_) => matching.owning.push(counter),
            Counted::Spread { .. } => matching.spread.push(counter),
        }
        for profile in &matching.profiles {
            let profile = &mut self.profiles[*profile as usize];
            match counted {
                Counted::Matching(_) => profile.counted.push(counter),
                Counted::Owning(_) => profile.unwanted.push(counter),
                Counted::Spread { .. } => profile.spread.push(counter),
            }
        }
    }

    /// Counts the pods that are there for a new counter. (No pod has a term that
    /// is new.)
    fn recount(&mut self, counter: u32, counted: Counted, world: &World<'_>) {
        let (Counted::Matching(predicate) | Counted::Spread { predicate, .. }) = counted else {
            return;
        };
        let profiles = &self.matching[predicate as usize].profiles;
        if profiles
            .iter()
            .all(|profile| self.profiles[*profile as usize].placed == 0)
        {
            return;
        }
        for (node, slot) in world.nodes.iter() {
            for placed in &slot.pods {
                let profile = self.profile_of(world.classes.shape_of(placed.class));
                if self.profiles[profile as usize].matches.contains(&predicate) {
                    self.shift_counter(counter, node, placed.count, true);
                }
            }
        }
    }

    fn shift_counter(&mut self, counter: u32, node: NodeId, count: Count, up: bool) {
        let key = self.counter_keys.get(counter);
        let Some(domain) = self.domains.of(key.key, node) else {
            return;
        };
        let pods = match key.counted {
            Counted::Spread { view, .. } if !self.domains.counts(view, node) => return,
            Counted::Spread { .. } => count.running,
            Counted::Matching(_) | Counted::Owning(_) => count.running + count.terminating,
        };
        self.counters[counter as usize].shift(domain, pods, up);
    }

    fn profile_of(&self, shape: u32) -> u32 {
        self.shapes[shape as usize].profile
    }

    /// Takes in a shape that is new. The keys its constraints read must be read.
    pub(super) fn add_shape(&mut self, shape: u32, world: &mut World<'_>) {
        let key = world.classes.shape(shape).clone();
        let profile = self.profile(key.namespace, key.labels, key.terms, world);
        let spread = self.spread(shape, world);
        self.shapes.push(Shape { profile, spread });
    }

    fn profile(&mut self, namespace: Symbol, labels: u32, terms: u32, world: &World<'_>) -> u32 {
        let id = self.profile_keys.intern(ProfileKey {
            namespace,
            labels,
            terms,
        });
        if id as usize == self.profiles.len() {
            self.profiles.push(Profile {
                counted: self.terms[terms as usize].owning.to_vec(),
                ..Profile::default()
            });
            for predicate in 0..self.predicates.len() {
                let predicate = crate::intern::number(predicate);
                if self.matches(predicate, id, world.classes, world.symbols) {
                    self.connect(predicate, id);
                }
            }
        }
        id
    }

    fn spread(&mut self, shape: u32, world: &mut World<'_>) -> Box<[Spread]> {
        let key = world.classes.shape(shape);
        let (namespace, labels) = (key.namespace, key.labels);
        let statics = world.statics.get(key.statics);
        let constraints = world.classes.spread(key.spread);
        let requires = constraints
            .iter()
            .map(|constraint| {
                self.domains
                    .key(world.symbols.intern(&constraint.topology_key), world.nodes)
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
            let view = self
                .domains
                .view(view, world.nodes, world.statics, world.symbols);
            let term = PodTerm::of_spread(constraint.selector.as_ref(), namespace, world.symbols);
            let labels = world.classes.labels(labels);
            let own = term.matches(namespace, None, labels, world.symbols);
            all.push(Spread {
                key: *key,
                counter: self.spread_counter(constraint, term, view, world),
                view,
                max_skew: constraint.max_skew.into(),
                min_domains: usize::try_from(constraint.min_domains).unwrap_or(0),
                own,
            });
        }
        all.into()
    }

    /// An empty selector counts no pod that is there.
    fn spread_counter(
        &mut self,
        constraint: &SpreadConstraint,
        term: PodTerm,
        view: u32,
        world: &mut World<'_>,
    ) -> Option<u32> {
        let selector = constraint.selector.as_ref()?;
        if selector.0.is_empty() {
            return None;
        }
        let predicate = self.predicate([term].into(), world);
        let key = world.symbols.intern(&constraint.topology_key);
        Some(self.counter(Counted::Spread { predicate, view }, key, world))
    }

    /// A class has got another shape, its pods staying where they are.
    pub(super) fn reshape(&mut self, class: ClassId, from: u32, to: u32) {
        let pods = self.placed_of(class);
        let (from, to) = (self.profile_of(from), self.profile_of(to));
        self.profiles[from as usize].placed -= pods;
        self.profiles[to as usize].placed += pods;
    }

    fn placed_of(&self, class: ClassId) -> u64 {
        self.placed.get(class.0 as usize).copied().unwrap_or(0)
    }

    /// Counts a pod that comes or goes.
    pub(super) fn shift(
        &mut self,
        class: ClassId,
        shape: u32,
        node: NodeId,
        terminating: bool,
        up: bool,
    ) {
        let at = class.0 as usize;
        if self.placed.len() <= at {
            self.placed.resize(at + 1, 0);
        }
        let profile = self.profile_of(shape) as usize;
        for placed in [&mut self.placed[at], &mut self.profiles[profile].placed] {
            *placed = if up {
                *placed + 1
            } else {
                placed.saturating_sub(1)
            };
        }
        let count = Count {
            running: u32::from(!terminating),
            terminating: u32::from(terminating),
        };
        self.shift_profile(profile, node, count, up);
    }

    /// Counts all pods of a class on a node in, or out: of a node that comes or
    /// goes with its pods.
    pub(super) fn shift_all(&mut self, shape: u32, node: NodeId, count: Count, up: bool) {
        self.shift_profile(self.profile_of(shape) as usize, node, count, up);
    }

    fn shift_profile(&mut self, profile: usize, node: NodeId, count: Count, up: bool) {
        for at in 0..self.profiles[profile].counted.len() {
            let counter = self.profiles[profile].counted[at];
            self.shift_counter(counter, node, count, up);
        }
        for at in 0..self.profiles[profile].spread.len() {
            let counter = self.profiles[profile].spread[at];
            self.shift_counter(counter, node, count, up);
        }
    }

    /// Gives a namespace labels, or (none) takes it away.
    pub(super) fn set_namespace(
        &mut self,
        name: Symbol,
        labels: Option<LabelSet>,
        world: &World<'_>,
    ) {
        match labels {
            Some(labels) => self.namespaces.insert(name, labels),
            None => self.namespaces.remove(&name),
        };
        for predicate in 0..self.predicates.len() {
            let predicate = crate::intern::number(predicate);
            let terms = self.predicates.get(predicate);
            if !terms.iter().any(PodTerm::reads_namespaces) {
                continue;
            }
            for profile in 0..self.profiles.len() {
                let profile = crate::intern::number(profile);
                if self.profile_keys.get(profile).namespace == name {
                    self.reconnect(predicate, profile, world);
                }
            }
        }
    }

    /// Connects or disconnects a predicate and a profile anew, as they match now.
    fn reconnect(&mut self, predicate: u32, profile: u32, world: &World<'_>) {
        let matches = self.matches(predicate, profile, world.classes, world.symbols);
        let known = self.profiles[profile as usize].matches.contains(&predicate);
        if matches == known {
            return;
        }
        if matches {
            self.connect(predicate, profile);
        } else {
            self.disconnect(predicate, profile);
        }
        let matching = &self.matching[predicate as usize];
        let counters: Vec<u32> = matching
            .counters
            .iter()
            .chain(&matching.spread)
            .copied()
            .collect();
        for (node, slot) in world.nodes.iter() {
            let of_profile = |class| self.profile_of(world.classes.shape_of(class)) == profile;
            let placed = slot.pods.iter().filter(|placed| of_profile(placed.class));
            let counts: Vec<Count> = placed.map(|placed| placed.count).collect();
            for count in counts {
                for counter in &counters {
                    self.shift_counter(*counter, node, count, matches);
                }
            }
        }
    }

    /// The first rule that says no to a pod on a node.
    pub(super) fn objection(&self, shape: u32, node: NodeId) -> Option<Objection> {
        let shape = &self.shapes[shape as usize];
        self.spread_objection(shape, node)
            .or_else(|| self.affinity_objection(shape.profile, node))
    }

    fn spread_objection(&self, shape: &Shape, node: NodeId) -> Option<Objection> {
        for spread in &shape.spread {
            let Some(domain) = self.domains.of(spread.key, node) else {
                return Some(Objection::SpreadLabel);
            };
            let domains = self.domains.domains_in(spread.view);
            let counter = spread
                .counter
                .map(|counter| &self.counters[counter as usize]);
            let there = counter.map_or(0, |counter| counter.get(domain));
            let smallest = match counter {
                Some(counter) if domains >= spread.min_domains => counter.smallest(domains),
                _ => 0,
            };
            let skew = i64::from(there) + i64::from(spread.own) - i64::from(smallest);
            if skew > spread.max_skew {
                return Some(Objection::Spread);
            }
        }
        None
    }

    fn affinity_objection(&self, profile: u32, node: NodeId) -> Option<Objection> {
        let terms = &self.terms[self.profile_keys.get(profile).terms as usize];
        let profile = &self.profiles[profile as usize];
        if let Some(predicate) = terms.predicate {
            let mut near = true;
            for counter in &terms.affinity {
                let Some(pods) = self.pods_near(*counter, node) else {
                    return Some(Objection::Affinity);
                };
                near &= pods > 0;
            }
            let none = || {
                terms
                    .affinity
                    .iter()
                    .all(|counter| self.counters[*counter as usize].is_empty())
            };
            let first = || profile.matches.contains(&predicate) && none();
            if !near && !first() {
                return Some(Objection::Affinity);
            }
        }
        let any = |counters: &[u32]| {
            let mut near = counters
                .iter()
                .map(|counter| self.pods_near(*counter, node));
            near.any(|pods| pods.is_some_and(|pods| pods > 0))
        };
        if any(&terms.anti_affinity) {
            return Some(Objection::AntiAffinity);
        }
        any(&profile.unwanted).then_some(Objection::ExistingAntiAffinity)
    }

    /// Pods counted in the domain a node is in; none if it is in no domain.
    fn pods_near(&self, counter: u32, node: NodeId) -> Option<u32> {
        let key = self.counter_keys.get(counter).key;
        let domain = self.domains.of(key, node)?;
        Some(self.counters[counter as usize].get(domain))
    }
}

/// A predicate's term and the topology key it is read over.
pub(super) type Topological = (PodTerm, Symbol);
