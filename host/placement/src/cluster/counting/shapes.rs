//! Adding and changing the shapes of pods.

use std::collections::BTreeMap;

use super::{ClassId, CounterInputs, Counting, Profile, ProfileKey};
use crate::Unjudged;
use crate::cluster::connections::MAX_OF_A_PROFILE;
use crate::cluster::steps::of_retiring;
use crate::intern::Symbol;

impl Counting {
    /// Adds a new shape. `owning` are the counters of its own anti-affinity terms.
    /// `reshaped_by` is set if pods of another shape get it, because of what terms of this
    /// namespace's pods read.
    pub(in super::super) fn add_shape(
        &mut self,
        shape: u32,
        owning: &[u32],
        reshaped_by: Option<Symbol>,
        inputs: &CounterInputs<'_>,
    ) {
        let key = inputs.classes.shape(shape);
        let id = self.profile_keys.intern(ProfileKey {
            namespace: key.namespace,
            labels: key.labels,
            terms: key.terms,
        });
        if id as usize == self.profiles.len() {
            self.profiles.push(Profile::new(owning));
            self.shapes_of.push(Vec::new());
            self.add_profile(id, reshaped_by, inputs);
        } else {
            self.revive(id, reshaped_by, inputs);
        }
        self.shapes.push(id);
        self.shapes_of[id as usize].push(shape);
    }

    /// Notes that pods of a class get a known or new shape. If they had one before, those that
    /// are placed stay placed.
    pub(in super::super) fn enter_shape(
        &mut self,
        class: ClassId,
        (before, shape): (Option<u32>, u32),
        reshaped_by: Option<Symbol>,
        inputs: &CounterInputs<'_>,
    ) {
        let to = self.profile_of(shape);
        self.revive(to, reshaped_by, inputs);
        self.profiles.get_mut(to).classes += 1;
        let Some(before) = before else {
            return;
        };
        let from = self.profile_of(before);
        self.profiles.get_mut(from).classes -= 1;
        let is_unjudged = |profile| self.profiles.get(profile).is_unjudged();
        // Predicates match the pods as before, unless they are not compared any more.
        if self.placed_of(class) == 0 || is_unjudged(from) == is_unjudged(to) {
            return;
        }
        for (node, count) in self.places.of(class, inputs.nodes) {
            self.shift_profile(from, node, count, false);
            self.shift_profile(to, node, count, true);
        }
    }

    fn add_profile(
        &mut self,
        profile: u32,
        reshaped_by: Option<Symbol>,
        inputs: &CounterInputs<'_>,
    ) {
        let key = self.profile_keys.get(profile);
        let (namespace, labels) = (key.namespace, inputs.classes.labels(key.labels));
        // What other pods read does not change which pods are judged.
        if reshaped_by.is_none() && !self.steps.allow(namespace) {
            self.index.add_unjudged_profile();
            self.profiles.get_mut(profile).unjudged = Some(Unjudged::TooManyComparisons);
            return;
        }
        self.index.add_profile(profile, namespace, labels);
        self.connect(profile, reshaped_by.unwrap_or(namespace), inputs);
    }

    /// Connects a profile again that no class had for a time.
    fn revive(&mut self, profile: u32, reshaped_by: Option<Symbol>, inputs: &CounterInputs<'_>) {
        let known = self.profiles.get_mut(profile);
        if !known.is_retired {
            return;
        }
        known.is_retired = false;
        let namespace = self.profile_keys.get(profile).namespace;
        if reshaped_by.is_none() && !self.steps.allow(namespace) {
            self.profiles.get_mut(profile).unjudged = Some(Unjudged::TooManyComparisons);
            return;
        }
        self.connect(profile, reshaped_by.unwrap_or(namespace), inputs);
    }

    /// Connects a profile with the predicates that match it, or notes why it is not judged.
    /// The steps are those of the namespace `payer`.
    fn connect(&mut self, profile: u32, payer: Symbol, inputs: &CounterInputs<'_>) {
        let key = self.profile_keys.get(profile);
        let (namespace, labels) = (key.namespace, inputs.classes.labels(key.labels));
        let candidates = self.index.candidates(namespace, labels);
        // Foreign terms are compared at the cost of nobody.
        let steps = self.steps_of(&candidates.own);
        self.steps.add(payer, steps);
        let mut predicates = [candidates.own, candidates.foreign].concat();
        predicates.retain(|id| self.matches(self.predicates.get(*id), profile, inputs));
        match self.add_connections(profile, namespace, &predicates) {
            Ok(()) => {
                for predicate in predicates {
                    self.profiles.connect(predicate, profile);
                }
            }
            Err(why) => self.profiles.get_mut(profile).unjudged = Some(why),
        }
    }

    /// Counts further connections of a profile.
    ///
    /// # Errors
    ///
    /// The limit that they are beyond. Then none is counted.
    pub(super) fn add_connections(
        &mut self,
        profile: u32,
        namespace: Symbol,
        predicates: &[u32],
    ) -> Result<(), Unjudged> {
        let load = self.load_of(predicates);
        if self.profiles.get(profile).selected + load.own > MAX_OF_A_PROFILE {
            self.connections.note_refusal();
            return Err(Unjudged::TooManySelectors);
        }
        if self.connections.add_pods(namespace, load) {
            Ok(())
        } else {
            Err(Unjudged::TooManyConnections)
        }
    }

    /// Forgets the connections of the profiles that no class will have any more, after the
    /// shapes of these classes change. Returns the profiles, which must then be retired.
    pub(in super::super) fn release(
        &mut self,
        classes: &[ClassId],
        inputs: &CounterInputs<'_>,
    ) -> Vec<u32> {
        let mut leaving: BTreeMap<u32, usize> = BTreeMap::new();
        for class in classes {
            let profile = self.profile_of(inputs.classes.shape_of(*class));
            *leaving.entry(profile).or_default() += 1;
        }
        leaving.retain(|profile, classes| {
            let known = self.profiles.get(*profile);
            known.is_compared() && known.classes == *classes
        });
        let left: Vec<u32> = leaving.into_keys().collect();
        for profile in &left {
            let load = self.load_of(self.profiles.get(*profile).matches());
            let namespace = self.profile_keys.get(*profile).namespace;
            self.connections.remove(namespace, load);
        }
        left
    }

    /// Disconnects the profiles that no class has any more, for a namespace whose pods read
    /// something new.
    pub(in super::super) fn retire(&mut self, left: &[u32], namespace: Symbol) {
        let looked_at = self.profiles.retire(left);
        self.steps.add(namespace, of_retiring(looked_at));
    }
}
