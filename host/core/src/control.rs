//! The replica loop: due objects → observe → decide → guard → act → record. The
//! same loop runs on a real cluster and, in virtual time, on the embedded one.
//!
//! It reads no clock and spawns nothing: any executor that polls a future can
//! drive it, a trivial one in virtual time included.

mod schedule;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use self::schedule::{Entry, Schedule};
use crate::history;
use crate::pipeline::{self, Decision, Scene};
use crate::policy::{PolicyEngine, WantedInput};
use crate::ports::{
    Autoscaler, Clock, Observation, Question, Reader, Recorder, Report, ScaleIntent, Writer,
};
use crate::record::DecisionRecord;
use crate::time::Timestamp;

/// What an operator sets, with kube-controller-manager's names and defaults.
#[derive(Clone, Debug)]
pub struct ReplicaOptions {
    /// Time from one sync of an object to its next, in milliseconds (15,000).
    pub sync_period_ms: i64,
    /// Tolerance where a behavior has none (0.1).
    pub tolerance: f64,
    /// Stabilization window going down where a behavior has none (300,000).
    pub downscale_stabilization_ms: i64,
    /// How long after its start a pod's cpu is looked at with care (300,000).
    pub cpu_initialization_period_ms: i64,
    /// How long after its start a pod's unreadiness counts as its first (30,000).
    pub initial_readiness_delay_ms: i64,
    /// Whether the built-in policy is asked where one gives no usable answer;
    /// else the host holds.
    pub fallback: bool,
    /// Whether what Flyball itself scaled to zero is scaled up again (false), as
    /// with Kubernetes' feature gate `HPAScaleToZero`.
    pub scale_to_zero: bool,
    /// Version of the host, for records.
    pub host_version: Arc<str>,
}

impl Default for ReplicaOptions {
    fn default() -> Self {
        Self {
            sync_period_ms: 15_000,
            tolerance: 0.1,
            downscale_stabilization_ms: 300_000,
            cpu_initialization_period_ms: 300_000,
            initial_readiness_delay_ms: 30_000,
            fallback: false,
            scale_to_zero: false,
            host_version: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

/// The loop over all autoscalers.
pub struct ReplicaLoop<R, W, C> {
    options: ReplicaOptions,
    reader: R,
    writer: W,
    clock: C,
    engine: Arc<dyn PolicyEngine>,
    recorder: Arc<dyn Recorder>,
    schedule: Schedule,
    sequence: u64,
}

/// An object whose turn it is.
struct Due {
    autoscaler: Arc<Autoscaler>,
    wants: Vec<WantedInput>,
    observation: Option<Observation>,
    decision: Option<Decision>,
    written: Option<Result<(), String>>,
}

impl<R: Reader, W: Writer, C: Clock> ReplicaLoop<R, W, C> {
    /// A loop that has seen nothing yet.
    pub fn new(
        options: ReplicaOptions,
        reader: R,
        writer: W,
        clock: C,
        engine: Arc<dyn PolicyEngine>,
        recorder: Arc<dyn Recorder>,
    ) -> Self {
        let schedule = Schedule::default();
        Self {
            options,
            reader,
            writer,
            clock,
            engine,
            recorder,
            schedule,
            sequence: 0,
        }
    }

    /// Runs until the clock has no more time.
    pub async fn run(&mut self) {
        loop {
            let now = self.clock.now();
            let next = self.tick(now).await;
            if !self.clock.sleep_until(next).await {
                return;
            }
        }
    }

    /// Handles what is due at `now` and tells when the next object is.
    pub async fn tick(&mut self, now: Timestamp) -> Timestamp {
        let autoscalers = self.reader.autoscalers();
        let due = self.schedule.due(now, autoscalers, &self.options);
        if !due.is_empty() {
            let due = self.with_wants(due);
            let due = self.observe(now, due).await;
            let due = self.decide(now, due);
            let due = self.act(now, due).await;
            self.tell(now, due).await;
        }
        self.schedule
            .next()
            .unwrap_or_else(|| now.plus(self.options.sync_period_ms))
    }

    fn with_wants(&self, due: Vec<Arc<Autoscaler>>) -> Vec<Due> {
        let wants = |autoscaler: &Autoscaler| {
            let policies = autoscaler.spec.effective_policies().iter();
            let found = policies.filter_map(|p| self.engine.replica_policy(&p.name).ok());
            found
                .flat_map(|policy| policy.description().wants.clone())
                .collect()
        };
        let due = due.into_iter().map(|autoscaler| Due {
            wants: wants(&autoscaler),
            autoscaler,
            observation: None,
            decision: None,
            written: None,
        });
        due.collect()
    }

    async fn observe(&self, now: Timestamp, mut due: Vec<Due>) -> Vec<Due> {
        let question = |due: &Due| Question {
            autoscaler: Arc::clone(&due.autoscaler),
            target_metadata: due
                .wants
                .iter()
                .any(|wanted| wanted.kind.starts_with("target-")),
        };
        let questions: Vec<_> = due.iter().map(question).collect();
        let observations = self.reader.observe(now, &questions).await;
        for (due, observation) in due.iter_mut().zip(observations) {
            due.observation = Some(observation);
        }
        due
    }

    fn decide(&mut self, now: Timestamp, mut due: Vec<Due>) -> Vec<Due> {
        for due in &mut due {
            let Some(observation) = &mut due.observation else {
                continue;
            };
            let Some(entry) = self.schedule.entry(&due.autoscaler.uid) else {
                continue;
            };
            self.sequence += 1;
            take_in(entry, now, observation, &due.wants);
            let asked = due
                .wants
                .iter()
                .any(|wanted| wanted.kind.starts_with("target-"));
            let scene = Scene {
                now,
                options: &self.options,
                engine: &*self.engine,
                autoscaler: &due.autoscaler,
                prepared: &entry.prepared,
                conflict: entry.conflict.as_ref(),
                scale: observation.scale.as_ref(),
                pods: observation.pods.as_ref().map(|_| ()),
                columns: &entry.columns,
                labels: asked.then_some(&observation.labels),
                annotations: asked.then_some(&observation.annotations),
                memory: &entry.memory,
                sequence: self.sequence,
            };
            let decision = pipeline::decide(&scene);
            if let Some(again) = decision.again_after_ms() {
                entry.hasten(now, again);
            }
            due.decision = Some(decision);
        }
        due
    }

    async fn act(&self, now: Timestamp, mut due: Vec<Due>) -> Vec<Due> {
        let intents: Vec<_> = due.iter().filter_map(Due::intent).collect();
        if intents.is_empty() {
            return due;
        }
        let mut results = self.writer.scale(now, intents).await.into_iter();
        for due in due.iter_mut().filter(|due| due.intent().is_some()) {
            let unanswered = || Err("the writer did not say what came of it".to_owned());
            due.written = Some(results.next().unwrap_or_else(unanswered));
        }
        due
    }

    async fn tell(&mut self, now: Timestamp, due: Vec<Due>) {
        let mut reports = Vec::new();
        for Due {
            autoscaler,
            decision,
            written,
            ..
        } in due
        {
            let (Some(decision), Some(entry)) = (decision, self.schedule.entry(&autoscaler.uid))
            else {
                continue;
            };
            let (record, status) = decision.conclude(&autoscaler.status, written);
            let stabilization_ms = self.options.downscale_stabilization_ms;
            entry
                .memory
                .commit(&record, &entry.prepared, stabilization_ms);
            let changed = status != *autoscaler.status;
            if changed || !record.events.is_empty() {
                let events = record.events.clone();
                let status = changed.then(|| Arc::new(status));
                reports.push(Report {
                    autoscaler,
                    status,
                    events,
                });
            }
            self.recorder.record(&Arc::<DecisionRecord>::new(record));
        }
        if !reports.is_empty() {
            self.writer.report(now, reports).await;
        }
    }
}

impl Due {
    fn intent(&self) -> Option<ScaleIntent> {
        let replicas = self.decision.as_ref()?.intent()?;
        let from = self.observation.as_ref()?.scale.as_ref().ok()?.clone();
        Some(ScaleIntent {
            autoscaler: Arc::clone(&self.autoscaler),
            from,
            replicas,
        })
    }
}

/// Brings an observation into the object's columns and memory.
fn take_in(entry: &mut Entry, now: Timestamp, seen: &mut Observation, wants: &[WantedInput]) {
    if let Ok(scale) = &seen.scale {
        entry.memory.begin(now, scale.spec_replicas);
    }
    // What was measured before says nothing about now.
    let Ok(pods) = &seen.pods else { return };
    let metrics = std::mem::take(&mut seen.metrics);
    entry.columns.update(&entry.prepared, pods, metrics);
    let wanted = wants.iter().filter(|wanted| wanted.kind == history::KIND);
    entry
        .memory
        .histories
        .observe(now, wanted, &entry.columns.metrics);
}

/// The configurations that objects use each policy with, as JSON, each once: what
/// a new version of a policy must accept before it takes over.
#[must_use]
pub fn configurations_in_use(autoscalers: &[Arc<Autoscaler>]) -> BTreeMap<String, Vec<Arc<str>>> {
    let mut in_use: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for policy in autoscalers
        .iter()
        .flat_map(|autoscaler| autoscaler.spec.effective_policies())
    {
        let configuration = policy.config.clone().unwrap_or_default();
        let configuration = serde_json::Value::Object(configuration).to_string();
        in_use
            .entry(policy.name.clone())
            .or_default()
            .insert(configuration);
    }
    in_use
        .into_iter()
        .map(|(name, set)| (name, set.into_iter().map(Arc::from).collect()))
        .collect()
}
