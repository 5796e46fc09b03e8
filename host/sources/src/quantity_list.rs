//! The answers of custom.metrics.k8s.io and external.metrics.k8s.io.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_core::ports::{MetricAnswer, ObservationError, PodSample};
use flyball_core::quantity::Milli;
use serde::Deserialize;

use crate::request::unavailable;
use crate::resource::Rfc3339;

/// Window of a custom metric that names none, in seconds.
const DEFAULT_WINDOW_SECONDS: i64 = 60;

/// A `MetricValueList` or an `ExternalMetricValueList`: what is needed of it.
#[derive(Clone, Debug, Deserialize)]
pub struct ValueList {
    items: Vec<Value>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Value {
    #[serde(default)]
    described_object: DescribedObject,
    timestamp: Rfc3339,
    window_seconds: Option<i64>,
    value: Milli,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct DescribedObject {
    name: Arc<str>,
}

/// `Pods`: the sample of each pod, ordered by pod.
///
/// # Errors
/// If there are no metrics at all.
pub fn pod_samples(list: ValueList) -> Result<MetricAnswer, ObservationError> {
    if list.items.is_empty() {
        return Err(unavailable("no metrics returned from custom metrics API"));
    }
    let sample = |value: Value| {
        let window_seconds = value.window_seconds.unwrap_or(DEFAULT_WINDOW_SECONDS);
        let sample = PodSample {
            pod: value.described_object.name.clone(),
            value: value.value.0,
            timestamp: value.timestamp.0,
            window_ms: window_seconds.saturating_mul(1000),
        };
        (value.described_object.name, sample)
    };
    let by_pod: BTreeMap<_, _> = list.items.into_iter().map(sample).collect();
    Ok(MetricAnswer::Pods(by_pod.into_values().collect()))
}

/// `Object`: its value.
///
/// # Errors
/// If there is none.
pub fn object_value(list: &ValueList) -> Result<MetricAnswer, ObservationError> {
    match list.items.first() {
        Some(value) => Ok(MetricAnswer::Values(vec![value.value.0])),
        None => Err(unavailable("no metrics returned from custom metrics API")),
    }
}

/// `External`: the value of each series.
///
/// # Errors
/// If there is none.
pub fn external_values(list: &ValueList) -> Result<MetricAnswer, ObservationError> {
    if list.items.is_empty() {
        return Err(unavailable("no metrics returned from external metrics API"));
    }
    Ok(MetricAnswer::Values(
        list.items.iter().map(|value| value.value.0).collect(),
    ))
}
