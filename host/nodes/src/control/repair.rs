//! Repair of failed orders: instances that the cloud fails to create, nodes that never
//! join, orders that are not delivered. The target is lowered again, and the group is
//! backed off.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NodeLoop;
use crate::census::{Census, FailureReport, GroupCensus, NodeFailure};
use crate::cloud::{CloudError, CloudProvider, InstanceError, NOT_LEADER, NodeGroup};
use crate::findings::Findings;
use crate::ports::{NodeEvent, NodesReader, NodesWriter};
use crate::record::Incident;
use flyball_decision::ports::Clock;
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// Maximum size of a list of instances in a message.
const NAMES_BYTES: usize = 512;

/// Event reason, incident code and backoff class of nodes that have not come in time.
const TIMED_OUT: &str = "ScaleUpTimedOut";

/// Failures that could not be repaired: the incident's message by code and group. Each
/// pass tries again, and adds an incident if the message is new.
pub(super) type Unrepaired = BTreeMap<(&'static str, Arc<str>), String>;

/// The repairs of one pass, or of one failure.
#[derive(Default)]
pub(super) struct Repairs {
    /// Whether a group has changed.
    pub(super) is_changed: bool,
    /// Incidents and events.
    pub(super) findings: Findings,
}

impl Repairs {
    /// Returns the repair of a failure that has this incident, if any.
    fn of(outcome: &RepairOutcome, incident: Option<Incident>) -> Self {
        Self {
            is_changed: match outcome {
                RepairOutcome::Repaired(_) => true,
                RepairOutcome::CloudFailed { deleted, .. } => *deleted > 0,
                RepairOutcome::AtMinSize | RepairOutcome::NotLeader => false,
            },
            findings: Findings {
                incidents: incident.into_iter().collect(),
                ..Findings::default()
            },
        }
    }

    fn extend(&mut self, later: Self) {
        self.is_changed |= later.is_changed;
        self.findings.extend(later.findings);
    }
}

/// The repair of one group in one pass.
struct GroupRepair<'a> {
    census: &'a GroupCensus,
    /// Its target after the repairs so far.
    target: u32,
}

/// Code and message of an incident, without the outcome of the repair.
struct IncidentText {
    code: &'static str,
    message: String,
}

/// Outcome of a repair that deletes instances.
struct Deletion {
    outcome: RepairOutcome,
    /// Outcomes of the instances, in their order, of those that the cloud was asked to
    /// delete.
    instances: Vec<Result<(), CloudError>>,
}

/// Outcome of a repair.
enum RepairOutcome {
    /// The cloud did it; the text says what.
    Repaired(String),
    /// The cloud refused, but for some instances that it deleted.
    CloudFailed { error: CloudError, deleted: u32 },
    /// The group is at its smallest size.
    AtMinSize,
    /// This instance does not lead.
    NotLeader,
}

impl Deletion {
    /// Returns the outcome of a deletion that the cloud was not asked for.
    fn none(outcome: RepairOutcome) -> Self {
        Self {
            outcome,
            instances: Vec::new(),
        }
    }
}

impl GroupRepair<'_> {
    /// Number of nodes that can be removed before the group is at its smallest size.
    fn removable(&self) -> u32 {
        self.target.saturating_sub(self.census.group.min_size)
    }
}

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Repairs the failures that a census found.
    pub(super) async fn repair(&mut self, now: Timestamp, census: &Census) -> Repairs {
        let mut repairs = Repairs::default();
        if self.options.observe {
            return repairs;
        }
        let before = std::mem::take(&mut self.unrepaired);
        for census in &census.groups {
            let target = census.group.target_size;
            let mut repair = GroupRepair { census, target };
            for report in &census.failures {
                if !report.already_reported {
                    let failed = self.back_off(now, census, &report.failure);
                    repairs.findings.events.extend(failed);
                    self.history
                        .mark_reported(&census.group.name, &report.failure);
                }
                let repaired = self.repair_failure(now, &mut repair, report, &before);
                repairs.extend(repaired.await);
            }
        }
        repairs
    }

    /// Backs off from a group that failed. Returns an event about it, unless one was
    /// emitted for the same failure.
    fn back_off(
        &mut self,
        now: Timestamp,
        census: &GroupCensus,
        failure: &NodeFailure,
    ) -> Option<NodeEvent> {
        let group = &census.group.name;
        let before = self.backoffs.of(now, group);
        let (class, why, failed) = match failure {
            NodeFailure::InstanceFailed(_, error) => {
                let class = if error.out_of_resources {
                    "OutOfResources"
                } else {
                    "Other"
                };
                let why = error_text(error);
                let message = format!("Scale-up failed for group {group}: {why}");
                let failed = NodeEvent::warning("FailedToScaleUpGroup", message);
                (class, why, before.is_none().then_some(failed))
            }
            NodeFailure::NoInstance(_) | NodeFailure::NotJoined(_) | NodeFailure::NotReady(_) => {
                let why = self.timed_out(&census.group);
                // One event a pass, even if nodes failed in several ways.
                let is_reported = before
                    .is_some_and(|before| before.failed_at == now && &*before.class == TIMED_OUT);
                let failed = (!is_reported).then(|| NodeEvent::warning(TIMED_OUT, why.clone()));
                (TIMED_OUT, why, failed)
            }
        };
        self.backoffs.fail(now, group, class, &why, &self.options);
        failed
    }

    fn timed_out(&self, group: &NodeGroup) -> String {
        let waited = go_duration(self.options.provision_time_ms(&group.scale_down));
        let name = &group.name;
        format!("Nodes added to group {name} failed to register within {waited}")
    }

    /// Repairs one failure.
    async fn repair_failure(
        &mut self,
        now: Timestamp,
        repair: &mut GroupRepair<'_>,
        report: &FailureReport,
        before: &Unrepaired,
    ) -> Repairs {
        let census = repair.census;
        let group = &census.group.name;
        match &report.failure {
            NodeFailure::InstanceFailed(ids, error) => {
                let (count, why) = (ids.len(), error_text(error));
                let text = IncidentText {
                    code: "InstanceFailed",
                    message: format!("{count} instances of {group} cannot be created: {why}"),
                };
                let done = self.delete_instances(now, repair, ids).await.outcome;
                let incident = self.new_incident(census, &text, &done, before);
                Repairs::of(&done, incident)
            }
            NodeFailure::NoInstance(count) => {
                let text = IncidentText {
                    code: TIMED_OUT,
                    message: self.timed_out(&census.group),
                };
                let done = self.decrease_target(now, repair, *count).await;
                let incident = self.new_incident(census, &text, &done, before);
                Repairs::of(&done, incident)
            }
            NodeFailure::NotJoined(ids) => self.delete_not_joined(now, repair, ids, before).await,
            NodeFailure::NotReady(ids) => {
                let mut repairs = Repairs::default();
                if !report.already_reported {
                    let text = IncidentText {
                        code: TIMED_OUT,
                        message: self.timed_out(&census.group),
                    };
                    let ids = text::list(ids, ids.len(), ", ", NAMES_BYTES);
                    let done = format!("these have joined and are not ready: {ids}");
                    let incident = incident(census, &text, &done);
                    repairs.findings.incidents.push(incident);
                }
                repairs
            }
        }
    }

    async fn delete_not_joined(
        &mut self,
        now: Timestamp,
        repair: &mut GroupRepair<'_>,
        ids: &[Arc<str>],
        before: &Unrepaired,
    ) -> Repairs {
        let census = repair.census;
        let waited = go_duration(self.options.provision_time_ms(&census.group.scale_down));
        let group = &census.group.name;
        let names = text::list(ids, ids.len(), ", ", NAMES_BYTES);
        let text = IncidentText {
            code: "NodeNeverJoined",
            message: format!("instances of {group} have not joined within {waited}: {names}"),
        };
        let done = self.delete_instances(now, repair, ids).await;
        let incident = self.new_incident(census, &text, &done.outcome, before);
        let is_new = incident.is_some();
        let mut repairs = Repairs::of(&done.outcome, incident);
        let outcomes = ids.iter().zip(&done.instances);
        let events = outcomes.filter_map(|(id, outcome)| match outcome {
            Ok(()) => {
                let message = format!("Removed unregistered node {id}");
                Some(NodeEvent::normal("DeleteUnregistered", message))
            }
            Err(error) if is_new => {
                let message = format!("Failed to remove node {id}: {error}");
                Some(NodeEvent::warning("DeleteUnregisteredFailed", message))
            }
            Err(_) => None,
        });
        repairs.findings.events.extend(events);
        repairs
    }

    /// Deletes the first of these instances, as many as the group's smallest size allows.
    async fn delete_instances(
        &self,
        now: Timestamp,
        repair: &mut GroupRepair<'_>,
        ids: &[Arc<str>],
    ) -> Deletion {
        let count = repair
            .removable()
            .min(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        if count == 0 {
            return Deletion::none(RepairOutcome::AtMinSize);
        }
        if !self.writer.leads() {
            return Deletion::none(RepairOutcome::NotLeader);
        }
        let (group, ids) = (&repair.census.group.name, &ids[..count as usize]);
        let instances = self.cloud.delete_instances(now, group, ids).await;
        let failed = instances.iter().find_map(|one| one.as_ref().err());
        let succeeded = instances.iter().filter(|one| one.is_ok()).count();
        let deleted = u32::try_from(succeeded).unwrap_or(u32::MAX).min(count);
        repair.target -= deleted;
        let outcome = match failed.cloned() {
            None => RepairOutcome::Repaired(format!("{deleted} deleted")),
            Some(error) if deleted == 0 && error.class == NOT_LEADER => RepairOutcome::NotLeader,
            Some(error) => RepairOutcome::CloudFailed { error, deleted },
        };
        Deletion { outcome, instances }
    }

    /// Lowers the target by `missing` nodes that have no instance, as far as the group's
    /// smallest size allows.
    async fn decrease_target(
        &self,
        now: Timestamp,
        repair: &mut GroupRepair<'_>,
        missing: u32,
    ) -> RepairOutcome {
        let missing = missing.min(repair.removable());
        if missing == 0 {
            return RepairOutcome::AtMinSize;
        }
        if !self.writer.leads() {
            return RepairOutcome::NotLeader;
        }
        let group = &repair.census.group.name;
        match self.cloud.decrease_target_size(now, group, missing).await {
            Ok(()) => {
                repair.target -= missing;
                RepairOutcome::Repaired(format!("target taken back to {}", repair.target))
            }
            Err(error) if error.class == NOT_LEADER => RepairOutcome::NotLeader,
            Err(error) => RepairOutcome::CloudFailed { error, deleted: 0 },
        }
    }

    /// Returns the incident of a failure. `None` if the last pass reported the same, or if
    /// this instance does not lead.
    fn new_incident(
        &mut self,
        census: &GroupCensus,
        text: &IncidentText,
        done: &RepairOutcome,
        before: &Unrepaired,
    ) -> Option<Incident> {
        let done = match done {
            RepairOutcome::Repaired(done) => return Some(incident(census, text, done)),
            RepairOutcome::CloudFailed { error, deleted: 0 } => {
                format!("the cloud did not mend it: {error}")
            }
            RepairOutcome::CloudFailed { error, deleted } => {
                format!("{deleted} deleted, the cloud did not delete the others: {error}")
            }
            RepairOutcome::AtMinSize => {
                let min = census.group.min_size;
                format!("kept, for the group is at its smallest size {min}")
            }
            RepairOutcome::NotLeader => return None,
        };
        let incident = incident(census, text, &done);
        let key = (text.code, Arc::clone(&census.group.name));
        let is_new = before.get(&key) != Some(&incident.message);
        self.unrepaired.insert(key, incident.message.clone());
        is_new.then_some(incident)
    }
}

fn error_text(error: &InstanceError) -> String {
    format!("{}: {}", error.code, error.message)
}

fn incident(census: &GroupCensus, text: &IncidentText, done: &str) -> Incident {
    Incident {
        code: text.code.into(),
        group: Some(Arc::clone(&census.group.name)),
        message: format!("{}; {done}", text.message),
    }
}

/// A duration in Go's format: `15m0s`.
fn go_duration(ms: i64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}
