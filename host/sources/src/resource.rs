//! Responses of metrics.k8s.io: resource usage of pods.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::quantity::Milli;
use flyball_decision::text;
use flyball_decision::time::{Timestamp, parse_go_duration};
use flyball_kubernetes::request::{LARGE_ANSWER, get};
use flyball_replicas::labels::{LabelIndex, Labels};
use flyball_replicas::ports::{MetricAnswer, ObservationError, PodSample};
use flyball_replicas::selector::Selector;
use kube::Client;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::items::{Item, PROBLEM, items};
use crate::unavailable;

/// The needed fields of a response of metrics.k8s.io. Metrics of a pod that can't be
/// read do not affect those of others.
#[derive(Clone, Debug, Deserialize)]
pub struct PodMetricsList {
    #[serde(deserialize_with = "items")]
    items: Vec<PodMetrics>,
}

#[derive(Clone, Debug)]
struct PodMetrics {
    metadata: Metadata,
    /// Usage of the pod, or why it can't be read.
    usage: Result<PodUsage, String>,
}

#[derive(Deserialize)]
struct Identified {
    metadata: Metadata,
}

#[derive(Clone, Debug, Deserialize)]
struct Metadata {
    name: Arc<str>,
    #[serde(default)]
    labels: Labels,
}

#[derive(Clone, Debug, Deserialize)]
struct ContainerMetrics {
    name: String,
    #[serde(default)]
    usage: BTreeMap<String, Milli>,
}

/// Usage of each pod of a namespace, or why it can't be read.
pub(crate) type Usage = LabelIndex<Result<PodUsage, String>>;

/// Usage of a pod.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PodUsage {
    timestamp: Rfc3339,
    window: GoDuration,
    containers: Vec<ContainerMetrics>,
}

impl Item for PodMetrics {
    fn read(item: &str) -> serde_json::Result<Self> {
        let Identified { metadata } = serde_json::from_str(item)?;
        let usage = serde_json::from_str(item);
        Ok(Self {
            metadata,
            usage: usage.map_err(|error| text::within(error.to_string(), PROBLEM)),
        })
    }

    fn parts(&self) -> usize {
        let usage = self.usage.as_ref();
        let parts = usage.map_or(0, |usage| {
            let amounts = usage
                .containers
                .iter()
                .map(|container| container.usage.len());
            usage.containers.len() + amounts.sum::<usize>()
        });
        self.metadata.labels.len() + parts
    }
}

/// Fetches the usage of the pods of a namespace.
pub(crate) async fn fetch(client: &Client, namespace: &str) -> Result<Usage, ObservationError> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
    match get::<PodMetricsList>(client, &path, "", LARGE_ANSWER).await {
        Ok(list) => {
            list.warn_of_unreadable(namespace);
            Ok(list.into_usage())
        }
        Err(error) => Err(unavailable(format!(
            "unable to fetch metrics from resource metrics API: {}",
            error.message()
        ))),
    }
}

impl PodMetricsList {
    /// Returns the samples of a resource, of whole pods or of one container of each,
    /// ordered by pod.
    ///
    /// # Errors
    /// If there are no metrics.
    pub fn samples(
        self,
        resource: &str,
        container: Option<&str>,
    ) -> Result<MetricAnswer, ObservationError> {
        samples(
            &self.into_usage(),
            &Selector::default(),
            resource,
            container,
        )
    }

    fn into_usage(self) -> Usage {
        let mut usage = LabelIndex::default();
        for PodMetrics {
            metadata: Metadata { name, labels },
            usage: of_pod,
        } in self.items
        {
            usage.insert(labels, name, of_pod);
        }
        usage
    }

    /// Logs one warning for all pods that can't be read, since this happens at each
    /// fetch.
    fn warn_of_unreadable(&self, namespace: &str) {
        let unreadable = |item: &PodMetrics| {
            let problem = item.usage.as_ref().err()?;
            Some((item.metadata.name.clone(), problem.clone()))
        };
        let mut unreadable = self.items.iter().filter_map(unreadable);
        if let Some((pod, problem)) = unreadable.next() {
            let others = unreadable.count();
            tracing::warn!(%namespace, %pod, %problem, others, "metrics of pods can't be read: they count as missing");
        }
    }
}

/// Returns the samples of the pods that a selector matches.
pub(crate) fn samples(
    usage: &Usage,
    selector: &Selector,
    resource: &str,
    container: Option<&str>,
) -> Result<MetricAnswer, ObservationError> {
    let selected = usage.select(selector);
    if selected.is_empty() {
        return Err(unavailable("no metrics returned from resource metrics API"));
    }
    if let Some(error) = all_unreadable(&selected) {
        return Err(error);
    }
    let sample = |(name, pod): (&Arc<str>, &Result<PodUsage, String>)| {
        let pod = pod.as_ref().ok()?;
        let value = match container {
            Some(container) => pod.of_container(container, resource),
            None => pod.of_all(resource),
        };
        Some(PodSample {
            pod: name.clone(),
            value: value?,
            timestamp: pod.timestamp.0,
            window_ms: pod.window.0,
        })
    };
    Ok(MetricAnswer::Pods(
        selected.into_iter().filter_map(sample).collect(),
    ))
}

/// Returns the error of the first pod if no pod's metrics can be read.
fn all_unreadable(selected: &[(&Arc<str>, &Result<PodUsage, String>)]) -> Option<ObservationError> {
    if selected.iter().any(|(_, usage)| usage.is_ok()) {
        return None;
    }
    let (name, usage) = selected.first()?;
    let problem = usage.as_ref().err()?;
    Some(unavailable(format!(
        "the metrics of pod {name:?} can't be read: {problem}"
    )))
}

impl PodUsage {
    /// Returns the sum over all containers. `None` if one of them lacks the resource.
    fn of_all(&self, resource: &str) -> Option<i64> {
        if self.containers.is_empty() {
            return None;
        }
        self.containers.iter().try_fold(0i64, |sum, container| {
            container
                .usage
                .get(resource)
                .map(|Milli(milli)| sum.saturating_add(*milli))
        })
    }

    fn of_container(&self, name: &str, resource: &str) -> Option<i64> {
        let container = self
            .containers
            .iter()
            .find(|container| container.name == name)?;
        container.usage.get(resource).map(|Milli(milli)| *milli)
    }
}

/// A time in RFC 3339.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339(pub Timestamp);

impl<'de> Deserialize<'de> for Rfc3339 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time::deserialize(deserializer)?;
        Ok(Self(Timestamp(time.0.as_millisecond())))
    }
}

/// A duration in milliseconds, in Go's format such as `1m30.5s`.
#[derive(Clone, Copy, Debug)]
struct GoDuration(i64);

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid = || D::Error::custom(format!("{text:?} is no duration"));
        parse_go_duration(&text).map(Self).ok_or_else(invalid)
    }
}
