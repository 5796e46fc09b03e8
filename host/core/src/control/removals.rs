//! How many replicas may go at once, all objects together: what keeps one wrong
//! signal, such as metrics that make everything look idle, from taking down a
//! cluster before anybody looks.

use std::collections::VecDeque;

use crate::time::Timestamp;

/// The time within which removals count together, in milliseconds.
const WITHIN_MS: i64 = 60_000;

/// So many replicas may always go, or small clusters would shrink one by one.
const ALWAYS: i64 = 10;

/// What was removed lately.
#[derive(Debug, Default)]
pub(super) struct Removals {
    lately: VecDeque<(Timestamp, i64)>,
    sum: i64,
}

impl Removals {
    /// How many replicas an object may lose now; none: as many as it likes.
    ///
    /// `replicas` are those of all objects, of which `share` may go within
    /// [`WITHIN_MS`]. What is the only removal in that time is no mass of them,
    /// whatever its size.
    pub(super) fn left(&mut self, now: Timestamp, replicas: i64, share: f64) -> Option<i32> {
        self.expire(now);
        if self.sum <= 0 {
            return None;
        }
        let before = replicas.saturating_add(self.sum);
        let most = ((before as f64 * share) as i64).max(ALWAYS);
        Some(i32::try_from((most - self.sum).max(0)).unwrap_or(i32::MAX))
    }

    /// Replicas go; negative: they did not after all.
    pub(super) fn took(&mut self, now: Timestamp, replicas: i64) {
        self.sum += replicas;
        match self.lately.back_mut() {
            Some((at, known)) if *at == now => *known += replicas,
            _ => self.lately.push_back((now, replicas)),
        }
    }

    fn expire(&mut self, now: Timestamp) {
        let counts = |at: Timestamp| (0..WITHIN_MS).contains(&now.since(at));
        let sum = &mut self.sum;
        self.lately.retain(|&(at, replicas)| {
            let stays = counts(at);
            if !stays {
                *sum -= replicas;
            }
            stays
        });
    }
}
