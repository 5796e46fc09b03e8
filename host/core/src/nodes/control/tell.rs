//! What a pass says beside its plan, and what was said before.

use std::collections::BTreeMap;

use crate::nodes::cloud::CloudError;
use crate::nodes::ports::Subject;
use crate::nodes::record::{Incident, NodeDecisionRecord};
use crate::nodes::scale_up::event;

/// Reasons of events that are true until told otherwise: not told again.
const LASTING: &[&str] = &[
    "NotTriggerScaleUp",
    "ClusterUnhealthy",
    "CloudUnavailable",
    "MaxNodesTotalReached",
];

/// What was last said and is still true.
#[derive(Clone, Debug, Default)]
pub(super) struct Told(BTreeMap<(Subject, String), String>);

impl Told {
    /// Drops events that say what was said the last time, and incidents that say
    /// nothing but that.
    pub(super) fn only_news(&mut self, record: &mut NodeDecisionRecord) {
        let mut told = BTreeMap::new();
        record.events.retain(|told_now| {
            let reason = &told_now.event.reason;
            if !LASTING.contains(&&**reason) {
                return true;
            }
            let key = (told_now.about.clone(), reason.clone());
            let message = told_now.event.message.clone();
            let new = self.0.get(&key) != Some(&message);
            told.insert(key, message);
            new
        });
        let lasting = |reason: &str| {
            let key = (Subject::Autoscaler, reason.to_owned());
            let before = self.0.get(&key);
            before.is_some() && before == told.get(&key)
        };
        record.incidents.retain(|incident| !lasting(&incident.code));
        self.0 = told;
    }
}

/// So many nodes are unready that nothing is decided.
pub(super) fn unhealthy(unready: u32, nodes: u32, record: &mut NodeDecisionRecord) {
    let message = format!("{unready} of {nodes} nodes are unready: nothing is ordered");
    record.events.push(event(
        true,
        "ClusterUnhealthy",
        "Cluster is unhealthy".to_owned(),
    ));
    record.verdict.reason = "ClusterUnhealthy".to_owned();
    record.verdict.message.clone_from(&message);
    record.incidents.push(Incident {
        code: "ClusterUnhealthy".into(),
        group: None,
        message,
    });
}

/// The cloud does not tell its groups.
pub(super) fn cloud_unavailable(error: &CloudError, record: &mut NodeDecisionRecord) {
    let message = format!("node groups can't be had: {}", error.message);
    record
        .events
        .push(event(true, "CloudUnavailable", message.clone()));
    record.verdict.reason = "CloudUnavailable".to_owned();
    record.verdict.message.clone_from(&message);
    record.incidents.push(Incident {
        code: "CloudUnavailable".into(),
        group: None,
        message,
    });
}
