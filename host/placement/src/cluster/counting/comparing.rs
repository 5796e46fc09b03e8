//! Comparing predicates with profiles of pods.

use super::{Counted, CounterInputs, CounterKey, Counting, Wanted};
use crate::Unjudged;
use crate::cluster::predicate::{PodTerm, Predicate};
use crate::intern::Symbol;

/// Predicates that are about to be interned.
#[derive(Default)]
struct Planned<'a> {
    /// New predicates, and the profiles that they match.
    new: Vec<(&'a Predicate, Vec<u32>)>,
    connections: usize,
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
        for (predicate, profiles) in planned.new {
            self.add_predicate(predicate.clone(), &profiles);
        }
        Ok(())
    }

    /// Finds out how many connections a predicate would have.
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
                &planned.new[at].1
            }
        };
        planned.connections += profiles.len();
        if self.connections.have_room(namespace, planned.connections) {
            Ok(())
        } else {
            self.connections.note_refusal();
            Err(Unjudged::TooManyConnections)
        }
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
        let (profiles, compared) = self.find_profiles(predicate, inputs);
        self.steps.add(namespace, compared * weight(predicate));
        planned.new.push((predicate, profiles));
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
                let (profiles, _) = self.find_profiles(&predicate, inputs);
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

    /// Returns the profiles that a predicate matches, and the number of those that it was
    /// compared with.
    fn find_profiles(
        &self,
        predicate: &[PodTerm],
        inputs: &CounterInputs<'_>,
    ) -> (Vec<u32>, usize) {
        let mut profiles = self.index.profiles(predicate);
        let compared = profiles.len();
        profiles.retain(|profile| {
            !self.profiles.get(*profile).is_unjudged() && self.matches(predicate, *profile, inputs)
        });
        (profiles, compared)
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

    /// Returns the steps of comparing predicates with a profile.
    pub(super) fn steps_of(&self, predicates: &[u32]) -> usize {
        let weights = predicates
            .iter()
            .map(|predicate| weight(self.predicates.get(*predicate)));
        weights.sum()
    }
}

/// Returns the number of steps of a comparison with a profile, at most.
fn weight(predicate: &[PodTerm]) -> usize {
    predicate.iter().map(PodTerm::weight).sum()
}
