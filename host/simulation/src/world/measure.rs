//! Answers of the metrics APIs to an autoscaler's metrics.
//!
//! `Resource` and `ContainerResource`: `cpu` and `memory`. `Pods`, `Object` and
//! `External`: `requests-per-second` (of a pod, or in total), and, except for `Pods`,
//! `queue-length`. Selectors of metrics are ignored.

use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_replicas::ports::{Autoscaler, MetricAnswer, ObservationError, PodSample};
use flyball_replicas::spec::MetricSpec;

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
    // The pipeline asks for cpu if a spec has no metrics.
    let by_default = [default_metric()];
    let wanted = match autoscaler.spec.metrics.as_slice() {
        [] => &by_default,
        metrics => metrics,
    };
    let answer = |metric| answer(workload, metric, metrics, window);
    wanted.iter().map(answer).collect()
}

fn default_metric() -> MetricSpec {
    MetricSpec {
        kind: "Resource".to_owned(),
        resource: Some(flyball_replicas::spec::ResourceMetric {
            name: "cpu".to_owned(),
            ..Default::default()
        }),
        ..MetricSpec::default()
    }
}

fn answer(
    workload: &Workload,
    metric: &MetricSpec,
    metrics: &MetricsSpec,
    window: Option<Window>,
) -> Result<MetricAnswer, ObservationError> {
    let window = window.ok_or_else(|| none("no metrics returned from the metrics API"))?;
    if let Some(pod_metric) = pod_metric(metric)? {
        let samples = samples(workload, pod_metric, metrics, &window);
        if samples.is_empty() {
            return Err(none("no metrics returned from the metrics API"));
        }
        return Ok(MetricAnswer::Pods(samples));
    }
    let object = metric.object.as_ref().map(|object| &object.metric);
    let external = metric.external.as_ref().map(|external| &external.metric);
    let name = object
        .or(external)
        .map_or("", |metric| metric.name.as_str());
    let value = match name {
        REQUESTS => (window.end.offered - window.begin.offered) / window.seconds(),
        QUEUE => window.end.waiting,
        _ => return Err(unknown(name, &[REQUESTS, QUEUE])),
    };
    Ok(MetricAnswer::Values(vec![milli(value)]))
}

fn pod_metric(metric: &MetricSpec) -> Result<Option<PodMetric>, ObservationError> {
    let resource = metric.resource.as_ref().map(|resource| &resource.name);
    let container = metric.container_resource.as_ref();
    let container = container.map(|container| &container.name);
    if let Some(name) = resource.or(container) {
        return match name.as_str() {
            "cpu" => Ok(Some(PodMetric::Cpu)),
            "memory" => Ok(Some(PodMetric::Memory)),
            _ => Err(unknown(name, &["cpu", "memory"])),
        };
    }
    match &metric.pods {
        Some(pods) if pods.metric.name == REQUESTS => Ok(Some(PodMetric::Requests)),
        Some(pods) => Err(unknown(&pods.metric.name, &[REQUESTS])),
        None => Ok(None),
    }
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
        "the simulated cluster has no metric {name:?} of that kind ({})",
        known.join(", ")
    ))
}
