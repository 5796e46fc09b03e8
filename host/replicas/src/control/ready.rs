//! Ready replicas of the namespaces, as the limit on mass removals counts them.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Ready replicas by namespace.
#[derive(Debug, Default)]
pub(super) struct ReadyByNamespace {
    namespaces: BTreeMap<Arc<str>, ReadyInNamespace>,
    /// Sum of [`ReadyInNamespace::counted`].
    all: i64,
}

/// Ready replicas of the objects of one namespace.
#[derive(Debug)]
struct ReadyInNamespace {
    /// Sum over the last observations of its objects. They are made at different times, so
    /// that a pod whose labels change may be in several of them.
    observed: i64,
    /// Its ready pods.
    pods: i64,
}

impl ReadyByNamespace {
    /// Returns the ready replicas of all namespaces together.
    pub(super) fn all(&self) -> i64 {
        self.all
    }

    /// Returns the ready replicas of a namespace.
    pub(super) fn of(&self, namespace: &str) -> i64 {
        let ready = self.namespaces.get(namespace);
        ready.map_or(0, ReadyInNamespace::counted)
    }

    /// Changes the observed ready replicas of a namespace. A new namespace has no limit until
    /// the next call of [`Self::limit`].
    pub(super) fn add(&mut self, namespace: &Arc<str>, change: i64) {
        if change == 0 {
            return;
        }
        let ready = self.namespaces.entry(Arc::clone(namespace));
        let ready = ready.or_insert(ReadyInNamespace {
            observed: 0,
            pods: i64::MAX,
        });
        let before = ready.counted();
        ready.observed += change;
        self.all += ready.counted() - before;
        if ready.observed == 0 {
            self.namespaces.remove(namespace);
        }
    }

    /// Limits the ready replicas of each namespace to its ready pods.
    pub(super) fn limit(&mut self, ready_pods: impl Fn(&str) -> usize) {
        self.all = 0;
        for (namespace, ready) in &mut self.namespaces {
            ready.pods = i64::try_from(ready_pods(namespace)).unwrap_or(i64::MAX);
            self.all += ready.counted();
        }
    }
}

impl ReadyInNamespace {
    fn counted(&self) -> i64 {
        self.observed.min(self.pods)
    }
}
