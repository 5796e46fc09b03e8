//! metrics.k8s.io: what pods use of their resources.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_core::labels::{LabelIndex, Labels};
use flyball_core::ports::{MetricAnswer, ObservationError, PodSample};
use flyball_core::quantity::Milli;
use flyball_core::selector::Selector;
use flyball_core::time::{Timestamp, parse_go_duration};
use flyball_kubernetes::request::get;
use kube::Client;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

use crate::unavailable;

/// The answer of metrics.k8s.io: only what is needed of it. Metrics of a pod that
/// can't be read do not keep those of others from being read.
#[derive(Clone, Debug, Deserialize)]
pub struct PodMetricsList {
    items: Vec<PodMetrics>,
}

#[derive(Clone, Debug)]
struct PodMetrics {
    metadata: Metadata,
    /// What the pod uses, or what is wrong with it.
    usage: Result<PodUsage, String>,
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

/// What the pods of a namespace use, or why that can't be read.
pub(crate) type Usage = LabelIndex<Result<PodUsage, String>>;

/// What a pod uses.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct PodUsage {
    timestamp: Rfc3339,
    window: GoDuration,
    containers: Vec<ContainerMetrics>,
}

impl<'de> Deserialize<'de> for PodMetrics {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        let metadata = Metadata::deserialize(&value["metadata"]).map_err(D::Error::custom)?;
        let usage = PodUsage::deserialize(value).map_err(|error| error.to_string());
        Ok(Self { metadata, usage })
    }
}

/// Fetches what the pods of a namespace use.
pub(crate) async fn fetch(client: &Client, namespace: &str) -> Result<Usage, ObservationError> {
    let path = format!("/apis/metrics.k8s.io/v1beta1/namespaces/{namespace}/pods");
    match get::<PodMetricsList>(client, &path, "").await {
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
    /// The samples of a resource, of the pods as a whole or of one container of
    /// each, ordered by pod.
    ///
    /// # Errors
    /// If there are no metrics at all.
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

    /// One warning, however many pods it is about: it comes with each fetch.
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

/// The samples of the pods that a selector matches.
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

/// What is wrong where nothing can be read of any pod: the first one tells.
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
    /// The sum over all containers, if each of them has the resource.
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

/// A point in time in RFC 3339.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rfc3339(pub Timestamp);

impl<'de> Deserialize<'de> for Rfc3339 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time::deserialize(deserializer)?;
        Ok(Self(Timestamp(time.0.as_millisecond())))
    }
}

/// A duration as Go writes it, such as `1m30.5s`, in milliseconds.
#[derive(Clone, Copy, Debug)]
struct GoDuration(i64);

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let invalid = || D::Error::custom(format!("{text:?} is no duration"));
        parse_go_duration(&text).map(Self).ok_or_else(invalid)
    }
}
