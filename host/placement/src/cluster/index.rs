//! An index by labels, from profiles to the predicates that may match them and back.

use hashbrown::HashMap;

use super::predicate::PodTerm;
use crate::intern::{Symbol, number};

/// The labels by which a predicate is indexed.
pub(super) enum Anchor {
    /// The predicate matches nothing.
    Nothing,
    /// One of these labels is required.
    Labels(Vec<(Symbol, Symbol)>),
    /// No particular label is required.
    Anything,
}

impl Anchor {
    pub(super) fn of(predicate: &[PodTerm]) -> Self {
        if predicate.iter().any(PodTerm::is_void) {
            return Self::Nothing;
        }
        let pairs = predicate.iter().find_map(PodTerm::pairs);
        pairs.map_or(Self::Anything, Self::Labels)
    }
}

#[derive(Default)]
pub(super) struct Index {
    predicates: HashMap<(Symbol, Symbol), Vec<u32>>,
    /// Predicates that require no particular label.
    others: Vec<u32>,
    profiles: HashMap<(Symbol, Symbol), Vec<u32>>,
    profile_count: usize,
}

impl Index {
    /// Adds a predicate. Returns the profiles that it may match, each once.
    pub(super) fn add_predicate(&mut self, predicate: u32, anchor: &Anchor) -> Vec<u32> {
        let mut profiles = Vec::new();
        match anchor {
            Anchor::Nothing => {}
            Anchor::Labels(labels) => {
                for label in labels {
                    self.predicates.entry(*label).or_default().push(predicate);
                    profiles.extend(self.profiles.get(label).into_iter().flatten());
                }
            }
            Anchor::Anything => {
                self.others.push(predicate);
                profiles.extend(0..number(self.profile_count));
            }
        }
        profiles
    }

    /// Adds a profile, whose id follows the last one's. Returns the predicates that may
    /// match it, each once.
    pub(super) fn add_profile(&mut self, profile: u32, labels: &[(Symbol, Symbol)]) -> Vec<u32> {
        let mut predicates = self.others.clone();
        for label in labels {
            self.profiles.entry(*label).or_default().push(profile);
            predicates.extend(self.predicates.get(label).into_iter().flatten());
        }
        self.profile_count += 1;
        predicates
    }
}
