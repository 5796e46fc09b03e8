//! Counting pods by topology domain, as they are added and removed.
//!
//! A counter has a predicate (which pods) and a topology key (over which domains). Pods
//! with the same namespace, relevant labels and terms share a profile, which lists the
//! counters that count them and the counters of pods whose anti-affinity excludes them.

mod counts;
mod reconnect;

use hashbrown::HashMap;

use super::classes::Classes;
use super::connections::{Connections, OF_A_VIEW};
use super::counter::{Counted, Counter, CounterKey, Selected};
use super::domains::{Domains, ViewKey};
use super::index::Index;
use super::nodes::{NodeId, Nodes};
use super::places::Places;
use super::predicate::{PodTerm, Predicate};
use super::profiles::{Profile, ProfileKey, Profiles};
use super::static_filters::StaticFilters;
use super::unjudged_pods::{OnNode, UnjudgedPods};
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

/// A predicate whose pods are to be counted over the domains of a topology key, by the
/// nodes of a view if there is one.
pub(super) struct Wanted {
    pub(super) predicate: Predicate,
    pub(super) key: Symbol,
    pub(super) view: Option<u32>,
}

#[derive(Default)]
pub(super) struct Counting {
    pub(super) domains: Domains,
    namespaces: HashMap<Symbol, LabelSet>,
    predicates: Table<Predicate>,
    /// Predicates that read the labels of namespaces.
    of_namespaces: Vec<u32>,
    counter_keys: Table<CounterKey>,
    counters: Vec<Counter>,
    /// By counter of pods with anti-affinity: whether one of the terms selects all that the
    /// predicate matches, and the number of terms with exceptions.
    terms_of: HashMap<u32, (bool, usize)>,
    profile_keys: Table<ProfileKey>,
    profiles: Profiles,
    index: Index,
    connections: Connections,
    unjudged: UnjudgedPods,
    /// Profile of each shape.
    shapes: Vec<u32>,
    /// Shapes of each profile.
    shapes_of: Vec<Vec<u32>>,
    /// Number of placed pods of each class.
    placed: Vec<u64>,
    places: Places,
}

impl Counting {
    /// Interns predicates. Returns false, and interns none, if they would have too many
    /// connections.
    pub(super) fn add_predicates(
        &mut self,
        wanted: &[Wanted],
        namespace: Symbol,
        inputs: &CounterInputs<'_>,
    ) -> bool {
        let mut new: Vec<(&Predicate, Vec<u32>)> = Vec::new();
        let mut connections = 0;
        for Wanted {
            predicate,
            key,
            view,
        } in wanted
        {
            connections += match self.predicates.find(predicate) {
                Some(known) if self.has_counter(known, *key, *view) => 0,
                Some(known) => self.profiles.matched(known).len(),
                None => match new.iter().find(|(known, _)| *known == predicate) {
                    Some((_, profiles)) => profiles.len(),
                    None => {
                        let profiles = self.find_profiles(predicate, inputs);
                        new.push((predicate, profiles));
                        new.last().map_or(0, |(_, profiles)| profiles.len())
                    }
                },
            };
            if !self.connections.have_room(namespace, connections) {
                break;
            }
        }
        if !self.connections.add(namespace, connections) {
            return false;
        }
        for (predicate, profiles) in new {
            self.add_predicate(predicate.clone(), &profiles);
        }
        true
    }

    /// Interns a view for the pods of a namespace. `None` if there are too many views.
    pub(super) fn view(
        &mut self,
        key: ViewKey,
        namespace: Symbol,
        inputs: &mut CounterInputs<'_>,
    ) -> Option<u32> {
        let is_known = self.domains.has_view(&key);
        if !is_known && !self.connections.add(namespace, OF_A_VIEW) {
            return None;
        }
        let domains = &mut self.domains;
        Some(domains.view(key, inputs.nodes, inputs.statics, inputs.symbols))
    }

    fn has_counter(&self, predicate: u32, key: Symbol, view: Option<u32>) -> bool {
        let counted = match view {
            Some(view) => Counted::Spread { predicate, view },
            None => Counted::Matching(predicate),
        };
        let key = self.domains.find_key(key);
        let counter = key.map(|key| CounterKey { counted, key });
        counter.is_some_and(|counter| self.counter_keys.find(&counter).is_some())
    }

    /// Interns a predicate, however many connections it has.
    pub(super) fn predicate(&mut self, predicate: Predicate, inputs: &CounterInputs<'_>) -> u32 {
        match self.predicates.find(&predicate) {
            Some(known) => known,
            None => {
                let profiles = self.find_profiles(&predicate, inputs);
                self.add_predicate(predicate, &profiles)
            }
        }
    }

    fn add_predicate(&mut self, predicate: Predicate, profiles: &[u32]) -> u32 {
        let reads_namespaces = predicate.iter().any(PodTerm::reads_namespaces);
        let id = self.predicates.intern(predicate);
        self.profiles.push_predicate();
        self.index.add_predicate(id, self.predicates.get(id));
        if reads_namespaces {
            self.of_namespaces.push(id);
        }
        for profile in profiles {
            self.profiles.connect(id, *profile);
        }
        id
    }

    /// Returns the profiles that a predicate matches.
    fn find_profiles(&self, predicate: &[PodTerm], inputs: &CounterInputs<'_>) -> Vec<u32> {
        let mut profiles = self.index.profiles(predicate);
        profiles.retain(|profile| {
            !self.profiles.get(*profile).is_unjudged && self.matches(predicate, *profile, inputs)
        });
        profiles
    }

    /// Interns a topology key.
    pub(super) fn key(&mut self, key: Symbol, inputs: &CounterInputs<'_>) -> u32 {
        let known = self.domains.key_count();
        let id = self.domains.key(key, inputs.nodes, inputs.symbols);
        let is_new = id as usize == known;
        if is_new && self.domains.holds(id) && self.unjudged.are_placed(None) {
            for (node, slot) in inputs.nodes.iter() {
                for placed in &slot.pods {
                    let profile = self.profile_of(inputs.classes.shape_of(placed.class));
                    if self.profiles.get(profile).is_unjudged {
                        let pods = self.on_node(profile, node, placed.count);
                        self.unjudged.shift_over(&self.domains, id, pods, true);
                    }
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
        let key = self.key(key, inputs);
        let id = self.counter_keys.intern(CounterKey { counted, key });
        if id as usize == self.counters.len() {
            self.counters.push(Counter::default());
            self.profiles.join(id, counted);
            if let Counted::Exempting { owning, .. } = counted {
                self.terms_of.entry(owning).or_default().1 += 1;
            }
            self.recount(id, counted, inputs);
        }
        id
    }

    /// Notes that a counter of pods with anti-affinity counts a term that selects all that
    /// its predicate matches.
    pub(super) fn note_whole_term(&mut self, counter: u32) {
        self.terms_of.entry(counter).or_default().0 = true;
    }

    /// Number of different terms that a counter of pods with anti-affinity counts.
    pub(super) fn term_count(&self, counter: u32) -> usize {
        let (whole, exempting) = self.terms_of.get(&counter).copied().unwrap_or_default();
        usize::from(whole) + exempting
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
            self.profiles.push(Profile::new(owning));
            self.shapes_of.push(Vec::new());
            let labels = inputs.classes.labels(key.labels);
            let candidates = self.index.add_profile(id, key.namespace, labels);
            let mut predicates = [candidates.own, candidates.foreign].concat();
            predicates.retain(|id_of| self.matches(self.predicates.get(*id_of), id, inputs));
            let connections = predicates.iter();
            let connections = connections.map(|predicate| self.profiles.connections(*predicate));
            if self.connections.add(key.namespace, connections.sum()) {
                for predicate in predicates {
                    self.profiles.connect(predicate, id);
                }
            } else {
                self.profiles.get_mut(id).is_unjudged = true;
            }
        }
        self.shapes.push(id);
        self.shapes_of[id as usize].push(shape);
    }

    /// Changes the shapes of classes, given with the shapes before and after. Their pods
    /// stay placed.
    pub(super) fn reshape(&mut self, classes: &[(ClassId, u32, u32)], inputs: &CounterInputs<'_>) {
        for (class, from, to) in classes {
            let (from, to) = (self.profile_of(*from), self.profile_of(*to));
            let is_unjudged = |profile| self.profiles.get(profile).is_unjudged;
            // Predicates match the pods as before, unless they are not compared any more.
            if self.placed_of(*class) == 0 || is_unjudged(from) == is_unjudged(to) {
                continue;
            }
            for (node, count) in self.places.of(*class, inputs.nodes) {
                self.shift_profile(from, node, count, false);
                self.shift_profile(to, node, count, true);
            }
        }
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
        if up {
            self.places.note(class, node);
        }
        let placed = &mut self.placed[at];
        *placed = if up {
            *placed + 1
        } else {
            placed.saturating_sub(1)
        };
        let count = Count {
            running: u32::from(!terminating),
            terminating: u32::from(terminating),
        };
        self.shift_profile(self.profile_of(shape), node, count, up);
    }

    /// Adds or subtracts all pods of a class on a node, for a node that is added or
    /// removed with its pods.
    pub(super) fn shift_all(&mut self, shape: u32, node: NodeId, count: Count, up: bool) {
        self.shift_profile(self.profile_of(shape), node, count, up);
    }

    fn profile_of(&self, shape: u32) -> u32 {
        self.shapes[shape as usize]
    }

    fn placed_of(&self, class: ClassId) -> u64 {
        self.placed.get(class.0 as usize).copied().unwrap_or(0)
    }

    fn matches(&self, predicate: &[PodTerm], profile: u32, inputs: &CounterInputs<'_>) -> bool {
        let key = self.profile_keys.get(profile);
        let labels = inputs.classes.labels(key.labels);
        let namespace = self.namespaces.get(&key.namespace);
        let mut terms = predicate.iter();
        terms.all(|term| term.matches(key.namespace, namespace, labels, inputs.symbols))
    }

    /// Counts the existing pods for a new counter. (No existing pod has a new term.)
    fn recount(&mut self, counter: u32, counted: Counted, inputs: &CounterInputs<'_>) {
        let (Counted::Matching(predicate) | Counted::Spread { predicate, .. }) = counted else {
            return;
        };
        for profile in self.profiles.matched(predicate).to_vec() {
            for (node, count) in self.placed_in(profile, inputs) {
                self.shift_counter(counter, node, count, true);
            }
        }
    }

    /// Returns the placed pods of a profile by class and node, also while classes are being
    /// reshaped.
    fn placed_in(&mut self, profile: u32, inputs: &CounterInputs<'_>) -> Vec<(NodeId, Count)> {
        let mut placed = Vec::new();
        for shape in &self.shapes_of[profile as usize] {
            for class in inputs.classes.members(*shape) {
                if self.placed_of(class) > 0 {
                    placed.extend(self.places.of(class, inputs.nodes));
                }
            }
        }
        placed
    }

    fn shift_counter(&mut self, counter: u32, node: NodeId, count: Count, up: bool) {
        let key = self.counter_keys.get(counter);
        let Some(domain) = self.domains.of(key.key, node) else {
            return;
        };
        let pods = match key.counted {
            Counted::Spread { view, .. } if !self.domains.counts(view, node) => return,
            Counted::Spread { .. } => count.running,
            _ => count.running + count.terminating,
        };
        self.counters[counter as usize].shift(domain, pods, up);
    }

    fn shift_profile(&mut self, profile: u32, node: NodeId, count: Count, up: bool) {
        for at in 0..self.profiles.get(profile).counted.len() {
            let counter = self.profiles.get(profile).counted[at];
            self.shift_counter(counter, node, count, up);
        }
        for at in 0..self.profiles.get(profile).spread.len() {
            let counter = self.profiles.get(profile).spread[at];
            self.shift_counter(counter, node, count, up);
        }
        if self.profiles.get(profile).is_unjudged {
            let pods = self.on_node(profile, node, count);
            self.unjudged.shift(&self.domains, pods, up);
        }
    }

    fn on_node(&self, profile: u32, node: NodeId, count: Count) -> OnNode {
        OnNode {
            namespace: self.profile_keys.get(profile).namespace,
            node,
            pods: count.running + count.terminating,
        }
    }
}
