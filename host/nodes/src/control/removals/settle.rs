//! What came of the actions of drains.

use std::sync::Arc;

use super::{Done, NodeLoop, Removals};
use crate::cloud::{CloudError, CloudProvider, NOT_LEADER};
use crate::ports::{EvictError, NodeEvent, NodesReader, NodesWriter, Subject, WriteError};
use crate::readiness::TO_BE_DELETED;
use crate::scale_down::drain::{Advanced, Drain, Eviction, Step};
use crate::scale_down::tracker::EvictedPod;
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Updates a drain with the result of an action.
    pub(super) fn settle_action(&mut self, now: Timestamp, done: Done, removals: &mut Removals) {
        match done {
            Done::Marked { node, result } => self.settle_mark(now, &node, result, removals),
            Done::Evicted {
                node,
                eviction,
                result,
            } => self.settle_eviction(now, &node, &eviction, result, removals),
            Done::Terminated { results } => {
                for (node, result) in results {
                    self.settle_termination(now, &node, result, removals);
                }
            }
            Done::Unmarked { node, result } => match result {
                Ok(()) | Err(WriteError::Gone) => {
                    self.scale_down.drains.remove(&node);
                }
                Err(error) => {
                    if let Some(drain) = self.scale_down.drains.get_mut(&node) {
                        drain.unmarking_failed(now);
                    }
                    let message = format!("the taint could not be removed: {error}");
                    removals.step(&node, "TakingBackFailed", message);
                }
            },
            Done::Lingers { node, result } => {
                let message = match result {
                    None => "the Node is still there 5 minutes after its instance".to_owned(),
                    Some(Ok(()) | Err(WriteError::Gone)) => {
                        "the Node was deleted, as it outlived its instance".to_owned()
                    }
                    Some(Err(error)) => {
                        format!("the Node outlives its instance and was not deleted: {error}")
                    }
                };
                removals.step(&node, "Lingers", message.clone());
                let about = self.subject(&node);
                removals.event(about, true, "ScaleDownFailed", message);
            }
        }
    }

    /// A drain, and its node as the subject of an event. `None` if it has ended.
    fn subject_and_drain(&mut self, node: &Arc<str>) -> Option<(Subject, &mut Drain)> {
        let about = self.subject(node);
        let drain = self.scale_down.drains.get_mut(node)?;
        Some((about, drain))
    }

    fn settle_mark(
        &mut self,
        now: Timestamp,
        node: &Arc<str>,
        result: Result<(), WriteError>,
        removals: &mut Removals,
    ) {
        let Some((about, drain)) = self.subject_and_drain(node) else {
            return;
        };
        match result {
            Ok(()) => {
                drain.marked(now);
                let message = "marked the node as toBeDeleted/unschedulable".to_owned();
                let log = format!("Successfully added {TO_BE_DELETED} on node {node}");
                removals.findings.log.push(log);
                removals.step(node, "Marked", message.clone());
                removals.event(about, false, "ScaleDown", message);
            }
            Err(WriteError::Gone) => {
                self.scale_down.drains.remove(node);
            }
            Err(error) => {
                if drain.marking_failed(now) {
                    return;
                }
                let message =
                    format!("failed to mark the node as toBeDeleted/unschedulable: {error}");
                let mut advanced = Advanced::default();
                drain.take_back(now, message, &mut advanced);
                self.note_failed(now, &advanced.failed, removals);
            }
        }
    }

    fn settle_eviction(
        &mut self,
        now: Timestamp,
        node: &Arc<str>,
        eviction: &Eviction,
        result: Result<(), EvictError>,
        removals: &mut Removals,
    ) {
        let revision = self.reader.with_state(|state| state.budgets_revision());
        let Some(drain) = self.scale_down.drains.get_mut(node) else {
            return;
        };
        let pods = &mut drain.pods;
        let Some(pod) = pods.iter_mut().find(|pod| pod.eviction.uid == eviction.uid) else {
            return;
        };
        let name = format!("{}/{}", eviction.key.namespace, eviction.key.name);
        match result {
            Ok(()) => {
                pod.accepted(now);
                let is_awaited = pod.is_awaited;
                let message = "deleting pod for node scale down".to_owned();
                let about = Subject::Pod {
                    key: eviction.key.clone(),
                    uid: Arc::clone(&eviction.uid),
                };
                removals.event(about, false, "ScaleDown", message);
                removals.step(node, "Evicted", format!("pod {name}"));
                if is_awaited {
                    self.note_evicted(now, eviction);
                }
            }
            Err(EvictError::Gone) => pod.accepted(now),
            Err(EvictError::NotLeader) => {}
            Err(error) => {
                removals.step(node, "EvictionRefused", format!("pod {name}: {error}"));
                pod.refused(now, revision, error.to_string());
            }
        }
    }

    /// Keeps an evicted pod: until its owner creates it again, it is load.
    fn note_evicted(&mut self, now: Timestamp, eviction: &Eviction) {
        let evicted = self.reader.with_state(|state| {
            let pod = state.pod(&eviction.uid)?;
            let owner = pod.facts.owner.as_ref()?;
            Some(EvictedPod {
                pod: Arc::new(state.cluster().pod(pod.class)),
                owner: Some(Arc::clone(&owner.uid)),
                at: now,
            })
        });
        if let Some(evicted) = evicted {
            self.scale_down.note_evicted(evicted);
        }
    }

    fn settle_termination(
        &mut self,
        now: Timestamp,
        node: &Arc<str>,
        result: Result<(), CloudError>,
        removals: &mut Removals,
    ) {
        let Some((about, drain)) = self.subject_and_drain(node) else {
            return;
        };
        match result {
            Ok(()) => {
                drain.terminated(now);
                let (was_empty, group) = (drain.was_empty, Arc::clone(&drain.group));
                let log = format!(
                    "Terminated instance {} in node group {group}",
                    drain.provider_id
                );
                removals.findings.log.push(log);
                let (reason, message) = match was_empty {
                    true => (
                        "ScaleDownEmpty",
                        format!("Scale-down: empty node {node} removed"),
                    ),
                    false => (
                        "ScaleDown",
                        format!("Scale-down: node {node} removed with drain"),
                    ),
                };
                removals.step(node, "Terminating", message.clone());
                let of_status = NodeEvent::normal(reason, message);
                removals.findings.events.push(of_status);
                let message = "nodes removed by cluster autoscaler".to_owned();
                removals.event(about, false, "ScaleDown", message);
                self.scale_down.note_removed(&group, node, now);
            }
            Err(error) if matches!(error.class, "Throttled" | NOT_LEADER) => {
                drain.throttled(now);
            }
            Err(error) => {
                // The call may have succeeded and only its answer be lost: the next census
                // shows it.
                drain.step = Step::Uncertain(error.message.clone());
                removals.step(node, "TerminationFailed", error.message);
            }
        }
    }
}
