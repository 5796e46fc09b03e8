//! Orders of nodes that help some pods only if the cloud creates them in the right zone.
//! An order is kept until its node has come. If that is in another zone, no more nodes of
//! the group are ordered for such pods for a while.

use std::collections::BTreeSet;
use std::sync::Arc;

use flyball_placement::Pod;

use super::backoff::Backoff;
use super::census::{Census, GroupCensus};
use super::cloud::InstanceState;
use super::options::NodeOptions;
use super::record::Incident;
use super::state::{ClusterState, zone_of};
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;

/// Code of the incident, and class of the failure.
const OTHER_ZONE: &str = "NodeInOtherZone";

/// An order of a node for pods that only nodes in some of the group's zones help.
#[derive(Clone, Debug)]
pub struct ZoneOrder {
    /// The group.
    pub group: Arc<str>,
    /// Provider ids of the instances that the group had before.
    pub before: BTreeSet<Arc<str>>,
    /// Scheduling requirements of the pods. The order is for all pods that share them.
    pub pod: Pod,
    /// One of the pods.
    pub key: ObjectKey,
    /// The zones in which a node helps them.
    pub zones: Vec<Arc<str>>,
}

/// Pending orders, and backoffs of groups for some pods.
#[derive(Clone, Debug, Default)]
pub struct ZoneOrders {
    /// Pending orders with their times.
    waiting: Vec<(Timestamp, ZoneOrder)>,
    backoffs: Vec<ZoneBackoff>,
}

/// The backoff of a group for pods with the same scheduling requirements.
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
    /// A node is on its way, and its zone is not known. Others have come in these zones,
    /// none of which helps.
    Waiting(BTreeSet<Arc<str>>),
    /// The node will not come, or is in a zone that helps.
    Settled { helps: bool },
    /// Nodes have come in these zones, none of which helps.
    Elsewhere(BTreeSet<Arc<str>>),
}

impl ZoneOrders {
    /// Adds an order.
    pub(super) fn add_order(&mut self, now: Timestamp, order: ZoneOrder) {
        self.waiting.push((now, order));
    }

    /// The pods for which a group has a pending order.
    pub(super) fn awaited(&self, group: &str) -> impl Iterator<Item = &Pod> {
        let waiting = self.waiting.iter();
        let waiting = waiting.filter(move |(_, order)| *order.group == *group);
        waiting.map(|(_, order)| &order.pod)
    }

    /// The pods for which a group is backed off now.
    pub(super) fn avoided(&self, now: Timestamp, group: &str) -> impl Iterator<Item = &Pod> {
        let failed = self.backoffs.iter();
        let failed =
            failed.filter(move |failed| *failed.group == *group && failed.backoff.until >= now);
        failed.map(|failed| &failed.pod)
    }

    /// The groups that are backed off now for some pods, and when each backoff ends.
    pub(super) fn ends(&self, now: Timestamp) -> impl Iterator<Item = (&Arc<str>, Timestamp)> {
        let ends = self.backoffs.iter();
        let ends = ends.map(|failed| (&failed.group, failed.backoff.until));
        ends.filter(move |(_, until)| *until >= now)
    }

    /// Drops backoffs of failures that are older than the reset time.
    pub(super) fn forget(&mut self, now: Timestamp, options: &NodeOptions) {
        let lasts =
            |failed: &ZoneBackoff| now.since(failed.backoff.failed_at) <= options.backoff_reset_ms;
        self.backoffs.retain(lasts);
    }

    /// Checks in which zones the nodes of pending orders have come. If none of them
    /// helps, backs the group off for the same pods, longer each time, and returns an
    /// incident.
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
                // A node that is late is a failure of the group, which the census
                // reports.
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
