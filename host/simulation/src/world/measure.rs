//! Answers of the metrics APIs to an autoscaler's metrics.
//!
//! `Resource` and `ContainerResource`: `cpu` and `memory`. `Pods`, `Object` and
//! `External`: metrics of the workload's own, then `requests-per-second` (of a pod, or in
//! total), and, except for `Pods`, `queue-length`. Selectors of metrics are ignored.

use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_replicas::ports::{Autoscaler, MetricAnswer, ObservationError, PodSample};
use flyball_replicas::spec::{
    ContainerResourceMetric, ExternalMetric, MetricSpec, ObjectMetric, ResourceMetric,
};

use super::meter::Window;
use super::pods::PodEntry;
use super::workload::Workload;
use crate::random;
use crate::scenario::MetricsSpec;

const REQUESTS: &str = "requests-per-second";
const QUEUE: &str = "queue-length";

/// Metrics of a pod.
#[derive(Clone, Copy, Debug, PartialEq)]
enum PodMetric {
    Cpu,
    Memory,
    Requests,
    /// One of the workload's own, with its value.
    Own(f64),
}

impl PodMetric {
    /// Returns the number by which the metrics draw different random numbers.
    fn number(self) -> u64 {
        match self {
            Self::Cpu => 0,
            Self::Memory => 1,
            Self::Requests => 2,
            Self::Own(_) => 3,
        }
    }
}

/// Returns answers in the order of the spec's metrics.
pub fn answers(
    workload: &Workload,
    autoscaler: &Autoscaler,
    metrics: &MetricsSpec,
    now: Timestamp,
    outage: bool,
) -> Vec<Result<MetricAnswer, ObservationError>> {
    let window = workload.window(now, metrics).filter(|_| !outage);
    let answer = |metric| answer(workload, metric, metrics, window);
    let wanted = autoscaler.spec.effective_metrics().iter();
    wanted.map(answer).collect()
}

fn answer(
    workload: &Workload,
    metric: &MetricSpec,
    metrics: &MetricsSpec,
    window: Option<Window>,
) -> Result<MetricAnswer, ObservationError> {
    let window = window.ok_or_else(|| none("no metrics returned from the metrics API"))?;
    let pod_metric = match metric {
        MetricSpec::Resource(ResourceMetric { name, .. })
        | MetricSpec::ContainerResource(ContainerResourceMetric { name, .. }) => {
            match name.as_str() {
                "cpu" => PodMetric::Cpu,
                "memory" => PodMetric::Memory,
                _ => return Err(unknown(name, &["cpu", "memory"])),
            }
        }
        MetricSpec::Pods(pods) => {
            let name = pods.metric.name.as_str();
            match workload.own_metric(name, &window) {
                Some(value) => PodMetric::Own(readable(name, value)?),
                None if name == REQUESTS => PodMetric::Requests,
                None => return Err(unknown_custom(name, workload, &[REQUESTS])),
            }
        }
        MetricSpec::Object(ObjectMetric { metric, .. })
        | MetricSpec::External(ExternalMetric { metric, .. }) => {
            return outside_value(&metric.name, workload, &window);
        }
        MetricSpec::Invalid(fields) => {
            return Err(ObservationError::unknown_metric_type(&fields.kind));
        }
    };
    let samples = samples(workload, pod_metric, metrics, &window);
    if samples.is_empty() {
        return Err(none("no metrics returned from the metrics API"));
    }
    Ok(MetricAnswer::Pods(samples.into()))
}

/// Returns the value of a metric that is not measured for each pod.
fn outside_value(
    name: &str,
    workload: &Workload,
    window: &Window,
) -> Result<MetricAnswer, ObservationError> {
    let value = match (workload.own_metric(name, window), name) {
        (Some(value), _) => readable(name, value)?,
        (None, REQUESTS) => window.load(),
        (None, QUEUE) => window.end.waiting,
        (None, _) => return Err(unknown_custom(name, workload, &[REQUESTS, QUEUE])),
    };
    Ok(MetricAnswer::Values([milli(value)].into()))
}

fn samples(
    workload: &Workload,
    metric: PodMetric,
    metrics: &MetricsSpec,
    window: &Window,
) -> Vec<PodSample> {
    let pods = workload.entries().iter().filter(|pod| window.covers(pod));
    let sample = |pod: &PodEntry| {
        let chance = [
            workload.seed(),
            5,
            pod.id,
            window.end.at.0.cast_unsigned(),
            metric.number(),
        ];
        let draw = random::draw(&chance);
        // Another draw, so that the loss is independent of the value.
        let lost = random::unit(random::draw(&[draw])) < metrics.dropouts;
        let noise = 1.0 + metrics.noise * random::normal(draw);
        (!lost).then(|| PodSample {
            pod: Arc::clone(&pod.name),
            value: milli(value(workload, metric, window, pod) * noise.max(0.0)),
            timestamp: window.end.at,
            window_ms: window.length_ms(),
        })
    };
    pods.filter_map(sample).collect()
}

/// Returns the mean over the window.
fn value(workload: &Workload, metric: PodMetric, window: &Window, pod: &PodEntry) -> f64 {
    let spec = workload.spec();
    let usage = window.usage(pod);
    let requests = usage.requests / window.seconds();
    match metric {
        PodMetric::Cpu => {
            let warming_up = spec.pod.startup.cpu * window.warming_up(pod);
            (usage.cpu + warming_up) / window.seconds()
        }
        PodMetric::Memory => spec.service.base_memory + spec.service.memory_per_request * requests,
        PodMetric::Requests => requests,
        PodMetric::Own(value) => value,
    }
}

/// The conversion from float saturates.
fn milli(value: f64) -> i64 {
    (value * 1000.0).round() as i64
}

/// Returns the value of a formula if a metrics API could answer it.
fn readable(name: &str, value: f64) -> Result<f64, ObservationError> {
    if value.is_finite() && value >= 0.0 {
        return Ok(value);
    }
    let message = format!("the formula of metric {name:?} gives {value}, which is no value");
    Err(none(&message))
}

fn none(message: &str) -> ObservationError {
    ObservationError {
        class: "metricsUnavailable",
        message: message.to_owned(),
    }
}

fn unknown(name: &str, known: &[&str]) -> ObservationError {
    none(&format!(
        "the simulated cluster has no metric {name:?} of that kind; known here: {}",
        known.join(", ")
    ))
}

/// The error for a custom or external metric.
fn unknown_custom(name: &str, workload: &Workload, known: &[&str]) -> ObservationError {
    let own = workload.spec().metrics.iter();
    let own = own.map(|metric| metric.name.as_str());
    let names: Vec<&str> = own.chain(known.iter().copied()).collect();
    unknown(name, &names)
}
