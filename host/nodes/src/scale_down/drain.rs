//! Drains: how chosen nodes leave. A state machine that ticks advance; it spawns nothing and
//! reads no clock.
//!
//! ```text
//!  Marking ──▶ Marked ──▶ Reviewing ──▶ Evicting ──▶ Ready ──▶ Terminating ──▶ gone
//!  taint,      seen in    simulated     pods leave   to be     by the cloud,
//!  cordon      the watch  once more                  removed   until the Node is gone
//!     └───────────┴───────────┴────────────┴───────────┘
//!                             ▼
//!                        TakingBack ──▶ kept: the taint and our cordon are removed
//! ```

mod eviction;

use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) use self::eviction::{Eviction, PodEviction};
use super::limits::UnderWay;
use crate::options::ScaleDownOptions;
use crate::readiness::{TO_BE_DELETED, is_drained};
use crate::state::ClusterState;
use flyball_decision::time::Timestamp;

/// Prefix of annotations that delay the removal of a drained node.
const DELAY_DELETION: &str = "delay-deletion.cluster-autoscaler.kubernetes.io/";

/// Time after which a failed write or call is tried again.
const RETRY_MS: i64 = 10_000;

/// How often a write to a node is tried.
const MAX_TRIES: u32 = 3;

/// Time after which a taint that was written must be seen in the watch.
const UNSEEN_MS: i64 = 60_000;

/// Time after which a Node that outlives its instance is reported.
const LINGERS_MS: i64 = 5 * 60_000;

/// The nodes that are leaving, by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drains {
    nodes: BTreeMap<Arc<str>, Drain>,
}

/// A node that is leaving.
#[derive(Clone, Debug)]
pub(crate) struct Drain {
    pub(crate) node: Arc<str>,
    /// Uid of the Node.
    pub(crate) uid: Arc<str>,
    pub(crate) provider_id: Arc<str>,
    pub(crate) group: Arc<str>,
    /// Whether no pod had to be evicted when it was chosen.
    pub(crate) was_empty: bool,
    /// Whether another process has begun it.
    pub(crate) is_resumed: bool,
    pub(crate) step: Step,
    /// The pods to evict.
    pub(crate) pods: Vec<PodEviction>,
}

/// How far a drain is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Its taint has to be written.
    Marking {
        /// When that is tried next.
        next: Timestamp,
        /// How often it failed.
        failed: u32,
    },
    /// Its taint was written then. It has to be seen in the watch.
    Marked(Timestamp),
    /// The next plan simulates it once more.
    Reviewing,
    /// Its pods are evicted.
    Evicting,
    /// Its pods are gone since then. Annotations may delay its removal.
    Drained(Timestamp),
    /// The cloud has to remove its instance.
    Ready {
        /// When that is tried next.
        next: Timestamp,
    },
    /// The cloud's answer was an error. The next census shows whether the instance is gone.
    Uncertain(String),
    /// The cloud removes it since then.
    Terminating {
        since: Timestamp,
        /// Whether it was reported that the Node outlives its instance.
        reported: bool,
    },
    /// It is kept. The taint and our cordon have to be removed.
    TakingBack {
        /// When that is tried next.
        next: Timestamp,
    },
}

/// What has to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Write the taint, and cordon the node.
    Mark(Arc<str>),
    /// Evict a pod.
    Evict(Arc<str>, Eviction),
    /// Let the cloud remove these nodes of one group.
    Terminate {
        group: Arc<str>,
        nodes: Vec<Arc<str>>,
    },
    /// Remove the taint and our cordon.
    Unmark(Arc<str>),
    /// Delete a Node that outlives its instance, or report it.
    Lingers(Arc<str>),
}

/// What a tick found.
#[derive(Debug, Default)]
pub(crate) struct Advanced {
    pub(crate) actions: Vec<Action>,
    /// Nodes that are taken back, and why.
    pub(crate) failed: Vec<(Arc<str>, String)>,
    /// Nodes that are gone.
    pub(crate) gone: Vec<Drain>,
}

impl Drains {
    pub(crate) fn get(&self, node: &str) -> Option<&Drain> {
        self.nodes.get(node)
    }

    pub(crate) fn get_mut(&mut self, node: &str) -> Option<&mut Drain> {
        self.nodes.get_mut(node)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &Drain> {
        self.nodes.values()
    }

    pub(crate) fn insert(&mut self, drain: Drain) {
        self.nodes.insert(Arc::clone(&drain.node), drain);
    }

    pub(crate) fn remove(&mut self, node: &str) -> Option<Drain> {
        self.nodes.remove(node)
    }

    /// Numbers of removals that the cloud has not accepted yet.
    pub(crate) fn under_way(&self) -> UnderWay {
        let mut counts = UnderWay::default();
        for drain in self.nodes.values() {
            if matches!(
                drain.step,
                Step::Terminating { .. } | Step::TakingBack { .. }
            ) {
                continue;
            }
            *counts.by_group.entry(Arc::clone(&drain.group)).or_default() += 1;
            match drain.was_empty {
                true => counts.empty += 1,
                false => counts.drained += 1,
            }
        }
        counts
    }

    /// Number of drains that wait for the next plan.
    pub(crate) fn reviewed(&self) -> usize {
        let drains = self.nodes.values();
        drains.filter(|drain| drain.step == Step::Reviewing).count()
    }

    /// Advances all drains as far as the time and the cluster allow.
    pub(crate) fn advance(
        &mut self,
        now: Timestamp,
        state: &ClusterState,
        options: &ScaleDownOptions,
    ) -> Advanced {
        let mut advanced = Advanced::default();
        let mut ready: BTreeMap<Arc<str>, Vec<Arc<str>>> = BTreeMap::new();
        let mut gone = Vec::new();
        for drain in self.nodes.values_mut() {
            if drain.is_gone(state) {
                gone.push(Arc::clone(&drain.node));
                continue;
            }
            drain.advance(now, state, options, &mut advanced);
            if matches!(drain.step, Step::Ready { next } if next <= now) {
                let nodes = ready.entry(Arc::clone(&drain.group)).or_default();
                nodes.push(Arc::clone(&drain.node));
            }
        }
        let removed = gone.iter().filter_map(|node| self.nodes.remove(node));
        advanced.gone.extend(removed);
        let ready = ready.into_iter();
        let terminate = ready.map(|(group, nodes)| Action::Terminate { group, nodes });
        advanced.actions.extend(terminate);
        advanced
    }

    /// The next time after `now` at which a drain has to be advanced, if only time passes.
    pub(crate) fn next(&self, now: Timestamp, options: &ScaleDownOptions) -> Option<Timestamp> {
        let drains = self.nodes.values();
        let next = drains.filter_map(|drain| drain.next(options));
        next.filter(|next| *next > now).min()
    }
}

impl Drain {
    /// The drain of a node whose pods are being evicted.
    pub(crate) fn evicting(node: &Arc<str>, group: &Arc<str>, is_empty: bool) -> Self {
        Self {
            node: Arc::clone(node),
            uid: Arc::default(),
            provider_id: Arc::clone(node),
            group: Arc::clone(group),
            was_empty: is_empty,
            is_resumed: false,
            step: Step::Evicting,
            pods: Vec::new(),
        }
    }

    fn advance(
        &mut self,
        now: Timestamp,
        state: &ClusterState,
        options: &ScaleDownOptions,
        advanced: &mut Advanced,
    ) {
        if let Some(why) = self.lost_taint(now, state, options) {
            self.take_back(now, why, advanced);
            return;
        }
        match &mut self.step {
            Step::Marking { next, .. } if *next <= now => {
                advanced.actions.push(Action::Mark(Arc::clone(&self.node)));
            }
            Step::Marked(at) => {
                let is_over = now.since(*at) >= options.delete_delay_after_taint_ms;
                if is_over && state.node(&self.node).is_some_and(is_drained) {
                    self.step = Step::Reviewing;
                }
            }
            Step::Evicting => match self.advance_evictions(now, state, options) {
                Ok(evictions) => {
                    let node = &self.node;
                    let actions = evictions.into_iter();
                    let actions = actions.map(|eviction| Action::Evict(Arc::clone(node), eviction));
                    advanced.actions.extend(actions);
                    if self.is_drained() {
                        self.step = Step::Drained(now);
                        self.advance(now, state, options, advanced);
                    }
                }
                Err(why) => self.take_back(now, why, advanced),
            },
            Step::Drained(since) => {
                let node = state.node(&self.node);
                let mut annotations = node.iter().flat_map(|node| node.facts.annotations.keys());
                let is_delayed = annotations.any(|key| key.starts_with(DELAY_DELETION));
                if !is_delayed || now.since(*since) >= options.deletion_delay_timeout_ms {
                    self.step = Step::Ready { next: now };
                }
            }
            Step::Terminating { since, reported }
                if !*reported && now.since(*since) >= LINGERS_MS =>
            {
                *reported = true;
                let node = Arc::clone(&self.node);
                advanced.actions.push(Action::Lingers(node));
            }
            Step::TakingBack { next } if *next <= now => {
                let node = Arc::clone(&self.node);
                advanced.actions.push(Action::Unmark(node));
            }
            _ => {}
        }
    }

    /// Whether its Node is gone, or is another one of the same name.
    fn is_gone(&self, state: &ClusterState) -> bool {
        let node = state.node(&self.node);
        node.is_none_or(|node| !self.uid.is_empty() && node.facts.uid != self.uid)
    }

    /// Why the node is kept if its taint is not there: pods may come to it again. `None` if
    /// it is there, or need not be.
    fn lost_taint(
        &self,
        now: Timestamp,
        state: &ClusterState,
        options: &ScaleDownOptions,
    ) -> Option<String> {
        let must_be_there = match &self.step {
            Step::Marked(at) => {
                now.since(*at) >= options.delete_delay_after_taint_ms.max(UNSEEN_MS)
            }
            Step::Evicting | Step::Drained(_) | Step::Ready { .. } => true,
            _ => false,
        };
        let is_there = || state.node(&self.node).is_some_and(is_drained);
        (must_be_there && !is_there())
            .then(|| format!("somebody else removed its taint {TO_BE_DELETED}"))
    }

    /// Gives the node up as a candidate: it is kept.
    pub(crate) fn take_back(&mut self, now: Timestamp, why: String, advanced: &mut Advanced) {
        self.step = Step::TakingBack { next: now };
        let node = Arc::clone(&self.node);
        advanced.actions.push(Action::Unmark(Arc::clone(&node)));
        advanced.failed.push((node, why));
    }

    /// Notes that the taint was written.
    pub(crate) fn marked(&mut self, now: Timestamp) {
        self.step = Step::Marked(now);
    }

    /// Notes that the taint could not be written. Returns whether it is tried again.
    pub(crate) fn marking_failed(&mut self, now: Timestamp) -> bool {
        let Step::Marking { next, failed } = &mut self.step else {
            return false;
        };
        *failed += 1;
        *next = now.plus(RETRY_MS);
        *failed < MAX_TRIES
    }

    /// Notes that the taint could not be removed: this is tried again.
    pub(crate) fn unmarking_failed(&mut self, now: Timestamp) {
        self.step = Step::TakingBack {
            next: now.plus(RETRY_MS),
        };
    }

    /// Notes that the cloud removes the instance.
    pub(crate) fn terminated(&mut self, now: Timestamp) {
        self.step = Step::Terminating {
            since: now,
            reported: false,
        };
    }

    /// Notes that the cloud is busy: the removal is tried again.
    pub(crate) fn throttled(&mut self, now: Timestamp) {
        self.step = Step::Ready {
            next: now.plus(RETRY_MS),
        };
    }

    /// The next time at which it has to be advanced, if only time passes.
    fn next(&self, options: &ScaleDownOptions) -> Option<Timestamp> {
        match &self.step {
            Step::Marking { next, .. } | Step::Ready { next } | Step::TakingBack { next } => {
                Some(*next)
            }
            Step::Marked(at) => Some(at.plus(options.delete_delay_after_taint_ms)),
            Step::Reviewing | Step::Uncertain(_) => None,
            Step::Evicting => self.next_eviction(options),
            Step::Drained(since) => Some(since.plus(options.deletion_delay_timeout_ms)),
            Step::Terminating { since, reported } => (!reported).then(|| since.plus(LINGERS_MS)),
        }
    }
}
