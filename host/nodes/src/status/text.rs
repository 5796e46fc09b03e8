//! The status as YAML, with keys in alphabetical order.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::{GroupStatus, NodeCounts, Status};
use flyball_decision::text::{note, within};
use flyball_decision::time::Timestamp;

/// Maximum length of an error in the status, in bytes.
const MAX_ERROR: usize = 500;

type Transitions = BTreeMap<String, (Timestamp, &'static str)>;

/// Returns the YAML text.
pub(super) fn text(now: Timestamp, status: &Status, transitions: &mut Transitions) -> String {
    let mut yaml = Yaml {
        now,
        text: String::new(),
        transitions,
    };
    yaml.line(0, "autoscalerStatus: Running");
    yaml.line(0, "clusterWide:");
    yaml.line(1, "health:");
    yaml.times(2, "health", health(status.is_healthy));
    yaml.counts(2, &status.counts);
    yaml.line(2, &format!("status: {}", health(status.is_healthy)));
    yaml.scale_down(1, "scaleDown", status.candidates);
    yaml.line(1, "scaleUp:");
    let is_growing = status.groups.iter().any(|group| group.is_growing);
    let activity = if is_growing {
        "InProgress"
    } else {
        "NoActivity"
    };
    yaml.times(2, "scaleUp", activity);
    yaml.line(2, &format!("status: {activity}"));
    yaml.line(0, "nodeGroups:");
    for group in &status.groups {
        yaml.group(group);
    }
    let time = date_time(now);
    yaml.line(0, &format!("time: {}", quoted(&time)));
    yaml.text
}

struct Yaml<'a> {
    now: Timestamp,
    text: String,
    transitions: &'a mut Transitions,
}

impl Yaml<'_> {
    fn line(&mut self, depth: usize, line: &str) {
        // Writing to a text does not fail.
        let _ = writeln!(self.text, "{:1$}{line}", "", depth * 2);
    }

    fn times(&mut self, depth: usize, part: &str, status: &'static str) {
        let now = self.now;
        let known = self.transitions.entry(part.to_owned());
        let known = known.or_insert((now, status));
        if known.1 != status {
            *known = (now, status);
        }
        let (since, _) = *known;
        self.line(depth, &format!("lastProbeTime: \"{}\"", now.to_rfc3339()));
        let since = since.to_rfc3339();
        self.line(depth, &format!("lastTransitionTime: \"{since}\""));
    }

    fn counts(&mut self, depth: usize, counts: &NodeCounts) {
        self.line(depth, "nodeCounts:");
        let long = counts.long_unregistered;
        self.line(depth + 1, &format!("longUnregistered: {long}"));
        self.line(depth + 1, "registered:");
        if counts.being_deleted > 0 {
            self.line(
                depth + 2,
                &format!("beingDeleted: {}", counts.being_deleted),
            );
        }
        self.line(depth + 2, &format!("notStarted: {}", counts.not_started));
        self.line(depth + 2, &format!("ready: {}", counts.ready));
        self.line(depth + 2, &format!("total: {}", counts.registered()));
        self.line(depth + 2, "unready:");
        self.line(depth + 3, "resourceUnready: 0");
        self.line(depth + 3, &format!("total: {}", counts.unready));
        self.line(depth + 1, &format!("unregistered: {}", counts.unregistered));
    }

    fn scale_down(&mut self, depth: usize, part: &str, candidates: u32) {
        let status = match candidates {
            0 => "NoCandidates",
            _ => "CandidatesPresent",
        };
        self.line(depth, "scaleDown:");
        if candidates > 0 {
            self.line(depth + 1, &format!("candidates: {candidates}"));
        }
        self.times(depth + 1, part, status);
        self.line(depth + 1, &format!("status: {status}"));
    }

    fn group(&mut self, status: &GroupStatus) {
        let group = &status.group;
        let name = &group.name;
        self.line(0, "- health:");
        self.line(3, &format!("cloudProviderTarget: {}", group.target_size));
        self.times(3, &format!("{name}/health"), health(status.is_healthy));
        self.line(3, &format!("maxSize: {}", group.max_size));
        self.line(3, &format!("minSize: {}", group.min_size));
        self.counts(3, &status.counts);
        self.line(3, &format!("status: {}", health(status.is_healthy)));
        self.line(1, &format!("name: {}", quoted(&note(&**name))));
        self.scale_down(1, &format!("{name}/scaleDown"), status.candidates);
        self.line(1, "scaleUp:");
        let activity = if status.is_growing {
            "InProgress"
        } else if !status.is_healthy {
            "Unhealthy"
        } else if status.backoff.is_some() {
            "Backoff"
        } else {
            "NoActivity"
        };
        if let Some((class, message)) = &status.backoff {
            let message = within(&**message, MAX_ERROR);
            self.line(2, "backoffInfo:");
            self.line(3, &format!("errorCode: {}", quoted(class)));
            self.line(3, &format!("errorMessage: {}", quoted(&message)));
        }
        self.times(2, &format!("{name}/scaleUp"), activity);
        self.line(2, &format!("status: {activity}"));
    }
}

fn health(is_healthy: bool) -> &'static str {
    if is_healthy { "Healthy" } else { "Unhealthy" }
}

/// A text in double quotes: JSON's are YAML's.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// `2026-11-28 04:28:19.000 +0000 UTC`, as Cluster Autoscaler writes the time of the status.
pub(crate) fn date_time(at: Timestamp) -> String {
    let rfc3339 = at.to_rfc3339();
    let text = rfc3339.trim_end_matches('Z').replace('T', " ");
    format!("{text} +0000 UTC")
}
