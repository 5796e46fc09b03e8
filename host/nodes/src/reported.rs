//! Events that were emitted and still hold: they are not emitted again.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::findings::Findings;
use super::ports::{NodeEvent, Subject};
use super::state::ClusterState;

/// Reason of the event that says why no node is ordered for a pod.
pub(super) const NOT_TRIGGERED: &str = "NotTriggerScaleUp";

/// Reason of the event that names the namespaces of which only a part of the pods is planned
/// for.
pub(super) const PODS_PUT_OFF: &str = "PodsPutOff";

/// Reasons of events about conditions of the autoscaler, which hold until a later pass finds
/// otherwise, and the stage of a pass that checks each.
const CONDITIONS: &[(&str, PassStage)] = &[
    ("CloudUnavailable", PassStage::Census),
    ("ClusterUnhealthy", PassStage::Health),
    ("MaxNodesTotalReached", PassStage::Plan),
    (PODS_PUT_OFF, PassStage::Plan),
];

/// The last stage that a pass has reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PassStage {
    /// It listed the node groups.
    Census,
    /// It checked the cluster's health.
    Health,
    /// It made a plan.
    Plan,
}

/// Messages of the events that still hold.
#[derive(Clone, Debug, Default)]
pub(super) struct ReportedEvents {
    /// Why no node is ordered for a pending pod, by its uid.
    pods: BTreeMap<Arc<str>, Arc<str>>,
    /// Conditions of the autoscaler, by reason of the event.
    conditions: BTreeMap<&'static str, String>,
}

impl ReportedEvents {
    /// Whether an event said why no node is ordered for a pod.
    pub(super) fn has_pod(&self, uid: &str) -> bool {
        self.pods.contains_key(uid)
    }

    /// Whether the last such event of a pod had this message.
    pub(super) fn has_message(&self, uid: &str, message: &str) -> bool {
        self.pods.get(uid).is_some_and(|known| **known == *message)
    }

    /// Forgets pods that are gone or bound to a node.
    pub(super) fn forget_gone(&mut self, state: &ClusterState) {
        let waits = |uid: &str| {
            let pod = state.pod(uid);
            pod.is_some_and(|pod| pod.facts.node.is_none())
        };
        self.pods.retain(|uid, _| waits(uid));
    }

    /// Returns the findings of a pass without events that repeat the last one, and without
    /// incidents of conditions that still hold. Conditions that the pass did not check keep
    /// holding.
    pub(super) fn unreported(&mut self, mut findings: Findings, stage: PassStage) -> Findings {
        let mut emitted: BTreeMap<&'static str, String> = BTreeMap::new();
        // Consecutive events mostly have the same message, and share it.
        let mut last: Arc<str> = Arc::default();
        findings.events.retain(|NodeEvent { about, event }| {
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
                    let condition = CONDITIONS
                        .iter()
                        .find(|(reason, _)| *reason == event.reason);
                    let Some((reason, _)) = condition else {
                        return true;
                    };
                    emitted.insert(*reason, message.clone());
                    self.conditions.get(reason) != Some(message)
                }
                Subject::Node { .. } | Subject::ConfigMap { .. } => true,
            }
        });
        let persists = |code: &str| {
            let before = self.conditions.get(code);
            before.is_some() && before == emitted.get(code)
        };
        findings
            .incidents
            .retain(|incident| !persists(&incident.code));
        let is_checked = |reason: &str| {
            let mut conditions = CONDITIONS.iter();
            conditions.any(|(known, by)| *known == reason && *by <= stage)
        };
        self.conditions.retain(|reason, _| !is_checked(reason));
        self.conditions.extend(emitted);
        findings
    }
}
