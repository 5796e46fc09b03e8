//! What scale-down keeps from pass to pass.

use std::sync::Arc;

use flyball_placement::Pod;

use super::delays::Delays;
use super::drain::{Drain, Drains, Step};
use super::judge::KeptVerdicts;
use super::limits::UnderWay;
use super::moves::under_way::Replacements;
use super::timers::UnneededTimers;
use flyball_decision::time::Timestamp;

/// How long an evicted pod that was not created again counts as load.
const EVICTED_MS: i64 = 5 * 60_000;

/// Timers, removals under way, recent evictions and kept verdicts.
#[derive(Default)]
pub struct ScaleDownTracker {
    /// Since when nodes have been unneeded.
    pub timers: UnneededTimers,
    pub(crate) delays: Delays,
    /// Replacements that are proposed or under way.
    pub replacements: Replacements,
    pub(crate) drains: Drains,
    pub(crate) evicted: Vec<EvictedPod>,
    pub(super) verdicts: KeptVerdicts,
}

/// A pod that was evicted.
#[derive(Clone, Debug)]
pub struct EvictedPod {
    /// What the scheduler reads of it.
    pub pod: Arc<Pod>,
    /// Uid of its controller.
    pub owner: Option<Arc<str>>,
    /// When it was evicted.
    pub at: Timestamp,
}

impl ScaleDownTracker {
    /// Notes an eviction: until its owner has created it again, the pod counts as load.
    pub fn note_evicted(&mut self, pod: EvictedPod) {
        self.evicted.push(pod);
    }

    /// Notes that a node of a group is leaving, as one whose pods are evicted unless
    /// `is_empty`.
    pub fn note_leaving(&mut self, node: &Arc<str>, group: &Arc<str>, is_empty: bool) {
        self.drains.insert(Drain::evicting(node, group, is_empty));
    }

    /// Whether no node is leaving or being replaced, and no evicted pod is waited for.
    pub(crate) fn is_quiet(&self) -> bool {
        self.evicted.is_empty()
            && self.drains.iter().next().is_none()
            && self.replacements.under_way.is_empty()
            && self.replacements.unmarking.is_empty()
    }

    /// Until when the verdicts of the policies hold if nothing but time changes.
    pub(crate) fn verdicts_until(&self) -> Timestamp {
        self.verdicts.until()
    }

    /// Forgets evictions that are over.
    pub(crate) fn forget_evicted(&mut self, now: Timestamp) {
        self.evicted.retain(|pod| now.since(pod.at) < EVICTED_MS);
    }

    /// Whether a node is being removed.
    pub(super) fn is_leaving(&self, node: &str) -> bool {
        self.drains.get(node).is_some()
    }

    /// Whether a drained node is looked at once more in this plan.
    pub(super) fn is_reviewed(&self, node: &str) -> bool {
        let drain = self.drains.get(node);
        drain.is_some_and(|drain| drain.step == Step::Reviewing)
    }

    pub(super) fn under_way(&self) -> UnderWay {
        self.drains.under_way()
    }
}
