//! The replica loop: due objects → observe → decide → guard → act → record. The
//! same loop runs on a real cluster and, in virtual time, on the embedded one.
//!
//! It reads no system clock and spawns no tasks: any executor that polls a future can
//! drive it, also in virtual time.

mod answers;
mod cached_decision;
mod due;
mod fuel;
mod in_use;
mod ready;
mod removals;
mod schedule;

use std::sync::Arc;

use self::answers::AnswerBytes;
use self::cached_decision::CachedDecision;
use self::due::Due;
use self::fuel::TickFuel;
pub use self::in_use::{configurations_in_use, policy_users};
use self::removals::{ReadyReplicas, Removals};
use self::schedule::{Entry, Schedule, Turn};
use crate::history;
use crate::memory::ObjectMemory;
use crate::options::ReplicaOptions;
use crate::pipeline::{self, DecisionContext};
use crate::ports::{Autoscaler, NoRowsLeft, Observation, Question, Reader, Report, Writer};
use crate::record::{DecisionRecord, Outcome};
use crate::rows::{self, RowBudget};
use crate::spec::Mode;
use flyball_decision::policy::{PolicyEngine, WantedInput, kind};
use flyball_decision::ports::{Clock, DecisionPorts};
use flyball_decision::time::Timestamp;

/// Time until objects are observed for which their namespace had no rows left, or earlier
/// answers left no room. Each observation may fetch the usage of all pods of the namespace.
const PAUSE_MS: i64 = 1000;

/// The loop over all autoscalers.
pub struct ReplicaLoop<R, W, C> {
    options: ReplicaOptions,
    reader: R,
    writer: W,
    clock: C,
    ports: DecisionPorts<DecisionRecord>,
    schedule: Schedule,
    removals: Removals,
    fuel: TickFuel,
    sequence: u64,
    reused: u64,
}

impl<R: Reader, W: Writer, C: Clock> ReplicaLoop<R, W, C> {
    /// Creates a loop that has observed nothing yet.
    pub fn new(
        options: ReplicaOptions,
        reader: R,
        writer: W,
        clock: C,
        ports: DecisionPorts<DecisionRecord>,
    ) -> Self {
        Self {
            options,
            reader,
            writer,
            clock,
            ports,
            schedule: Schedule::default(),
            removals: Removals::default(),
            fuel: TickFuel::default(),
            sequence: 0,
            reused: 0,
        }
    }

    /// Returns how often the cached decision of a due object was reused, because nothing
    /// but time had changed.
    #[must_use]
    pub fn reused_decisions(&self) -> u64 {
        self.reused
    }

    /// Runs until the clock ends.
    pub async fn run(&mut self) {
        loop {
            let now = self.clock.now();
            let next = self.tick(now).await;
            if !self.clock.sleep_until(next).await {
                return;
            }
        }
    }

    /// Handles the objects that are due at `now`. Returns when the next one is due: at
    /// once if decisions were put off because their policies have used up the fuel of a
    /// tick for their namespace, and after a pause if the observations before have used up
    /// its rows, or the answers before its bytes.
    pub async fn tick(&mut self, now: Timestamp) -> Timestamp {
        let autoscalers = self.reader.autoscalers();
        let store = &*self.ports.store;
        let due = self.schedule.due(now, autoscalers, &self.options, store);
        for gone in self.schedule.take_gone() {
            self.ports.recorder.forget(&gone);
        }
        self.fuel.begin();
        let due = self.within_budgets(now, due);
        if !due.is_empty() {
            let due = self.with_wants(due);
            let mut due = self.observe(now, due).await;
            if !self.clock.should_continue() {
                return now;
            }
            self.take_in(now, &mut due);
            let due = self.decide(now, due);
            let due = self.act(now, due).await;
            self.report(now, due).await;
        }
        self.schedule
            .next()
            .unwrap_or_else(|| now.plus(self.options.sync_period_ms))
    }

    /// Puts off the objects for which rows or fuel are not expected to last, so that they
    /// are not observed in vain.
    fn within_budgets(
        &mut self,
        now: Timestamp,
        mut due: Vec<(Arc<Autoscaler>, usize, Turn)>,
    ) -> Vec<(Arc<Autoscaler>, usize, Turn)> {
        let mut rows = RowBudget::default();
        due.retain(|(autoscaler, slot, turn)| {
            let Some(entry) = self.schedule.entry(*slot) else {
                return false;
            };
            let namespace = &autoscaler.key.namespace;
            let row_limit = || self.reader.row_limit(namespace);
            let again = if !self.fuel.expects(
                self.options.policy_tick_fuel,
                namespace,
                &entry.prepared.policies,
                entry.expected_fuel(),
            ) {
                now
            } else if !rows.take(namespace, entry.rows_observed, row_limit) {
                now.plus(PAUSE_MS)
            } else {
                return true;
            };
            self.schedule.put_off(*slot, *turn, again);
            false
        });
        due
    }

    fn with_wants(&mut self, due: Vec<(Arc<Autoscaler>, usize, Turn)>) -> Vec<Due> {
        let engine = &*self.ports.engine;
        let mut wanting = Vec::with_capacity(due.len());
        wanting.extend(due.into_iter().filter_map(|(autoscaler, slot, turn)| {
            let entry = self.schedule.entry(slot)?;
            Some(Due {
                wants: wants(engine, &autoscaler, &entry.memory),
                metric_selectors: Arc::clone(&entry.prepared.metric_selectors),
                autoscaler,
                slot,
                turn,
                observation: None,
                decision: None,
                written: None,
            })
        }));
        wanting
    }

    async fn observe(&mut self, now: Timestamp, mut due: Vec<Due>) -> Vec<Due> {
        let question = |due: &Due| Question {
            autoscaler: Arc::clone(&due.autoscaler),
            target_metadata: due.wants_metadata(),
            metric_selectors: Arc::clone(&due.metric_selectors),
        };
        let questions: Vec<_> = due.iter().map(question).collect();
        let observations = self.reader.observe(now, &questions).await;
        for (due, observation) in due.iter_mut().zip(observations) {
            match observation {
                Ok(observation) => due.observation = Some(observation),
                Err(NoRowsLeft { rows }) => {
                    let again = now.plus(PAUSE_MS);
                    self.schedule.put_off(due.slot, due.turn, again);
                    if let Some(entry) = self.schedule.entry(due.slot) {
                        entry.rows_observed = rows;
                    }
                }
            }
        }
        due
    }

    /// Adds the observations to columns and memories, for all objects before anything is
    /// decided about one.
    ///
    /// An observation may have more rows than was known before it was made: objects beyond
    /// the limit are put off.
    ///
    /// What was observed earlier may be of pods that another object selects by now, so a
    /// namespace has no more ready replicas than ready pods.
    fn take_in(&mut self, now: Timestamp, due: &mut [Due]) {
        let mut budget = RowBudget::default();
        for due in due {
            let Some(observation) = &mut due.observation else {
                continue;
            };
            // Replicas that can't be read count for nobody: the target may be gone.
            let ready = match due.autoscaler.spec.mode {
                Mode::Active => observation.ready_replicas().unwrap_or(0),
                Mode::Observe => 0,
            };
            self.schedule.set_ready(due.slot, ready);
            if let Some(entry) = self.schedule.entry(due.slot) {
                let namespace = &due.autoscaler.key.namespace;
                let row_limit = || self.reader.row_limit(namespace);
                entry.rows_observed = rows::observed(&due.autoscaler.spec, observation);
                if budget.take(namespace, entry.rows_observed, row_limit) {
                    take_in(entry, now, observation, &due.wants);
                } else {
                    due.observation = None;
                    let again = now.plus(PAUSE_MS);
                    self.schedule.put_off(due.slot, due.turn, again);
                }
            }
        }
        let ready_pods = |namespace: &str| self.reader.ready_pods(namespace);
        self.schedule.limit_ready(ready_pods);
    }

    fn decide(&mut self, now: Timestamp, mut due: Vec<Due>) -> Vec<Due> {
        let mut answers = AnswerBytes::default();
        for due in &mut due {
            let Some(observation) = &due.observation else {
                continue;
            };
            let ready = ReadyReplicas {
                all: self.schedule.ready(),
                own: observation.removable_replicas().into(),
                removable_share: self.options.max_scale_down_share,
            };
            let Some(entry) = self.schedule.entry(due.slot) else {
                continue;
            };
            if has_valid_decision(
                entry,
                now,
                observation,
                &due.autoscaler,
                &*self.ports.engine,
            ) {
                self.reused += 1;
                entry.wake_when_cache_ends();
                continue;
            }
            let (namespace, policies) = (&due.autoscaler.key.namespace, &entry.prepared.policies);
            let fuel_budget = self.options.policy_tick_fuel;
            let again = if self.fuel.is_used_up(fuel_budget, namespace, policies) {
                Some(now)
            } else if answers.are_used_up(namespace) {
                Some(now.plus(PAUSE_MS))
            } else {
                None
            };
            if let Some(again) = again {
                self.schedule.put_off(due.slot, due.turn, again);
                due.observation = None;
                continue;
            }
            self.sequence += 1;
            let removable = match due.autoscaler.spec.mode {
                Mode::Active => {
                    let Autoscaler { key, uid, .. } = &*due.autoscaler;
                    let left = self.removals.left(now, (&key.namespace, uid), ready);
                    left.map(|left| left.saturating_add(observation.unready_replicas()))
                }
                Mode::Observe => None,
            };
            let context = DecisionContext {
                now,
                options: &self.options,
                engine: &*self.ports.engine,
                autoscaler: &due.autoscaler,
                prepared: &entry.prepared,
                conflict: entry.conflict.as_ref(),
                scale: observation.scale.as_ref(),
                pods: observation.pods.as_ref().map(|_| ()),
                columns: &entry.columns,
                labels: due.wants_metadata().then_some(&observation.labels),
                annotations: due.wants_metadata().then_some(&observation.annotations),
                memory: &entry.memory,
                removable,
                put_off: Some(due.turn.since).filter(|_| due.turn.was_put_off),
                sequence: self.sequence,
            };
            let decision = pipeline::decide(&context);
            if let Some(again) = decision.again_after_ms() {
                entry.hasten(now, again);
            }
            for (policy, &fuel) in entry.prepared.policies.iter().zip(decision.fuel()) {
                self.fuel.took(namespace, &policy.name, fuel);
            }
            entry.took_fuel(decision.fuel().iter().sum());
            answers.took(namespace, decision.answer_bytes());
            due.decision = Some(Box::new(decision));
            self.count_removal(now, due);
        }
        due
    }

    fn count_removal(&mut self, now: Timestamp, due: &Due) {
        let Some(intent) = due.intent() else {
            return;
        };
        let ready = self.schedule.ready_in(&due.autoscaler.key.namespace);
        if let Some(removal) = due.removal(&intent, ready) {
            self.removals.took(now, removal);
        }
        if let Some(ready) = due.ready_replicas() {
            self.schedule
                .set_ready(due.slot, ready.min(intent.replicas));
        }
    }

    async fn act(&mut self, now: Timestamp, mut due: Vec<Due>) -> Vec<Due> {
        let intents: Vec<_> = due.iter().filter_map(Due::intent).collect();
        if intents.is_empty() {
            return due;
        }
        let mut results = self.writer.scale(now, intents).await.into_iter();
        for due in due.iter_mut().filter(|due| due.intent().is_some()) {
            let unanswered = || Err("the writer did not say what came of it".to_owned());
            let result = results.next().unwrap_or_else(unanswered);
            if let (Err(_), Some(intent)) = (&result, due.intent()) {
                if let Some(ready) = due.ready_replicas() {
                    self.schedule.set_ready(due.slot, ready);
                }
                if let Some(removal) = due.removal(&intent, 0) {
                    self.removals.took(now, removal.undone());
                }
            }
            due.written = Some(result);
        }
        due
    }

    async fn report(&mut self, now: Timestamp, due: Vec<Due>) {
        let mut reports = Vec::new();
        for due in due {
            let (slot, autoscaler) = (due.slot, Arc::clone(&due.autoscaler));
            reports.extend(self.conclude(now, due));
            let row_limit = || self.reader.row_limit(&autoscaler.key.namespace);
            self.schedule.keep_columns(slot, row_limit);
        }
        if !reports.is_empty() {
            self.writer.report(now, reports).await;
        }
    }

    /// Remembers and records a decision and its outcome. Returns the report, if there is
    /// something to report.
    fn conclude(&mut self, now: Timestamp, due: Due) -> Option<Report> {
        let Due {
            autoscaler,
            slot,
            observation: Some(observation),
            decision,
            written,
            ..
        } = due
        else {
            return None;
        };
        let entry = self.schedule.entry(slot)?;
        let stabilization_ms = self.options.downscale_stabilization_ms;
        let Some(decision) = decision else {
            let cached = entry.cached_decision.as_ref();
            let by = cached.map_or(&[][..], |cached| &cached.asked_by);
            let behavior = entry.prepared.behavior.as_deref();
            entry.memory.repeat(now, by, behavior, stabilization_ms);
            return None;
        };
        let (record, status) = decision.conclude(&autoscaler.status, written);
        entry
            .memory
            .commit(&record, &entry.prepared, stabilization_ms);
        if !matches!(record.outcome, Outcome::Failed(_))
            && let Some(kept) = entry.memory.take_changed(now, &entry.prepared.target)
        {
            self.ports.store.save(&autoscaler.uid, kept);
        }
        let events = record.events.clone();
        let changed = (status != *autoscaler.status).then(|| Arc::new(status));
        entry.cached_decision = if changed.is_none() {
            let status = &autoscaler.status;
            CachedDecision::of(&record, entry, &observation, status, &self.options)
        } else {
            None
        };
        let record = Arc::new(record);
        self.ports.recorder.record(&record);
        (changed.is_some() || !events.is_empty()).then_some(Report {
            autoscaler,
            status: changed,
            events,
        })
    }
}

/// Returns whether the object's last decision is cached and still valid.
fn has_valid_decision(
    entry: &Entry,
    now: Timestamp,
    seen: &Observation,
    autoscaler: &Autoscaler,
    engine: &dyn PolicyEngine,
) -> bool {
    let cached = entry.cached_decision.as_ref();
    cached.is_some_and(|cached| cached.is_valid(now, entry, seen, autoscaler, engine))
}

/// Returns the inputs that the policies of an object want. If the previous version of a
/// policy decided last, its wanted inputs are included, since it may have to decide again.
fn wants(
    engine: &dyn PolicyEngine,
    autoscaler: &Autoscaler,
    memory: &ObjectMemory,
) -> Vec<WantedInput> {
    let mut wants = Vec::new();
    for policy in autoscaler.spec.effective_policies() {
        let Ok(version) = engine.policy(kind::REPLICA, &policy.name) else {
            continue;
        };
        wants.extend_from_slice(&version.description().wants);
        let last = memory.policies.decided_by(&policy.name);
        if last.is_empty() || *last == *version.version().digest {
            continue;
        }
        let mut before = version.predecessors().into_iter();
        if let Some(before) = before.find(|before| *before.version().digest == *last) {
            wants.extend_from_slice(&before.description().wants);
        }
    }
    wants
}

/// Adds an observation to the object's columns and memory.
fn take_in(entry: &mut Entry, now: Timestamp, seen: &mut Observation, wants: &[WantedInput]) {
    if let Ok(scale) = &seen.scale {
        entry.memory.begin(now, scale.spec_replicas);
    }
    // Without pods nothing was measured: earlier values say nothing about now.
    let Ok(pods) = &seen.pods else { return };
    let metrics = std::mem::take(&mut seen.metrics);
    entry.columns.update(&entry.prepared, pods, metrics);
    let wanted = wants.iter().filter(|wanted| wanted.kind == history::KIND);
    entry
        .memory
        .histories
        .observe(now, wanted, &entry.columns.metrics);
}
