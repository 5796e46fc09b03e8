//! Limit on the replicas removed at once over all objects. It keeps one wrong signal,
//! such as metrics that make everything look idle, from taking down a cluster before
//! anybody looks.

use std::collections::BTreeMap;
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
    total: i64,
    by_object: BTreeMap<Arc<str>, Lost>,
    expired_at: Option<Timestamp>,
}

/// A removal of replicas of one object.
#[derive(Clone, Debug)]
pub(super) struct Removal {
    /// Uid of the object.
    pub object: Arc<str>,
    /// Number of replicas. Negative to undo a removal.
    pub replicas: i64,
    /// Whether the limit reduced it.
    pub cut: bool,
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

impl Removals {
    /// Returns how many replicas `object` may lose now. `None` if there is no limit
    /// because no other object lost any lately.
    ///
    /// `replicas` are those of all objects, of which `share` may be removed within
    /// [`WITHIN_MS`]. The object's own earlier removals don't count: one object alone is
    /// no mass removal, whatever its size. A removal that the limit reduced does count,
    /// or the object would get the same number again at each sync.
    pub(super) fn left(
        &mut self,
        now: Timestamp,
        object: &str,
        replicas: i64,
        share: f64,
    ) -> Option<i32> {
        self.expire(now);
        let own = self.by_object.get(object);
        let (own, cut) = own.map_or((0, 0), |lost| (lost.replicas, lost.cut));
        let others = self.total - own;
        if others <= 0 {
            return None;
        }
        let before = replicas.saturating_add(self.total);
        let most = ((before as f64 * share) as i64).max(ALWAYS);
        Some(i32::try_from((most - others - cut).max(0)).unwrap_or(i32::MAX))
    }

    /// Counts a removal.
    pub(super) fn took(&mut self, now: Timestamp, removal: Removal) {
        self.total += removal.replicas;
        let lost = self.by_object.entry(Arc::clone(&removal.object));
        let lost = lost.or_default();
        lost.replicas += removal.replicas;
        lost.cut += removal.cut_replicas();
        lost.removals += 1;
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
            self.total -= removal.replicas;
            let Some(lost) = self.by_object.get_mut(&removal.object) else {
                continue;
            };
            lost.replicas -= removal.replicas;
            lost.cut -= removal.cut_replicas();
            lost.removals -= 1;
            if lost.removals == 0 {
                self.by_object.remove(&removal.object);
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
