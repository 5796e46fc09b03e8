//! What was ordered and went wrong: instances that can't be had, nodes that never
//! join, orders that are not delivered. The target is taken back, and the group
//! left alone for a while.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NodeLoop;
use crate::nodes::census::{Census, Found, GroupCensus, Trouble};
use crate::nodes::cloud::{CloudError, CloudProvider, InstanceError};
use crate::nodes::ports::{NodesReader, NodesWriter};
use crate::nodes::record::{Incident, NodeDecisionRecord};
use crate::nodes::scale_up::event;
use crate::ports::Clock;
use crate::time::Timestamp;

/// Nodes have not come in time: reason of the event, code of the incident, and class of
/// the failure.
const TIMED_OUT: &str = "ScaleUpTimedOut";

/// What could not be mended, by code and group: it is tried again in each pass, and
/// told when it is new.
pub(super) type Troubles = BTreeMap<(&'static str, Arc<str>), String>;

/// A group's chores in one pass.
struct Chores<'a> {
    census: &'a GroupCensus,
    /// Its target, as the chores done so far leave it.
    target: u32,
}

/// What was found, in words.
struct Report {
    code: &'static str,
    message: String,
}

/// What came of a chore.
enum Done {
    /// It is mended, in this way.
    Mended(String),
    /// The cloud did not do it.
    Failed(CloudError),
    /// The group is as small as it may be.
    Smallest,
    /// It is for another instance to mend.
    NotLeader,
}

impl Chores<'_> {
    /// How many nodes the group can lose before it is at its smallest size.
    fn room(&self) -> u32 {
        self.target.saturating_sub(self.census.group.min_size)
    }
}

impl Done {
    fn is_mended(&self) -> bool {
        matches!(self, Self::Mended(_))
    }
}

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Deals with what went wrong. True: groups have changed.
    pub(super) async fn do_chores(
        &mut self,
        now: Timestamp,
        census: &Census,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let mut changed = false;
        let before = std::mem::take(&mut self.troubles);
        for census in &census.groups {
            let target = census.group.target_size;
            let mut chores = Chores { census, target };
            for found in &census.found {
                if found.new {
                    self.leave_alone(now, census, &found.what, record);
                    self.registry.told(&census.group.name, &found.what);
                }
                changed |= self.mend(now, &mut chores, found, &before, record).await;
            }
        }
        changed
    }

    /// Emits an event about a group that failed, and backs off from it.
    fn leave_alone(
        &mut self,
        now: Timestamp,
        census: &GroupCensus,
        what: &Trouble,
        record: &mut NodeDecisionRecord,
    ) {
        let group = &census.group.name;
        let before = self.backoffs.of(now, group);
        let (class, why, told) = match what {
            Trouble::Failed(_, error) => {
                let class = if error.out_of_resources {
                    "OutOfResources"
                } else {
                    "Other"
                };
                let why = failure(error);
                let told = format!("Scale-up failed for group {group}: {why}");
                let told = event(true, "FailedToScaleUpGroup", told);
                (class, why, before.is_none().then_some(told))
            }
            Trouble::Lost(_) | Trouble::Overdue(_) | Trouble::Unready(_) => {
                let why = self.timed_out(group);
                // Once, whatever has become of each of the nodes.
                let known = before
                    .is_some_and(|before| before.failed_at == now && &*before.class == TIMED_OUT);
                let told = (!known).then(|| event(true, TIMED_OUT, why.clone()));
                (TIMED_OUT, why, told)
            }
        };
        record.events.extend(told);
        self.backoffs.fail(now, group, class, &why, &self.options);
    }

    fn timed_out(&self, group: &str) -> String {
        let waited = minutes(self.options.max_node_provision_time_ms);
        format!("Nodes added to group {group} failed to register within {waited}")
    }

    /// Takes back what does not come. True: the group has changed.
    async fn mend(
        &mut self,
        now: Timestamp,
        chores: &mut Chores<'_>,
        found: &Found,
        before: &Troubles,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let census = chores.census;
        let group = &census.group.name;
        match &found.what {
            Trouble::Failed(ids, error) => {
                let (count, why) = (ids.len(), failure(error));
                let report = Report {
                    code: "InstanceFailed",
                    message: format!("{count} instances of {group} can't be had: {why}"),
                };
                let done = self.delete(now, chores, ids).await;
                self.tell(census, &report, &done, before, record);
                done.is_mended()
            }
            Trouble::Lost(count) => {
                let report = Report {
                    code: TIMED_OUT,
                    message: self.timed_out(group),
                };
                let done = self.take_back(now, chores, *count).await;
                self.tell(census, &report, &done, before, record);
                done.is_mended()
            }
            Trouble::Overdue(ids) => self.drop_overdue(now, chores, ids, before, record).await,
            Trouble::Unready(ids) => {
                if found.new {
                    let report = Report {
                        code: TIMED_OUT,
                        message: self.timed_out(group),
                    };
                    let done = format!("these have joined and are not ready: {}", ids.join(", "));
                    record.incidents.push(incident(census, &report, &done));
                }
                false
            }
        }
    }

    async fn drop_overdue(
        &mut self,
        now: Timestamp,
        chores: &mut Chores<'_>,
        ids: &[Arc<str>],
        before: &Troubles,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let census = chores.census;
        let waited = minutes(self.options.max_node_provision_time_ms);
        let (group, names) = (&census.group.name, ids.join(", "));
        let report = Report {
            code: "NodeNeverJoined",
            message: format!("instances of {group} have not joined within {waited}: {names}"),
        };
        let room = chores.room() as usize;
        let done = self.delete(now, chores, ids).await;
        let new = self.tell(census, &report, &done, before, record);
        let told = ids.iter().take(room).filter_map(|id| match &done {
            Done::Mended(_) => {
                let message = format!("Removed unregistered node {id}");
                Some(event(false, "DeleteUnregistered", message))
            }
            Done::Failed(error) if new => {
                let message = format!("Failed to remove node {id}: {error}");
                Some(event(true, "DeleteUnregisteredFailed", message))
            }
            _ => None,
        });
        record.events.extend(told);
        done.is_mended()
    }

    /// Deletes instances, the first of them that the group's smallest size lets go.
    async fn delete(&self, now: Timestamp, chores: &mut Chores<'_>, ids: &[Arc<str>]) -> Done {
        let count = chores
            .room()
            .min(u32::try_from(ids.len()).unwrap_or(u32::MAX));
        if count == 0 {
            return Done::Smallest;
        }
        if !self.writer.leads() {
            return Done::NotLeader;
        }
        let (group, ids) = (&chores.census.group.name, &ids[..count as usize]);
        match self.cloud.delete_instances(now, group, ids).await {
            Ok(()) => {
                chores.target -= count;
                Done::Mended(format!("{count} deleted"))
            }
            Err(error) => Done::Failed(error),
        }
    }

    /// Lowers the target by nodes that the cloud has no instance of, as far as the
    /// group's smallest size lets it.
    async fn take_back(&self, now: Timestamp, chores: &mut Chores<'_>, lost: u32) -> Done {
        let lost = lost.min(chores.room());
        if lost == 0 {
            return Done::Smallest;
        }
        if !self.writer.leads() {
            return Done::NotLeader;
        }
        let group = &chores.census.group.name;
        match self.cloud.decrease_target_size(now, group, lost).await {
            Ok(()) => {
                chores.target -= lost;
                Done::Mended(format!("target taken back to {}", chores.target))
            }
            Err(error) => Done::Failed(error),
        }
    }

    /// Brings what was found and done into the record, if it is news: whether it is.
    fn tell(
        &mut self,
        census: &GroupCensus,
        report: &Report,
        done: &Done,
        before: &Troubles,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let done = match done {
            Done::Mended(done) => {
                record.incidents.push(incident(census, report, done));
                return true;
            }
            Done::Failed(error) => format!("the cloud did not mend it: {error}"),
            Done::Smallest => {
                let min = census.group.min_size;
                format!("kept, for the group is at its smallest size {min}")
            }
            Done::NotLeader => return false,
        };
        let incident = incident(census, report, &done);
        let key = (report.code, Arc::clone(&census.group.name));
        let new = before.get(&key) != Some(&incident.message);
        self.troubles.insert(key, incident.message.clone());
        if new {
            record.incidents.push(incident);
        }
        new
    }
}

fn failure(error: &InstanceError) -> String {
    format!("{}: {}", error.code, error.message)
}

fn incident(census: &GroupCensus, report: &Report, done: &str) -> Incident {
    Incident {
        code: report.code.into(),
        group: Some(Arc::clone(&census.group.name)),
        message: format!("{}; {done}", report.message),
    }
}

/// A time as Go writes it: `15m0s`.
fn minutes(ms: i64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}
