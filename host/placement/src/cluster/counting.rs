//! Counting pods by topology domain, as they are added and removed.
//!
//! A counter has a predicate (which pods) and a topology key (over which domains). Pods
//! with the same namespace, relevant labels and terms share a profile, which lists the
//! counters that count them and the counters of pods whose anti-affinity excludes them.

use hashbrown::HashMap;

use super::classes::Classes;
use super::counter::{Counted, Counter, CounterKey};
use super::domains::Domains;
use super::index::{Anchor, Index};
use super::nodes::{NodeId, Nodes};
use super::predicate::{PodTerm, Predicate};
use super::static_filters::StaticFilters;
use super::{ClassId, Count};
use crate::condition::LabelSet;
use crate::intern::{Symbol, Symbols, Table};

/// The data that counters are computed from.
pub(super) struct CounterInputs<'a> {
    pub(super) nodes: &'a Nodes,
    pub(super) classes: &'a Classes,
    pub(super) statics: &'a StaticFilters,
    pub(super) symbols: &'a mut Symbols,
}

#[derive(Default)]
pub(super) struct Counting {
    pub(super) domains: Domains,
    namespaces: HashMap<Symbol, LabelSet>,
    predicates: Table<Predicate>,
    matching: Vec<Matching>,
    counter_keys: Table<CounterKey>,
    counters: Vec<Counter>,
    profile_keys: Table<ProfileKey>,
    profiles: Vec<Profile>,
    index: Index,
    /// Profile of each shape.
    shapes: Vec<u32>,
    /// Number of placed pods of each class.
    placed: Vec<u64>,
}

/// Properties that pods of a profile share.
#[derive(Debug, PartialEq, Eq, Hash)]
struct ProfileKey {
    namespace: Symbol,
    labels: u32,
    terms: u32,
}

#[derive(Debug, Default)]
struct Profile {
    /// Predicates that match its pods.
    matches: Vec<u32>,
    /// Counters that count all of its pods.
    counted: Vec<u32>,
    /// Counters that count its pods that aren't being deleted.
    spread: Vec<u32>,
    /// Counters of pods whose anti-affinity terms match its pods.
    excluding: Vec<u32>,
    placed: u64,
}

/// The profiles that a predicate matches, and the counters that use the predicate.
#[derive(Debug, Default)]
struct Matching {
    profiles: Vec<u32>,
    counters: Vec<u32>,
    spread: Vec<u32>,
    owning: Vec<u32>,
}

impl Counting {
    /// Interns a predicate.
    pub(super) fn predicate(&mut self, predicate: Predicate, inputs: &CounterInputs<'_>) -> u32 {
        let id = self.predicates.intern(predicate);
        if id as usize == self.matching.len() {
            self.matching.push(Matching::default());
            let anchor = Anchor::of(self.predicates.get(id));
            for profile in self.index.add_predicate(id, &anchor) {
                if self.matches(id, profile, inputs.classes, inputs.symbols) {
                    self.connect(id, profile);
                }
            }
        }
        id
    }

    /// Interns a counter. A new one counts the existing pods.
    pub(super) fn counter(
        &mut self,
        counted: Counted,
        key: Symbol,
        inputs: &CounterInputs<'_>,
    ) -> u32 {
        let key = self.domains.key(key, inputs.nodes);
        let id = self.counter_keys.intern(CounterKey { counted, key });
        if id as usize == self.counters.len() {
            self.counters.push(Counter::default());
            self.join(id, counted);
            self.recount(id, counted, inputs);
        }
        id
    }

    /// Adds a new shape. `owning` are the counters of its own anti-affinity terms.
    pub(super) fn add_shape(&mut self, shape: u32, owning: &[u32], inputs: &CounterInputs<'_>) {
        let key = inputs.classes.shape(shape);
        let id = self.profile_keys.intern(ProfileKey {
            namespace: key.namespace,
            labels: key.labels,
            terms: key.terms,
        });
        if id as usize == self.profiles.len() {
            self.profiles.push(Profile {
                counted: owning.to_vec(),
                ..Profile::default()
            });
            let labels = inputs.classes.labels(key.labels);
            for predicate in self.index.add_profile(id, labels) {
                if self.matches(predicate, id, inputs.classes, inputs.symbols) {
                    self.connect(predicate, id);
                }
            }
        }
        self.shapes.push(id);
    }

    /// Changes the shape of a class. Its pods stay placed.
    pub(super) fn reshape(&mut self, class: ClassId, from: u32, to: u32) {
        let pods = self.placed_of(class);
        let (from, to) = (self.profile_of(from), self.profile_of(to));
        self.profiles[from as usize].placed -= pods;
        self.profiles[to as usize].placed += pods;
    }

    /// Counts a pod that is added, or removed if not `up`.
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

    /// Adds or subtracts all pods of a class on a node, for a node that is added or
    /// removed with its pods.
    pub(super) fn shift_all(&mut self, shape: u32, node: NodeId, count: Count, up: bool) {
        self.shift_profile(self.profile_of(shape) as usize, node, count, up);
    }

    /// Sets a namespace's labels, or removes the namespace if `None`.
    pub(super) fn set_namespace(
        &mut self,
        name: Symbol,
        labels: Option<LabelSet>,
        inputs: &CounterInputs<'_>,
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
                    self.reconnect(predicate, profile, inputs);
                }
            }
        }
    }

    /// Whether a counter counts no pod in any domain.
    pub(super) fn is_empty(&self, counter: u32) -> bool {
        self.counters[counter as usize].is_empty()
    }

    /// Returns the count in the domain of a node. `None` if the node is in no domain.
    pub(super) fn pods_near(&self, counter: u32, node: NodeId) -> Option<u32> {
        let key = self.counter_keys.get(counter).key;
        let domain = self.domains.of(key, node)?;
        Some(self.counters[counter as usize].get(domain))
    }

    /// Returns the topology key of a counter.
    pub(super) fn key_of(&self, counter: u32) -> u32 {
        self.counter_keys.get(counter).key
    }

    /// Whether a counter's predicate matches a shape's pods.
    pub(super) fn predicate_matches(&self, counter: u32, shape: u32) -> bool {
        let (Counted::Matching(predicate)
        | Counted::Owning(predicate)
        | Counted::Spread { predicate, .. }) = self.counter_keys.get(counter).counted;
        self.is_matched(shape, predicate)
    }

    /// Returns the count in a domain.
    pub(super) fn get(&self, counter: u32, domain: u32) -> u32 {
        self.counters[counter as usize].get(domain)
    }

    /// Returns the smallest count, given the number of all domains.
    pub(super) fn smallest(&self, counter: u32, domains: usize) -> u32 {
        self.counters[counter as usize].smallest(domains)
    }

    /// Whether a predicate matches a shape's pods.
    pub(super) fn is_matched(&self, shape: u32, predicate: u32) -> bool {
        let profile = &self.profiles[self.profile_of(shape) as usize];
        profile.matches.contains(&predicate)
    }

    /// Returns the counters of pods whose anti-affinity terms match a shape's pods.
    pub(super) fn excluding_counters(&self, shape: u32) -> &[u32] {
        &self.profiles[self.profile_of(shape) as usize].excluding
    }

    fn profile_of(&self, shape: u32) -> u32 {
        self.shapes[shape as usize]
    }

    fn placed_of(&self, class: ClassId) -> u64 {
        self.placed.get(class.0 as usize).copied().unwrap_or(0)
    }

    fn matches(&self, predicate: u32, profile: u32, classes: &Classes, symbols: &Symbols) -> bool {
        let key = self.profile_keys.get(profile);
        let labels = classes.labels(key.labels);
        let namespace = self.namespaces.get(&key.namespace);
        let mut terms = self.predicates.get(predicate).iter();
        terms.all(|term| term.matches(key.namespace, namespace, labels, symbols))
    }

    /// Records that a predicate matches a profile: the predicate's counters count it.
    fn connect(&mut self, predicate: u32, profile: u32) {
        let matching = &mut self.matching[predicate as usize];
        let known = &mut self.profiles[profile as usize];
        matching.profiles.push(profile);
        known.matches.push(predicate);
        known.counted.extend(&matching.counters);
        known.spread.extend(&matching.spread);
        known.excluding.extend(&matching.owning);
    }

    /// Reverts `connect`.
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
            .excluding
            .retain(|counter| !matching.owning.contains(counter));
    }

    /// Adds a new counter to the profiles that its predicate matches.
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
                Counted::Owning(_) => profile.excluding.push(counter),
                Counted::Spread { .. } => profile.spread.push(counter),
            }
        }
    }

    /// Counts the existing pods for a new counter. (No existing pod has a new term.)
    fn recount(&mut self, counter: u32, counted: Counted, inputs: &CounterInputs<'_>) {
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
        for (node, slot) in inputs.nodes.iter() {
            for placed in &slot.pods {
                let profile = self.profile_of(inputs.classes.shape_of(placed.class));
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

    /// Connects or disconnects a predicate and a profile, after a namespace's labels
    /// changed.
    fn reconnect(&mut self, predicate: u32, profile: u32, inputs: &CounterInputs<'_>) {
        let matches = self.matches(predicate, profile, inputs.classes, inputs.symbols);
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
        for (node, slot) in inputs.nodes.iter() {
            let of_profile = |class| self.profile_of(inputs.classes.shape_of(class)) == profile;
            let placed = slot.pods.iter().filter(|placed| of_profile(placed.class));
            let counts: Vec<Count> = placed.map(|placed| placed.count).collect();
            for count in counts {
                for counter in &counters {
                    self.shift_counter(*counter, node, count, matches);
                }
            }
        }
    }
}
