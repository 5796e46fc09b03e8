//! Carries removals out: writes taints, evicts pods, and lets the cloud remove instances.

mod settle;
mod soft_taints;
mod take_over;

pub(super) use self::take_over::{LAST_LED, REMOVALS};
use std::sync::Arc;

use futures::stream::{self, StreamExt as _};

use super::NodeLoop;
use crate::census::Census;
use crate::cloud::{CloudError, CloudProvider, NOT_LEADER};
use crate::findings::Findings;
use crate::ports::{
    DrainMark, EvictError, NodeChange, NodeEvent, NodesReader, NodesWriter, Subject, TaintChange,
    WriteError,
};
use crate::readiness::TO_BE_DELETED;
use crate::record::DrainStepRecord;
use crate::scale_down::ScaleDownPlan;
use crate::scale_down::drain::{Action, Advanced, Drain, Eviction, PodEviction, Step};
use crate::scale_down::plan::{ReviewedNode, UnneededNode};
use crate::state::ClusterState;
use flyball_decision::ports::Clock;
use flyball_decision::text;
use flyball_decision::time::Timestamp;

/// Maximum size of a list of pods in a message.
const NAMES_BYTES: usize = 512;

/// Taint of a node that is not needed and may be removed later.
pub(super) const DELETION_CANDIDATE: &str = "DeletionCandidateOfClusterAutoscaler";

/// Number of requests at a time.
pub(super) const CONCURRENCY: usize = 16;

/// How often drains are advanced in a row: one step can make the next possible at once.
const MAX_ADVANCES: u32 = 4;

/// Number of evictions that are requested in one tick. Others follow in the next one, so that a
/// slow API server does not keep pods that need nodes waiting for all evictions.
const MAX_EVICTIONS: usize = 64;

/// What was done about removals in one tick.
#[derive(Debug, Default)]
pub(super) struct Removals {
    pub(super) findings: Findings,
    pub(super) steps: Vec<DrainStepRecord>,
}

impl Removals {
    pub(super) fn extend(&mut self, later: Self) {
        self.findings.extend(later.findings);
        self.steps.extend(later.steps);
    }

    pub(super) fn step(&mut self, node: &Arc<str>, step: &str, message: String) {
        self.steps.push(DrainStepRecord {
            node: Arc::clone(node),
            step: step.into(),
            message,
        });
    }

    fn event(&mut self, about: Subject, warning: bool, reason: &str, message: String) {
        let event = NodeEvent::new(about, warning, reason, message);
        self.findings.events.push(event);
    }
}

/// The evictions of one tick.
#[derive(Default)]
struct Evictions {
    begun: usize,
    /// Whether others are left for the next tick.
    are_left: bool,
}

impl Evictions {
    /// Returns whether one more may be requested.
    fn begin(&mut self) -> bool {
        if self.begun == MAX_EVICTIONS {
            self.are_left = true;
            return false;
        }
        self.begun += 1;
        true
    }
}

/// An action and what came of it.
enum Done {
    Marked {
        node: Arc<str>,
        result: Result<(), WriteError>,
    },
    Evicted {
        node: Arc<str>,
        eviction: Eviction,
        result: Result<(), EvictError>,
    },
    Terminated {
        results: Vec<(Arc<str>, Result<(), CloudError>)>,
    },
    Unmarked {
        node: Arc<str>,
        result: Result<(), WriteError>,
    },
    Lingers {
        node: Arc<str>,
        /// `None` if the Node was not to be deleted.
        result: Option<Result<(), WriteError>>,
    },
}

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Starts the removals of a plan, and settles the drains that it reviewed. Returns also
    /// whether the taint of candidates was written.
    pub(super) async fn remove_nodes(
        &mut self,
        now: Timestamp,
        census: &Census,
        plan: &ScaleDownPlan,
    ) -> (Removals, bool) {
        let mut removals = Removals::default();
        for reviewed in &plan.reviewed {
            self.settle_review(now, reviewed, &mut removals);
        }
        self.take_back_unreviewed(now, &mut removals);
        for &at in &plan.removed {
            if let Some(node) = plan.unneeded.get(at) {
                self.start(now, census, node, &mut removals);
            }
        }
        removals.extend(self.drive_drains(now).await);
        let (tainted, has_written) = self.update_soft_taints(now, plan).await;
        removals.extend(tainted);
        (removals, has_written)
    }

    /// Begins to remove a node.
    fn start(
        &mut self,
        now: Timestamp,
        census: &Census,
        node: &UnneededNode,
        removals: &mut Removals,
    ) {
        let Some(group) = census.groups.get(node.group) else {
            return;
        };
        let name = &node.name;
        let (reason, message) = if node.is_empty() {
            let message = format!("Scale-down: removing empty node {name}");
            ("ScaleDownEmpty", message)
        } else {
            let pods = self.reader.with_state(|state| {
                let keys = node.pods.iter().filter_map(|pod| state.pod_at(pod.slot));
                let names: Vec<String> = keys
                    .map(|pod| format!("{}/{}", pod.key.namespace, pod.key.name))
                    .collect();
                text::list(&names, names.len(), ",", NAMES_BYTES)
            });
            let message = format!(
                "Scale-down: removing node {name}, utilization: {}, pods to reschedule: {pods}",
                node.utilization
            );
            ("ScaleDown", message)
        };
        removals.findings.log.push(message.clone());
        removals.step(name, "Started", message.clone());
        removals
            .findings
            .events
            .push(NodeEvent::normal(reason, message));
        self.scale_down.drains.insert(Drain {
            node: Arc::clone(name),
            uid: Arc::clone(&node.uid),
            provider_id: Arc::clone(&node.provider_id),
            group: Arc::clone(&group.group.name),
            was_empty: node.is_empty(),
            is_resumed: false,
            step: Step::Marking {
                next: now,
                failed: 0,
            },
            pods: Vec::new(),
        });
    }

    /// Takes back the drains that the plan could not review.
    fn take_back_unreviewed(&mut self, now: Timestamp, removals: &mut Removals) {
        let drains = self.scale_down.drains.iter();
        let left = drains.filter(|drain| drain.step == Step::Reviewing);
        let left: Vec<Arc<str>> = left.map(|drain| Arc::clone(&drain.node)).collect();
        for node in left {
            if let Some(drain) = self.scale_down.drains.get_mut(&node) {
                let mut advanced = Advanced::default();
                let why = "its node group is not scaled any more".to_owned();
                drain.take_back(now, why, &mut advanced);
                self.note_failed(now, &advanced.failed, removals);
            }
        }
    }

    /// Continues a drain, or takes it back, after its last look.
    fn settle_review(&mut self, now: Timestamp, reviewed: &ReviewedNode, removals: &mut Removals) {
        let options = &self.options.scale_down;
        let Some(drain) = self.scale_down.drains.get_mut(&reviewed.name) else {
            return;
        };
        let why = match &reviewed.result {
            Err(stay) => stay.to_string(),
            Ok(node) => match &node.waits_for {
                Some(pod) => format!("pod {}/{} runs to its end first", pod.namespace, pod.name),
                None if drain.was_empty && !node.is_empty() && !drain.is_resumed => {
                    "pods have come to the empty node".to_owned()
                }
                None => {
                    let evicts_daemons = match node.is_empty() {
                        true => options.daemon_set_eviction_for_empty_nodes,
                        false => options.daemon_set_eviction_for_occupied_nodes,
                    };
                    drain.was_empty = node.is_empty();
                    drain.pods = self
                        .reader
                        .with_state(|state| evictions(state, node, evicts_daemons, now, options));
                    drain.step = Step::Evicting;
                    return;
                }
            },
        };
        let mut advanced = Advanced::default();
        drain.take_back(now, why, &mut advanced);
        self.note_failed(now, &advanced.failed, removals);
    }

    /// Advances the drains as far as possible now.
    pub(super) async fn drive_drains(&mut self, now: Timestamp) -> Removals {
        let mut removals = Removals::default();
        let reviewed = self.scale_down.drains.reviewed();
        let mut evictions = Evictions::default();
        for _ in 0..MAX_ADVANCES {
            if !self.writer.leads() {
                break;
            }
            let (drains, options) = (&mut self.scale_down.drains, &self.options.scale_down);
            let advance = |state: &mut ClusterState| {
                state.take_drain_change();
                drains.advance(now, state, options)
            };
            let advanced = self.reader.with_state(advance);
            self.note_failed(now, &advanced.failed, &mut removals);
            for drain in &advanced.gone {
                removals.step(&drain.node, "Gone", "the Node is gone".to_owned());
            }
            let mut actions = advanced.actions;
            actions.retain(|action| !matches!(action, Action::Evict(..)) || evictions.begin());
            if actions.is_empty() {
                break;
            }
            let done = self.carry_out_actions(now, actions).await;
            for done in done {
                self.settle_action(now, done, &mut removals);
            }
        }
        let drains = self.scale_down.drains.iter();
        let nodes = drains.map(|drain| Arc::clone(&drain.node)).collect();
        self.reader.with_state(|state| state.watch_drains(nodes));
        let (drains, options) = (&self.scale_down.drains, &self.options.scale_down);
        self.next_drain = match evictions.are_left {
            true => Some(now.plus(1)),
            false => drains.next(now, options),
        };
        if drains.reviewed() > reviewed {
            // The next plan looks at them once more.
            self.next_scan = now;
        }
        removals
    }

    async fn carry_out_actions(&self, now: Timestamp, actions: Vec<Action>) -> Vec<Done> {
        let done = stream::iter(actions).map(|action| self.carry_out_action(now, action));
        done.buffered(CONCURRENCY).collect().await
    }

    async fn carry_out_action(&self, now: Timestamp, action: Action) -> Done {
        match action {
            Action::Mark(node) => {
                let change = self.mark(now, &node);
                let result = self.writer.update_node(now, change).await;
                Done::Marked { node, result }
            }
            Action::Evict(node, eviction) => {
                let Eviction { key, uid, grace_s } = &eviction;
                let request = crate::ports::Eviction {
                    key: key.clone(),
                    uid: Arc::clone(uid),
                    grace_seconds: Some(*grace_s),
                };
                let result = self.writer.evict(now, request).await;
                Done::Evicted {
                    node,
                    eviction,
                    result,
                }
            }
            Action::Terminate { group, nodes } => {
                let drains = &self.scale_down.drains;
                let known = nodes.iter().filter_map(|node| drains.get(node));
                let (nodes, ids): (Vec<Arc<str>>, Vec<Arc<str>>) = known
                    .map(|drain| (Arc::clone(&drain.node), Arc::clone(&drain.provider_id)))
                    .unzip();
                // Other actions may have taken until the lease was lost.
                let results = match self.writer.leads() {
                    true => self.cloud.delete_instances(now, &group, &ids).await,
                    false => vec![Err(not_leader()); ids.len()],
                };
                Done::Terminated {
                    results: nodes.into_iter().zip(results).collect(),
                }
            }
            Action::Unmark(node) => {
                let drain = self.scale_down.drains.get(&node);
                let uid = drain.map(|drain| Arc::clone(&drain.uid));
                let change = NodeChange {
                    name: Arc::clone(&node),
                    uid: uid.filter(|uid| !uid.is_empty()),
                    remove_taints: vec![TO_BE_DELETED.into(), DELETION_CANDIDATE.into()],
                    drain_mark: Some(DrainMark::Remove),
                    ..NodeChange::default()
                };
                let result = self.writer.update_node(now, change).await;
                Done::Unmarked { node, result }
            }
            Action::Lingers(node) => {
                let uid = self.scale_down.drains.get(&node);
                let uid = uid.map(|drain| Arc::clone(&drain.uid));
                let result = match (self.options.scale_down.delete_gone_nodes, uid) {
                    (true, Some(uid)) => Some(self.writer.delete_node(now, &node, &uid).await),
                    _ => None,
                };
                Done::Lingers { node, result }
            }
        }
    }

    /// The change of a node that is about to be drained.
    fn mark(&self, now: Timestamp, name: &Arc<str>) -> NodeChange {
        let uid = self.reader.with_state(|state| {
            let node = state.node(name);
            node.map(|node| Arc::clone(&node.facts.uid))
        });
        let cordon = self.options.scale_down.cordon;
        NodeChange {
            name: Arc::clone(name),
            uid: uid.filter(|uid| !uid.is_empty()),
            add_taints: vec![TaintChange {
                key: TO_BE_DELETED.into(),
                value: (now.0 / 1000).to_string().into(),
                effect: "NoSchedule".into(),
            }],
            drain_mark: Some(DrainMark::Set { cordon }),
            ..NodeChange::default()
        }
    }

    /// Notes drains that are taken back: events, and the delay of their groups.
    pub(super) fn note_failed(
        &mut self,
        now: Timestamp,
        failed: &[(Arc<str>, String)],
        removals: &mut Removals,
    ) {
        for (node, why) in failed {
            let about = self.subject(node);
            if let Some(drain) = self.scale_down.drains.get(node) {
                self.scale_down.delays.note_failed(&drain.group, now);
            }
            removals.step(node, "TakenBack", why.clone());
            let log = format!("Scale-down: node {node} stays: {why}");
            removals.findings.log.push(log);
            let message = format!("failed to drain and delete node: {why}");
            removals.event(about, true, "ScaleDownFailed", message);
        }
    }

    /// The node as the subject of an event.
    fn subject(&self, node: &Arc<str>) -> Subject {
        let uid = self.scale_down.drains.get(node);
        Subject::Node {
            name: Arc::clone(node),
            uid: uid.map_or_else(Arc::default, |drain| Arc::clone(&drain.uid)),
        }
    }
}

/// The evictions that empty a node.
fn evictions(
    state: &ClusterState,
    node: &UnneededNode,
    daemon_sets: bool,
    now: Timestamp,
    options: &crate::scale_down::ScaleDownOptions,
) -> Vec<PodEviction> {
    let moved = node.pods.iter().map(|pod| pod.slot);
    let moved = moved.filter_map(|slot| state.pod_at(slot));
    let daemons = node
        .daemon_set_pods
        .iter()
        .filter_map(|&slot| state.pod_at(slot));
    let daemons = daemons.filter(|pod| pod.facts.drain.enable_ds_eviction.unwrap_or(daemon_sets));
    let pods = moved.chain(daemons);
    pods.map(|pod| PodEviction::new(&pod, now, options))
        .collect()
}

/// Returns the error for a call to the cloud that was not made.
fn not_leader() -> CloudError {
    CloudError {
        class: NOT_LEADER,
        message: "another instance leads by now".to_owned(),
    }
}
