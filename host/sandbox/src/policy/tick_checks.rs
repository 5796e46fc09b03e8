//! Checks of configurations in one tick: steps for each namespace and for all together, of
//! all policies, so that configurations that take long to check keep no other namespace from
//! being decided. They are steps and not time, so that the same are checked on any machine.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use flyball_decision::policy::PolicyFailure;
use flyball_decision::time::Timestamp;

use crate::schema::STEPS as CHECK_STEPS;

/// Steps after which no further configuration of a namespace is checked in the same tick, or
/// with a new version: about two seconds' worth.
pub(crate) const NAMESPACE_STEPS: u64 = 20_000_000;

/// Maximum steps of all namespaces in a tick: about five seconds' worth.
const ALL_STEPS: u64 = 50_000_000;

/// Maximum number of namespaces that come first in a tick. A fifth of all steps is kept for
/// none of them, since those that come first may have no object left.
const MAX_FIRST: usize = 20;

/// Steps that are kept for a namespace that comes first. Once it has taken [`CHECK_STEPS`],
/// none are kept for it any more: until then, the next check takes no more than are left, or
/// as many again if it has to say where a configuration does not fit.
const KEPT_STEPS: u64 = 2 * CHECK_STEPS;

/// How long a namespace that was put off keeps its place if it asks for no check, in
/// milliseconds: longer than a sync period.
const WAIT_MS: i64 = 600_000;

/// The namespace of an object whose configuration is checked, and the checks of the tick.
#[derive(Clone, Copy)]
pub(crate) struct NamespaceChecks<'a> {
    pub namespace: &'a str,
    pub of_tick: &'a Mutex<TickChecks>,
}

/// Steps that checks took in a tick, and the namespaces that come first in it.
#[derive(Default)]
pub(crate) struct TickChecks {
    /// Time of the tick.
    now: Timestamp,
    by_namespace: BTreeMap<String, u64>,
    all: u64,
    /// Namespaces for which steps are kept.
    first: BTreeSet<String>,
    /// Namespaces of which checks were put off because of others, in that order, and when
    /// that was last.
    waiting: Vec<(String, Timestamp)>,
}

impl NamespaceChecks<'_> {
    /// Begins a check.
    ///
    /// # Errors
    /// That it is put off.
    pub fn begin(&self, now: Timestamp) -> Result<(), PolicyFailure> {
        self.lock().begin(now, self.namespace)
    }

    /// Counts the steps of a check.
    pub fn took(&self, steps: u64) {
        self.lock().took(self.namespace, steps);
    }

    fn lock(&self) -> MutexGuard<'_, TickChecks> {
        self.of_tick.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TickChecks {
    fn begin(&mut self, now: Timestamp, namespace: &str) -> Result<(), PolicyFailure> {
        if now != self.now {
            self.begin_tick(now);
        }
        let own = self.by_namespace.get(namespace);
        if own.is_some_and(|own| *own >= NAMESPACE_STEPS) {
            return Err(put_off("other configurations of the namespace"));
        }
        if !self.first.contains(namespace) && self.left() < CHECK_STEPS {
            self.wait(namespace);
            return Err(put_off("configurations of other namespaces"));
        }
        self.waiting.retain(|(waiting, _)| waiting != namespace);
        Ok(())
    }

    fn begin_tick(&mut self, now: Timestamp) {
        self.now = now;
        self.by_namespace.clear();
        self.all = 0;
        self.waiting
            .retain(|(_, put_off)| (0..WAIT_MS).contains(&now.since(*put_off)));
        let first = self.waiting.iter().take(MAX_FIRST);
        self.first = first.map(|(namespace, _)| namespace.clone()).collect();
    }

    /// Returns the steps that are kept for no namespace.
    fn left(&self) -> u64 {
        let kept = self.first.len() as u64 * KEPT_STEPS;
        ALL_STEPS.saturating_sub(self.all.saturating_add(kept))
    }

    fn wait(&mut self, namespace: &str) {
        let mut waiting = self.waiting.iter_mut();
        let known = waiting.find(|(waiting, _)| waiting == namespace);
        match known {
            Some((_, put_off)) => *put_off = self.now,
            None => self.waiting.push((namespace.to_owned(), self.now)),
        }
    }

    fn took(&mut self, namespace: &str, steps: u64) {
        self.all = self.all.saturating_add(steps);
        let own = self.by_namespace.entry(namespace.to_owned()).or_default();
        *own = own.saturating_add(steps);
        if *own >= CHECK_STEPS {
            self.first.remove(namespace);
        }
    }
}

fn put_off(others: &str) -> PolicyFailure {
    PolicyFailure::NotAsked(format!(
        "checks of {others} took long: that of this one follows"
    ))
}

#[cfg(test)]
mod tests {
    use flyball_decision::time::Timestamp;

    use super::{ALL_STEPS, CHECK_STEPS, TickChecks, WAIT_MS};

    fn namespaces(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("team-{number}")).collect()
    }

    /// Lets each namespace check configurations until one is put off, in this order. Returns
    /// how many each has checked.
    fn tick(checks: &mut TickChecks, now: i64, namespaces: &[String]) -> Vec<u64> {
        let checked = namespaces.iter().map(|namespace| {
            let mut count = 0;
            while checks.begin(Timestamp(now), namespace).is_ok() {
                checks.took(namespace, CHECK_STEPS);
                count += 1;
            }
            count
        });
        let checked: Vec<u64> = checked.collect();
        assert!(checked.iter().sum::<u64>() * CHECK_STEPS <= ALL_STEPS);
        checked
    }

    #[test]
    fn namespaces_that_were_put_off_come_first_however_many_there_are() {
        let namespaces = namespaces(100);
        let mut checks = TickChecks::default();
        let mut all = vec![0; namespaces.len()];
        for now in 1..=6 {
            let checked = tick(&mut checks, now, &namespaces);
            if now == 1 {
                assert_eq!(checked[..4], [20, 20, 10, 0]);
            }
            for (all, checked) in all.iter_mut().zip(checked) {
                *all += checked;
            }
        }
        assert!(all.iter().all(|checked| *checked > 0), "{all:?}");
    }

    #[test]
    fn steps_are_not_kept_for_ever_for_a_namespace_that_does_not_come_back() {
        let namespaces = namespaces(100);
        let mut checks = TickChecks::default();
        tick(&mut checks, 1, &namespaces);
        let few = &namespaces[..3];
        assert_eq!(tick(&mut checks, 2, few), [10, 0, 2]);
        assert_eq!(tick(&mut checks, 1 + WAIT_MS, few), [20, 20, 10]);
    }
}
