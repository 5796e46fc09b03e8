//! What was told and is still true: it is not told again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::ports::{NodeEvent, Subject};
use super::record::NodeDecisionRecord;
use super::state::ClusterState;

/// Reason of the event that tells why no node is ordered for a pod.
pub(super) const NOT_TRIGGERED: &str = "NotTriggerScaleUp";

/// Reasons of events about the autoscaler that are true until told otherwise, and how
/// far a pass has to come to find that out.
const LASTING: &[(&str, Stage)] = &[
    ("CloudUnavailable", Stage::Census),
    ("ClusterUnhealthy", Stage::Health),
    ("MaxNodesTotalReached", Stage::Plan),
];

/// How far a pass has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// It looked for the node groups.
    Census,
    /// It looked at the cluster's health.
    Health,
    /// It planned.
    Plan,
}

/// What lasting events said.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    /// By uid of a pod that waits: why no node is ordered for it.
    pods: BTreeMap<Arc<str>, Arc<str>>,
    /// By reason of an event about the autoscaler.
    conditions: BTreeMap<&'static str, String>,
}

impl Told {
    /// Whether a pod was told why no node is ordered for it.
    pub(super) fn knows(&self, uid: &str) -> bool {
        self.pods.contains_key(uid)
    }

    /// Whether it was told just this.
    pub(super) fn says(&self, uid: &str, message: &str) -> bool {
        self.pods.get(uid).is_some_and(|told| **told == *message)
    }

    /// Forgets pods that don't wait any longer.
    pub(super) fn forget_gone(&mut self, state: &ClusterState) {
        let waits = |uid: &str| {
            let pod = state.pod(uid);
            pod.is_some_and(|pod| pod.facts.node.is_none())
        };
        self.pods.retain(|uid, _| waits(uid));
    }

    /// Drops events that say what was said the last time, and incidents that say
    /// nothing but that. What a pass did not get to find out stays true.
    pub(super) fn only_news(&mut self, record: &mut NodeDecisionRecord, stage: Stage) {
        let mut said: BTreeMap<&'static str, String> = BTreeMap::new();
        let mut last: Arc<str> = Arc::default();
        record.events.retain(|NodeEvent { about, event }| {
            let message = &event.message;
            match about {
                Subject::Pod { uid, .. } if event.reason == NOT_TRIGGERED => {
                    if *last != **message {
                        last = message.as_str().into();
                    }
                    let before = self.pods.insert(Arc::clone(uid), Arc::clone(&last));
                    before.is_none_or(|before| *before != *last)
                }
                // A node is ordered for it.
                Subject::Pod { uid, .. } => {
                    self.pods.remove(uid);
                    true
                }
                Subject::Autoscaler => {
                    let lasting = LASTING.iter().find(|(reason, _)| *reason == event.reason);
                    let Some((reason, _)) = lasting else {
                        return true;
                    };
                    said.insert(*reason, message.clone());
                    self.conditions.get(reason) != Some(message)
                }
                Subject::ConfigMap { .. } => true,
            }
        });
        let lasts = |code: &str| {
            let before = self.conditions.get(code);
            before.is_some() && before == said.get(code)
        };
        record.incidents.retain(|incident| !lasts(&incident.code));
        let found_out = |reason: &str| {
            let mut lasting = LASTING.iter();
            lasting.any(|(known, by)| *known == reason && *by <= stage)
        };
        self.conditions.retain(|reason, _| !found_out(reason));
        self.conditions.extend(said);
    }
}
