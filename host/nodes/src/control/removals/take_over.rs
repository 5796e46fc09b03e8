//! What a new process, or a new leader, takes over from the one before: the timers of
//! unneeded nodes, half-done drains, and the removals of the last hour.

use std::sync::Arc;

use super::{DELETION_CANDIDATE, NodeLoop, Removals};
use crate::census::Census;
use crate::cloud::{CloudProvider, InstanceState};
use crate::ports::{DrainMark, NodesReader, NodesWriter, StatusDocument, WriteError};
use crate::readiness::{TO_BE_DELETED, is_drained};
use crate::scale_down::drain::{Advanced, Drain, Step};
use crate::scale_down::timers::UnneededTimers;
use crate::state::{ClusterState, NodeView};
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;
use flyball_placement::Node;

/// Time without a leader after which timers begin anew.
const MAX_UNLED_MS: i64 = 5 * 60_000;

/// Annotation of the status ConfigMap: when somebody led last, in milliseconds. It is for
/// processes without leader election.
pub(in crate::control) const LAST_LED: &str = "flyball.dev/last-led";

/// Annotation of the status ConfigMap: the removals of the last hour.
pub(in crate::control) const REMOVALS: &str = "flyball.dev/removals";

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Reads what the process before left, once: in its Lease and in the status, when it led
    /// last; in the status, the removals of the last hour. Without the right to read the
    /// status, there is nothing in it. If the
    /// read fails otherwise, the next pass tries again.
    pub(in crate::control) async fn read_status(&mut self, now: Timestamp) {
        if self.has_read_status {
            return;
        }
        let status = match self.writer.read_status().await {
            Ok(status) => status.unwrap_or_default(),
            Err(WriteError::Forbidden { .. }) => StatusDocument::default(),
            Err(_) => return,
        };
        self.has_read_status = true;
        let written = status.annotations.get(LAST_LED);
        let written = written.and_then(|at| at.parse().ok()).map(Timestamp);
        // The annotation is as old as the last status, a Lease a few seconds. It is not there
        // or old if the process before took part in no election.
        let led = self.writer.led_before().into_iter().chain(written);
        self.last_led = led.min_by_key(|at| now.since(*at).unsigned_abs());
        if let Some(removals) = status.annotations.get(REMOVALS) {
            // Whatever else stands there is none of ours, and is replaced.
            let _ = self.scale_down.removals.restore(removals, now);
        }
    }

    /// Restores the timers of unneeded nodes, once.
    pub(in crate::control) fn restore_timers(&mut self, now: Timestamp) {
        let Some(last) = self.last_led.take() else {
            return;
        };
        // Clocks of two machines may differ: a time may lie a little ahead.
        if now.since(last).unsigned_abs() > MAX_UNLED_MS.unsigned_abs() {
            return;
        }
        let timers = &mut self.scale_down.timers;
        self.reader.with_state(|state| restore(state, now, timers));
    }

    /// Takes over drains that another process has begun, and settles those whose removal
    /// the cloud answered with an error.
    pub(in crate::control) fn take_over(&mut self, now: Timestamp, census: &Census) -> Removals {
        let mut removals = Removals::default();
        let drains = &self.scale_down.drains;
        let found = self.reader.with_state(|state| {
            let nodes = census.drained.iter().filter_map(|name| state.node(name));
            let nodes = nodes.filter(|node| drains.get(&node.facts.node.name).is_none());
            nodes
                .filter_map(|node| resumed(now, census, node))
                .collect::<Vec<_>>()
        });
        for drain in found {
            let message = "a drain that was begun before is continued".to_owned();
            removals.step(&drain.node, "Resumed", message);
            self.scale_down.drains.insert(drain);
        }
        let uncertain = self.scale_down.drains.iter();
        let uncertain = uncertain.filter_map(|drain| match &drain.step {
            Step::Uncertain(why) => Some((Arc::clone(&drain.node), why.clone())),
            _ => None,
        });
        for (node, why) in uncertain.collect::<Vec<_>>() {
            let Some(drain) = self.scale_down.drains.get_mut(&node) else {
                continue;
            };
            match instance(census, &drain.provider_id) {
                Some((_, InstanceState::Running | InstanceState::Creating)) => {
                    let mut advanced = Advanced::default();
                    drain.take_back(now, why, &mut advanced);
                    self.note_failed(now, &advanced.failed, &mut removals);
                }
                _ => {
                    drain.terminated(now);
                    let group = Arc::clone(&drain.group);
                    self.scale_down.note_removed(&group, &node, now);
                }
            }
        }
        removals
    }
}

/// Restores timers from the values of the taints: the times must lie in the past and after
/// the nodes' creation.
fn restore(state: &ClusterState, now: Timestamp, timers: &mut UnneededTimers) {
    for node in state.nodes() {
        let object = &node.facts.node;
        let Some(since) = taint_time(object, DELETION_CANDIDATE) else {
            continue;
        };
        if since <= now && since >= node.facts.created {
            timers.restore(&object.name, since, node.facts.created);
        }
    }
}

/// The drain of a node that has our mark. `None` if it has not.
fn resumed(now: Timestamp, census: &Census, node: NodeView<'_>) -> Option<Drain> {
    let has_mark = node.facts.annotations.contains_key(DrainMark::ANNOTATION);
    if !has_mark || !is_drained(node) {
        return None;
    }
    let provider_id = node.facts.provider_id.as_ref()?;
    let (group, step) = match instance(census, provider_id) {
        Some((group, InstanceState::Running | InstanceState::Creating)) => (group, Step::Reviewing),
        // Its instance is gone or going: only the Node is left.
        other => {
            let step = Step::Terminating {
                since: lost_instance_at(now, node),
                reported: false,
            };
            (other.map_or_else(Arc::default, |(group, _)| group), step)
        }
    };
    Some(Drain {
        node: Arc::clone(&node.facts.node.name),
        uid: Arc::clone(&node.facts.uid),
        provider_id: Arc::clone(provider_id),
        group,
        was_empty: false,
        is_resumed: true,
        step,
        pods: Vec::new(),
    })
}

/// When a drained node without an instance has lost it, as far as its Node shows.
///
/// A Node is not ready about a minute after its kubelet has ended, and stays so: hence a ready
/// one has just lost its instance. One that was not ready before has lost it after it was
/// marked.
fn lost_instance_at(now: Timestamp, node: NodeView<'_>) -> Timestamp {
    let facts = node.facts;
    let Some(not_ready) = facts.ready_since.filter(|_| !facts.condition_ready) else {
        return now;
    };
    let marked = taint_time(&facts.node, TO_BE_DELETED).unwrap_or(not_ready);
    not_ready.max(marked).min(now)
}

/// The time that is the value of a taint of ours.
fn taint_time(node: &Node, key: &str) -> Option<Timestamp> {
    let taint = node.taints.iter().find(|taint| &*taint.key == key)?;
    let seconds: i64 = taint.value.parse().ok()?;
    seconds.checked_mul(1000).map(Timestamp)
}

/// Group and state of an instance.
fn instance<'a>(census: &'a Census, provider_id: &str) -> Option<(Arc<str>, &'a InstanceState)> {
    census.groups.iter().find_map(|census| {
        let mut instances = census.group.instances.iter();
        let found = instances.find(|instance| &*instance.provider_id == provider_id)?;
        Some((Arc::clone(&census.group.name), &found.state))
    })
}
