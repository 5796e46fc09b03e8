//! Observations as columns, the form that decisions use. A column stays the same [`Arc`]
//! from one decision to the next as long as nothing changed, so that records share it.

mod prepared;

use std::sync::Arc;

pub(crate) use prepared::target;
pub use prepared::{Prepared, PreparedPolicy};

use crate::pods::{self, Pod};
use crate::ports::{MetricAnswer, ObservationError, PodSample};
use crate::record::{Names, Unrequested};
use flyball_decision::replica::{MetricInput, PodColumns, UNKNOWN_POD, request_mark};
use flyball_decision::text;

/// The columns of one object's last observation.
#[derive(Debug)]
pub struct Columns {
    source: Arc<[Pod]>,
    /// The pods, one row each.
    pub pods: Arc<PodColumns>,
    /// The metrics, in the order of the spec.
    pub metrics: Vec<Arc<MetricInput>>,
    /// Names of metrics and pods.
    pub names: Names,
}

impl Columns {
    /// Returns the columns before the first observation.
    #[must_use]
    pub fn new(prepared: &Prepared) -> Self {
        Self {
            source: Arc::new([]),
            pods: Arc::default(),
            metrics: prepared
                .metrics
                .iter()
                .map(|metric| Arc::new(metric.clone()))
                .collect(),
            names: Names {
                metrics: Arc::clone(&prepared.metric_names),
                pods: Arc::new([]),
                unrequested: Arc::new([]),
            },
        }
    }

    /// Updates the columns from an observation.
    pub fn update(
        &mut self,
        prepared: &Prepared,
        pods: &Arc<[Pod]>,
        answers: Vec<Result<MetricAnswer, ObservationError>>,
    ) {
        let changed = self.update_pods(pods);
        let mut answers = answers.into_iter();
        let blanks = prepared.metrics.iter().zip(&prepared.unavailable_prefixes);
        for ((blank, prefix), metric) in blanks.zip(&mut self.metrics) {
            let answer = answers.next().unwrap_or_else(|| Err(no_answer()));
            let requests = if changed || metric.request.len() != pods.len() {
                requests(blank, pods)
            } else {
                metric.request.clone()
            };
            let new = measured(blank, prefix, pods, requests, answer);
            if new != **metric {
                *metric = Arc::new(new);
            }
        }
        if changed {
            self.names.unrequested = unrequested(&self.metrics, pods);
        }
    }

    /// Returns the number of rows: one for each pod, and one for each value or request of a
    /// metric.
    #[must_use]
    pub fn rows(&self) -> usize {
        let of_metric = |metric: &Arc<MetricInput>| metric.value.len().max(metric.request.len());
        self.source.len() + self.metrics.iter().map(of_metric).sum::<usize>()
    }

    /// Updates the columns and names of pods. Returns whether any pod changed.
    fn update_pods(&mut self, pods: &Arc<[Pod]>) -> bool {
        if Arc::ptr_eq(&self.source, pods) || *self.source == **pods {
            return false;
        }
        let columns = pods::columns(pods);
        if columns != *self.pods {
            self.pods = Arc::new(columns);
        }
        let same_names = self.names.pods.len() == pods.len()
            && self
                .names
                .pods
                .iter()
                .zip(pods.iter())
                .all(|(name, pod)| *name == pod.name);
        if !same_names {
            self.names.pods = pods.iter().map(|pod| Arc::clone(&pod.name)).collect();
        }
        self.source = Arc::clone(pods);
        true
    }
}

fn no_answer() -> ObservationError {
    ObservationError {
        class: "metricsUnavailable",
        message: "no source answered for this metric".to_owned(),
    }
}

fn requests(metric: &MetricInput, pods: &[Pod]) -> Vec<i64> {
    match &*metric.source {
        "Resource" | "ContainerResource" => {
            pods::request_column(pods, &metric.name, &metric.container)
        }
        _ => Vec::new(),
    }
}

/// Returns the names of containers without a request: one entry wherever the name changes
/// from one row to the next.
fn unrequested(metrics: &[Arc<MetricInput>], pods: &[Pod]) -> Arc<[Unrequested]> {
    let complete: Arc<str> = Arc::default();
    let mut entries = Vec::new();
    for (row, metric) in metrics.iter().enumerate() {
        let mut last = &complete;
        for (pod, request) in metric.request.iter().enumerate() {
            let missing = (*request == request_mark::MISSING).then(|| {
                pods::first_without_request(pods.get(pod)?, &metric.name, &metric.container)
            });
            let name = missing.flatten().unwrap_or(&complete);
            if name != last {
                entries.push(Unrequested {
                    metric: row,
                    pod,
                    container: Arc::clone(name),
                });
                last = name;
            }
        }
    }
    entries.into()
}

/// Returns a metric of the spec with its answer. If the answer is an error, `prefix` is
/// put before its message.
fn measured(
    blank: &MetricInput,
    prefix: &str,
    pods: &[Pod],
    request: Vec<i64>,
    answer: Result<MetricAnswer, ObservationError>,
) -> MetricInput {
    let mut metric = MetricInput {
        request,
        ..blank.clone()
    };
    if !metric.error.is_empty() {
        return metric;
    }
    match answer {
        Ok(MetricAnswer::Pods(samples)) => add_samples(&mut metric, pods, &samples),
        Ok(MetricAnswer::Values(values)) => metric.value = values.to_vec(),
        Err(error) => {
            metric.message = format!("{prefix}{}", text::within(error.message, SOURCE_BYTES));
            metric.error = error.class.to_owned();
        }
    }
    metric
}

/// Maximum size of a source's message: what a policy says about a metric must fit into a
/// reason.
const SOURCE_BYTES: usize = 512;

fn add_samples(metric: &mut MetricInput, pods: &[Pod], samples: &[PodSample]) {
    metric.pod = rows(pods, samples);
    metric.value = samples.iter().map(|sample| sample.value).collect();
    metric.timestamp_ms = samples.iter().map(|sample| sample.timestamp.0).collect();
    metric.window_ms = samples.iter().map(|sample| sample.window_ms).collect();
}

/// Returns the row of each sample's pod. Sources mostly answer in the order of the pods,
/// so the next row is tried first.
fn rows(pods: &[Pod], samples: &[PodSample]) -> Vec<u32> {
    let mut next = 0;
    let mut index: Option<Vec<usize>> = None;
    let mut row = |sample: &PodSample| {
        if pods.get(next).is_none_or(|pod| pod.name != sample.pod) {
            let index = index.get_or_insert_with(|| by_name(pods));
            let found = index.binary_search_by(|&row| pods[row].name.cmp(&sample.pod));
            let Ok(found) = found else { return UNKNOWN_POD };
            next = index[found];
        }
        next += 1;
        u32::try_from(next - 1).unwrap_or(UNKNOWN_POD)
    };
    samples.iter().map(&mut row).collect()
}

fn by_name(pods: &[Pod]) -> Vec<usize> {
    let mut rows: Vec<_> = (0..pods.len()).collect();
    rows.sort_by(|&a, &b| pods[a].name.cmp(&pods[b].name));
    rows
}
