//! Records of passes that end before a plan is made.

use crate::nodes::cloud::CloudError;
use crate::nodes::ports::NodeEvent;
use crate::nodes::record::{Incident, NodeDecisionRecord};

/// Records that too many nodes are unready to decide anything.
pub(super) fn record_unhealthy(unready: u32, nodes: u32, record: &mut NodeDecisionRecord) {
    let message = format!("{unready} of {nodes} nodes are unready: nothing is ordered");
    record.events.push(NodeEvent::warning(
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

/// Records that the cloud failed to list its groups.
pub(super) fn record_cloud_unavailable(error: &CloudError, record: &mut NodeDecisionRecord) {
    let message = format!("node groups can't be had: {}", error.message);
    record
        .events
        .push(NodeEvent::warning("CloudUnavailable", message.clone()));
    record.verdict.reason = "CloudUnavailable".to_owned();
    record.verdict.message.clone_from(&message);
    record.incidents.push(Incident {
        code: "CloudUnavailable".into(),
        group: None,
        message,
    });
}
