//! An index by namespaces and labels, from profiles to the predicates that may match them
//! and back.
//!
//! Predicates that only match pods of their own namespace are looked up apart, so that
//! nobody's pods are compared with the terms of those who cannot select them.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::predicate::{PodTerm, scope};
use crate::condition::Feature;
use crate::intern::{Symbol, number};

/// What the pods that a predicate matches have in common.
pub(super) struct Anchor {
    /// Their namespace. `None` if it may be any.
    scope: Option<Symbol>,
    /// Features of which each has one. `None` if they may have any.
    features: Option<Vec<Feature>>,
}

/// A feature of pods, in a namespace or in all if `None`.
type Entry = (Option<Symbol>, Feature);

/// Most features are rare.
type Ids = SmallVec<[u32; 4]>;

/// The predicates that may match a profile, each ordered.
pub(super) struct Candidates {
    /// Those that only match pods of the profile's namespace.
    pub(super) own: Vec<u32>,
    /// The others.
    pub(super) foreign: Vec<u32>,
}

#[derive(Default)]
pub(super) struct Index {
    predicates: HashMap<Entry, Ids>,
    /// Predicates that require no feature.
    others: Vec<u32>,
    profiles: HashMap<Entry, Ids>,
    profile_count: usize,
}

impl Index {
    /// Returns the profiles that a predicate with this anchor may match, ordered.
    pub(super) fn profiles(&self, anchor: &Anchor) -> Vec<u32> {
        let Some(features) = &anchor.features else {
            return (0..number(self.profile_count)).collect();
        };
        let profiles = features
            .iter()
            .filter_map(|feature| self.profiles.get(&(anchor.scope, *feature)));
        ordered(profiles.flatten().copied().collect())
    }

    /// Returns the profiles of a namespace, ordered.
    pub(super) fn profiles_in(&self, namespace: Symbol) -> Vec<u32> {
        let profiles = self.profiles.get(&(None, Feature::Namespace(namespace)));
        profiles
            .map(|profiles| profiles.to_vec())
            .unwrap_or_default()
    }

    /// Adds a predicate.
    pub(super) fn add_predicate(&mut self, id: u32, anchor: Anchor) {
        let Some(features) = anchor.features else {
            self.others.push(id);
            return;
        };
        for feature in features {
            let predicates = self.predicates.entry((anchor.scope, feature));
            predicates.or_default().push(id);
        }
    }

    /// Adds a profile, whose id follows the last one's.
    pub(super) fn add_profile(
        &mut self,
        profile: u32,
        namespace: Symbol,
        labels: &[(Symbol, Symbol)],
    ) {
        for feature in features(namespace, labels) {
            for scope in [Some(namespace), None] {
                let profiles = self.profiles.entry((scope, feature)).or_default();
                profiles.push(profile);
            }
        }
        self.profile_count += 1;
    }

    /// Returns the predicates that may match a profile.
    pub(super) fn candidates(&self, namespace: Symbol, labels: &[(Symbol, Symbol)]) -> Candidates {
        let find = |scope: Option<Symbol>| {
            let entries = features(namespace, labels).map(|feature| (scope, feature));
            let found = entries.filter_map(|entry| self.predicates.get(&entry));
            found.flatten().copied().collect::<Vec<u32>>()
        };
        let mut foreign = find(None);
        foreign.extend(&self.others);
        Candidates {
            own: ordered(find(Some(namespace))),
            foreign: ordered(foreign),
        }
    }

    /// Adds a profile with which no predicate is compared, whose id follows the last one's.
    pub(super) fn add_unjudged_profile(&mut self) {
        self.profile_count += 1;
    }

    /// Returns what all pods have in common that a predicate matches: of the labels that it
    /// requires, those that the fewest have now; without any, the namespaces.
    pub(super) fn anchor(&self, predicate: &[PodTerm]) -> Anchor {
        let scope = scope(predicate);
        Anchor {
            scope,
            features: self.rarest(predicate, scope),
        }
    }

    fn rarest(&self, predicate: &[PodTerm], scope: Option<Symbol>) -> Option<Vec<Feature>> {
        if predicate.iter().any(PodTerm::is_void) {
            return Some(Vec::new());
        }
        let required = predicate.iter().flat_map(PodTerm::features);
        let rarer = |one: Vec<Feature>, other: Vec<Feature>| {
            let is_rarer = self.count(scope, &other) < self.count(scope, &one);
            if is_rarer { other } else { one }
        };
        let namespaces = || predicate.iter().find_map(PodTerm::named_namespaces);
        required.reduce(rarer).or_else(namespaces)
    }

    /// Number of profiles and predicates that are found by these features.
    fn count(&self, scope: Option<Symbol>, features: &[Feature]) -> usize {
        let length = |ids: Option<&Ids>| ids.map_or(0, SmallVec::len);
        let found = features.iter().map(|feature| {
            let entry = (scope, *feature);
            length(self.profiles.get(&entry)) + length(self.predicates.get(&entry))
        });
        found.sum()
    }
}

/// Returns the features of the pods of a profile.
fn features(namespace: Symbol, labels: &[(Symbol, Symbol)]) -> impl Iterator<Item = Feature> {
    let labels = labels.iter();
    let labels = labels.flat_map(|(key, value)| [Feature::Label(*key, *value), Feature::Key(*key)]);
    labels.chain([Feature::Namespace(namespace)])
}

/// Sorts ids and drops duplicates.
fn ordered(mut ids: Vec<u32>) -> Vec<u32> {
    ids.sort_unstable();
    ids.dedup();
    ids
}
