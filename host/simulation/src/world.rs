//! The world in virtual time: workloads, their pods and load, and the metrics of them. It
//! moves in steps of equal length when `World::advance_to` is called. The steps do not
//! depend on the times of the calls.

mod drains;
mod events;
mod measure;
mod meter;
pub(crate) mod nodes;
mod pods;
mod service;
mod workload;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use flyball_decision::context::GrantedInput;
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;
use flyball_nodes::ports::StatusDocument;
use flyball_replicas::ports::{
    Autoscaler, Observation, ObservationError, Question, Report, Scale, ScaleIntent,
};

use crate::scenario::{MetricsSpec, Scenario, ScenarioError};
use crate::time::elapsed_text;
use crate::timeline::{Tally, Timeline};

use events::{Event, EventQueue};
use nodes::{Lost, Nodes, PodKey};
use workload::Workload;

/// Largest valid load, in requests per second.
pub(crate) const MAX_LOAD: f64 = 1e12;

/// Error of a load that is not valid.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "workload {workload}: load is {value} at {}: it must be 0 to {MAX_LOAD:e} requests per second; \
     bound it with max(0, …) or min(…)",
    elapsed_text(*.at_ms)
)]
pub struct InvalidLoad {
    /// Namespace and name of the workload.
    pub workload: String,
    /// Time in milliseconds since the start.
    pub at_ms: i64,
    /// The load's value.
    pub value: f64,
}

/// A swap of a policy that is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSwap {
    /// Time of the swap.
    pub at: Timestamp,
    /// Name of the policy.
    pub name: String,
    /// The new component.
    pub file: PathBuf,
}

/// Totals of all workloads at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Totals {
    /// Requests per second.
    pub workloads: usize,
    /// Requests per second that the Ready pods can serve.
    pub load: f64,
    /// Requests per second that the Ready pods can serve.
    pub capacity: f64,
    /// Number of requests since the start.
    pub offered: f64,
    /// Number of requests since the start that were not served.
    pub unserved: f64,
    /// Sum of spec.replicas.
    pub replicas: i64,
    /// Number of Ready pods.
    pub ready: i64,
    /// Mean cpu usage of the Ready pods as a part of their requests.
    pub utilization: f64,
    /// Nodes and pods that wait for one. `None` if the scenario has no nodes.
    pub nodes: Option<NodeTotals>,
}

/// Totals of all nodes at one time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct NodeTotals {
    /// Number of Ready nodes.
    pub ready: u32,
    /// Target size of all groups: nodes that are there or on their way.
    pub ordered: u32,
    /// Number of pods that wait for a node.
    pub pending: u32,
}

/// The world in virtual time.
pub(crate) struct World {
    start: Timestamp,
    end: Timestamp,
    now: Timestamp,
    step_ms: i64,
    metrics: MetricsSpec,
    workloads: Vec<Workload>,
    by_key: BTreeMap<ObjectKey, usize>,
    events: EventQueue,
    nodes: Option<Nodes>,
    /// The status ConfigMap of the nodes half, if it exists.
    status: Option<StatusDocument>,
    failure: Option<InvalidLoad>,
}

impl World {
    /// Creates the world at the start, with Ready pods and measurements.
    pub(crate) fn new(scenario: &Scenario) -> Result<Self, ScenarioError> {
        let workloads = workload::all(scenario)?;
        let keys = workloads.iter().map(|workload| workload.key().clone());
        let metrics = scenario.metrics.clone();
        // Metrics that can be read at the start were measured before it.
        let windows = 2 + metrics.lag.0 / metrics.resolution.0;
        let began = scenario.start.plus(-windows * metrics.resolution.0);
        let shapes = workloads.iter().map(Workload::shape).collect();
        let mut world = Self {
            start: scenario.start,
            end: scenario.end(),
            now: began,
            step_ms: scenario.step.0,
            by_key: keys.zip(0..).collect(),
            events: EventQueue::new(scenario),
            nodes: Nodes::new(scenario, began, shapes),
            status: None,
            failure: None,
            metrics,
            workloads,
        };
        world.place(true);
        world.advance_to(scenario.start);
        Ok(world)
    }

    /// Moves to `at`, but not beyond the end.
    pub(crate) fn advance_to(&mut self, at: Timestamp) {
        self.run_due_events();
        while self.failure.is_none() && self.now.plus(self.step_ms) <= at.min(self.end) {
            self.step();
            self.run_due_events();
        }
    }

    fn step(&mut self) {
        let since_start = self.now.since(self.start);
        let step = workload::Step {
            begin: self.now,
            end: self.now.plus(self.step_ms),
            // Before the start the load is that at the start.
            since_start_ms: since_start.max(0),
            recorded: since_start >= 0,
        };
        let measured = step.end.since(self.start) % self.metrics.resolution.0 == 0;
        self.move_pods(&step);
        for workload in &mut self.workloads {
            if let Err(value) = workload.step(&step) {
                self.failure = Some(InvalidLoad {
                    workload: workload.name(),
                    at_ms: step.since_start_ms,
                    value,
                });
                return;
            }
            if measured {
                workload.measure(step.end, &self.metrics);
            }
        }
        if let Some(nodes) = self.nodes.as_mut().filter(|_| step.recorded) {
            let seconds = step.end.since(step.begin) as f64 / 1000.0;
            nodes.count(step.since_start_ms, seconds);
        }
        self.now = step.end;
    }

    /// Advances nodes and their pods; workloads create and delete pods, and pods are
    /// scheduled.
    fn move_pods(&mut self, step: &workload::Step) {
        let lost = self.nodes.as_mut().map(|nodes| nodes.pass(step.begin));
        self.lose_pods(step.begin, lost.into_iter().flatten());
        for workload in &mut self.workloads {
            workload.reconcile(step.begin);
        }
        self.place(false);
    }

    fn lose_pods(&mut self, now: Timestamp, lost: impl Iterator<Item = Lost>) {
        for Lost { pod, drained } in lost {
            self.workloads[pod.workload].lose_pod(now, pod.id, drained);
        }
    }

    /// Runs the scheduler. `settled`: bound pods have been Ready for long.
    fn place(&mut self, settled: bool) {
        let Some(nodes) = &mut self.nodes else {
            return;
        };
        for (index, workload) in self.workloads.iter_mut().enumerate() {
            nodes.take(index, &workload.take_pod_changes());
        }
        for (PodKey { workload, id }, _) in nodes.schedule(self.now) {
            self.workloads[workload].bind_pod(self.now, id, settled);
        }
        nodes.count_pods(self.workloads.iter().map(Workload::counts));
    }

    /// Applies the events that are due.
    fn run_due_events(&mut self) {
        while let Some(event) = self.events.next(self.now) {
            self.apply_to_nodes(&event);
            let matching = self
                .workloads
                .iter_mut()
                .filter(|workload| event.concerns(workload));
            for workload in matching {
                event.apply(workload, self.now);
            }
        }
    }

    fn apply_to_nodes(&mut self, event: &Event) {
        if let Some(nodes) = &mut self.nodes {
            nodes.apply(self.now, event.at(), event.spec());
        }
    }

    /// Returns the time to which it has moved.
    pub(crate) fn now(&self) -> Timestamp {
        self.now
    }

    /// Returns the reason why it stopped, if it did.
    pub(crate) fn failure(&self) -> Option<&InvalidLoad> {
        self.failure.as_ref()
    }

    /// Returns the swaps that are due, each once.
    pub(crate) fn take_due_swaps(&mut self) -> Vec<DueSwap> {
        self.events.take_due_swaps()
    }

    /// Returns the current totals of all workloads.
    pub(crate) fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        let mut used = 0.0;
        for workload in &self.workloads {
            used += workload.add_to(&mut totals);
        }
        if totals.ready > 0 {
            totals.utilization = used / totals.ready as f64;
        }
        totals.nodes = self.nodes.as_ref().map(|nodes| NodeTotals {
            ready: nodes.ready(),
            ordered: nodes.ordered(),
            pending: nodes.waiting(),
        });
        totals
    }

    /// Returns the history of each workload: key, timeline and sums.
    pub(crate) fn histories(&self) -> impl Iterator<Item = (&ObjectKey, &Timeline, &Tally)> {
        self.workloads.iter().map(Workload::history)
    }

    /// Returns the nodes, if there are any.
    pub(crate) fn nodes(&self) -> Option<&Nodes> {
        self.nodes.as_ref()
    }

    /// Returns the nodes mutably, if there are any.
    pub(crate) fn nodes_mut(&mut self) -> Option<&mut Nodes> {
        self.nodes.as_mut()
    }

    /// Returns all autoscalers, ordered by key.
    pub(crate) fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        let ordered = self.by_key.values().map(|index| &self.workloads[*index]);
        ordered
            .filter_map(|workload| workload.autoscaler().cloned())
            .collect()
    }

    /// Observes the world for an autoscaler.
    pub(crate) fn observe(&mut self, now: Timestamp, question: &Question) -> Observation {
        let outage = self.events.metrics_are_out(self.now);
        let autoscaler = &question.autoscaler;
        let Some(index) = self.by_key.get(&autoscaler.key) else {
            return nothing(autoscaler);
        };
        let workload = &mut self.workloads[*index];
        let metadata = |map| {
            let metadata = question.target_metadata.then(|| granted(map));
            metadata.unwrap_or_default()
        };
        Observation {
            labels: metadata(&workload.spec().labels),
            annotations: metadata(&workload.spec().annotations),
            scale: Ok(workload.scale()),
            metrics: measure::answers(workload, autoscaler, &self.metrics, now, outage),
            pods: Ok(workload.pods()),
        }
    }

    /// Applies a scale.
    pub(crate) fn scale(&mut self, intent: &ScaleIntent) -> Result<(), String> {
        let key = &intent.autoscaler.key;
        let index = self.by_key.get(key);
        let index = index.ok_or_else(|| format!("{}/{} is gone", key.namespace, key.name))?;
        self.workloads[*index].set_replicas(&intent.from, intent.replicas)
    }

    /// Applies a status.
    pub(crate) fn report(&mut self, report: Report) {
        let index = self.by_key.get(&report.autoscaler.key);
        if let (Some(index), Some(status)) = (index, report.status) {
            self.workloads[*index].set_status(status);
        }
    }
}

fn nothing(autoscaler: &Autoscaler) -> Observation {
    let error = ObservationError {
        class: "scaleUnavailable",
        message: format!(
            "there is no Deployment {}/{}",
            autoscaler.key.namespace, autoscaler.spec.scale_target_ref.name
        ),
    };
    Observation {
        scale: Err::<Scale, _>(error.clone()),
        pods: Ok(Arc::from([])),
        metrics: vec![Err(error); autoscaler.spec.metrics.len()],
        labels: GrantedInput::default(),
        annotations: GrantedInput::default(),
    }
}

fn granted(map: &BTreeMap<String, String>) -> GrantedInput {
    GrantedInput {
        keys: map.keys().cloned().collect(),
        texts: map.values().cloned().collect(),
        ..GrantedInput::default()
    }
}
