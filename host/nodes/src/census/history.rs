//! The history of a node group from one census to the next: the nodes that it is waiting
//! for, since when, and which failures were reported.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::missing::MissingInstances;
use crate::cloud::InstanceError;
use flyball_decision::time::Timestamp;

/// History of one group, kept from one pass to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct GroupHistory {
    /// Time of the last order. `None` once it was delivered.
    pub(super) ordered_at: Option<Timestamp>,
    /// Nodes that the target asks for and that have no instance.
    pub(super) missing: MissingInstances,
    /// Instances without a ready node, by provider id.
    awaited: BTreeMap<Arc<str>, AwaitedInstance>,
}

/// An instance without a ready node.
#[derive(Clone, Copy, Debug)]
struct AwaitedInstance {
    /// The cloud failed to create it. Otherwise it is on its way.
    failed: bool,
    /// Time of the first census that found it in this state.
    since: Timestamp,
    /// Whether its failure or delay was reported.
    reported: bool,
}

/// A failure found by a census.
#[derive(Clone, Debug)]
pub(crate) struct FailureReport {
    /// The failure.
    pub(crate) failure: NodeFailure,
    /// Whether all of it was reported by an earlier pass.
    pub(crate) already_reported: bool,
}

/// A failure of a group's nodes.
#[derive(Clone, Debug)]
pub(crate) enum NodeFailure {
    /// The cloud failed to create these instances. The error is that of the first.
    InstanceFailed(Vec<Arc<str>>, InstanceError),
    /// The cloud has created no instance in time for this many nodes.
    NoInstance(u32),
    /// The nodes of these instances have not joined in time.
    NotJoined(Vec<Arc<str>>),
    /// The nodes of these instances have joined and have not become ready in time.
    NotReady(Vec<Arc<str>>),
}

impl NodeFailure {
    /// Number of nodes that are no longer counted as upcoming.
    pub(super) fn given_up(&self) -> u32 {
        match self {
            Self::InstanceFailed(ids, _) | Self::NotJoined(ids) => {
                u32::try_from(ids.len()).unwrap_or(u32::MAX)
            }
            Self::NoInstance(count) => *count,
            Self::NotReady(_) => 0,
        }
    }
}

impl GroupHistory {
    /// Begins a census. Returns the instances that the last one was waiting for, for
    /// [`GroupHistory::keep_waiting`].
    pub(super) fn take_previous(&mut self) -> PreviousInstances {
        PreviousInstances(std::mem::take(&mut self.awaited))
    }

    /// Notes that an instance has failed or has no ready node. Returns since when that has
    /// been known, and whether it was reported.
    pub(super) fn keep_waiting(
        &mut self,
        now: Timestamp,
        id: &Arc<str>,
        failed: bool,
        previous: &PreviousInstances,
    ) -> (Timestamp, bool) {
        let previous = previous.0.get(id).filter(|known| known.failed == failed);
        let awaited = previous.copied().unwrap_or(AwaitedInstance {
            failed,
            since: now,
            reported: false,
        });
        self.awaited.insert(Arc::clone(id), awaited);
        (awaited.since, awaited.reported)
    }

    /// Marks a failure as reported.
    pub(super) fn mark_reported(&mut self, failure: &NodeFailure) {
        match failure {
            NodeFailure::NoInstance(count) => self.missing.mark_reported(*count),
            NodeFailure::InstanceFailed(ids, _)
            | NodeFailure::NotJoined(ids)
            | NodeFailure::NotReady(ids) => {
                for id in ids {
                    if let Some(awaited) = self.awaited.get_mut(id) {
                        awaited.reported = true;
                    }
                }
            }
        }
    }
}

/// The instances that the last census was waiting for.
pub(super) struct PreviousInstances(BTreeMap<Arc<str>, AwaitedInstance>);

impl PreviousInstances {
    /// Whether the last census was waiting for an instance.
    pub(super) fn contains(&self, id: &str) -> bool {
        self.0.contains_key(id)
    }
}
