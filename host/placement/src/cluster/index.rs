//! An index by labels and namespaces, from profiles to the predicates that may match them
//! and back.

use hashbrown::HashMap;

use super::predicate::PodTerm;
use crate::condition::Feature;
use crate::intern::{Symbol, number};

/// What the pods that a predicate matches have in common.
pub(super) enum Anchor {
    /// One of these features.
    Features(Vec<Feature>),
    /// Nothing.
    Anything,
}

impl Anchor {
    pub(super) fn of(predicate: &[PodTerm]) -> Self {
        if predicate.iter().any(PodTerm::is_void) {
            return Self::Features(Vec::new());
        }
        let features = predicate.iter().filter_map(PodTerm::features);
        let features = features.min_by_key(|features| matches!(**features, [Feature::Key(_)]));
        let namespaces = || predicate.iter().find_map(PodTerm::named_namespaces);
        let features = features.or_else(namespaces);
        features.map_or(Self::Anything, Self::Features)
    }
}

#[derive(Default)]
pub(super) struct Index {
    predicates: HashMap<Feature, Vec<u32>>,
    /// Predicates that require no feature.
    others: Vec<u32>,
    profiles: HashMap<Feature, Vec<u32>>,
    profile_count: usize,
}

impl Index {
    /// Returns the profiles that a predicate may match, ordered.
    pub(super) fn profiles(&self, anchor: &Anchor) -> Vec<u32> {
        let Anchor::Features(features) = anchor else {
            return (0..number(self.profile_count)).collect();
        };
        let profiles = features
            .iter()
            .filter_map(|feature| self.profiles.get(feature));
        ordered(profiles.flatten().copied().collect())
    }

    /// Adds a predicate.
    pub(super) fn add_predicate(&mut self, predicate: u32, anchor: Anchor) {
        let Anchor::Features(features) = anchor else {
            self.others.push(predicate);
            return;
        };
        for feature in features {
            self.predicates.entry(feature).or_default().push(predicate);
        }
    }

    /// Adds a profile, whose id follows the last one's. Returns the predicates that may
    /// match it, ordered.
    pub(super) fn add_profile(
        &mut self,
        profile: u32,
        namespace: Symbol,
        labels: &[(Symbol, Symbol)],
    ) -> Vec<u32> {
        let mut predicates = self.others.clone();
        let labels = labels.iter();
        let features =
            labels.flat_map(|(key, value)| [Feature::Label(*key, *value), Feature::Key(*key)]);
        for feature in features.chain([Feature::Namespace(namespace)]) {
            self.profiles.entry(feature).or_default().push(profile);
            predicates.extend(self.predicates.get(&feature).into_iter().flatten());
        }
        self.profile_count += 1;
        ordered(predicates)
    }
}

/// Sorts ids and drops duplicates.
fn ordered(mut ids: Vec<u32>) -> Vec<u32> {
    ids.sort_unstable();
    ids.dedup();
    ids
}
