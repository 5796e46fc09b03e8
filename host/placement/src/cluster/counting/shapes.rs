//! Adding and changing the shapes of pods.

use super::{ClassId, CounterInputs, Counting, Profile, ProfileKey};
use crate::Unjudged;
use crate::cluster::connections::MAX_OF_A_PROFILE;
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
            let connected = self.connect_profile(id, key.namespace, reshaped_by, inputs);
            self.profiles.get_mut(id).unjudged = connected.err();
        }
        self.shapes.push(id);
        self.shapes_of[id as usize].push(shape);
    }

    /// Connects a new profile with the predicates that match it.
    fn connect_profile(
        &mut self,
        profile: u32,
        namespace: Symbol,
        reshaped_by: Option<Symbol>,
        inputs: &CounterInputs<'_>,
    ) -> Result<(), Unjudged> {
        // What other pods read does not change which pods are judged.
        if reshaped_by.is_none() && !self.steps.allow(namespace) {
            self.index.add_unjudged_profile();
            return Err(Unjudged::TooManyComparisons);
        }
        let labels = inputs.classes.labels(self.profile_keys.get(profile).labels);
        let candidates = self.index.add_profile(profile, namespace, labels);
        // Terms of other namespaces are compared at the cost of nobody.
        let steps = self.steps_of(&candidates.own);
        self.steps.add(reshaped_by.unwrap_or(namespace), steps);
        let mut predicates = [candidates.own, candidates.foreign].concat();
        predicates.retain(|id| self.matches(self.predicates.get(*id), profile, inputs));
        self.add_connections(profile, namespace, &predicates)?;
        for predicate in predicates {
            self.profiles.connect(predicate, profile);
        }
        Ok(())
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

    /// Changes the shapes of classes, given with the shapes before and after. Their pods
    /// stay placed.
    pub(in super::super) fn reshape(
        &mut self,
        classes: &[(ClassId, u32, u32)],
        inputs: &CounterInputs<'_>,
    ) {
        for (class, from, to) in classes {
            let (from, to) = (self.profile_of(*from), self.profile_of(*to));
            let is_unjudged = |profile| self.profiles.get(profile).is_unjudged();
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
}
