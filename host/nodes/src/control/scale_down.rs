//! The half of a pass that removes nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::cached_pass::PassInputs;
use super::removals::{LAST_LED, REMOVALS, Removals};
use super::{NodeLoop, PassResult, ScaleUp};
use crate::census::Census;
use crate::cloud::CloudProvider;
use crate::findings::Findings;
use crate::options::ScaleDownMode;
use crate::ports::{NodeEvent, NodesReader, NodesWriter, StatusDocument, Subject};
use crate::reasons::{self, Stay};
use crate::record::{NeededRecord, ScaleDownRecord};
use crate::reported::PassStage;
use crate::scale_down::explain::{needed_record, replacement_record, unneeded_record};
use crate::scale_down::moves::under_way::ReplacementKey;
use crate::scale_down::plan::{StayingNode, UnneededNode};
use crate::scale_down::wishes::Wishes;
use crate::scale_down::{ScaleDownContext, ScaleDownPlan, plan_scale_down};
use crate::scale_up::Plan;
use crate::state::ClusterState;
use crate::status::{Status, date_time};
use flyball_decision::hash::split_mix;
use flyball_decision::policy::kind;
use flyball_decision::ports::Clock;
use flyball_decision::time::Timestamp;

/// Why each node stayed in the last pass.
#[derive(Default)]
pub(super) struct LastStays {
    needed: BTreeMap<Arc<str>, Arc<Stay>>,
    unneeded: BTreeMap<Arc<str>, Option<Arc<Stay>>>,
    replacements: Vec<ReplacementKey>,
}

impl LastStays {
    /// All nodes that stay, and why: those that are needed, then those that are not.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Arc<str>, &Arc<Stay>)> {
        let unneeded = self.unneeded.iter();
        let unneeded = unneeded.filter_map(|(name, stay)| Some((name, stay.as_ref()?)));
        self.needed.iter().chain(unneeded)
    }
}

/// The last plan of removals, which need not be repeated as long as its inputs are the same:
/// it removed nothing, and nothing about it was left to write.
pub(super) struct LastPlan {
    inputs: PlanInputs,
    /// When a timer, a delay or a verdict ends.
    until: Timestamp,
    status: Status,
}

/// The inputs of a plan of removals, other than the time.
#[derive(PartialEq)]
struct PlanInputs {
    pass: PassInputs,
    drain_revision: u64,
    /// Digests of the chain's policies.
    chain: Vec<Option<Arc<str>>>,
    hold: Option<&'static str>,
}

/// The plan of removals of a pass, and what was taken over before it.
pub(super) struct PlannedRemovals {
    inputs: Option<PlanInputs>,
    plan: ScaleDownPlan,
    taken_over: Removals,
    record: Option<ScaleDownRecord>,
    status: Status,
}

impl<R: NodesReader, P: CloudProvider, W: NodesWriter, C: Clock> NodeLoop<R, P, W, C> {
    /// Decides which nodes to remove. `None` if scale-down is off.
    pub(super) fn plan_scale_down(
        &mut self,
        now: Timestamp,
        census: &Census,
        scale_up: &ScaleUp,
    ) -> Option<PlannedRemovals> {
        let mode = self.options.scale_down.mode;
        if mode == ScaleDownMode::Off {
            return None;
        }
        self.restore_timers(now);
        let taken_over = match mode {
            ScaleDownMode::On => {
                let mut taken_over = self.take_over(now, census);
                taken_over.extend(self.advance_replacements(now, census));
                taken_over
            }
            _ => Removals::default(),
        };
        self.scale_down.forget_evicted(now);
        self.want_annotations();
        let hold = match scale_up {
            ScaleUp::WaitsForPods(_) => Some(reasons::SCALE_UP),
            ScaleUp::Planned(plan) if !plan.verdict.orders.is_empty() => Some(reasons::SCALE_UP),
            ScaleUp::Planned(_) | ScaleUp::Unchanged => None,
        };
        let inputs = self.plan_inputs(now, census, hold);
        if let Some((status, until)) = self.unchanged(now, &inputs, &taken_over) {
            self.next_scan = self.next_scan.min(until);
            return Some(PlannedRemovals::unchanged(taken_over, status));
        }
        let context = ScaleDownContext {
            now,
            options: &self.options,
            engine: &*self.ports.engine,
            memories: &self.memories,
            census,
            backoffs: &self.backoffs,
            order: None,
            hold,
            // The same for as long as verdicts are kept.
            seed: split_mix(0),
        };
        let tracker = &mut self.scale_down;
        let last = &mut self.last_stays;
        let backoffs = &self.backoffs;
        let (mut plan, record, status) = self.reader.with_state(|state| {
            let mut plan = plan_scale_down(&context, state, tracker);
            let record = record(&context, state, tracker, last, &mut plan);
            let mut unneeded = BTreeMap::new();
            for node in &plan.unneeded {
                *unneeded.entry(node.group).or_default() += 1;
            }
            let options = context.options;
            let status = Status::new(now, state, census, backoffs, options, &unneeded);
            (plan, record, status)
        });
        if mode == ScaleDownMode::Observe {
            plan.removed.clear();
            plan.replacements.clear();
        }
        let recorded = record.as_ref().map(|record| &record.questions);
        let moves = &recorded.unwrap_or(&plan.questions).moves;
        let mut states_changed = false;
        for part in moves.iter().flat_map(|asked| &asked.policies) {
            states_changed |= self.memories.commit(part, mode == ScaleDownMode::On);
        }
        if states_changed {
            self.save_states();
        }
        if let Some(next) = plan.next {
            self.next_scan = self.next_scan.min(next);
        }
        Some(PlannedRemovals {
            inputs: Some(inputs),
            plan,
            taken_over,
            record,
            status,
        })
    }

    /// Has the reader keep the annotations that scale-down policies want. Returns whether
    /// all objects are listed with them.
    pub fn want_annotations(&self) -> bool {
        if self.options.scale_down.mode == ScaleDownMode::Off {
            return true;
        }
        let wanted = Wishes::of(&self.options, &*self.ports.engine).annotations();
        self.reader.want_annotations(&wanted);
        self.reader.with_state(|state| {
            let listed = state.listed_annotations();
            listed.pods.contains_all(&wanted.pods) && listed.nodes.contains_all(&wanted.nodes)
        })
    }

    fn plan_inputs(
        &self,
        now: Timestamp,
        census: &Census,
        hold: Option<reasons::HostReason>,
    ) -> PlanInputs {
        let engine = &*self.ports.engine;
        let chain = self.options.scale_down.policies.iter();
        PlanInputs {
            pass: PassInputs::new(now, census, &self.backoffs, &self.options, engine),
            drain_revision: self.reader.with_state(|state| state.drain_revision()),
            chain: chain
                .map(|choice| {
                    let policy = engine.policy(kind::SCALE_DOWN, &choice.name).ok()?;
                    Some(Arc::clone(&policy.version().digest))
                })
                .collect(),
            hold: hold.map(|reason| reason.code),
        }
    }

    /// The status of the last plan, if it need not be repeated, and until when.
    fn unchanged(
        &self,
        now: Timestamp,
        inputs: &PlanInputs,
        taken_over: &Removals,
    ) -> Option<(Status, Timestamp)> {
        let is_quiet = taken_over.steps.is_empty() && self.scale_down.is_quiet();
        let last = self.last_plan.as_ref().filter(|_| is_quiet)?;
        let holds = now < last.until && last.inputs == *inputs;
        holds.then(|| (last.status.clone(), last.until))
    }

    /// Carries out what was decided. Returns what was found and done.
    pub(super) async fn act_on_removals(
        &mut self,
        now: Timestamp,
        census: &Census,
        planned: Option<PlannedRemovals>,
    ) -> (Option<ScaleDownRecord>, Findings) {
        let Some(PlannedRemovals {
            inputs,
            plan,
            taken_over: mut removals,
            record,
            status,
        }) = planned
        else {
            return (None, Findings::default());
        };
        let mut is_done = plan.removed.is_empty();
        if self.options.scale_down.mode == ScaleDownMode::On {
            if inputs.is_some() {
                let (done, has_written) = self.remove_nodes(now, census, &plan).await;
                removals.extend(done);
                is_done &= !has_written;
                let (done, has_written) = self.carry_out_replacements(now, census, &plan).await;
                removals.extend(done);
                is_done &= !has_written;
            }
            self.write_status(now, status.clone()).await;
        }
        if let Some(inputs) = inputs {
            let until = self.scale_down.verdicts_until();
            self.last_plan = is_done.then(|| LastPlan {
                inputs,
                until: plan.next.map_or(until, |next| next.min(until)),
                status,
            });
        }
        let events = plan.policy_events.into_iter();
        let events = events.map(|event| NodeEvent::about(Subject::Autoscaler, event));
        removals.findings.events.extend(events);
        let explanations = self.explain_on_nodes(now);
        removals.findings.events.extend(explanations);
        if record.is_none() && removals.steps.is_empty() {
            return (None, removals.findings);
        }
        let record = ScaleDownRecord {
            steps: removals.steps,
            ..record.unwrap_or_default()
        };
        (Some(record), removals.findings)
    }

    /// Writes the status, if it has changed, is old, or lacks a removal.
    async fn write_status(&mut self, now: Timestamp, status: Status) {
        if !self.has_read_status {
            return;
        }
        if self.scale_down.removals.take_unsaved() {
            self.status.write_again();
        }
        let Some(text) = self.status.text(now, status) else {
            return;
        };
        let time = date_time(now).into();
        let removals = self.scale_down.removals.save(now);
        let removals = removals.map(|removals| (REMOVALS.into(), removals.into()));
        let annotations = [
            (StatusDocument::LAST_UPDATED.into(), time),
            (LAST_LED.into(), now.0.to_string().into()),
        ];
        let document = StatusDocument {
            text: text.into(),
            annotations: annotations.into_iter().chain(removals).collect(),
        };
        if self.writer.write_status(now, document).await.is_err() {
            self.status.write_again();
        }
    }

    /// Advances drains between passes, if something about them has changed or is due.
    pub(super) async fn advance_drains(&mut self, now: Timestamp) {
        let is_due = self.next_drain.is_some_and(|next| next <= now);
        let has_changed = self.reader.with_state(ClusterState::take_drain_change);
        if !is_due && !has_changed {
            return;
        }
        let removals = self.drive_drains(now).await;
        if !removals.steps.is_empty() {
            let record = ScaleDownRecord {
                steps: removals.steps,
                ..ScaleDownRecord::default()
            };
            let result = PassResult {
                stage: PassStage::Census,
                plan: Plan::default(),
                outcomes: Vec::new(),
                scale_down: Some(record),
                findings: removals.findings,
            };
            self.record(now, result).await;
        }
    }

    /// When the next tick is due.
    pub(super) fn next_tick(&self) -> Timestamp {
        let drains = self.next_drain;
        drains.map_or(self.next_scan, |next| next.min(self.next_scan))
    }
}

impl PlannedRemovals {
    /// Of a pass whose inputs are those of the last plan.
    fn unchanged(taken_over: Removals, status: Status) -> Self {
        Self {
            inputs: None,
            plan: ScaleDownPlan::default(),
            taken_over,
            record: None,
            status,
        }
    }
}

/// Puts together what is new about removals. `None` if nothing is.
fn record(
    context: &ScaleDownContext<'_>,
    state: &ClusterState,
    tracker: &crate::scale_down::ScaleDownTracker,
    last: &mut LastStays,
    plan: &mut ScaleDownPlan,
) -> Option<ScaleDownRecord> {
    let needed: BTreeMap<Arc<str>, Arc<Stay>> = plan
        .needed
        .iter()
        .map(|node| (Arc::clone(&node.name), Arc::clone(&node.stay)))
        .collect();
    let waiting: BTreeMap<usize, &Arc<Stay>> =
        plan.waiting.iter().map(|(at, stay)| (*at, stay)).collect();
    let unneeded = plan.unneeded.iter().enumerate();
    let unneeded: BTreeMap<Arc<str>, Option<Arc<Stay>>> = unneeded
        .map(|(at, node)| (Arc::clone(&node.name), waiting.get(&at).copied().cloned()))
        .collect();
    let is_new = |node: &&StayingNode| last.needed.get(&node.name) != Some(&node.stay);
    let new = plan.needed.iter().filter(is_new);
    let new: Vec<NeededRecord> = new.map(|node| needed_record(state, node)).collect();
    let known = last.needed.keys().chain(last.unneeded.keys());
    let gone = known.filter(|name| state.node(name).is_none());
    let gone: Vec<Arc<str>> = gone.cloned().collect();
    let replacements = plan.replacements.iter();
    let replacements: Vec<ReplacementKey> = replacements.map(|one| one.key.clone()).collect();
    let is_same = new.is_empty()
        && gone.is_empty()
        && unneeded == last.unneeded
        && replacements == last.replacements
        && plan.removed.is_empty()
        && plan.replacements.iter().all(|one| !one.is_ordered);
    last.needed = needed;
    last.unneeded = unneeded;
    last.replacements = replacements;
    if is_same {
        return None;
    }
    let questions = std::mem::take(&mut plan.questions);
    let of_node = |(at, node): (usize, &UnneededNode)| {
        let stay = waiting.get(&at).map(|stay| stay.as_ref());
        unneeded_record(context, state, tracker, node, stay)
    };
    Some(ScaleDownRecord {
        unneeded: plan.unneeded.iter().enumerate().map(of_node).collect(),
        replacements: plan.replacements.iter().map(replacement_record).collect(),
        needed: new,
        needed_count: u32::try_from(plan.needed.len()).unwrap_or(u32::MAX),
        gone,
        questions,
        steps: Vec::new(),
    })
}
