//! Profiles: pods with the same namespace, relevant labels and terms, the predicates that
//! match them, and the counters that follow from these.

use hashbrown::HashMap;
use smallvec::SmallVec;

use super::counter::Counted;
use crate::Unjudged;
use crate::intern::Symbol;

/// Properties that pods of a profile share.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(super) struct ProfileKey {
    pub(super) namespace: Symbol,
    pub(super) labels: u32,
    pub(super) terms: u32,
}

#[derive(Debug, Default)]
pub(super) struct Profile {
    /// Predicates that match its pods, ordered.
    matches: Vec<u32>,
    /// Counters that count all of its pods.
    pub(super) counted: Vec<u32>,
    /// Counters that count its pods that aren't being deleted.
    pub(super) spread: Vec<u32>,
    /// Counters of pods whose anti-affinity terms match its pods.
    pub(super) excluding: Vec<u32>,
    /// By a counter of `excluding`: counters of pods of that counter whose terms don't
    /// match its pods.
    exempting: HashMap<u32, Vec<u32>>,
    /// Counters of pods whose terms are not judged, and might match its pods.
    pub(super) blocking: Vec<u32>,
    /// Why no predicate is compared with its pods, if none is.
    pub(super) unjudged: Option<Unjudged>,
    /// Number of the first of `counted`, which are of its own terms.
    own: usize,
    /// Number of connections with predicates that only match pods of its namespace.
    pub(super) selected: usize,
    /// Number of classes of pods that have it.
    pub(super) classes: usize,
    /// Whether it was disconnected from all predicates, as no class had it any more.
    pub(super) is_retired: bool,
}

impl Profile {
    /// Creates a profile. `owning` are the counters of its own anti-affinity terms.
    pub(super) fn new(owning: &[u32]) -> Self {
        Self {
            counted: owning.to_vec(),
            own: owning.len(),
            ..Self::default()
        }
    }

    /// Whether no predicate is compared with its pods.
    pub(super) fn is_unjudged(&self) -> bool {
        self.unjudged.is_some()
    }

    /// Whether predicates are compared with its pods.
    pub(super) fn is_compared(&self) -> bool {
        !self.is_unjudged() && !self.is_retired
    }

    /// Returns the predicates that match its pods.
    pub(super) fn matches(&self) -> &[u32] {
        &self.matches
    }

    /// Whether a predicate matches its pods.
    pub(super) fn is_matched(&self, predicate: u32) -> bool {
        self.matches.binary_search(&predicate).is_ok()
    }

    /// Returns the counters of those pods of an excluding counter whose terms don't match
    /// its pods.
    pub(super) fn exempting(&self, excluding: u32) -> &[u32] {
        self.exempting.get(&excluding).map_or(&[], Vec::as_slice)
    }

    /// Adds a counter of a predicate that matches its pods.
    fn join(&mut self, counter: u32, counted: Counted) {
        match counted {
            Counted::Matching(_) => self.counted.push(counter),
            Counted::Owning(_) => self.excluding.push(counter),
            Counted::Exempting { owning, .. } => {
                self.exempting.entry(owning).or_default().push(counter);
            }
            Counted::Blocking(_) => self.blocking.push(counter),
            Counted::Spread { .. } => self.spread.push(counter),
        }
    }

    /// Reverts [`Self::join`].
    fn leave(&mut self, counter: u32, counted: Counted) {
        let counters = match counted {
            // The counters of its own terms stay.
            Counted::Matching(_) => &mut self.counted,
            Counted::Owning(_) => &mut self.excluding,
            Counted::Exempting { owning, .. } => self.exempting.entry(owning).or_default(),
            Counted::Blocking(_) => &mut self.blocking,
            Counted::Spread { .. } => &mut self.spread,
        };
        counters.retain(|known| *known != counter);
    }

    /// Drops all that its pods have to do with predicates.
    fn clear(&mut self) -> Vec<u32> {
        self.counted.truncate(self.own);
        self.spread = Vec::new();
        self.excluding = Vec::new();
        self.exempting = HashMap::new();
        self.blocking = Vec::new();
        self.selected = 0;
        std::mem::take(&mut self.matches)
    }
}

/// The profiles that a predicate matches, and the counters that use the predicate.
#[derive(Debug, Default)]
struct Matching {
    profiles: SmallVec<[u32; 4]>,
    counters: SmallVec<[(u32, Counted); 2]>,
    /// Number of connections with each profile: of the counters of the matched pods.
    connections: u32,
    /// Whether it may match pods of several namespaces.
    is_foreign: bool,
}

impl Matching {
    /// Number of connections with each profile, if they count as those of its namespace.
    fn own_connections(&self) -> usize {
        if self.is_foreign {
            0
        } else {
            self.connections as usize
        }
    }
}

/// Which predicates match which profiles.
#[derive(Default)]
pub(super) struct Profiles {
    profiles: Vec<Profile>,
    matching: Vec<Matching>,
}

impl Profiles {
    pub(super) fn len(&self) -> usize {
        self.profiles.len()
    }

    pub(super) fn get(&self, profile: u32) -> &Profile {
        &self.profiles[profile as usize]
    }

    pub(super) fn get_mut(&mut self, profile: u32) -> &mut Profile {
        &mut self.profiles[profile as usize]
    }

    pub(super) fn push(&mut self, profile: Profile) {
        self.profiles.push(profile);
    }

    /// Adds a predicate, and whether it may match pods of several namespaces.
    pub(super) fn push_predicate(&mut self, is_foreign: bool) {
        self.matching.push(Matching {
            is_foreign,
            ..Matching::default()
        });
    }

    /// Whether a predicate may match pods of several namespaces.
    pub(super) fn is_foreign(&self, predicate: u32) -> bool {
        self.matching[predicate as usize].is_foreign
    }

    /// Returns the profiles that a predicate matches.
    pub(super) fn matched(&self, predicate: u32) -> &[u32] {
        &self.matching[predicate as usize].profiles
    }

    /// Returns the counters that count the pods that a predicate matches.
    pub(super) fn counters_of(&self, predicate: u32) -> impl Iterator<Item = u32> {
        let counters = self.matching[predicate as usize].counters.iter();
        let counters = counters.filter(|(_, counted)| counted.is_of_matched_pods());
        counters.map(|(counter, _)| *counter)
    }

    /// Number of connections that a predicate makes with each profile that it matches.
    pub(super) fn connections(&self, predicate: u32) -> usize {
        self.matching[predicate as usize].connections as usize
    }

    /// Records that a predicate matches a profile: the predicate's counters count it.
    pub(super) fn connect(&mut self, predicate: u32, profile: u32) {
        let matching = &mut self.matching[predicate as usize];
        let known = &mut self.profiles[profile as usize];
        matching.profiles.push(profile);
        if let Err(at) = known.matches.binary_search(&predicate) {
            known.matches.insert(at, predicate);
        }
        known.selected += matching.own_connections();
        for (counter, counted) in &matching.counters {
            known.join(*counter, *counted);
        }
    }

    /// Reverts [`Self::connect`].
    pub(super) fn disconnect(&mut self, predicate: u32, profile: u32) {
        let matching = &mut self.matching[predicate as usize];
        let known = &mut self.profiles[profile as usize];
        matching.profiles.retain(|known| *known != profile);
        known.matches.retain(|known| *known != predicate);
        known.selected = known.selected.saturating_sub(matching.own_connections());
        for (counter, counted) in &matching.counters {
            known.leave(*counter, *counted);
        }
    }

    /// Reverts [`Self::connect`] for all predicates, and compares none with the profile
    /// any more.
    pub(super) fn stop_judging(&mut self, profile: u32, why: Unjudged) {
        let known = &mut self.profiles[profile as usize];
        known.unjudged = Some(why);
        for predicate in known.clear() {
            let matching = &mut self.matching[predicate as usize];
            matching.profiles.retain(|known| *known != profile);
        }
    }

    /// Reverts [`Self::connect`] for profiles that no class has any more. Returns how many
    /// connections were looked at.
    pub(super) fn retire(&mut self, left: &[u32]) -> usize {
        let mut predicates: Vec<u32> = Vec::new();
        for profile in left {
            let known = &mut self.profiles[*profile as usize];
            known.is_retired = true;
            predicates.extend(known.clear());
        }
        predicates.sort_unstable();
        predicates.dedup();
        let mut looked_at = 0;
        for predicate in predicates {
            let matched = &mut self.matching[predicate as usize].profiles;
            looked_at += matched.len();
            matched.retain(|profile| !self.profiles[*profile as usize].is_retired);
        }
        looked_at
    }

    /// Adds a new counter to the profiles that its predicate matches.
    pub(super) fn join(&mut self, counter: u32, counted: Counted) {
        let matching = &mut self.matching[counted.predicate() as usize];
        matching.counters.push((counter, counted));
        let connections = u32::from(counted.is_of_matched_pods());
        matching.connections += connections;
        for profile in &matching.profiles {
            let known = &mut self.profiles[*profile as usize];
            known.join(counter, counted);
            if !matching.is_foreign {
                known.selected += connections as usize;
            }
        }
    }
}
