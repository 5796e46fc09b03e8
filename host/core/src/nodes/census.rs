//! What has become of each group's nodes: there, on their way, overdue, failed.

mod memory;
mod missing;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::memory::Memory;
pub(super) use self::memory::{Found, Trouble};
use super::backoff::Backoffs;
use super::cloud::{InstanceError, InstanceState, NodeGroup};
use super::options::NodeOptions;
use super::readiness::{has_started, is_drained, is_ready};
use super::state::{ClusterState, NodeView};
use super::templates::{Likeness, Likenesses, Members, example_rank};
use crate::time::Timestamp;

/// Remembers from one pass to the next what was ordered, since when nodes have been
/// waited for, and what nodes were like.
#[derive(Clone, Debug, Default)]
pub(super) struct Registry {
    groups: BTreeMap<Arc<str>, Memory>,
    likenesses: Likenesses,
}

/// A group as it stands.
#[derive(Clone, Debug)]
pub struct GroupCensus {
    /// The group.
    pub group: Arc<NodeGroup>,
    /// Nodes it was asked for that have not come.
    pub upcoming: u32,
    /// Names of upcoming nodes that have joined and are not ready.
    pub starting: Vec<Arc<str>>,
    /// Zones of upcoming nodes that have not joined, as far as the cloud says.
    pub(super) launched: Vec<Arc<str>>,
    /// Zones that nodes and instances of it are in, in no order.
    pub(super) zones: Vec<Arc<str>>,
    /// The instance whose node shows what a new one would be like.
    pub example: Option<Arc<str>>,
    /// Shape of its example, or if there is none, of the last node seen in the group.
    pub(super) likeness: Option<Arc<Likeness>>,
    /// What went wrong, each kind of trouble once, in the order in which it is dealt
    /// with.
    pub(super) found: Vec<Found>,
}

/// All groups and nodes.
#[derive(Clone, Debug, Default)]
pub struct Census {
    /// The groups, ordered by name.
    pub groups: Vec<GroupCensus>,
    /// Names of nodes that are being drained.
    pub drained: Vec<Arc<str>>,
    /// The state's revision that it is of.
    pub(super) revision: u64,
    /// Nodes of the cluster.
    pub(super) nodes: u32,
    /// Nodes that should be ready and are not.
    pub(super) unready: u32,
}

impl GroupCensus {
    /// Whether no nodes are on their way any more, and there is no trouble that was not
    /// reported before.
    fn has_delivered(&self) -> bool {
        self.upcoming == 0 && !self.found.iter().any(|found| found.new)
    }

    /// Nodes on their way that have not joined the cluster.
    pub(super) fn not_joined(&self) -> u32 {
        let joined = u32::try_from(self.starting.len()).unwrap_or(u32::MAX);
        self.upcoming.saturating_sub(joined)
    }
}

impl Census {
    /// Counts groups and nodes without knowledge of earlier orders and failures, for a
    /// dry run.
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
        let memory = self.groups.entry(Arc::clone(group)).or_default();
        memory.ordered_at = Some(now);
        memory.missing.add(now, count);
    }

    /// Notes that a group's trouble was reported: the next census does not count it as
    /// new.
    pub(super) fn told(&mut self, group: &str, what: &Trouble) {
        if let Some(memory) = self.groups.get_mut(group) {
            memory.tell(what);
        }
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
        for group in groups {
            let name = &group.name;
            let memory = self.groups.entry(Arc::clone(name)).or_default();
            let (mut counted, example, nodes) = count(now, state, group, options, memory);
            let members = Members {
                state,
                nodes: &nodes,
            };
            counted.likeness = self.likenesses.of(members, name, example, options);
            if counted.has_delivered()
                && let Some(ordered_at) = memory.ordered_at.take()
                && backoffs.last(name).is_none_or(|failed| failed < ordered_at)
            {
                backoffs.succeed(name);
            }
            census.groups.push(counted);
        }
        if groups.len() < self.groups.len() {
            let is_there = |name: &Arc<str>| groups.iter().any(|group| group.name == *name);
            self.groups.retain(|name, _| is_there(name));
            self.likenesses.retain(is_there);
        }
        census
    }
}

/// A group as it stands, the node that shows best what a new one would be like, and all of
/// its nodes.
fn count<'a>(
    now: Timestamp,
    state: &'a ClusterState,
    group: &Arc<NodeGroup>,
    options: &NodeOptions,
    memory: &mut Memory,
) -> (GroupCensus, Option<NodeView<'a>>, Vec<NodeView<'a>>) {
    let (mut came, mut here) = (0, 0);
    let mut nodes = Vec::with_capacity(group.instances.len());
    let (mut starting, mut launched, mut zones) = (Vec::new(), Vec::new(), Vec::new());
    let mut example = None;
    let mut troubles = Troubles::default();
    let known = memory.begin();
    let late = |since| now.since(since) > options.max_node_provision_time_ms;
    for instance in &group.instances {
        let id = &instance.provider_id;
        match (&instance.state, state.node_of(id)) {
            (InstanceState::Deleting, _) => continue,
            (InstanceState::Failed(error), _) => {
                let (_, told) = memory.wait(now, id, true, &known);
                troubles.error.get_or_insert(error);
                troubles.failed.add(id, told);
            }
            (_, Some(node)) => {
                nodes.push(node);
                add_zone(&mut zones, node.zone.or(instance.zone.as_ref()));
                let has_started = is_drained(node) || has_started(now, node, options);
                if has_started {
                    came += 1;
                } else {
                    starting.push(Arc::clone(&node.facts.node.name));
                }
                // A node that was ready before is none that has not come.
                let is_new = !has_started || known.waits(id);
                if is_new && !is_drained(node) && !is_ready(node, options) {
                    let (since, told) = memory.wait(now, id, false, &known);
                    if late(since) {
                        troubles.unready.add(id, told);
                    }
                }
                let rank = example_rank(node, options);
                if example.is_none_or(|(best, _)| rank > best) {
                    example = Some((rank, node));
                }
            }
            (_, None) => {
                let (since, told) = memory.wait(now, id, false, &known);
                if late(since) {
                    troubles.overdue.add(id, told);
                } else {
                    launched.extend(instance.zone.clone());
                }
                add_zone(&mut zones, instance.zone.as_ref());
            }
        }
        here += 1;
    }
    let missing = &mut memory.missing;
    missing.settle(now, group.target_size.saturating_sub(here));
    let lost = missing.longer_than(now, options.max_node_provision_time_ms);
    let found = troubles.found(lost);
    let gone = found.iter().map(|found| found.what.gone());
    let gone = gone.fold(0, u32::saturating_add);
    let left = group.target_size.saturating_sub(came);
    let good = example.filter(|((is_good, ..), _)| *is_good);
    let counted = GroupCensus {
        group: Arc::clone(group),
        upcoming: left.saturating_sub(gone),
        starting,
        launched,
        zones,
        example: good.and_then(|(_, node)| node.facts.provider_id.clone()),
        likeness: None,
        found,
    };
    (counted, example.map(|(_, node)| node), nodes)
}

fn add_zone(zones: &mut Vec<Arc<str>>, zone: Option<&Arc<str>>) {
    let Some(zone) = zone else { return };
    // The nodes of a zone mostly share its text.
    let same = |known: &Arc<str>| Arc::ptr_eq(known, zone) || known == zone;
    if !zones.iter().any(same) {
        zones.push(Arc::clone(zone));
    }
}

/// Instances of one group by what is wrong with them.
#[derive(Default)]
struct Troubles<'a> {
    failed: Ids,
    /// Why the first of them failed.
    error: Option<&'a InstanceError>,
    overdue: Ids,
    unready: Ids,
}

/// Instances, and whether some of them were not told of yet.
#[derive(Default)]
struct Ids {
    ids: Vec<Arc<str>>,
    new: bool,
}

impl Ids {
    fn add(&mut self, id: &Arc<str>, told: bool) {
        self.ids.push(Arc::clone(id));
        self.new |= !told;
    }

    /// Returns the trouble with these ids. `None` if there are no ids.
    fn found(self, what: impl FnOnce(Vec<Arc<str>>) -> Trouble) -> Option<Found> {
        let Self { ids, new } = self;
        (!ids.is_empty()).then(|| Found {
            what: what(ids),
            new,
        })
    }
}

impl Troubles<'_> {
    /// Returns all trouble. `lost` is the number of nodes without an instance, and
    /// whether that is new.
    fn found(self, lost: (u32, bool)) -> Vec<Found> {
        let failed = self.error.and_then(|error| {
            let what = |ids| Trouble::Failed(ids, error.clone());
            self.failed.found(what)
        });
        let lost = (lost.0 > 0).then_some(Found {
            what: Trouble::Lost(lost.0),
            new: lost.1,
        });
        let overdue = self.overdue.found(Trouble::Overdue);
        let unready = self.unready.found(Trouble::Unready);
        let all = [failed, lost, overdue, unready];
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
        } else if !is_ready(node, options) && has_started(now, node, options) {
            census.unready += 1;
        }
    }
    census
}
