//! What was ordered and went wrong: instances that can't be had, nodes that never
//! join, orders that are not delivered. The target is taken back, and the group
//! left alone for a while.

use std::sync::Arc;

use super::NodeLoop;
use crate::nodes::census::{Census, GroupCensus};
use crate::nodes::cloud::{CloudError, CloudProvider};
use crate::nodes::ports::{NodesReader, NodesWriter};
use crate::nodes::record::{Incident, NodeDecisionRecord};
use crate::nodes::scale_up::event;
use crate::ports::Clock;
use crate::time::Timestamp;

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Deals with what went wrong. True: groups have changed.
    pub(super) async fn do_chores(
        &mut self,
        now: Timestamp,
        census: &Census,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let mut changed = false;
        for group in &census.groups {
            if !group.failed.is_empty() {
                changed |= self.drop_failed(now, group, record).await;
            }
            if group.timed_out {
                changed |= self.give_up(now, group, record).await;
            }
            if !group.overdue.is_empty() {
                changed |= self.drop_overdue(now, group, record).await;
            }
        }
        changed
    }

    async fn drop_failed(
        &mut self,
        now: Timestamp,
        census: &GroupCensus,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let group = &census.group.name;
        let Some((_, error)) = census.failed.first() else {
            return false;
        };
        let class = if error.out_of_resources {
            "OutOfResources"
        } else {
            "Other"
        };
        let why = format!("{}: {}", error.code, error.message);
        if self.backoffs.of(now, group).is_none() {
            let told = format!("Scale-up failed for group {group}: {why}");
            record
                .events
                .push(event(true, "FailedToScaleUpGroup", told));
        }
        self.backoffs.fail(now, group, class, &why, &self.options);
        self.registry.forget(group);
        let ids: Vec<_> = census.failed.iter().map(|(id, _)| Arc::clone(id)).collect();
        let count = ids.len();
        let found = format!("{count} instances of {group} can't be had: {why}");
        self.delete(now, census, &ids, ("InstanceFailed", found), record)
            .await
    }

    async fn drop_overdue(
        &mut self,
        now: Timestamp,
        census: &GroupCensus,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let group = &census.group.name;
        let ids = &census.overdue;
        let waited = minutes(self.options.max_node_provision_time_ms);
        let names: Vec<&str> = ids.iter().map(|id| &**id).collect();
        let names = names.join(", ");
        let found = format!("instances of {group} have not joined within {waited}: {names}");
        let deleted = self
            .delete(now, census, ids, ("NodeNeverJoined", found), record)
            .await;
        if deleted {
            for id in ids {
                let message = format!("Removed unregistered node {id}");
                record
                    .events
                    .push(event(false, "DeleteUnregistered", message));
            }
        }
        deleted
    }

    /// Deletes instances, as many as the group's smallest size lets go.
    async fn delete(
        &mut self,
        now: Timestamp,
        census: &GroupCensus,
        ids: &[Arc<str>],
        (code, found): (&str, String),
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let group = &census.group;
        let room = group.target_size.saturating_sub(group.min_size) as usize;
        let ids = &ids[..ids.len().min(room)];
        let mut incident = |done: &str| {
            record.incidents.push(Incident {
                code: code.into(),
                group: Some(Arc::clone(&group.name)),
                message: format!("{found}; {done}"),
            });
        };
        if ids.is_empty() {
            let min = group.min_size;
            incident(&format!(
                "kept, for the group is at its smallest size {min}"
            ));
            return false;
        }
        match self.cloud.delete_instances(now, &group.name, ids).await {
            Ok(()) => {
                incident(&format!("{} deleted", ids.len()));
                true
            }
            Err(CloudError { message, .. }) => {
                incident(&format!("they could not be deleted: {message}"));
                false
            }
        }
    }

    /// Stops waiting for an order.
    async fn give_up(
        &mut self,
        now: Timestamp,
        census: &GroupCensus,
        record: &mut NodeDecisionRecord,
    ) -> bool {
        let group = &census.group.name;
        let waited = minutes(self.options.max_node_provision_time_ms);
        let told = format!("Nodes added to group {group} failed to register within {waited}");
        record
            .events
            .push(event(true, "ScaleUpTimedOut", told.clone()));
        self.backoffs
            .fail(now, group, "ScaleUpTimedOut", &told, &self.options);
        self.registry.forget(group);
        let mut incident = |done: String| {
            record.incidents.push(Incident {
                code: "ScaleUpTimedOut".into(),
                group: Some(Arc::clone(group)),
                message: format!("{told}; {done}"),
            });
        };
        let room = census
            .group
            .target_size
            .saturating_sub(census.group.min_size);
        let missing = census.missing.min(room);
        if missing == 0 {
            incident("its instances are there, and dealt with one by one".to_owned());
            return false;
        }
        match self.cloud.decrease_target_size(now, group, missing).await {
            Ok(()) => {
                let target = census.group.target_size - missing;
                incident(format!("target taken back to {target}"));
                true
            }
            Err(CloudError { message, .. }) => {
                incident(format!("its target could not be taken back: {message}"));
                false
            }
        }
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
