//! What was ordered and went wrong: instances that can't be had, nodes that never
//! join, orders that are not delivered. The target is taken back, and the group
//! left alone for a while.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::NodeLoop;
use crate::nodes::census::{Census, GroupCensus};
use crate::nodes::cloud::{CloudError, CloudProvider};
use crate::nodes::ports::{NodesReader, NodesWriter};
use crate::nodes::record::{Incident, NodeDecisionRecord};
use crate::nodes::scale_up::event;
use crate::ports::Clock;
use crate::time::Timestamp;

/// What could not be mended, by code and group: it is tried again in each pass, and
/// told when it is new.
pub(super) type Troubles = BTreeMap<(&'static str, Arc<str>), String>;

/// A group's chores in one pass.
struct Chores<'a> {
    census: &'a GroupCensus,
    /// Its target, as the chores done so far leave it.
    target: u32,
}

/// Something found that a chore is to mend.
struct Found {
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
            if !census.failed.is_empty() {
                changed |= self.drop_failed(now, &mut chores, &before, record).await;
            }
            if census.timed_out || census.lost > 0 {
                changed |= self.give_up(now, &mut chores, &before, record).await;
            }
            if !census.overdue.is_empty() {
                changed |= self.drop_overdue(now, &mut chores, &before, record).await;
            }
        }
        changed
    }

    async fn drop_failed(
        &mut self,
        now: Timestamp,
        chores: &mut Chores<'_>,
        before: &Troubles,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let census = chores.census;
        let group = &census.group.name;
        let Some((_, error)) = census.failed.first() else {
            return false;
        };
        let why = format!("{}: {}", error.code, error.message);
        let ids: Vec<_> = census.failed.iter().map(|(id, _)| Arc::clone(id)).collect();
        if census.failed_anew {
            let class = if error.out_of_resources {
                "OutOfResources"
            } else {
                "Other"
            };
            if self.backoffs.of(now, group).is_none() {
                let told = format!("Scale-up failed for group {group}: {why}");
                let told = event(true, "FailedToScaleUpGroup", told);
                record.events.push(told);
            }
            self.backoffs.fail(now, group, class, &why, &self.options);
            self.registry.told_failed(&ids);
        }
        let found = Found {
            code: "InstanceFailed",
            message: format!("{} instances of {group} can't be had: {why}", ids.len()),
        };
        let done = self.delete(now, chores, &ids).await;
        self.tell(census, &found, &done, before, record);
        done.is_mended()
    }

    async fn drop_overdue(
        &mut self,
        now: Timestamp,
        chores: &mut Chores<'_>,
        before: &Troubles,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let census = chores.census;
        let ids = &census.overdue;
        let waited = minutes(self.options.max_node_provision_time_ms);
        let (group, names) = (&census.group.name, ids.join(", "));
        let found = Found {
            code: "NodeNeverJoined",
            message: format!("instances of {group} have not joined within {waited}: {names}"),
        };
        let room = chores.room() as usize;
        let done = self.delete(now, chores, ids).await;
        let new = self.tell(census, &found, &done, before, record);
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

    /// Stops waiting for nodes. What the cloud has no instance for is taken back.
    async fn give_up(
        &mut self,
        now: Timestamp,
        chores: &mut Chores<'_>,
        before: &Troubles,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let census = chores.census;
        let group = &census.group.name;
        let waited = minutes(self.options.max_node_provision_time_ms);
        let told = format!("Nodes added to group {group} failed to register within {waited}");
        if census.timed_out {
            let told_now = event(true, "ScaleUpTimedOut", told.clone());
            record.events.push(told_now);
            self.backoffs
                .fail(now, group, "ScaleUpTimedOut", &told, &self.options);
            self.registry.give_up(group);
        }
        let found = Found {
            code: "ScaleUpTimedOut",
            message: told,
        };
        if census.lost == 0 {
            let done = "its instances are there, and dealt with one by one";
            record.incidents.push(incident(census, &found, done));
            return false;
        }
        let done = self.take_back(now, chores).await;
        self.tell(census, &found, &done, before, record);
        done.is_mended()
    }

    async fn take_back(&self, now: Timestamp, chores: &mut Chores<'_>) -> Done {
        let lost = chores.census.lost.min(chores.room());
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
        found: &Found,
        done: &Done,
        before: &Troubles,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let done = match done {
            Done::Mended(done) => {
                record.incidents.push(incident(census, found, done));
                return true;
            }
            Done::Failed(error) => format!("the cloud did not mend it: {error}"),
            Done::Smallest => {
                let min = census.group.min_size;
                format!("kept, for the group is at its smallest size {min}")
            }
            Done::NotLeader => return false,
        };
        let incident = incident(census, found, &done);
        let key = (found.code, Arc::clone(&census.group.name));
        let new = before.get(&key) != Some(&incident.message);
        self.troubles.insert(key, incident.message.clone());
        if new {
            record.incidents.push(incident);
        }
        new
    }
}

fn incident(census: &GroupCensus, found: &Found, done: &str) -> Incident {
    Incident {
        code: found.code.into(),
        group: Some(Arc::clone(&census.group.name)),
        message: format!("{}; {done}", found.message),
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
