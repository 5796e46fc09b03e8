//! `--max-disruption`: nodes that are leaving, not ready, or were removed lately, and how
//! many more may leave.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::{ScaleDownContext, UnneededNode};
use super::recent_removals::RecentRemovals;
use super::tracker::ScaleDownTracker;
use crate::options::MaxDisruption;
use crate::readiness::{has_started, is_drained, is_ready};
use crate::state::{ClusterState, NodeView};
use flyball_decision::time::Timestamp;

/// The disrupted nodes, of each group and of all groups.
#[derive(Clone, Debug)]
pub(super) struct Disruption<'a> {
    now: Timestamp,
    removals: &'a RecentRemovals,
    /// At the index of the group in the census.
    groups: Vec<(Arc<str>, Option<MaxDisruption>, Disrupted)>,
    all: (Option<MaxDisruption>, Disrupted),
}

/// The nodes of one or all groups.
#[derive(Clone, Debug, Default)]
struct Disrupted {
    /// Nodes that have started, or are leaving.
    nodes: u32,
    unready: u32,
    /// Names of the nodes that are leaving.
    leaving: BTreeSet<Arc<str>>,
}

/// Why a node may not leave yet.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Message for people.
    pub(super) message: String,
    /// When the time of the limit is over for a removal.
    pub(super) until: Option<Timestamp>,
}

impl<'a> Disruption<'a> {
    /// Counts the disrupted nodes. `of_all` is the limit for all groups. `None` if there is
    /// neither this limit nor one of a group.
    pub(super) fn new(
        context: &ScaleDownContext<'_>,
        state: &ClusterState,
        tracker: &'a ScaleDownTracker,
        of_all: Option<MaxDisruption>,
    ) -> Option<Self> {
        let groups = context.census.groups.iter();
        let groups = groups.map(|census| {
            let group = &census.group;
            let limit = group.scale_down.max_disruption;
            (Arc::clone(&group.name), limit, Disrupted::default())
        });
        let groups: Vec<_> = groups.collect();
        if of_all.is_none() && groups.iter().all(|(_, limit, _)| limit.is_none()) {
            return None;
        }
        let mut counted = Self {
            now: context.now,
            removals: &tracker.removals,
            groups,
            all: (of_all, Disrupted::default()),
        };
        counted.count(context, state, tracker);
        Some(counted)
    }

    fn count(
        &mut self,
        context: &ScaleDownContext<'_>,
        state: &ClusterState,
        tracker: &ScaleDownTracker,
    ) {
        for (at, census) in context.census.groups.iter().enumerate() {
            for instance in &census.group.instances {
                let id = &instance.provider_id;
                // Nodes of a dump may lack it; their groups name them instead.
                if let Some(node) = state.node_of(id).or_else(|| state.node(id)) {
                    self.count_node(at, context, tracker, node);
                }
            }
        }
        // Nodes whose instances have left their groups already.
        for drain in tracker.drains.iter() {
            let mut groups = self.groups.iter();
            let at = groups.position(|(name, ..)| *name == drain.group);
            if let (Some(at), Some(_)) = (at, state.node(&drain.node)) {
                self.groups[at].2.add_leaving(&drain.node);
                self.all.1.add_leaving(&drain.node);
            }
        }
    }

    fn count_node(
        &mut self,
        at: usize,
        context: &ScaleDownContext<'_>,
        tracker: &ScaleDownTracker,
        node: NodeView<'_>,
    ) {
        let name = &node.facts.node.name;
        let leaves = is_drained(node) || node.facts.deleting || tracker.is_leaving(name);
        for counts in [&mut self.groups[at].2, &mut self.all.1] {
            if leaves {
                counts.add_leaving(name);
            } else if has_started(context.now, node, context.options) {
                counts.nodes += 1;
                counts.unready += u32::from(!is_ready(node, context.options));
            }
        }
    }

    /// Notes that these nodes leave together. Fails, and notes nothing, if a limit does not
    /// allow it.
    pub(super) fn take(&mut self, nodes: &[&UnneededNode]) -> Result<(), Refused> {
        let before = (self.groups.clone(), self.all.clone());
        for node in nodes {
            if let Err(refused) = self.take_one(node) {
                (self.groups, self.all) = before;
                return Err(refused);
            }
        }
        Ok(())
    }

    fn take_one(&mut self, node: &UnneededNode) -> Result<(), Refused> {
        let (group, limit, counts) = &self.groups[node.group];
        if let Some(limit) = limit {
            self.check(*limit, counts, Some(group), node.ready)?;
        }
        if let Some(limit) = self.all.0 {
            self.check(limit, &self.all.1, None, node.ready)?;
        }
        for counts in [&mut self.groups[node.group].2, &mut self.all.1] {
            counts.nodes = counts.nodes.saturating_sub(1);
            counts.unready -= u32::from(!node.ready && counts.unready > 0);
            counts.add_leaving(&node.name);
        }
        Ok(())
    }

    /// Checks whether one more node may leave. Nodes that are not ready keep ready ones
    /// only: otherwise broken nodes could keep each other for ever.
    fn check(
        &self,
        limit: MaxDisruption,
        counts: &Disrupted,
        group: Option<&Arc<str>>,
        is_ready: bool,
    ) -> Result<(), Refused> {
        let of = group.map(|group| &**group);
        let leaving = counts.leaving.iter();
        let window = limit.window_ms();
        // A node that was removed may still be there: it counts once.
        let is_counted = |node: &str| {
            window.is_some_and(|window_ms| self.removals.has(node, window_ms, self.now))
        };
        let leaving = leaving.filter(|node| !is_counted(node)).count();
        let leaving = u32::try_from(leaving).unwrap_or(u32::MAX);
        let (removed, until) = window.map_or((0, None), |window_ms| {
            self.removals.within(window_ms, of, self.now)
        });
        let unready = if is_ready { counts.unready } else { 0 };
        let nodes = counts.nodes.saturating_add(leaving).saturating_add(removed);
        let max = limit.nodes(nodes);
        let used = leaving.saturating_add(removed).saturating_add(unready);
        if used < max {
            return Ok(());
        }
        let whose = match group {
            Some(group) => format!("group {group}"),
            None => "all groups".to_owned(),
        };
        let lately = match window {
            Some(_) => format!(", {removed} were removed within the time"),
            None => String::new(),
        };
        let message = format!(
            "the limit {limit} of {whose} allows {max} of {nodes} nodes: {leaving} are leaving, \
             {} are not ready{lately}",
            counts.unready
        );
        Err(Refused { message, until })
    }
}

impl Disrupted {
    fn add_leaving(&mut self, node: &Arc<str>) {
        self.leaving.insert(Arc::clone(node));
    }
}
