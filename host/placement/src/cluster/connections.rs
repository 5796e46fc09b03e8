//! Connections: a term or constraint over a topology key, and the pods of one profile that
//! it matches. Each takes memory, and time whenever pods are checked. A view of the nodes over
//! which a spread constraint counts takes as much as many of them.

use hashbrown::HashMap;

use crate::intern::Symbol;

/// Number of connections of all pods up to which every pod is judged.
const MAX: usize = 1_000_000;

/// Number of connections of a namespace up to which its pods are judged in any case.
const SHARE: usize = 10_000;

/// Connections that a view of nodes counts as. Each node is compared with each view.
pub(super) const OF_A_VIEW: usize = 500;

/// Number of connections.
#[derive(Default)]
pub(super) struct Connections {
    all: usize,
    by_namespace: HashMap<Symbol, usize>,
    refused: bool,
}

impl Connections {
    /// Whether so many further connections of a namespace's pods are within the limits.
    pub(super) fn have_room(&self, namespace: Symbol, more: usize) -> bool {
        let own = self.by_namespace.get(&namespace).copied().unwrap_or(0);
        self.all.saturating_add(more) <= MAX || own.saturating_add(more) <= SHARE
    }

    /// Counts connections of a namespace's pods. Returns false, and counts none, if they
    /// are beyond the limits.
    pub(super) fn add(&mut self, namespace: Symbol, more: usize) -> bool {
        if !self.have_room(namespace, more) {
            self.note_refusal();
            return false;
        }
        if more > 0 {
            self.all += more;
            *self.by_namespace.entry(namespace).or_default() += more;
        }
        true
    }

    /// Forgets connections of a namespace's pods.
    pub(super) fn remove(&mut self, namespace: Symbol, connections: usize) {
        self.all = self.all.saturating_sub(connections);
        if let Some(own) = self.by_namespace.get_mut(&namespace) {
            *own = own.saturating_sub(connections);
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
