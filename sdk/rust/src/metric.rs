//! A metric of the spec with what was measured: a view over its columns.

use std::time::Duration;

use crate::bindings::replica::exports::flyball::policy::replica as wire;
use crate::time::{Time, duration};

/// Row of a sample whose pod is not (or no longer) known.
pub(crate) const UNKNOWN_POD: u32 = u32::MAX;

/// Marks in the request column, in place of a request.
pub(crate) mod request_mark {
    pub const MISSING: i64 = -1;
    pub const NO_CONTAINER: i64 = -2;
    pub const MISSING_AT_POD_LEVEL: i64 = -3;
}

/// A metric of the spec, with what was measured.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a> {
    columns: &'a wire::Metric,
    index: usize,
}

/// Where a metric comes from: the `type` in the spec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A resource of whole pods, such as their cpu.
    Resource,
    /// A resource of one container of each pod.
    ContainerResource,
    /// A custom metric of each pod.
    Pods,
    /// A custom metric of one object.
    Object,
    /// A metric from outside the cluster.
    External,
    /// A type that this SDK does not know.
    Other,
}

/// What a metric should be at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Percent of the request, averaged over pods.
    Utilization(i32),
    /// The average over pods, in milli.
    AverageValue(i64),
    /// The value itself, in milli.
    Value(i64),
}

/// One value of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Row of the pod. `None` if the pod is not (or no longer) one of the target's, or
    /// the metric is not about pods.
    pub pod: Option<usize>,
    /// The value, in thousandths of its unit.
    pub milli: i64,
    /// When it was measured. `None` for metrics that are not about pods.
    pub at: Option<Time>,
    /// The time it was measured over.
    pub window: Duration,
}

impl Sample {
    /// The value in its unit.
    #[must_use]
    pub fn value(&self) -> f64 {
        self.milli as f64 / 1000.0
    }
}

/// What a pod requests of a resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Request {
    /// So much, in milli.
    Milli(i64),
    /// A container has no request.
    Missing,
    /// The pod has no container of the metric's name.
    NoContainer,
    /// There are requests at pod level, but none for this resource.
    MissingAtPodLevel,
}

impl Request {
    const fn from_column(value: i64) -> Self {
        match value {
            request_mark::MISSING => Self::Missing,
            request_mark::NO_CONTAINER => Self::NoContainer,
            request_mark::MISSING_AT_POD_LEVEL => Self::MissingAtPodLevel,
            milli => Self::Milli(milli),
        }
    }

    pub(crate) const fn column(self) -> i64 {
        match self {
            Self::Milli(milli) => milli,
            Self::Missing => request_mark::MISSING,
            Self::NoContainer => request_mark::NO_CONTAINER,
            Self::MissingAtPodLevel => request_mark::MISSING_AT_POD_LEVEL,
        }
    }
}

impl<'a> Metric<'a> {
    pub(crate) const fn new(columns: &'a wire::Metric, index: usize) -> Self {
        Self { columns, index }
    }

    /// Its place in the spec.
    #[must_use]
    pub const fn index(&self) -> usize {
        self.index
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(&self) -> Source {
        match self.columns.source.as_str() {
            "Resource" => Source::Resource,
            "ContainerResource" => Source::ContainerResource,
            "Pods" => Source::Pods,
            "Object" => Source::Object,
            "External" => Source::External,
            _ => Source::Other,
        }
    }

    /// Name of the resource or of the metric.
    #[must_use]
    pub fn name(&self) -> &'a str {
        &self.columns.name
    }

    /// The container whose resource it is; empty for other sources.
    #[must_use]
    pub fn container(&self) -> &'a str {
        &self.columns.container
    }

    /// The metric's label selector in text form; empty: none.
    #[must_use]
    pub fn selector(&self) -> &'a str {
        &self.columns.selector
    }

    /// Its target, of the `type` that the spec names. `None` if the spec has no value
    /// for that type.
    #[must_use]
    pub fn target(&self) -> Option<Target> {
        match self.columns.target_type.as_str() {
            "Utilization" => self
                .columns
                .target_average_utilization
                .map(Target::Utilization),
            "AverageValue" => self.columns.target_average_value.map(Target::AverageValue),
            "Value" => self.columns.target_value.map(Target::Value),
            _ => None,
        }
    }

    /// Why there are no samples: a stable class and a sentence. `None` without an error.
    #[must_use]
    pub fn error(&self) -> Option<(&'a str, &'a str)> {
        let class = self.columns.error.as_str();
        (!class.is_empty()).then_some((class, self.columns.message.as_str()))
    }

    /// What was measured. Metrics of pods have one sample for each pod that
    /// reported, `Object` has one, `External` one for each series.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Sample> + 'a {
        let columns = self.columns;
        columns
            .value
            .iter()
            .enumerate()
            .map(move |(row, &milli)| Sample {
                pod: match columns.pod.get(row) {
                    None | Some(&UNKNOWN_POD) => None,
                    Some(&pod) => Some(pod as usize),
                },
                milli,
                at: columns
                    .timestamp_ms
                    .get(row)
                    .and_then(|&ms| Time::from_column(ms)),
                window: columns
                    .window_ms
                    .get(row)
                    .map_or(Duration::ZERO, |&ms| duration(ms)),
            })
    }

    /// What the pod of row `pod` requests of the resource. `None` for metrics that are
    /// not about a resource.
    #[must_use]
    pub fn request(&self, pod: usize) -> Option<Request> {
        self.columns
            .request
            .get(pod)
            .map(|&value| Request::from_column(value))
    }

    /// Sum of all samples, in the metric's unit.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.samples().map(|sample| sample.value()).sum()
    }

    /// Mean of all samples, in the metric's unit. `None` if there are no samples.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        let count = self.columns.value.len();
        (count > 0).then(|| self.total() / count as f64)
    }

    /// Usage as a part of the requests, over the pods that have both: 0.8 is 80%. `None`
    /// if there is no such pod.
    #[must_use]
    pub fn utilization(&self) -> Option<f64> {
        let (mut used, mut requested) = (0.0, 0.0);
        for sample in self.samples() {
            if let Some(Request::Milli(request)) = sample.pod.and_then(|pod| self.request(pod)) {
                used += sample.milli as f64;
                requested += request as f64;
            }
        }
        (requested > 0.0).then(|| used / requested)
    }

    /// The columns, for a policy that wants the last bit of speed.
    #[must_use]
    pub const fn columns(&self) -> &'a wire::Metric {
        self.columns
    }
}
