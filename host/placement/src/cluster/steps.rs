//! Steps: how much work it was to find the classes of pods. They are counted and not timed,
//! since simulations and replays must judge the same pods on any machine.

use hashbrown::HashMap;

use crate::intern::Symbol;

/// Number of steps of all pods up to which every pod is judged. They take a second or two, and
/// rebuilding a cluster takes them at once.
const MAX: usize = 100_000_000;

/// Number of steps of a namespace up to which its pods are judged in any case.
const SHARE: usize = 2_000_000;

/// Steps of a class that gets another shape.
const OF_A_SHAPE: usize = 100;

/// Steps of each label of such a class.
const OF_A_LABEL: usize = 20;

/// Number of connections that are looked at in a step. They are close together.
const OF_A_STEP: usize = 8;

/// Returns the steps of looking at so many connections.
pub(super) fn of_retiring(connections: usize) -> usize {
    connections / OF_A_STEP
}

/// Returns the steps of a class with so many labels that gets another shape.
pub(super) fn of_reshaping(labels: usize) -> usize {
    OF_A_SHAPE + OF_A_LABEL * labels
}

/// Number of steps.
#[derive(Default)]
pub(super) struct Steps {
    all: usize,
    by_namespace: HashMap<Symbol, usize>,
    refused: bool,
}

impl Steps {
    /// Whether further steps for a namespace's pods are within the limits. What is begun is
    /// finished, however many steps it takes.
    pub(super) fn allow(&mut self, namespace: Symbol) -> bool {
        let own = self.by_namespace.get(&namespace).copied().unwrap_or(0);
        let allowed = self.all < MAX || own < SHARE;
        self.refused |= !allowed;
        allowed
    }

    /// Counts steps for a namespace's pods.
    pub(super) fn add(&mut self, namespace: Symbol, steps: usize) {
        if steps > 0 {
            self.add_for_all(steps);
            let own = self.by_namespace.entry(namespace).or_default();
            *own = own.saturating_add(steps);
        }
    }

    /// Counts steps that are for the pods of all namespaces.
    pub(super) fn add_for_all(&mut self, steps: usize) {
        self.all = self.all.saturating_add(steps);
    }

    /// Returns the number of steps for all pods.
    pub(super) fn all(&self) -> usize {
        self.all
    }

    /// Whether steps were refused.
    pub(super) fn were_refused(&self) -> bool {
        self.refused
    }
}
