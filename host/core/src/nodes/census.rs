//! What has become of each group's nodes: registered, on their way, overdue, failed.

mod missing;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::missing::Missing;
use super::backoff::Backoffs;
use super::cloud::{InstanceError, InstanceState, NodeGroup};
use super::options::NodeOptions;
use super::readiness::{has_started, is_drained, is_ready};
use super::state::{ClusterState, NodeView};
use super::templates::{Likeness, Likenesses, is_better_example, is_good_example};
use crate::time::Timestamp;

/// Remembers from one pass to the next what was ordered, since when nodes have been
/// waited for, and what nodes were like.
#[derive(Clone, Debug, Default)]
pub(super) struct Registry {
    /// When nodes were last ordered that have not all come.
    orders: BTreeMap<Arc<str>, Timestamp>,
    missing: BTreeMap<Arc<str>, Missing>,
    instances: Troubled,
    /// Groups of which it was told that nodes don't come.
    given_up: BTreeSet<Arc<str>>,
    likenesses: Likenesses,
}

/// Instances that are there and have no node.
#[derive(Clone, Debug, Default)]
struct Troubled {
    /// Those whose node has not joined, and since when they have been known.
    unregistered: BTreeMap<Arc<str>, Timestamp>,
    /// Those that failed, which was told of.
    failed: BTreeSet<Arc<str>>,
}

/// A group as it stands.
#[derive(Clone, Debug)]
pub struct GroupCensus {
    /// The group.
    pub group: Arc<NodeGroup>,
    /// Nodes it was asked for that have not come.
    pub upcoming: u32,
    /// Names of those of them that have joined and are not ready.
    pub starting: Vec<Arc<str>>,
    /// The instance whose node shows what a new one would be like.
    pub example: Option<Arc<str>>,
    /// What a node of it was last like, for when there is no example.
    pub(super) likeness: Option<Arc<Likeness>>,
    /// Instances that can't be had.
    pub(super) failed: Vec<(Arc<str>, InstanceError)>,
    /// Whether some of them were not told of yet.
    pub(super) failed_anew: bool,
    /// Instances whose node has not come in time.
    pub(super) overdue: Vec<Arc<str>>,
    /// Nodes without an instance that have not come in time.
    pub(super) lost: u32,
    /// Nodes have not come in time, which was not told of yet.
    pub(super) timed_out: bool,
}

/// All groups and nodes.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// The groups, ordered by name.
    pub groups: Vec<GroupCensus>,
    /// Names of nodes that are being drained.
    pub drained: Vec<Arc<str>>,
    /// Nodes of the cluster.
    pub(super) nodes: u32,
    /// Those that should be ready and are not.
    pub(super) unready: u32,
}

impl GroupCensus {
    /// A group whose nodes have all come.
    fn complete(group: Arc<NodeGroup>) -> Self {
        Self {
            group,
            upcoming: 0,
            starting: Vec::new(),
            example: None,
            likeness: None,
            failed: Vec::new(),
            failed_anew: false,
            overdue: Vec::new(),
            lost: 0,
            timed_out: false,
        }
    }

    /// Nodes on their way that have not joined the cluster.
    pub(super) fn not_joined(&self) -> u32 {
        let joined = u32::try_from(self.starting.len()).unwrap_or(u32::MAX);
        self.upcoming.saturating_sub(joined)
    }
}

impl Census {
    /// Groups and nodes in the eyes of one who sees them for the first time, and knows
    /// of no order and no failure: what a dry run goes by.
    #[must_use]
    pub fn at_first_sight(
        now: Timestamp,
        state: &ClusterState,
        groups: &[Arc<NodeGroup>],
        options: &NodeOptions,
    ) -> Self {
        Registry::default().take(now, state, groups, &mut Backoffs::default(), options)
    }

    /// How many nodes are unready, of how many, if that is so many that something
    /// larger must be wrong.
    #[must_use]
    pub fn unhealthy(&self, options: &NodeOptions) -> Option<(u32, u32)> {
        let bearable = options.max_total_unready_percentage / 100.0 * f64::from(self.nodes);
        let unhealthy =
            self.unready > options.ok_total_unready_count && f64::from(self.unready) > bearable;
        unhealthy.then_some((self.unready, self.nodes))
    }
}

impl Registry {
    /// Nodes were ordered.
    pub(super) fn ordered(&mut self, now: Timestamp, group: &Arc<str>, count: u32) {
        self.orders.insert(Arc::clone(group), now);
        let missing = self.missing.entry(Arc::clone(group)).or_default();
        missing.add(now, count);
    }

    /// Nodes were perhaps ordered: if so, the next census finds them missing.
    pub(super) fn perhaps_ordered(&mut self, now: Timestamp, group: &Arc<str>) {
        self.orders.insert(Arc::clone(group), now);
    }

    /// It was told that nodes of a group don't come: its last order is not waited for
    /// any longer.
    pub(super) fn give_up(&mut self, group: &Arc<str>) {
        self.orders.remove(group);
        self.given_up.insert(Arc::clone(group));
    }

    /// It was told that these instances can't be had.
    pub(super) fn told_failed(&mut self, ids: &[Arc<str>]) {
        self.instances.failed.extend(ids.iter().cloned());
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
        let mut census = count_nodes(now, state, options);
        let before = std::mem::take(&mut self.instances);
        for group in groups {
            let mut counted = self.count(now, state, group, options, &before);
            self.judge(now, &mut counted, backoffs, options);
            census.groups.push(counted);
        }
        let is_there = |name: &Arc<str>| groups.iter().any(|group| group.name == *name);
        if groups.len() < self.missing.len() {
            self.orders.retain(|name, _| is_there(name));
            self.missing.retain(|name, _| is_there(name));
            self.given_up.retain(is_there);
            self.likenesses.retain(is_there);
        }
        census
    }

    fn count(
        &mut self,
        now: Timestamp,
        state: &ClusterState,
        group: &Arc<NodeGroup>,
        options: &NodeOptions,
        before: &Troubled,
    ) -> GroupCensus {
        let mut counted = GroupCensus::complete(Arc::clone(group));
        let (mut came, mut here) = (0, 0);
        let mut example: Option<NodeView<'_>> = None;
        for instance in &group.instances {
            let id = &instance.provider_id;
            match (&instance.state, state.node_of(id)) {
                (InstanceState::Deleting, _) => continue,
                (InstanceState::Failed(error), _) => {
                    counted.failed.push((Arc::clone(id), error.clone()));
                    counted.failed_anew |= !self.instances.still_failed(id, before);
                }
                (_, Some(node)) => {
                    if is_drained(node) || has_started(now, node, options) {
                        came += 1;
                    } else {
                        counted.starting.push(Arc::clone(&node.facts.node.name));
                    }
                    if is_better_example(node, example, options) {
                        example = Some(node);
                    }
                }
                (_, None) => {
                    let since = self.instances.unregistered_since(now, id, before);
                    if now.since(since) > options.max_node_provision_time_ms {
                        counted.overdue.push(Arc::clone(id));
                    }
                }
            }
            here += 1;
        }
        let missing = self.missing.entry(Arc::clone(&group.name)).or_default();
        missing.settle(now, group.target_size.saturating_sub(here));
        counted.lost = missing.longer_than(now, options.max_node_provision_time_ms);
        let gone = counted.failed.len() + counted.overdue.len();
        let gone = u32::try_from(gone).unwrap_or(u32::MAX);
        let gone = gone.saturating_add(counted.lost);
        let left = group.target_size.saturating_sub(came);
        counted.upcoming = left.saturating_sub(gone);
        let good = example.filter(|node| is_good_example(*node, options));
        counted.example = good.and_then(|node| node.facts.provider_id.clone());
        counted.likeness = self.likenesses.of(state, &group.name, example, options);
        counted
    }

    /// Whether an order was delivered, or nodes should have come by now.
    fn judge(
        &mut self,
        now: Timestamp,
        counted: &mut GroupCensus,
        backoffs: &mut Backoffs,
        options: &NodeOptions,
    ) {
        let group = &counted.group.name;
        if counted.lost == 0 {
            self.given_up.remove(group);
        }
        counted.timed_out = counted.lost > 0 && !self.given_up.contains(group);
        let Some(&ordered_at) = self.orders.get(group) else {
            return;
        };
        let late = now.since(ordered_at) > options.max_node_provision_time_ms;
        let in_vain = late && (counted.lost > 0 || !counted.overdue.is_empty());
        if counted.upcoming == 0 && !counted.failed_anew && !in_vain {
            self.orders.remove(group);
            let failed_at = backoffs.last(group);
            if failed_at.is_none_or(|failed_at| failed_at < ordered_at) {
                backoffs.succeed(group);
            }
        } else if late {
            counted.timed_out = true;
        }
    }
}

impl Troubled {
    /// Whether an instance was told to have failed before.
    fn still_failed(&mut self, id: &Arc<str>, before: &Self) -> bool {
        let told = before.failed.contains(id);
        if told {
            self.failed.insert(Arc::clone(id));
        }
        told
    }

    fn unregistered_since(&mut self, now: Timestamp, id: &Arc<str>, before: &Self) -> Timestamp {
        let since = before.unregistered.get(id).copied().unwrap_or(now);
        self.unregistered.insert(Arc::clone(id), since);
        since
    }
}

fn count_nodes(now: Timestamp, state: &ClusterState, options: &NodeOptions) -> Census {
    let mut census = Census::default();
    for node in state.nodes() {
        census.nodes += 1;
        if is_drained(node) {
            census.drained.push(Arc::clone(&node.facts.node.name));
        } else if !is_ready(node, options) && has_started(now, node, options) {
            census.unready += 1;
        }
    }
    census
}
