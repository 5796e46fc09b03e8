//! Counting pods by topology domain, as they are added and removed.
//!
//! A counter has a predicate (which pods) and a topology key (over which domains). Pods
//! with the same namespace, relevant labels and terms share a profile, which lists the
//! counters that count them and the counters of pods whose anti-affinity excludes them.

mod comparing;
mod counts;
mod reconnect;
mod shapes;

use hashbrown::HashMap;

use super::classes::Classes;
use super::connections::{Connections, OF_A_VIEW};
use super::counter::{Counted, Counter, CounterKey, Selected};
use super::domains::{Domains, ViewKey};
use super::index::Index;
use super::nodes::{NodeId, Nodes};
use super::places::Places;
use super::predicate::Predicate;
use super::profiles::{Profile, ProfileKey, Profiles};
use super::static_filters::StaticFilters;
use super::steps::Steps;
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
    pub(super) steps: Steps,
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

    /// Interns a topology key.
    pub(super) fn key(&mut self, key: Symbol, inputs: &CounterInputs<'_>) -> u32 {
        let known = self.domains.key_count();
        let id = self.domains.key(key, inputs.nodes, inputs.symbols);
        if (id as usize) < known || !self.domains.holds(id) {
            return id;
        }
        self.steps.add_for_all(inputs.nodes.len());
        if self.unjudged.are_placed(None) {
            for (node, slot) in inputs.nodes.iter() {
                for placed in &slot.pods {
                    let profile = self.profile_of(inputs.classes.shape_of(placed.class));
                    if self.profiles.get(profile).is_unjudged() {
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

    pub(super) fn profile_of(&self, shape: u32) -> u32 {
        self.shapes[shape as usize]
    }

    fn placed_of(&self, class: ClassId) -> u64 {
        self.placed.get(class.0 as usize).copied().unwrap_or(0)
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
        if self.profiles.get(profile).is_unjudged() {
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
