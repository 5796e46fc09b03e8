//! The census: the state of each group's nodes, which have started, are on their way, are
//! overdue or have failed.

mod history;
mod missing;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::history::GroupHistory;
pub(super) use self::history::{FailureReport, NodeFailure};
use super::backoff::Backoffs;
use super::cloud::{InstanceError, InstanceState, NodeGroup};
use super::node_profile::{GroupNodes, NodeProfile, NodeProfiles, example_rank};
use super::options::NodeOptions;
use super::readiness::{has_started, is_drained, is_ready};
use super::state::{ClusterState, NodeView};
use flyball_decision::time::Timestamp;

/// State kept from one census to the next: orders, the nodes that groups are waiting for,
/// and what their nodes looked like.
#[derive(Clone, Debug, Default)]
pub(super) struct CensusHistory {
    groups: BTreeMap<Arc<str>, GroupHistory>,
    profiles: NodeProfiles,
}

/// State of one group.
#[derive(Clone, Debug)]
pub struct GroupCensus {
    /// The group.
    pub group: Arc<NodeGroup>,
    /// Ordered nodes that have not started.
    pub upcoming: u32,
    /// Names of upcoming nodes that have joined and are not ready.
    pub starting: Vec<Arc<str>>,
    /// Zones of upcoming nodes that have not joined, where the cloud reports one.
    pub(super) launched: Vec<Arc<str>>,
    /// Zones of its nodes and instances, in no order.
    pub(super) zones: Vec<Arc<str>>,
    /// Provider id of the instance whose node is the example for new ones.
    pub example: Option<Arc<str>>,
    /// Profile of the example. Without one, that of the last node seen in the group.
    pub(super) profile: Option<Arc<NodeProfile>>,
    /// Failures, at most one of each kind, in the order in which they are repaired.
    pub(super) failures: Vec<FailureReport>,
}

/// State of all groups and nodes.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// The groups, ordered by name.
    pub groups: Vec<GroupCensus>,
    /// Names of nodes that are being drained.
    pub drained: Vec<Arc<str>>,
    /// The [`ClusterState::revision`] that was counted.
    pub(super) revision: u64,
    /// Nodes of the cluster.
    pub(super) nodes: u32,
    /// Nodes that should be ready and are not.
    pub(super) unready: u32,
    /// Whether a node of the cluster is ready, and neither cordoned nor being drained.
    pub(super) any_ready: bool,
}

impl GroupCensus {
    /// Whether no nodes are on their way, and every failure was reported before.
    fn has_delivered(&self) -> bool {
        self.upcoming == 0 && self.failures.iter().all(|report| report.already_reported)
    }

    /// Number of instances that have not joined in time.
    pub(super) fn not_joined_in_time(&self) -> u32 {
        let failures = self.failures.iter();
        let counts = failures.filter_map(|report| match &report.failure {
            NodeFailure::NotJoined(ids) => u32::try_from(ids.len()).ok(),
            _ => None,
        });
        counts.sum()
    }

    /// Number of its nodes that are ready.
    pub(super) fn ready_nodes(&self, state: &ClusterState, options: &NodeOptions) -> u32 {
        let instances = self.group.instances.iter();
        let nodes = instances.filter_map(|instance| state.node_of(&instance.provider_id));
        let ready = nodes.filter(|node| is_ready(*node, options)).count();
        u32::try_from(ready).unwrap_or(u32::MAX)
    }

    /// Nodes on their way that have not joined the cluster.
    pub(super) fn not_joined(&self) -> u32 {
        let joined = u32::try_from(self.starting.len()).unwrap_or(u32::MAX);
        self.upcoming.saturating_sub(joined)
    }
}

impl Census {
    /// Census that assumes no earlier orders or failures; used by `flyball plan`.
    #[must_use]
    pub fn without_history(
        now: Timestamp,
        state: &ClusterState,
        groups: &[Arc<NodeGroup>],
        options: &NodeOptions,
    ) -> Self {
        CensusHistory::default().take_census(now, state, groups, &mut Backoffs::default(), options)
    }

    /// Returns the number of unready nodes and the number of all nodes if there are too
    /// many unready ones to order anything. `None` otherwise.
    #[must_use]
    pub fn unhealthy(&self, options: &NodeOptions) -> Option<(u32, u32)> {
        let max_unready = options.max_total_unready_percentage / 100.0 * f64::from(self.nodes);
        let unhealthy =
            self.unready > options.ok_total_unready_count && f64::from(self.unready) > max_unready;
        unhealthy.then_some((self.unready, self.nodes))
    }
}

impl CensusHistory {
    /// Records an order of `count` nodes.
    pub(super) fn add_order(&mut self, now: Timestamp, group: &Arc<str>, count: u32) {
        let history = self.groups.entry(Arc::clone(group)).or_default();
        history.ordered_at = Some(now);
        history.missing.add(now, count);
    }

    /// Marks this failure as reported, so that the next census does not report it again.
    pub(super) fn mark_reported(&mut self, group: &str, failure: &NodeFailure) {
        if let Some(history) = self.groups.get_mut(group) {
            history.mark_reported(failure);
        }
    }

    /// Takes a census. Forgets orders that were delivered, and earlier failures of their
    /// groups.
    pub(super) fn take_census(
        &mut self,
        now: Timestamp,
        state: &ClusterState,
        groups: &[Arc<NodeGroup>],
        backoffs: &mut Backoffs,
        options: &NodeOptions,
    ) -> Census {
        let mut census = count_nodes(now, state, options);
        for group in groups {
            let name = &group.name;
            let history = self.groups.entry(Arc::clone(name)).or_default();
            let (mut counted, example, nodes) = count(now, state, group, options, history);
            let group_nodes = GroupNodes {
                state,
                nodes: &nodes,
            };
            counted.profile = self.profiles.of(group_nodes, name, example, options);
            if counted.has_delivered()
                && let Some(ordered_at) = history.ordered_at.take()
                && backoffs.last(name).is_none_or(|failed| failed < ordered_at)
            {
                backoffs.succeed(name);
            }
            census.groups.push(counted);
        }
        if groups.len() < self.groups.len() {
            let is_there = |name: &Arc<str>| groups.iter().any(|group| group.name == *name);
            self.groups.retain(|name, _| is_there(name));
            self.profiles.retain(is_there);
        }
        census
    }
}

/// Counts one group. Returns also the best example for a new node, and all its nodes.
fn count<'a>(
    now: Timestamp,
    state: &'a ClusterState,
    group: &Arc<NodeGroup>,
    options: &NodeOptions,
    history: &mut GroupHistory,
) -> (GroupCensus, Option<NodeView<'a>>, Vec<NodeView<'a>>) {
    let (mut started, mut instances) = (0, 0);
    let mut nodes = Vec::with_capacity(group.instances.len());
    let (mut starting, mut launched, mut zones) = (Vec::new(), Vec::new(), Vec::new());
    let mut example = None;
    let mut failed_instances = FailedInstances::default();
    let previous = history.take_previous();
    let provision_time = options.provision_time_ms(&group.scale_down);
    let is_late = |since| now.since(since) > provision_time;
    for instance in &group.instances {
        let id = &instance.provider_id;
        match (&instance.state, state.node_of(id)) {
            (InstanceState::Deleting, _) => continue,
            (InstanceState::Failed(error), _) => {
                let (_, reported) = history.keep_waiting(now, id, true, &previous);
                failed_instances.error.get_or_insert(error);
                failed_instances.failed.add(id, reported);
            }
            (_, Some(node)) => {
                nodes.push(node);
                add_zone(&mut zones, node.zone.or(instance.zone.as_ref()));
                let has_started = is_drained(node) || has_started(now, node, options);
                if has_started {
                    started += 1;
                } else {
                    starting.push(Arc::clone(&node.facts.node.name));
                }
                // A node that was ready before does not count as late.
                let is_new = !has_started || previous.contains(id);
                if is_new && !is_drained(node) && !is_ready(node, options) {
                    let (since, reported) = history.keep_waiting(now, id, false, &previous);
                    if is_late(since) {
                        failed_instances.not_ready.add(id, reported);
                    }
                }
                let rank = example_rank(node, options);
                if example.is_none_or(|(best, _)| rank > best) {
                    example = Some((rank, node));
                }
            }
            (_, None) => {
                let (since, reported) = history.keep_waiting(now, id, false, &previous);
                if is_late(since) {
                    failed_instances.not_joined.add(id, reported);
                } else {
                    launched.extend(instance.zone.clone());
                }
                add_zone(&mut zones, instance.zone.as_ref());
            }
        }
        instances += 1;
    }
    let missing = &mut history.missing;
    missing.settle(now, group.target_size.saturating_sub(instances));
    let no_instance = missing.longer_than(now, provision_time);
    let failures = failed_instances.reports(no_instance);
    let given_up = failures.iter().map(|report| report.failure.given_up());
    let given_up = given_up.fold(0, u32::saturating_add);
    let left = group.target_size.saturating_sub(started);
    let good = example.filter(|((is_good, ..), _)| *is_good);
    let counted = GroupCensus {
        group: Arc::clone(group),
        upcoming: left.saturating_sub(given_up),
        starting,
        launched,
        zones,
        example: good.and_then(|(_, node)| node.facts.provider_id.clone()),
        profile: None,
        failures,
    };
    (counted, example.map(|(_, node)| node), nodes)
}

fn add_zone(zones: &mut Vec<Arc<str>>, zone: Option<&Arc<str>>) {
    let Some(zone) = zone else { return };
    // The nodes of a zone mostly share one string.
    let same = |known: &Arc<str>| Arc::ptr_eq(known, zone) || known == zone;
    if !zones.iter().any(same) {
        zones.push(Arc::clone(zone));
    }
}

/// Instances of one group by kind of failure.
#[derive(Default)]
struct FailedInstances<'a> {
    failed: InstanceIds,
    /// The error of the first failed instance.
    error: Option<&'a InstanceError>,
    not_joined: InstanceIds,
    not_ready: InstanceIds,
}

/// Provider ids, and whether some failures of them were not reported yet.
#[derive(Default)]
struct InstanceIds {
    ids: Vec<Arc<str>>,
    any_unreported: bool,
}

impl InstanceIds {
    fn add(&mut self, id: &Arc<str>, reported: bool) {
        self.ids.push(Arc::clone(id));
        self.any_unreported |= !reported;
    }

    /// Returns the failure of these instances. `None` if there are no ids.
    fn report(self, failure: impl FnOnce(Vec<Arc<str>>) -> NodeFailure) -> Option<FailureReport> {
        (!self.ids.is_empty()).then(|| FailureReport {
            already_reported: !self.any_unreported,
            failure: failure(self.ids),
        })
    }
}

impl FailedInstances<'_> {
    /// Returns all failures. `no_instance` is the number of nodes that have been without an
    /// instance for too long, and whether all of them were reported.
    fn reports(self, no_instance: (u32, bool)) -> Vec<FailureReport> {
        let failed = self.error.and_then(|error| {
            let failure = |ids| NodeFailure::InstanceFailed(ids, error.clone());
            self.failed.report(failure)
        });
        let (count, already_reported) = no_instance;
        let no_instance = (count > 0).then_some(FailureReport {
            failure: NodeFailure::NoInstance(count),
            already_reported,
        });
        let not_joined = self.not_joined.report(NodeFailure::NotJoined);
        let not_ready = self.not_ready.report(NodeFailure::NotReady);
        let all = [failed, no_instance, not_joined, not_ready];
        all.into_iter().flatten().collect()
    }
}

fn count_nodes(now: Timestamp, state: &ClusterState, options: &NodeOptions) -> Census {
    let mut census = Census {
        revision: state.revision(),
        ..Census::default()
    };
    for node in state.nodes() {
        census.nodes += 1;
        if is_drained(node) {
            census.drained.push(Arc::clone(&node.facts.node.name));
        } else if is_ready(node, options) {
            census.any_ready |= !node.facts.node.unschedulable;
        } else if has_started(now, node, options) {
            census.unready += 1;
        }
    }
    census
}
