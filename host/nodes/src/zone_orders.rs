//! Orders of nodes that help some pods only if the cloud creates them in the right zone.
//! An order is kept until its node has come. If that is in another zone, no more nodes of
//! the group are ordered for such pods for a while.

use std::collections::BTreeSet;
use std::sync::Arc;

pub use super::backoff::ZoneOrder;
use super::backoff::ZoneOrders;
use super::census::{Census, GroupCensus};
use super::cloud::InstanceState;
use super::options::NodeOptions;
use super::record::Incident;
use super::state::{ClusterState, zone_of};
use flyball_decision::time::Timestamp;

/// Code of the incident, and class of the failure.
const OTHER_ZONE: &str = "NodeInOtherZone";

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
        for (at, order) in self.take_waiting() {
            let mut groups = census.groups.iter();
            let group = groups.find(|census| census.group.name == order.group);
            let own = group.map(|census| options.provision_time_ms(&census.group.scale_down));
            let provision_time = own.unwrap_or(options.max_node_provision_time_ms);
            let outcome = group.map_or(ZoneOutcome::Settled { helps: false }, |group| {
                outcome(&order, group, state)
            });
            match outcome {
                ZoneOutcome::Waiting(_) if now.since(at) <= provision_time => {
                    self.add_order(at, order);
                }
                // A node that is late is a failure of the group, which the census
                // reports.
                ZoneOutcome::Waiting(zones) if zones.is_empty() => {}
                ZoneOutcome::Settled { helps } => {
                    if helps {
                        self.succeed(&order);
                    }
                }
                ZoneOutcome::Waiting(zones) | ZoneOutcome::Elsewhere(zones) => {
                    incidents.push(self.fail_in_other_zone(now, order, &zones, options));
                }
            }
        }
        incidents
    }

    fn fail_in_other_zone(
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
        let seconds = self.fail(now, order, OTHER_ZONE, &message, options) / 1000;
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
