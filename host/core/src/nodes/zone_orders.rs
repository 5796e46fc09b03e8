//! Nodes that help some pods only if the cloud makes them in the right zone: what is
//! remembered of their orders until they come, and for how long a group is not asked again
//! where it made one elsewhere.

use std::collections::BTreeSet;
use std::sync::Arc;

use flyball_placement::Pod;

use super::backoff::Backoff;
use super::census::{Census, GroupCensus};
use super::cloud::InstanceState;
use super::options::NodeOptions;
use super::record::Incident;
use super::state::{ClusterState, zone_of};
use crate::ports::ObjectKey;
use crate::time::Timestamp;

/// Code of the incident, and class of the failure.
const OTHER_ZONE: &str = "NodeInOtherZone";

/// A node ordered for pods that only some of its group's zones help.
#[derive(Clone, Debug)]
pub struct ZoneOrder {
    /// The group.
    pub group: Arc<str>,
    /// Instances that the group had before.
    pub before: BTreeSet<Arc<str>>,
    /// What the pods ask for: all that ask for the same are meant.
    pub pod: Pod,
    /// One of the pods.
    pub key: ObjectKey,
    /// The zones that help them.
    pub zones: Vec<Arc<str>>,
}

/// Orders that are waited for, and groups that are not asked again for some pods.
#[derive(Clone, Debug, Default)]
pub struct ZoneOrders {
    /// With the time of each.
    waiting: Vec<(Timestamp, ZoneOrder)>,
    backoffs: Vec<ZoneBackoff>,
}

/// Pods that a group is not asked for, for a while.
#[derive(Clone, Debug)]
struct ZoneBackoff {
    group: Arc<str>,
    pod: Pod,
    backoff: Backoff,
}

impl ZoneBackoff {
    fn is_of(&self, order: &ZoneOrder) -> bool {
        self.group == order.group && self.pod == order.pod
    }
}

/// Outcome of an order.
enum ZoneOutcome {
    /// A node is on its way, and in which zone it will be is not known. Others have come
    /// in these zones, none of which helps.
    Waiting(BTreeSet<Arc<str>>),
    /// It will not come, or is in a zone that helps.
    Settled { helps: bool },
    /// It is in one of these zones, none of which helps.
    Elsewhere(BTreeSet<Arc<str>>),
}

impl ZoneOrders {
    /// A node was ordered.
    pub(super) fn add_order(&mut self, now: Timestamp, order: ZoneOrder) {
        self.waiting.push((now, order));
    }

    /// The pods for which a group has a node on its way whose zone is not known.
    pub(super) fn awaited(&self, group: &str) -> impl Iterator<Item = &Pod> {
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(move |(_, order)| *order.group == *group);
        waiting.map(|(_, order)| &order.pod)
    }

    /// The pods that a group is not asked for now.
    pub(super) fn avoided(&self, now: Timestamp, group: &str) -> impl Iterator<Item = &Pod> {
        let failed = self.backoffs.iter();
        let failed =
            failed.filter(move |failed| *failed.group == *group && failed.backoff.until >= now);
        failed.map(|failed| &failed.pod)
    }

    /// All times at which a group may be asked again.
    pub(super) fn ends(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, Timestamp)> {
        let ends = self.backoffs.iter();
        let ends = ends.map(|failed| (&failed.group, failed.backoff.until));
        ends.filter(move |(_, until)| *until >= now)
    }

    /// Forgets what failed so long ago that it says nothing any more.
    pub(super) fn forget(&mut self, now: Timestamp, options: &NodeOptions) {
        let lasts =
            |failed: &ZoneBackoff| now.since(failed.backoff.failed_at) <= options.backoff_reset_ms;
        self.backoffs.retain(lasts);
    }

    /// Finds out where the nodes that are waited for have come. Returns those that came
    /// where they don't help: their groups are not asked again for the same pods for a
    /// while, longer each time.
    pub(super) fn settle(
        &mut self,
        now: Timestamp,
        census: &Census,
        state: &ClusterState,
        options: &NodeOptions,
    ) -> Vec<Incident> {
        let mut incidents = Vec::new();
        for (at, order) in std::mem::take(&mut self.waiting) {
            let mut groups = census.groups.iter();
            let group = groups.find(|census| census.group.name == order.group);
            let outcome = group.map_or(ZoneOutcome::Settled { helps: false }, |group| {
                outcome(&order, group, state)
            });
            match outcome {
                ZoneOutcome::Waiting(_) if now.since(at) <= options.max_node_provision_time_ms => {
                    self.waiting.push((at, order));
                }
                // One that is late is the group's failure, whichever zone it was for.
                ZoneOutcome::Waiting(zones) if zones.is_empty() => {}
                ZoneOutcome::Settled { helps } => {
                    if helps {
                        self.backoffs.retain(|failed| !failed.is_of(&order));
                    }
                }
                ZoneOutcome::Waiting(zones) | ZoneOutcome::Elsewhere(zones) => {
                    incidents.push(self.fail(now, order, &zones, options));
                }
            }
        }
        incidents
    }

    fn fail(
        &mut self,
        now: Timestamp,
        order: ZoneOrder,
        zones: &BTreeSet<Arc<str>>,
        options: &NodeOptions,
    ) -> Incident {
        let came = zones.iter().map(|zone| &**zone).collect::<Vec<_>>();
        let (group, key) = (Arc::clone(&order.group), &order.key);
        let message = format!(
            "{group}: a node was ordered for {}/{}, which only zone {} helps, and came in {}",
            key.namespace,
            key.name,
            order.zones.join(" or "),
            came.join(" and "),
        );
        let known = self.backoffs.iter().position(|failed| failed.is_of(&order));
        let before = known.map(|at| self.backoffs.swap_remove(at).backoff);
        let backoff = Backoff::after(before.as_ref(), now, OTHER_ZONE, &message, options);
        let seconds = backoff.duration_ms / 1000;
        self.backoffs.push(ZoneBackoff {
            group: Arc::clone(&group),
            pod: order.pod,
            backoff,
        });
        Incident {
            code: OTHER_ZONE.into(),
            group: Some(group),
            message: format!("{message}; not asked again for such pods for {seconds} s"),
        }
    }
}

fn outcome(order: &ZoneOrder, census: &GroupCensus, state: &ClusterState) -> ZoneOutcome {
    let there = census.group.instances.iter();
    let there = there.filter(|one| {
        !matches!(
            one.state,
            InstanceState::Deleting | InstanceState::Failed(_)
        )
    });
    let (mut count, mut unknown, mut zones) = (0, false, BTreeSet::new());
    for instance in there {
        count += 1;
        if order.before.contains(&instance.provider_id) {
            continue;
        }
        let node = state.node_of(&instance.provider_id);
        let shown = node.and_then(|node| zone_of(&node.facts.node.labels));
        match shown.or(instance.zone.as_ref()) {
            Some(zone) => drop(zones.insert(Arc::clone(zone))),
            None => unknown |= node.is_none(),
        }
    }
    if order.zones.iter().any(|zone| zones.contains(zone)) {
        ZoneOutcome::Settled { helps: true }
    } else if unknown || census.group.target_size > count {
        ZoneOutcome::Waiting(zones)
    } else if zones.is_empty() {
        ZoneOutcome::Settled { helps: false }
    } else {
        ZoneOutcome::Elsewhere(zones)
    }
}
