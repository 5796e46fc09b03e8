//! Limit on the replicas removed at once over all objects. It keeps one wrong signal,
//! such as metrics that make everything look idle, from taking down a cluster before
//! anybody looks.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use flyball_decision::time::Timestamp;

/// Period within which removals count together, in milliseconds.
const WITHIN_MS: i64 = 60_000;

/// Number of replicas that may always be removed, or small clusters would shrink one by
/// one.
const ALWAYS: i64 = 10;

/// Recent removals of all objects.
#[derive(Debug, Default)]
pub(super) struct Removals {
    lately: Vec<(Timestamp, Removal)>,
    by_object: BTreeMap<Arc<str>, Lost>,
    by_namespace: BTreeMap<Arc<str>, LostInNamespace>,
    /// Sum of [`LostInNamespace::counted`].
    counted: i64,
    expired_at: Option<Timestamp>,
}

/// A removal of replicas of one object.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    /// Uid of the object.
    pub object: Arc<str>,
    /// Namespace of the object.
    pub namespace: Arc<str>,
    /// Number of ready replicas. Negative to undo a removal.
    pub replicas: i64,
    /// Ready replicas of the namespace before the removal.
    pub ready: i64,
    /// Whether the limit reduced it.
    pub cut: bool,
}

/// Ready replicas, before a removal is decided.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadyReplicas {
    /// Of all objects.
    pub all: i64,
    /// Of the object.
    pub own: i64,
    /// Share of them that may be removed within [`WITHIN_MS`].
    pub removable_share: f64,
}

/// Recent removals of one object.
#[derive(Debug, Default)]
struct Lost {
    replicas: i64,
    /// The part of `replicas` in removals that the limit reduced.
    cut: i64,
    /// Number of removals.
    removals: usize,
}

/// Recent removals of the objects of one namespace.
#[derive(Debug, Default)]
struct LostInNamespace {
    replicas: i64,
    /// Number of removals by the ready replicas that the namespace had before them. Ordered,
    /// so that the most ready replicas are known when a removal expires.
    by_ready: BTreeMap<i64, usize>,
}

impl LostInNamespace {
    /// What counts of its removals, without some of them. A namespace that scales up and
    /// down again and again uses up no more than it had before one of these removals.
    fn counted(&self, without: i64) -> i64 {
        let most = self.by_ready.last_key_value();
        let most_ready = most.map_or(0, |(ready, _)| *ready);
        (self.replicas - without).min(most_ready).max(0)
    }

    fn add(&mut self, removal: &Removal) {
        self.replicas += removal.replicas;
        *self.by_ready.entry(removal.ready).or_default() += 1;
    }

    fn forget(&mut self, removal: &Removal) {
        self.replicas -= removal.replicas;
        if let btree_map::Entry::Occupied(mut removals) = self.by_ready.entry(removal.ready) {
            *removals.get_mut() -= 1;
            if *removals.get() == 0 {
                removals.remove();
            }
        }
    }
}

impl Removals {
    /// Returns how many ready replicas an object may lose now. `None` if it may lose all.
    ///
    /// Within [`WITHIN_MS`], all objects together may lose a share of all ready replicas, or
    /// as many as the object has: one object alone is no mass removal, whatever its size, and
    /// what others lose takes away from it only as much. The object's own earlier removals
    /// don't count. A removal that the limit reduced does count, or the object would get the
    /// same number again at each sync.
    pub(super) fn left(
        &mut self,
        now: Timestamp,
        (namespace, object): (&str, &str),
        ready: ReadyReplicas,
    ) -> Option<i32> {
        self.expire(now);
        let own = self.by_object.get(object);
        let (own, cut) = own.map_or((0, 0), |lost| (lost.replicas, lost.cut));
        let beside = self.by_namespace.get(namespace);
        let of_own = beside.map_or(0, |lost| lost.counted(0) - lost.counted(own));
        let others = self.counted - of_own;
        let before = ready.all.saturating_add(self.counted);
        let share = (before as f64 * ready.removable_share) as i64;
        let most = share.max(ALWAYS).max(ready.own);
        let left = (most - others - cut).max(0);
        (left < ready.own).then(|| i32::try_from(left).unwrap_or(i32::MAX))
    }

    /// Counts a removal.
    pub(super) fn took(&mut self, now: Timestamp, removal: Removal) {
        let lost = self.by_object.entry(Arc::clone(&removal.object));
        let lost = lost.or_default();
        lost.replicas += removal.replicas;
        lost.cut += removal.cut_replicas();
        lost.removals += 1;
        let lost = self.by_namespace.entry(Arc::clone(&removal.namespace));
        let lost = lost.or_default();
        let before = lost.counted(0);
        lost.add(&removal);
        self.counted += lost.counted(0) - before;
        self.lately.push((now, removal));
    }

    /// Forgets expired removals, once for each time.
    fn expire(&mut self, now: Timestamp) {
        if self.expired_at.replace(now) == Some(now) {
            return;
        }
        let gone = self
            .lately
            .extract_if(.., |(at, _)| !(0..WITHIN_MS).contains(&now.since(*at)));
        for (_, removal) in gone {
            if let Some(lost) = self.by_object.get_mut(&removal.object) {
                lost.replicas -= removal.replicas;
                lost.cut -= removal.cut_replicas();
                lost.removals -= 1;
                if lost.removals == 0 {
                    self.by_object.remove(&removal.object);
                }
            }
            if let Some(lost) = self.by_namespace.get_mut(&removal.namespace) {
                let before = lost.counted(0);
                lost.forget(&removal);
                self.counted += lost.counted(0) - before;
                if lost.by_ready.is_empty() {
                    self.by_namespace.remove(&removal.namespace);
                }
            }
        }
    }
}

impl Removal {
    /// Returns a removal that undoes this one, because the replicas were not removed.
    pub(super) fn undone(self) -> Self {
        Self {
            replicas: -self.replicas,
            ..self
        }
    }

    fn cut_replicas(&self) -> i64 {
        if self.cut { self.replicas } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{ReadyReplicas, Removal, Removals, WITHIN_MS};
    use crate::control::ready::ReadyByNamespace;
    use flyball_decision::time::Timestamp;

    fn removal(namespace: &str, object: usize, replicas: i64, ready: i64) -> Removal {
        Removal {
            object: format!("{namespace}-{object}").into(),
            namespace: namespace.into(),
            replicas,
            ready,
            cut: false,
        }
    }

    /// Time for which a namespace keeps its number of ready replicas.
    const PERIOD_MS: i64 = 15_000;

    proptest! {
        /// Whatever one namespace removes and adds, what an object of another may lose changes
        /// by no more than the ready replicas that the namespace had within the last minute,
        /// even if all its pods have the labels of each of its objects in turn.
        #[test]
        fn a_namespace_changes_the_share_of_others_by_its_ready_replicas_at_most(
            ready in prop::collection::vec(0_i64..200, 7),
            removals in prop::collection::vec((0_usize..5, 1_i64..300, 0_i64..95_000), 0..40),
            (lost, own, beside) in (0_i64..100, 0_i64..2_000, 0_i64..2_000),
        ) {
            let ready_at = |at: i64| ready[usize::try_from(at / PERIOD_MS).unwrap_or_default()];
            let calm = removal("calm", 1, lost, lost);
            let (mut quiet, mut noisy) = (Removals::default(), Removals::default());
            quiet.took(Timestamp(0), calm.clone());
            noisy.took(Timestamp(0), calm);
            let (mut ready_replicas, mut observed) = (ReadyByNamespace::default(), [0; 5]);
            let mut earlier = 0;
            for now in [30_000, 59_000, 75_000, 95_000] {
                let since = removals.iter().filter(|(.., at)| (earlier..now).contains(at));
                for &(object, replicas, at) in since {
                    let before = std::mem::replace(&mut observed[object], ready_at(at));
                    ready_replicas.add(&"noisy".into(), ready_at(at) - before);
                    ready_replicas.limit(|_| usize::try_from(ready_at(at)).unwrap_or_default());
                    let ready = ready_replicas.of("noisy");
                    noisy.took(Timestamp(at), removal("noisy", object, replicas, ready));
                }
                ready_replicas.limit(|_| usize::try_from(ready_at(now)).unwrap_or_default());
                earlier = now;
                let left = |removals: &mut Removals, ready_beside: i64| {
                    let ready = ReadyReplicas {
                        all: own + beside + ready_beside,
                        own,
                        removable_share: 0.25,
                    };
                    let left = removals.left(Timestamp(now), ("calm", "calm-2"), ready);
                    left.map_or(own, i64::from)
                };
                let times = removals.iter().map(|(.., at)| *at);
                let lately = times.filter(|at| (now - WITHIN_MS + 1..now).contains(at));
                let most = lately.chain([now]).map(ready_at).max().unwrap_or_default();
                let changed = left(&mut quiet, most) - left(&mut noisy, ready_replicas.all());
                prop_assert!(changed.abs() <= most, "{changed} of {most}");
            }
            // Nothing is left over when all has expired.
            noisy.expire(Timestamp(1_000_000));
            prop_assert_eq!(noisy.counted, 0);
            prop_assert!(noisy.by_object.is_empty() && noisy.by_namespace.is_empty());
        }
    }
}
