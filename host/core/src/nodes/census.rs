//! What has become of each group's nodes: registered, on their way, overdue, failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::backoff::Backoffs;
use super::cloud::{Instance, InstanceError, InstanceState, NodeGroup};
use super::options::NodeOptions;
use super::state::{ClusterState, NodeView};
use crate::time::Timestamp;

/// A node that was made this long ago and is not ready won't become so by itself
/// (`--max-node-startup-time` of Cluster Autoscaler, at its default).
const STARTUP_MS: i64 = 15 * 60_000;

/// Remembers from one pass to the next what was ordered, and since when instances
/// have been without a node.
#[derive(Clone, Debug, Default)]
pub(super) struct Registry {
    orders: BTreeMap<Arc<str>, Ordered>,
    unregistered: BTreeMap<Arc<str>, Timestamp>,
}

/// Nodes that were ordered and have not all come.
#[derive(Clone, Copy, Debug)]
struct Ordered {
    at: Timestamp,
    until: Timestamp,
}

/// A group as it stands.
#[derive(Clone, Debug)]
pub(super) struct GroupCensus {
    pub(super) group: Arc<NodeGroup>,
    /// Nodes it was asked for that have not come.
    pub(super) upcoming: u32,
    /// Instances that can't be had.
    pub(super) failed: Vec<(Arc<str>, InstanceError)>,
    /// Instances whose node has not come in time.
    pub(super) overdue: Vec<Arc<str>>,
    /// Its last order has not been delivered in time.
    pub(super) timed_out: bool,
    /// What the target asks for beyond the instances that there are.
    pub(super) missing: u32,
}

/// All groups and nodes.
#[derive(Clone, Debug, Default)]
pub(super) struct Census {
    pub(super) groups: Vec<GroupCensus>,
    /// Nodes of the cluster.
    pub(super) nodes: u32,
    /// Those that should be ready and are not.
    pub(super) unready: u32,
    /// Names of those that are being drained.
    pub(super) drained: Vec<Arc<str>>,
}

impl Census {
    /// Nodes on their way, by group.
    pub(super) fn upcoming(&self) -> BTreeMap<Arc<str>, u32> {
        let groups = self.groups.iter().filter(|group| group.upcoming > 0);
        groups
            .map(|census| (Arc::clone(&census.group.name), census.upcoming))
            .collect()
    }

    /// Whether so many nodes are unready that something larger must be wrong.
    pub(super) fn is_unhealthy(&self, options: &NodeOptions) -> bool {
        let bearable = options.max_total_unready_percentage / 100.0 * f64::from(self.nodes);
        self.unready > options.ok_total_unready_count && f64::from(self.unready) > bearable
    }
}

impl Registry {
    /// Nodes were ordered.
    pub(super) fn ordered(&mut self, now: Timestamp, group: &Arc<str>, options: &NodeOptions) {
        let until = now.plus(options.max_node_provision_time_ms);
        self.orders
            .insert(Arc::clone(group), Ordered { at: now, until });
    }

    /// An order is not waited for any longer.
    pub(super) fn forget(&mut self, group: &str) {
        self.orders.remove(group);
    }

    /// Counts what is there. Orders that were delivered are forgotten, and so are
    /// earlier failures of their groups.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        state: &ClusterState,
        groups: &[Arc<NodeGroup>],
        backoffs: &mut Backoffs,
        options: &NodeOptions,
    ) -> Census {
        let mut census = count_nodes(now, state);
        let mut unregistered = BTreeSet::new();
        for group in groups {
            let mut counted = self.count(now, state, group, options, &mut unregistered);
            match self.orders.get(&group.name) {
                Some(order) if counted.upcoming == 0 => {
                    if backoffs
                        .last(&group.name)
                        .is_none_or(|failed| failed <= order.at)
                    {
                        backoffs.succeed(&group.name);
                    }
                    self.orders.remove(&group.name);
                }
                Some(order) => counted.timed_out = order.until < now,
                None => {}
            }
            census.groups.push(counted);
        }
        self.unregistered.retain(|id, _| unregistered.contains(id));
        self.orders
            .retain(|name, _| groups.iter().any(|group| group.name == *name));
        census
    }

    fn count(
        &mut self,
        now: Timestamp,
        state: &ClusterState,
        group: &Arc<NodeGroup>,
        options: &NodeOptions,
        unregistered: &mut BTreeSet<Arc<str>>,
    ) -> GroupCensus {
        let (mut came, mut here) = (0, 0);
        let (mut failed, mut overdue) = (Vec::new(), Vec::new());
        for Instance {
            provider_id,
            state: of,
        } in &group.instances
        {
            match of {
                InstanceState::Deleting => continue,
                InstanceState::Failed(error) => {
                    failed.push((Arc::clone(provider_id), error.clone()));
                }
                InstanceState::Creating | InstanceState::Running => {
                    match state.node_of(provider_id) {
                        Some(node) => came += u32::from(has_started(now, node)),
                        None => {
                            let since = self.unregistered.entry(Arc::clone(provider_id));
                            let since = *since.or_insert(now);
                            unregistered.insert(Arc::clone(provider_id));
                            if now.since(since) > options.max_node_provision_time_ms {
                                overdue.push(Arc::clone(provider_id));
                            }
                        }
                    }
                }
            }
            here += 1;
        }
        let lost = u32::try_from(failed.len() + overdue.len()).unwrap_or(u32::MAX);
        GroupCensus {
            group: Arc::clone(group),
            upcoming: group.target_size.saturating_sub(came).saturating_sub(lost),
            failed,
            overdue,
            timed_out: false,
            missing: group.target_size.saturating_sub(here),
        }
    }
}

/// Whether a node is ready, or had the time to become so.
fn has_started(now: Timestamp, node: NodeView<'_>) -> bool {
    node.facts.ready || now.since(node.facts.created) > STARTUP_MS
}

fn count_nodes(now: Timestamp, state: &ClusterState) -> Census {
    let mut census = Census::default();
    for node in state.nodes() {
        census.nodes += 1;
        let taints = node.facts.node.taints.iter();
        let drained = taints
            .into_iter()
            .any(|taint| &*taint.key == "ToBeDeletedByClusterAutoscaler");
        if drained {
            census.drained.push(Arc::clone(&node.facts.node.name));
        } else if !node.facts.ready && has_started(now, node) {
            census.unready += 1;
        }
    }
    census
}
