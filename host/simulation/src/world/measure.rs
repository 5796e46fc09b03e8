//! Answers of the metrics APIs to an autoscaler's metrics.
//!
//! `Resource` and `ContainerResource`: `cpu` and `memory`. `Pods`, `Object` and
//! `External`: `requests-per-second` (of a pod, or in total), and, except for `Pods`,
//! `queue-length`. Selectors of metrics are ignored.

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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PodMetric {
    Cpu,
    Memory,
    Requests,
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
        MetricSpec::Pods(pods) if pods.metric.name == REQUESTS => PodMetric::Requests,
        MetricSpec::Pods(pods) => return Err(unknown(&pods.metric.name, &[REQUESTS])),
        MetricSpec::Object(ObjectMetric { metric, .. })
        | MetricSpec::External(ExternalMetric { metric, .. }) => {
            return outside_value(&metric.name, &window);
        }
        MetricSpec::Invalid(fields) => {
            return Err(ObservationError::unknown_metric_type(&fields.kind));
        }
    };
    let samples = samples(workload, pod_metric, metrics, &window);
    if samples.is_empty() {
        return Err(none("no metrics returned from the metrics API"));
    }
    Ok(MetricAnswer::Pods(samples))
}

/// Returns the value of a metric that is not measured for each pod.
fn outside_value(name: &str, window: &Window) -> Result<MetricAnswer, ObservationError> {
    let value = match name {
        REQUESTS => (window.end.offered - window.begin.offered) / window.seconds(),
        QUEUE => window.end.waiting,
        _ => return Err(unknown(name, &[REQUESTS, QUEUE])),
    };
    Ok(MetricAnswer::Values(vec![milli(value)]))
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
            metric as u64,
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
    }
}

/// The conversion from float saturates.
fn milli(value: f64) -> i64 {
    (value * 1000.0).round() as i64
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
