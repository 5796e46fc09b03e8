//! Comparing predicates with profiles of pods.

use hashbrown::HashMap;

use super::{Counted, CounterInputs, CounterKey, Counting, Wanted};
use crate::Unjudged;
use crate::cluster::connections::{Load, MAX_OF_A_PROFILE, of_foreign_term};
use crate::cluster::index::Anchor;
use crate::cluster::predicate::{PodTerm, Predicate, scope};
use crate::intern::Symbol;

/// What a new predicate matches.
struct Found {
    anchor: Anchor,
    profiles: Vec<u32>,
    /// Number of profiles that it was compared with.
    compared: usize,
}

/// Predicates that are about to be interned.
#[derive(Default)]
struct Planned<'a> {
    /// New predicates.
    new: Vec<(&'a Predicate, Found)>,
    connections: usize,
    /// Connections of each profile with predicates that only match pods of its namespace.
    by_profile: HashMap<u32, usize>,
}

impl Counting {
    /// Interns predicates of terms of a namespace's pods.
    ///
    /// # Errors
    ///
    /// The limit that the terms are beyond. Then none is interned.
    pub(in super::super) fn add_predicates(
        &mut self,
        wanted: &[Wanted],
        namespace: Symbol,
        inputs: &CounterInputs<'_>,
    ) -> Result<(), Unjudged> {
        let mut planned = Planned::default();
        for one in wanted {
            self.plan(one, namespace, &mut planned, inputs)?;
        }
        if !self.connections.add(namespace, planned.connections) {
            return Err(Unjudged::TooManyConnections);
        }
        for (predicate, found) in planned.new {
            self.add_predicate(predicate.clone(), found);
        }
        Ok(())
    }

    /// Finds out how many connections a predicate would have. The pods that it matches are
    /// judged in any case: it is the terms that may be refused.
    fn plan<'a>(
        &mut self,
        wanted: &'a Wanted,
        namespace: Symbol,
        planned: &mut Planned<'a>,
        inputs: &CounterInputs<'_>,
    ) -> Result<(), Unjudged> {
        let predicate = &wanted.predicate;
        let known = self.predicates.find(predicate);
        if known.is_some_and(|known| self.has_counter(known, wanted)) {
            return Ok(());
        }
        let profiles: &[u32] = match known {
            Some(known) => self.profiles.matched(known),
            None => {
                let at = self.plan_new(predicate, namespace, planned, inputs)?;
                &planned.new[at].1.profiles
            }
        };
        planned.connections += profiles.len().max(least_connections(predicate));
        if !self.connections.have_room(namespace, planned.connections) {
            self.connections.note_refusal();
            return Err(Unjudged::TooManyConnections);
        }
        if scope(predicate).is_none() {
            return Ok(());
        }
        for profile in profiles {
            let more = planned.by_profile.entry(*profile).or_default();
            *more += 1;
            if self.profiles.get(*profile).selected + *more > MAX_OF_A_PROFILE {
                self.connections.note_refusal();
                return Err(Unjudged::TooManySelectors);
            }
        }
        Ok(())
    }

    /// Finds the profiles that a new predicate matches. Returns its index in `planned`.
    fn plan_new<'a>(
        &mut self,
        predicate: &'a Predicate,
        namespace: Symbol,
        planned: &mut Planned<'a>,
        inputs: &CounterInputs<'_>,
    ) -> Result<usize, Unjudged> {
        let known = planned.new.iter().position(|(new, _)| *new == predicate);
        if let Some(at) = known {
            return Ok(at);
        }
        if !self.steps.allow(namespace) {
            return Err(Unjudged::TooManyComparisons);
        }
        let found = self.find_profiles(predicate, inputs);
        self.steps
            .add(namespace, found.compared * weight(predicate));
        planned.new.push((predicate, found));
        Ok(planned.new.len() - 1)
    }

    fn has_counter(&self, predicate: u32, wanted: &Wanted) -> bool {
        let counted = match wanted.view {
            Some(view) => Counted::Spread { predicate, view },
            None => Counted::Matching(predicate),
        };
        let key = self.domains.find_key(wanted.key);
        let counter = key.map(|key| CounterKey { counted, key });
        counter.is_some_and(|counter| self.counter_keys.find(&counter).is_some())
    }

    /// Interns a predicate, however many connections it has.
    pub(in super::super) fn predicate(
        &mut self,
        predicate: Predicate,
        inputs: &CounterInputs<'_>,
    ) -> u32 {
        match self.predicates.find(&predicate) {
            Some(known) => known,
            None => {
                let found = self.find_profiles(&predicate, inputs);
                self.add_predicate(predicate, found)
            }
        }
    }

    fn add_predicate(&mut self, predicate: Predicate, found: Found) -> u32 {
        let reads_namespaces = predicate.iter().any(PodTerm::reads_namespaces);
        let is_foreign = scope(&predicate).is_none();
        let id = self.predicates.intern(predicate);
        self.profiles.push_predicate(is_foreign);
        self.index.add_predicate(id, found.anchor);
        if reads_namespaces {
            self.of_namespaces.push(id);
        }
        for profile in found.profiles {
            self.profiles.connect(id, profile);
        }
        id
    }

    /// Finds the profiles that a new predicate matches.
    fn find_profiles(&self, predicate: &[PodTerm], inputs: &CounterInputs<'_>) -> Found {
        let anchor = self.index.anchor(predicate);
        let mut profiles = self.index.profiles(&anchor);
        let compared = profiles.len();
        profiles.retain(|profile| {
            self.profiles.get(*profile).is_compared() && self.matches(predicate, *profile, inputs)
        });
        Found {
            anchor,
            profiles,
            compared,
        }
    }

    /// Whether a predicate matches the pods of a profile.
    pub(super) fn matches(
        &self,
        predicate: &[PodTerm],
        profile: u32,
        inputs: &CounterInputs<'_>,
    ) -> bool {
        let key = self.profile_keys.get(profile);
        let labels = inputs.classes.labels(key.labels);
        let namespace = self.namespaces.get(&key.namespace);
        let mut terms = predicate.iter();
        terms.all(|term| term.matches(key.namespace, namespace, labels, inputs.symbols))
    }

    /// Returns the connections that predicates make with each profile that they match.
    pub(super) fn load_of(&self, predicates: &[u32]) -> Load {
        let mut load = Load::default();
        for predicate in predicates {
            let connections = self.profiles.connections(*predicate);
            if self.profiles.is_foreign(*predicate) {
                load.foreign += connections;
            } else {
                load.own += connections;
            }
        }
        load
    }

    /// Returns the steps of comparing predicates with a profile.
    pub(super) fn steps_of(&self, predicates: &[u32]) -> usize {
        let weights = predicates
            .iter()
            .map(|predicate| weight(self.predicates.get(*predicate)));
        weights.sum()
    }
}

/// Returns the number of connections that a predicate counts as at least: one that may match
/// pods of other namespaces, or depends on the labels of namespaces, is compared again and
/// again with pods of others.
fn least_connections(predicate: &[PodTerm]) -> usize {
    let is_own = scope(predicate).is_some();
    if is_own && !predicate.iter().any(PodTerm::reads_namespaces) {
        return 0;
    }
    of_foreign_term(weight(predicate))
}

/// Returns the number of steps of a comparison with a profile, at most.
fn weight(predicate: &[PodTerm]) -> usize {
    predicate.iter().map(PodTerm::weight).sum()
}
