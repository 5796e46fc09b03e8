//! Evictions of the pods of one node.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::Drain;
use crate::options::ScaleDownOptions;
use crate::scale_down::budgets::passes_budgets;
use crate::state::{BudgetFacts, BudgetId, ClusterState, PodView};
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;

/// Time after which a refused eviction is tried again.
const RETRY_MS: i64 = 10_000;

/// Time beyond its grace that a pod gets to disappear.
const HEADROOM_MS: i64 = 30_000;

/// Grace of a pod that sets none.
const DEFAULT_GRACE_S: i64 = 30;

/// An eviction to request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Eviction {
    pub(crate) key: ObjectKey,
    pub(crate) uid: Arc<str>,
    pub(crate) grace_s: i64,
}

impl Eviction {
    /// Time from the eviction until the pod must be gone, in milliseconds. A pod may set any
    /// grace.
    fn time_ms(&self) -> i64 {
        let grace = self.grace_s.saturating_mul(1000);
        grace.saturating_add(HEADROOM_MS)
    }
}

/// A pod to evict, and how far that is.
#[derive(Clone, Debug)]
pub(crate) struct PodEviction {
    pub(crate) eviction: Eviction,
    pub(crate) state: EvictionState,
    /// Whether the removal waits for it. It does not for pods of DaemonSets.
    pub(crate) is_awaited: bool,
    /// Number of its range of priorities: those of lower ranges are evicted first.
    range: usize,
}

/// How far the eviction of a pod is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum EvictionState {
    /// It has to be requested.
    Waiting {
        /// When that is done next.
        next: Timestamp,
        /// When it was refused first, and the last refusal.
        refused: Option<(Timestamp, String)>,
        /// [`ClusterState::budgets_revision`] of the last refusal: once a budget has
        /// changed, the eviction may be allowed.
        budgets: u64,
    },
    /// It was accepted then: the pod has its grace to end.
    Accepted(Timestamp),
    /// The pod is gone, or is not waited for.
    Gone,
}

impl PodEviction {
    /// Creates the eviction of a pod, to be requested at once.
    pub(crate) fn new(pod: &PodView<'_>, now: Timestamp, options: &ScaleDownOptions) -> Self {
        let own = pod.facts.drain.grace_seconds.unwrap_or(DEFAULT_GRACE_S);
        let range = options.drain_priorities.range_of(pod.priority);
        let (range, max_grace_ms) = range.unwrap_or((0, options.max_grace_ms));
        let grace_s = match max_grace_ms {
            ..=0 => own,
            max_grace_ms => own.min(max_grace_ms / 1000),
        };
        Self {
            eviction: Eviction {
                key: pod.key.clone(),
                uid: Arc::clone(pod.uid),
                grace_s: grace_s.max(0),
            },
            state: EvictionState::Waiting {
                next: now,
                refused: None,
                budgets: 0,
            },
            is_awaited: !pod.of_daemon_set(),
            range,
        }
    }

    /// Notes that the eviction was accepted, or that the pod was gone.
    pub(crate) fn accepted(&mut self, now: Timestamp) {
        self.state = match self.is_awaited {
            true => EvictionState::Accepted(now),
            false => EvictionState::Gone,
        };
    }

    /// Notes that the eviction was refused. `revision` is that of the budgets.
    pub(crate) fn refused(&mut self, now: Timestamp, revision: u64, why: String) {
        if !self.is_awaited {
            self.state = EvictionState::Gone;
            return;
        }
        if let EvictionState::Waiting {
            next,
            refused,
            budgets,
        } = &mut self.state
        {
            *budgets = revision;
            *next = now.plus(RETRY_MS);
            let first = refused.as_ref().map_or(now, |(first, _)| *first);
            *refused = Some((first, why));
        }
    }

    fn is_gone(&self, node: &str, state: &ClusterState) -> bool {
        let pod = state.pod(&self.eviction.uid);
        pod.is_none_or(|pod| pod.facts.has_ended() || pod.facts.node.as_deref() != Some(node))
    }

    /// Notes what became of the pod: it is gone, or somebody else deletes it already.
    fn observe(&mut self, node: &str, now: Timestamp, state: &ClusterState) {
        if self.is_gone(node, state) {
            self.state = EvictionState::Gone;
            return;
        }
        let pod = state.pod(&self.eviction.uid);
        let is_deleted = pod.is_some_and(|pod| pod.facts.deletion.is_some());
        if is_deleted && matches!(self.state, EvictionState::Waiting { .. }) {
            self.accepted(now);
        }
    }

    /// Fails with a message if the eviction was refused, or the pod has not ended, for too
    /// long.
    fn check_time(&self, now: Timestamp, options: &ScaleDownOptions) -> Result<(), String> {
        match &self.state {
            EvictionState::Waiting {
                refused: Some((first, why)),
                ..
            } if now.since(*first) >= options.max_pod_eviction_time_ms => {
                let name = self.name();
                Err(format!("pod {name} could not be evicted: {why}"))
            }
            EvictionState::Accepted(at) if now.since(*at) >= self.eviction.time_ms() => {
                let (name, grace) = (self.name(), self.eviction.grace_s);
                Err(format!(
                    "pod {name} was evicted and has not ended within its grace of {grace} s"
                ))
            }
            _ => Ok(()),
        }
    }

    /// Whether the eviction has to be requested now: its time has come, or a budget has
    /// changed since it was refused.
    fn is_due(&self, now: Timestamp, revision: u64) -> bool {
        matches!(
            &self.state,
            EvictionState::Waiting { next, budgets, .. } if *next <= now || *budgets < revision
        )
    }

    fn name(&self) -> String {
        let ObjectKey { namespace, name } = &self.eviction.key;
        format!("{namespace}/{name}")
    }
}

impl Drain {
    /// Whether all pods that the removal waits for are gone.
    pub(super) fn is_drained(&self) -> bool {
        let mut pods = self.pods.iter();
        pods.all(|pod| pod.state == EvictionState::Gone)
    }

    /// Returns the evictions that have to be requested now: of the lowest range of
    /// priorities with pods that are not gone. Fails with a message if one was refused, or
    /// a pod has not ended, for too long.
    pub(super) fn advance_evictions(
        &mut self,
        now: Timestamp,
        state: &ClusterState,
        options: &ScaleDownOptions,
    ) -> Result<Vec<Eviction>, String> {
        for pod in &mut self.pods {
            pod.observe(&self.node, now, state);
        }
        let range = self.range();
        let mut evictions = Vec::new();
        let mut used: BTreeMap<BudgetId, i32> = BTreeMap::new();
        let revision = state.budgets_revision();
        for pod in self.pods.iter_mut().filter(|pod| Some(pod.range) == range) {
            pod.check_time(now, options)?;
            if !pod.is_due(now, revision) {
                continue;
            }
            match exhausted(state, &pod.eviction.uid, &mut used) {
                Some(why) => pod.refused(now, revision, why),
                None => evictions.push(pod.eviction.clone()),
            }
        }
        Ok(evictions)
    }

    /// The lowest range of priorities with pods that are not gone.
    fn range(&self) -> Option<usize> {
        let left = self.pods.iter();
        let left = left.filter(|pod| pod.state != EvictionState::Gone);
        left.map(|pod| pod.range).min()
    }

    /// The next time at which an eviction has to be requested or has failed.
    pub(super) fn next_eviction(&self, options: &ScaleDownOptions) -> Option<Timestamp> {
        let next = |pod: &PodEviction| match &pod.state {
            EvictionState::Waiting { next, refused, .. } => {
                let end = refused.as_ref();
                let end = end.map(|(first, _)| first.plus(options.max_pod_eviction_time_ms));
                Some(end.map_or(*next, |end| end.min(*next)))
            }
            EvictionState::Accepted(at) => Some(at.plus(pod.eviction.time_ms())),
            EvictionState::Gone => None,
        };
        let range = self.range();
        let pods = self.pods.iter().filter(|pod| Some(pod.range) == range);
        pods.filter_map(next).min()
    }
}

/// Why the eviction of a pod would be refused, as far as its budget is known: the request is
/// spared. `used` counts the evictions of this tick.
fn exhausted(
    state: &ClusterState,
    uid: &str,
    used: &mut BTreeMap<BudgetId, i32>,
) -> Option<String> {
    let pod = state.pod(uid)?;
    let budget = state.budgets_of(&pod).only()?;
    let facts = state.budget(budget)?;
    if passes_budgets(&pod) || !pod.facts.ready && facts.passes_unready() {
        return None;
    }
    let used = used.entry(budget).or_default();
    if facts.allowed() > *used {
        *used += 1;
        return None;
    }
    let BudgetFacts { key, .. } = facts;
    Some(format!(
        "PodDisruptionBudget {}/{} allows no disruption",
        key.namespace, key.name
    ))
}
