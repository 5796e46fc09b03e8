//! Connections: a term or constraint over a topology key, and the pods of one profile that
//! it matches. Each takes memory, and time whenever such pods are checked or placed. A view of
//! the nodes over which a spread constraint counts takes as much as many of them.
//!
//! The limits are for those who have the terms. A term that may select pods of other
//! namespaces is foreign there: pods that it selects do not lose by it what their own
//! namespace has in any case.

use hashbrown::HashMap;

use crate::intern::Symbol;

/// Number of connections of all pods up to which every pod is judged.
const MAX: usize = 1_000_000;

/// Number of connections of a namespace up to which its pods are judged in any case.
const SHARE: usize = 10_000;

/// Number of connections of a namespace's pods with foreign terms up to which they are judged
/// in any case.
const SHARE_OF_FOREIGN: usize = 100_000;

/// Maximum number of connections of a profile with terms of its own namespace. All are looked
/// at whenever a node is checked for such a pod, and changed whenever one is placed.
pub(super) const MAX_OF_A_PROFILE: usize = 1000;

/// Connections that a view of nodes counts as. Each node is compared with each view.
pub(super) const OF_A_VIEW: usize = 500;

/// Connections that a foreign term counts as at least, for each so many steps of a comparison.
/// It is compared with each profile that may come in other namespaces, at their cost.
const OF_A_FOREIGN_TERM: usize = 500;
const STEPS: usize = 5;

/// Returns the number of connections that a foreign term counts as at least, given the steps
/// of a comparison.
pub(super) fn of_foreign_term(steps: usize) -> usize {
    OF_A_FOREIGN_TERM * steps.div_ceil(STEPS)
}

/// Connections of pods of a namespace.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Load {
    /// With terms of pods of the namespace.
    pub(super) own: usize,
    /// With foreign terms.
    pub(super) foreign: usize,
}

/// Number of connections.
#[derive(Default)]
pub(super) struct Connections {
    all: usize,
    by_namespace: HashMap<Symbol, Load>,
    refused: bool,
}

impl Connections {
    /// Whether so many further connections of terms of a namespace's pods are within the
    /// limits.
    pub(super) fn have_room(&self, namespace: Symbol, more: usize) -> bool {
        let more = Load {
            own: more,
            foreign: 0,
        };
        self.have_room_for(namespace, more)
    }

    fn have_room_for(&self, namespace: Symbol, more: Load) -> bool {
        let known = self.by_namespace.get(&namespace).copied();
        let known = known.unwrap_or_default();
        let fits = |known: usize, more: usize, share: usize| {
            more == 0 || known.saturating_add(more) <= share
        };
        fits(self.all, more.own.saturating_add(more.foreign), MAX)
            || (fits(known.own, more.own, SHARE)
                && fits(known.foreign, more.foreign, SHARE_OF_FOREIGN))
    }

    /// Counts connections of terms of a namespace's pods. Returns false, and counts none, if
    /// they are beyond the limits.
    pub(super) fn add(&mut self, namespace: Symbol, more: usize) -> bool {
        let more = Load {
            own: more,
            foreign: 0,
        };
        self.add_pods(namespace, more)
    }

    /// Counts connections of a namespace's pods. Returns false, and counts none, if they are
    /// beyond the limits.
    pub(super) fn add_pods(&mut self, namespace: Symbol, more: Load) -> bool {
        if !self.have_room_for(namespace, more) {
            self.note_refusal();
            return false;
        }
        if more.own + more.foreign > 0 {
            self.all += more.own + more.foreign;
            let known = self.by_namespace.entry(namespace).or_default();
            known.own += more.own;
            known.foreign += more.foreign;
        }
        true
    }

    /// Forgets connections of a namespace's pods.
    pub(super) fn remove(&mut self, namespace: Symbol, fewer: Load) {
        self.all = self.all.saturating_sub(fewer.own + fewer.foreign);
        if let Some(known) = self.by_namespace.get_mut(&namespace) {
            known.own = known.own.saturating_sub(fewer.own);
            known.foreign = known.foreign.saturating_sub(fewer.foreign);
        }
    }

    /// Notes that connections were refused.
    pub(super) fn note_refusal(&mut self) {
        self.refused = true;
    }

    /// Whether connections were refused.
    pub(super) fn were_refused(&self) -> bool {
        self.refused
    }
}
