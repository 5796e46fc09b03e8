//! The vectors' forms, and what they are in ours.

use std::sync::Arc;

use flyball_decision::time::Timestamp;
use flyball_replicas::pods::{Container, Phase, Pod, PodRequests, Ready, Resources};
use flyball_replicas::ports::{MetricAnswer, ObservationError, PodSample, Scale};
use serde::Deserialize;

/// Tags of cases in which an integer of upstream wraps around.
pub const SATURATED: &[&str] = &[
    "wrapsInt32",
    "wrapsInt64",
    "sumUnderflow",
    "podsPolicyWraps",
];

/// The average of `total` over no pods, in whole numbers: where upstream reports whatever
/// the processor makes of a float that no integer holds.
pub fn average_over_none(total: i128) -> i64 {
    match total.signum() {
        -1 => i64::MIN,
        0 => 0,
        _ => i64::MAX,
    }
}

/// Whether a case is checked separately: upstream's result depends on the processor, or
/// wraps around.
pub fn is_apart(arch_dependent: bool, tags: &[String]) -> bool {
    arch_dependent || tags.iter().any(|tag| SATURATED.contains(&tag.as_str()))
}

/// A point in time, RFC 3339.
pub fn time(text: &str) -> Timestamp {
    Timestamp(text.parse::<jiff::Timestamp>().unwrap().as_millisecond())
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodCase {
    name: Arc<str>,
    phase: String,
    deletion_timestamp: Option<String>,
    start_time: Option<String>,
    ready: Option<ReadyCase>,
    containers: Option<Vec<ContainerCase>>,
    init_containers: Option<Vec<ContainerCase>>,
    pod_requests_milli: Option<Resources>,
    overhead_milli: Option<Resources>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadyCase {
    status: String,
    last_transition_time: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerCase {
    name: Arc<str>,
    requests_milli: Option<Resources>,
    #[serde(default)]
    restartable: bool,
}

pub fn pods(cases: &Option<Vec<PodCase>>) -> Arc<[Pod]> {
    cases.iter().flatten().map(PodCase::pod).collect()
}

impl PodCase {
    fn pod(&self) -> Pod {
        let containers = |cases: &Option<Vec<ContainerCase>>| {
            cases
                .iter()
                .flatten()
                .map(ContainerCase::container)
                .collect()
        };
        Pod {
            name: Arc::clone(&self.name),
            phase: match &*self.phase {
                "Pending" => Phase::Pending,
                "Running" => Phase::Running,
                "Succeeded" => Phase::Succeeded,
                "Failed" => Phase::Failed,
                _ => Phase::Unknown,
            },
            ready: self.ready.as_ref().map(|ready| {
                let status = match &*ready.status {
                    "True" => Ready::True,
                    "False" => Ready::False,
                    _ => Ready::Unknown,
                };
                (status, ready.last_transition_time.as_deref().map(time))
            }),
            start: self.start_time.as_deref().map(time),
            deletion: self.deletion_timestamp.as_deref().map(time),
            requests: Arc::new(PodRequests {
                containers: containers(&self.containers),
                init_containers: containers(&self.init_containers),
                pod: self.pod_requests_milli.clone().unwrap_or_default(),
                overhead: self.overhead_milli.clone().unwrap_or_default(),
            }),
        }
    }
}

impl ContainerCase {
    fn container(&self) -> Container {
        Container {
            name: Arc::clone(&self.name),
            requests: self.requests_milli.clone().unwrap_or_default(),
            restartable: self.restartable,
        }
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleCase {
    pod: Arc<str>,
    pub value_milli: i64,
    timestamp: String,
    window_seconds: f64,
}

pub fn samples(cases: &[SampleCase]) -> MetricAnswer {
    let sample = |case: &SampleCase| PodSample {
        pod: Arc::clone(&case.pod),
        value: case.value_milli,
        timestamp: time(&case.timestamp),
        window_ms: (case.window_seconds * 1000.0) as i64,
    };
    MetricAnswer::Pods(cases.iter().map(sample).collect())
}

/// What a metrics API answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnswerCase {
    pod_metrics: Option<Vec<SampleCase>>,
    value_milli: Option<i64>,
    values_milli: Option<Vec<i64>>,
    error: Option<String>,
}

impl AnswerCase {
    /// The sum of the values that speak of no pod.
    pub fn total(&self) -> i128 {
        let series = self.values_milli.iter().flatten();
        series
            .chain(&self.value_milli)
            .copied()
            .map(i128::from)
            .sum()
    }

    pub fn answer(&self) -> Result<MetricAnswer, ObservationError> {
        if let Some(error) = &self.error {
            return Err(unavailable(error));
        }
        match (&self.pod_metrics, self.value_milli, &self.values_milli) {
            (_, Some(value), _) => Ok(MetricAnswer::Values([value].into())),
            (_, _, Some(values)) => Ok(MetricAnswer::Values(values.as_slice().into())),
            (samples_of, _, _) => Ok(samples(samples_of.as_deref().unwrap_or_default())),
        }
    }
}

pub fn unavailable(message: &str) -> ObservationError {
    ObservationError {
        class: "metricsUnavailable",
        message: message.to_owned(),
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ScaleCase {
    spec_replicas: i32,
    status_replicas: i32,
    selector: String,
}

impl ScaleCase {
    pub fn scale(&self) -> Scale {
        Scale {
            spec_replicas: self.spec_replicas,
            status_replicas: self.status_replicas,
            selector: self.selector.as_str().into(),
            resource_version: "1".into(),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ConditionCase {
    pub r#type: String,
    pub status: String,
    pub reason: String,
    pub message: String,
    pub last_transition_time: Option<String>,
}
