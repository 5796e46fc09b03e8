//! The status ConfigMap, as Cluster Autoscaler writes it: health, activity and sizes of the
//! cluster and of each node group.
//!
//! It is written when something other than a time has changed, else every five minutes.

mod text;

pub(crate) use self::text::date_time;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::backoff::Backoffs;
use super::census::Census;
use super::cloud::NodeGroup;
use super::options::NodeOptions;
use super::readiness::{has_started, is_drained, is_ready};
use super::state::{ClusterState, NodeView};
use flyball_decision::time::Timestamp;

/// Time after which the status is written even if nothing has changed.
const INTERVAL_MS: i64 = 5 * 60_000;

/// Nodes by state. A node counts once, in the first state that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct NodeCounts {
    pub(crate) being_deleted: u32,
    pub(crate) ready: u32,
    pub(crate) not_started: u32,
    pub(crate) unready: u32,
    /// Instances that have not joined.
    pub(crate) unregistered: u32,
    /// Instances that have not joined in time.
    pub(crate) long_unregistered: u32,
}

impl NodeCounts {
    fn registered(&self) -> u32 {
        self.being_deleted + self.ready + self.not_started + self.unready
    }

    fn add(&mut self, now: Timestamp, node: NodeView<'_>, options: &NodeOptions) {
        let count = if is_drained(node) {
            &mut self.being_deleted
        } else if is_ready(node, options) {
            &mut self.ready
        } else if !has_started(now, node, options) {
            &mut self.not_started
        } else {
            &mut self.unready
        };
        *count += 1;
    }

    fn extend(&mut self, other: &Self) {
        self.unregistered += other.unregistered;
        self.long_unregistered += other.long_unregistered;
    }
}

/// Status of one node group.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct GroupStatus {
    pub(crate) group: Arc<NodeGroup>,
    pub(crate) counts: NodeCounts,
    pub(crate) is_healthy: bool,
    pub(crate) is_growing: bool,
    /// Class and message of the failure that it is backed off for.
    pub(crate) backoff: Option<(Arc<str>, Arc<str>)>,
    /// Nodes that are not needed.
    pub(crate) candidates: u32,
}

/// What the status says, without times.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Status {
    pub(crate) counts: NodeCounts,
    pub(crate) is_healthy: bool,
    pub(crate) groups: Vec<GroupStatus>,
    pub(crate) candidates: u32,
}

impl Status {
    /// Counts nodes and instances. `unneeded` has the number of unneeded nodes by index of
    /// their group.
    pub(crate) fn new(
        now: Timestamp,
        state: &ClusterState,
        census: &Census,
        backoffs: &Backoffs,
        options: &NodeOptions,
        unneeded: &BTreeMap<usize, u32>,
    ) -> Self {
        let mut counts = NodeCounts::default();
        for node in state.nodes() {
            counts.add(now, node, options);
        }
        let groups = census.groups.iter().enumerate();
        let groups: Vec<GroupStatus> = groups
            .map(|(at, of_group)| {
                let group = &of_group.group;
                let mut counts = NodeCounts::default();
                for instance in &group.instances {
                    match state.node_of(&instance.provider_id) {
                        Some(node) => counts.add(now, node, options),
                        None => counts.unregistered += 1,
                    }
                }
                counts.long_unregistered = of_group.not_joined_in_time();
                let backoff = backoffs.of(now, &group.name);
                GroupStatus {
                    group: Arc::clone(group),
                    counts,
                    is_healthy: is_healthy(counts.unready, counts.registered(), options),
                    is_growing: of_group.upcoming > 0,
                    backoff: backoff.map(|one| (Arc::clone(&one.class), Arc::clone(&one.message))),
                    candidates: unneeded.get(&at).copied().unwrap_or_default(),
                }
            })
            .collect();
        for group in &groups {
            counts.extend(&group.counts);
        }
        Self {
            is_healthy: census.unhealthy(options).is_none(),
            counts,
            candidates: unneeded.values().sum(),
            groups,
        }
    }
}

/// Whether no more nodes are unready than both limits allow.
fn is_healthy(unready: u32, nodes: u32, options: &NodeOptions) -> bool {
    let max = options.max_total_unready_percentage / 100.0 * f64::from(nodes);
    unready <= options.ok_total_unready_count || f64::from(unready) <= max
}

/// When each part of the status changed last, and when it was written.
#[derive(Debug, Default)]
pub(crate) struct StatusWriter {
    written: Option<(Timestamp, Status)>,
    /// Time of the last transition by part, such as `group/a/scaleUp`, and its state.
    transitions: BTreeMap<String, (Timestamp, &'static str)>,
}

impl StatusWriter {
    /// Returns the text to write. `None` if nothing has changed lately.
    pub(crate) fn text(&mut self, now: Timestamp, status: Status) -> Option<String> {
        let is_fresh =
            |(at, known): &(Timestamp, Status)| now.since(*at) < INTERVAL_MS && *known == status;
        if self.written.as_ref().is_some_and(is_fresh) {
            return None;
        }
        let text = text::text(now, &status, &mut self.transitions);
        self.written = Some((now, status));
        Some(text)
    }

    /// Lets the text be written with the next status even if that is the same.
    pub(crate) fn write_again(&mut self) {
        self.written = None;
    }
}
