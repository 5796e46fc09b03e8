//! Responses of custom.metrics.k8s.io and external.metrics.k8s.io.
//!
//! A value that can't be read is reported, and does not affect others: its pod has no
//! sample. If values are summed, the metric fails, since a sum without the value would
//! be wrong.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::quantity::Milli;
use flyball_decision::text;
use flyball_replicas::ports::{MetricAnswer, ObservationError, PodSample};
use serde::Deserialize;

use crate::items::{self, PROBLEM, items};
use crate::resource::Rfc3339;
use crate::unavailable;

/// Window of a custom metric that has none, in seconds.
const DEFAULT_WINDOW_SECONDS: i64 = 60;

/// The needed fields of a `MetricValueList` or an `ExternalMetricValueList`.
#[derive(Clone, Debug, Deserialize)]
pub struct ValueList {
    #[serde(deserialize_with = "items")]
    items: Vec<Item>,
}

#[derive(Clone, Debug)]
struct Item {
    /// Name of the described object. Empty if there is none.
    object: Arc<str>,
    /// The value, or why it can't be read.
    value: Result<Value, String>,
}

/// The object that a value is about, if it has one that can be read.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Described {
    described_object: Named,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Named {
    name: Arc<str>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    timestamp: Rfc3339,
    /// In `custom.metrics.k8s.io/v1beta1` it is called `window`.
    #[serde(alias = "window")]
    window_seconds: Option<i64>,
    value: Milli,
}

impl items::Item for Item {
    fn read(item: &str) -> serde_json::Result<Self> {
        let Described { described_object } = serde_json::from_str(item).unwrap_or_default();
        let value = serde_json::from_str(item);
        Ok(Self {
            object: described_object.name,
            value: value.map_err(|error| text::within(error.to_string(), PROBLEM)),
        })
    }

    fn parts(&self) -> usize {
        1
    }
}

impl ValueList {
    /// Logs one warning for all values that can't be read, since this happens at each
    /// fetch.
    pub(crate) fn warn_of_unreadable(&self, path: &str) {
        let unreadable = |item: &Item| Some((item.object.clone(), item.value.clone().err()?));
        let mut unreadable = self.items.iter().filter_map(unreadable);
        if let Some((pod, problem)) = unreadable.next() {
            let others = unreadable.count();
            tracing::warn!(%path, %pod, %problem, others, "metrics of pods can't be read: they count as missing");
        }
    }
}

/// Returns the sample of each pod for a `Pods` metric, ordered by pod.
///
/// # Errors
/// If there are no metrics, or none that can be read.
pub fn pod_samples(list: ValueList) -> Result<MetricAnswer, ObservationError> {
    let mut unreadable = None;
    let mut by_pod = BTreeMap::new();
    for Item { object, value } in list.items {
        match value {
            Ok(value) => {
                by_pod.insert(Arc::clone(&object), value.of_pod(object));
            }
            Err(problem) => {
                unreadable.get_or_insert_with(|| {
                    unavailable(format!(
                        "the metrics of pod {object:?} can't be read: {problem}"
                    ))
                });
            }
        }
    }
    if by_pod.is_empty() {
        let none = || unavailable("no metrics returned from custom metrics API");
        return Err(unreadable.unwrap_or_else(none));
    }
    Ok(MetricAnswer::Pods(by_pod.into_values().collect()))
}

/// Returns the value of an `Object` metric.
///
/// # Errors
/// If there is not one value, or it can't be read.
pub fn object_value(list: &ValueList) -> Result<MetricAnswer, ObservationError> {
    match &*list.items {
        [Item { object, value }] => match value {
            Ok(value) => Ok(MetricAnswer::Values([value.value.0].into())),
            Err(problem) => Err(unavailable(format!(
                "the metrics of object {object:?} can't be read: {problem}"
            ))),
        },
        items => Err(unavailable(format!(
            "the custom metrics API server returned {} results when we asked for exactly one",
            items.len()
        ))),
    }
}

/// Returns the value of each series of an `External` metric.
///
/// # Errors
/// If there is no series, or one that can't be read.
pub fn external_values(list: &ValueList) -> Result<MetricAnswer, ObservationError> {
    if list.items.is_empty() {
        return Err(unavailable("no metrics returned from external metrics API"));
    }
    let values = list.items.iter().enumerate().map(|(index, item)| {
        let value = item.value.as_ref().map(|value| value.value.0);
        value.map_err(|problem| unavailable(format!("series {index} can't be read: {problem}")))
    });
    Ok(MetricAnswer::Values(values.collect::<Result<_, _>>()?))
}

impl Value {
    fn of_pod(self, pod: Arc<str>) -> PodSample {
        let window_seconds = self.window_seconds.unwrap_or(DEFAULT_WINDOW_SECONDS);
        PodSample {
            pod,
            value: self.value.0,
            timestamp: self.timestamp.0,
            window_ms: window_seconds.saturating_mul(1000),
        }
    }
}
