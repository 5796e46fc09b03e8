//! Sequences of whole reconciles: the real loop over a cluster made of the vectors.

use std::sync::{Arc, Mutex};

use flyball_decision::context::GrantedInput;
use flyball_decision::memory::InMemoryStore;
use flyball_decision::ports::{Clock, DecisionPorts};
use flyball_decision::recorder::Recorder;
use flyball_decision::time::Timestamp;
use flyball_replicas::control::ReplicaLoop;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::ports::{
    Autoscaler, NoRowsLeft, Observation, ObservationError, Question, Reader, Report, ScaleIntent,
    Writer,
};
use flyball_replicas::record::DecisionRecord;
use flyball_replicas::selector::Selector;
use flyball_replicas::status::AutoscalerStatus;
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::Value;

use crate::hpa::combine::upstream_reported;
use crate::hpa::decide::{HPA, autoscaler};
use crate::hpa::forms::{self, AnswerCase, ConditionCase, PodCase, ScaleCase, time};

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    tolerance: f64,
    cpu_initialization_seconds: i64,
    initial_readiness_delay_seconds: i64,
    downscale_stabilization_seconds: i64,
    scale_to_zero_gate: bool,
    spec: Value,
    steps: Vec<Step>,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    now: String,
    min_replicas: i32,
    scale: ScaleCase,
    pods: Option<Vec<PodCase>>,
    answers: Option<Vec<AnswerCase>>,
    scale_get_error: Option<String>,
    scale_update_error: Option<String>,
    status_write_error: Option<String>,
    expect: Expect,
}

#[derive(Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expect {
    replicas_written: Option<i32>,
    status_written: bool,
    current_replicas: Option<i32>,
    desired_replicas: Option<i32>,
    last_scale_time: Option<String>,
    conditions: Option<Vec<ConditionCase>>,
    current_metrics: Option<Vec<Value>>,
    events: Option<Vec<String>>,
    error_class: Option<String>,
}

#[test]
fn the_loop_does_what_upstream_does_step_by_step() {
    let cases: Vec<Case> = vectors::read("hpa/reconcile").unwrap();
    let mut steps = 0;
    let mut differing = Vec::new();
    for case in &cases {
        let mut world = World::new(case);
        for (index, step) in case.steps.iter().enumerate() {
            let told = world.step(step);
            match check(step, &told) {
                Ok(()) => steps += 1,
                Err(difference) => {
                    differing.push(format!("{}[{index}]: {difference}", case.id));
                    break;
                }
            }
        }
    }
    println!(
        "reconcile: {steps} steps agree, {} sequences differ",
        differing.len()
    );
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(steps > 700);
}

/// What came of a step.
struct Told {
    written: Option<i32>,
    status: AutoscalerStatus,
    events: Vec<String>,
}

fn check(step: &Step, told: &Told) -> Result<(), String> {
    let expect = &step.expect;
    let same = |what: &str, ours: String, upstreams: String| {
        let differs = || format!("{what}:\n   ours {ours}\n   upstream {upstreams}");
        if ours == upstreams {
            Ok(())
        } else {
            Err(differs())
        }
    };
    same(
        "written",
        format!("{:?}", told.written),
        format!("{:?}", expect.replicas_written),
    )?;
    // Of a status that can't be written the writer tells, here the test's own.
    let events = expect.events.iter().flatten();
    let events: Vec<_> = events
        .filter(|event| !event.contains("FailedUpdateStatus"))
        .map(|event| comparable(event))
        .collect();
    let ours: Vec<_> = told.events.iter().map(|event| comparable(event)).collect();
    same("events", format!("{ours:#?}"), format!("{events:#?}"))?;
    if !expect.status_written || expect.error_class.as_deref() == Some("statusWriteFailed") {
        return Ok(());
    }
    let status = &told.status;
    let ours = (Some(status.current_replicas), Some(status.desired_replicas));
    same(
        "replicas",
        format!("{ours:?}"),
        format!("{:?}", (expect.current_replicas, expect.desired_replicas)),
    )?;
    let scaled = status.last_scale_time.map(seconds);
    same(
        "scaled",
        format!("{scaled:?}"),
        format!(
            "{:?}",
            expect.last_scale_time.as_deref().map(time).map(seconds)
        ),
    )?;
    let expected: Vec<_> = expect
        .conditions
        .iter()
        .flatten()
        .map(upstream_condition)
        .collect();
    same(
        "conditions",
        format!("{:#?}", conditions(status)),
        format!("{expected:#?}"),
    )?;
    let metrics: Vec<_> = status
        .current_metrics
        .iter()
        .map(|metric| {
            (
                metric.source.clone(),
                metric.utilization,
                metric.average,
                metric.value,
            )
        })
        .collect();
    let answers = step.answers.as_deref().unwrap_or_default();
    let expected = upstream_reported(&expect.current_metrics, answers);
    same("metrics", format!("{metrics:?}"), format!("{expected:?}"))
}

/// Two things are ours alone: the policy that scaled is named, and where upstream
/// has no reason because an old recommendation raises replicas, there is one.
fn comparable(event: &str) -> String {
    let event = event.split("; policy: ").next().unwrap_or(event);
    let stabilized = "recent recommendations were higher than current one, applying the highest recent recommendation";
    event.replace(stabilized, "")
}

type Comparable = (String, String, String, String, i64);

fn conditions(status: &AutoscalerStatus) -> Vec<Comparable> {
    let known = status
        .conditions
        .iter()
        .filter(|known| *known.kind != *"PoliciesHealthy");
    known
        .map(|known| {
            let transition = seconds(known.last_transition_time);
            (
                known.kind.to_string(),
                known.status.to_string(),
                known.reason.to_string(),
                known.message.to_string(),
                transition,
            )
        })
        .collect()
}

fn upstream_condition(case: &ConditionCase) -> Comparable {
    let transition = case.last_transition_time.as_deref().map(time).map(seconds);
    (
        case.r#type.clone(),
        case.status.clone(),
        case.reason.clone(),
        case.message.clone(),
        transition.unwrap_or_default(),
    )
}

fn seconds(at: Timestamp) -> i64 {
    at.0.div_euclid(1000)
}

/// The cluster as a step has it.
struct Scenery {
    autoscaler: Arc<Autoscaler>,
    step: Step,
    written: Option<i32>,
    events: Vec<String>,
}

#[derive(Clone)]
struct Shared(Arc<Mutex<Scenery>>);

struct World {
    shared: Shared,
    control: ReplicaLoop<Shared, Shared, Never>,
}

impl World {
    fn new(case: &Case) -> Self {
        let spec = serde_json::from_value(case.spec.clone()).unwrap();
        let scenery = Scenery {
            autoscaler: Arc::new(autoscaler(spec, AutoscalerStatus::default(), 1)),
            step: case.steps[0].clone(),
            written: None,
            events: Vec::new(),
        };
        let shared = Shared(Arc::new(Mutex::new(scenery)));
        let options = ReplicaOptions {
            sync_period_ms: 1,
            tolerance: case.tolerance,
            cpu_initialization_period_ms: case.cpu_initialization_seconds * 1000,
            initial_readiness_delay_ms: case.initial_readiness_delay_seconds * 1000,
            downscale_stabilization_ms: case.downscale_stabilization_seconds * 1000,
            scale_to_zero: case.scale_to_zero_gate,
            // However long the time between steps.
            max_decision_age_ms: i64::MAX,
            ..ReplicaOptions::default()
        };
        let [reader, writer] = std::array::from_fn(|_| shared.clone());
        let control = ReplicaLoop::new(options, reader, writer, Never, decision_ports());
        Self { shared, control }
    }

    fn step(&mut self, step: &Step) -> Told {
        {
            let mut scenery = self.shared.0.lock().unwrap();
            let before = &scenery.autoscaler;
            let mut spec = (*before.spec).clone();
            if spec.min_replicas != Some(step.min_replicas) {
                spec.min_replicas = Some(step.min_replicas);
                let generation = before.generation + 1;
                let changed = autoscaler(spec, (*before.status).clone(), generation);
                scenery.autoscaler = Arc::new(changed);
            }
            scenery.step = step.clone();
            scenery.written = None;
            scenery.events.clear();
        }
        pollster::block_on(self.control.tick(time(&step.now)));
        let scenery = self.shared.0.lock().unwrap();
        Told {
            written: scenery.written,
            status: (*scenery.autoscaler.status).clone(),
            events: scenery.events.clone(),
        }
    }
}

impl Reader for Shared {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        vec![Arc::clone(&self.0.lock().unwrap().autoscaler)]
    }

    async fn observe(
        &self,
        _: Timestamp,
        questions: &[Question],
    ) -> Vec<Result<Observation, NoRowsLeft>> {
        let scenery = self.0.lock().unwrap();
        let step = &scenery.step;
        let reference = &questions[0].autoscaler.spec.scale_target_ref;
        let refused = |class, message: &str| {
            Err(ObservationError {
                class,
                message: message.to_owned(),
            })
        };
        let scale = match &step.scale_get_error {
            _ if reference.api_version.matches('/').count() > 1 => {
                let message = format!("unexpected GroupVersion string: {}", reference.api_version);
                refused("invalidTargetAPIVersion", &message)
            }
            _ if reference.kind == "Gadget" => refused(
                "unknownTargetKind",
                "no matches for kind \"Gadget\" in group \"apps\"",
            ),
            Some(error) => refused("scaleUnavailable", error),
            None => Ok(step.scale.scale()),
        };
        let selector = scale.as_ref().map(|scale| Selector::parse(&scale.selector));
        let pods = match selector {
            Ok(Err(invalid)) => Err(ObservationError {
                class: "invalidSelector",
                message: invalid.to_string(),
            }),
            _ => Ok(forms::pods(&step.pods)),
        };
        vec![Ok(Observation {
            scale,
            pods,
            metrics: step
                .answers
                .iter()
                .flatten()
                .map(AnswerCase::answer)
                .collect(),
            labels: GrantedInput::default(),
            annotations: GrantedInput::default(),
        })]
    }
}

impl Writer for Shared {
    async fn scale(&self, _: Timestamp, intents: Vec<ScaleIntent>) -> Vec<Result<(), String>> {
        let mut scenery = self.0.lock().unwrap();
        if let Some(error) = &scenery.step.scale_update_error {
            return vec![Err(error.clone())];
        }
        scenery.written = Some(intents[0].replicas);
        vec![Ok(())]
    }

    async fn report(&self, _: Timestamp, reports: Vec<Report>) {
        let mut scenery = self.0.lock().unwrap();
        for Report { status, events, .. } in reports {
            if let Some(status) = status.filter(|_| scenery.step.status_write_error.is_none()) {
                let mut changed = (*scenery.autoscaler).clone();
                changed.status = status;
                scenery.autoscaler = Arc::new(changed);
            }
            for event in events
                .iter()
                .filter(|event| !event.reason.starts_with("Policy"))
            {
                let kind = if event.warning { "Warning" } else { "Normal" };
                scenery
                    .events
                    .push(format!("{kind} {} {}", event.reason, event.message));
            }
        }
    }
}

/// Has no time of its own.
pub struct Never;

impl Clock for Never {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    async fn sleep_until(&self, _: Timestamp) -> bool {
        false
    }
}

/// Drops all records.
struct Nowhere;

impl<R> Recorder<R> for Nowhere {
    fn record(&self, _: &Arc<R>) {}
}

/// The policies and nothing more: records go nowhere.
pub fn decision_ports() -> DecisionPorts<DecisionRecord> {
    DecisionPorts {
        engine: Arc::clone(&*HPA) as _,
        recorder: Arc::new(Nowhere),
        store: Arc::new(InMemoryStore::default()),
    }
}
