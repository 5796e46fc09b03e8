//! Which predicates may match a profile, and which profiles a predicate, found by
//! labels.

use hashbrown::HashMap;

use super::predicate::PodTerm;
use crate::intern::{Symbol, number};

/// What a predicate can be found by.
pub(super) enum Anchor {
    /// It matches nothing.
    Nothing,
    /// One of these labels must be there.
    Labels(Vec<(Symbol, Symbol)>),
    /// Nothing in particular.
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
    /// Those that are found by nothing in particular.
    others: Vec<u32>,
    profiles: HashMap<(Symbol, Symbol), Vec<u32>>,
    profile_count: usize,
}

impl Index {
    /// Takes in a predicate: the profiles it may match, each once.
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

    /// Takes in a profile, numbered on from the last: the predicates that may match
    /// it, each once.
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
