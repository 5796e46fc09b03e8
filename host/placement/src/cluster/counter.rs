//! Counts of pods by topology domain.

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

/// Identifies a counter: which pods it counts, over which domains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct CounterKey {
    pub(super) counted: Counted,
    /// The topology key.
    pub(super) key: u32,
}

/// Which pods a counter counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Counted {
    /// Pods that a predicate matches.
    Matching(u32),
    /// Pods that have an anti-affinity term with this predicate. A pod counts once for
    /// each term.
    Owning(u32),
    /// Pods that have an anti-affinity term that matches what the predicate of the counter
    /// `owning` matches, except what this predicate matches.
    Exempting { predicate: u32, owning: u32 },
    /// Pods whose terms are not judged, and which keep off the pods that a predicate
    /// matches.
    Blocking(u32),
    /// Pods that a predicate matches and that aren't being deleted, on nodes that a
    /// view includes.
    Spread { predicate: u32, view: u32 },
}

impl Counted {
    /// Returns the predicate.
    pub(super) fn predicate(self) -> u32 {
        match self {
            Self::Matching(predicate)
            | Self::Owning(predicate)
            | Self::Exempting { predicate, .. }
            | Self::Blocking(predicate)
            | Self::Spread { predicate, .. } => predicate,
        }
    }

    /// Whether it counts the pods that its predicate matches.
    pub(super) fn is_of_matched_pods(self) -> bool {
        matches!(self, Self::Matching(_) | Self::Spread { .. })
    }
}

/// The pods that a term of anti-affinity selects.
#[derive(Clone, Copy, Debug)]
pub(super) struct Selected {
    /// Counter of the pods.
    pub(super) counter: u32,
    /// Counter of those of them that the term does not select.
    pub(super) except: Option<u32>,
}

/// Number of pods in each domain.
#[derive(Default)]
pub(super) struct Counter {
    /// Pods by domain, without zeros.
    domains: HashMap<u32, u32>,
    /// Number of domains with each count.
    levels: Vec<u32>,
    /// A lower bound of the counts.
    lowest: usize,
}

impl Counter {
    pub(super) fn is_empty(&self) -> bool {
        self.domains.is_empty()
    }

    /// Returns the number of pods in a domain.
    pub(super) fn get(&self, domain: u32) -> u32 {
        self.domains.get(&domain).copied().unwrap_or(0)
    }

    /// Returns the smallest count, given the number of all domains (including those
    /// without pods).
    pub(super) fn smallest(&self, domains: usize) -> u32 {
        if self.domains.len() < domains {
            return 0;
        }
        crate::intern::number(self.lowest)
    }

    /// Adds pods to a domain, or subtracts them if not `up`.
    pub(super) fn shift(&mut self, domain: u32, pods: u32, up: bool) {
        if pods == 0 {
            return;
        }
        let (known, after) = match self.domains.entry(domain) {
            Entry::Occupied(mut entry) => {
                let known = *entry.get();
                let after = if up {
                    known.saturating_add(pods)
                } else {
                    known.saturating_sub(pods)
                };
                if after == 0 {
                    entry.remove();
                } else {
                    *entry.get_mut() = after;
                }
                (known, after)
            }
            Entry::Vacant(entry) if up => (0, *entry.insert(pods)),
            Entry::Vacant(_) => return,
        };
        self.leave_level(known as usize);
        self.enter_level(after as usize);
        while self
            .levels
            .get(self.lowest)
            .is_some_and(|domains| *domains == 0)
        {
            self.lowest += 1;
        }
    }

    fn leave_level(&mut self, level: usize) {
        if level > 0 {
            self.levels[level] -= 1;
        }
    }

    fn enter_level(&mut self, level: usize) {
        if level == 0 {
            return;
        }
        if self.levels.len() <= level {
            self.levels.resize(level + 1, 0);
        }
        self.levels[level] += 1;
        if self.domains.len() == 1 || level < self.lowest {
            self.lowest = level;
        }
    }
}
