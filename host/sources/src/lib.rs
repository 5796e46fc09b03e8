//! Sources of metrics: the three metrics APIs of Kubernetes.
//!
//! [`MetricsApis`] fetches the metrics that a reader asks for. A metric of several
//! autoscalers is fetched once per call. This crate makes no decisions, and caches
//! nothing but kinds between calls.

mod custom;
mod quantity_list;
mod resource;

use std::collections::BTreeMap;
use std::time::Duration;

use flyball_kubernetes::Kinds;
use flyball_replicas::ports::{MetricAnswer, MetricQuestion, MetricsSource, ObservationError};
use flyball_replicas::spec::{MetricSpec, ObjectMetric};
use futures::future::join;
use futures::{StreamExt, stream};
use kube::Client;
use tokio::time::{Instant, timeout_at};

use self::custom::MetricPath;
pub use self::quantity_list::{external_values, object_value, pod_samples};
pub use self::resource::PodMetricsList;

/// Maximum number of concurrent requests.
const CONCURRENCY: usize = 16;

/// Time limit of one call with all its questions. A metric that is not fetched by then
/// is unavailable, and does not affect others.
const TIMEOUT: Duration = Duration::from_secs(10);

/// metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
#[derive(Clone)]
pub struct MetricsApis {
    client: Client,
    kinds: Kinds,
}

/// What has to be fetched to answer a question.
enum Fetch<'a> {
    /// The usage of all pods of a namespace.
    Usage {
        resource: &'a str,
        container: Option<&'a str>,
    },
    /// A response of custom.metrics.k8s.io or external.metrics.k8s.io.
    Values(MetricPath),
    /// Nothing, as the question is invalid.
    Invalid(ObservationError),
}

impl MetricsApis {
    /// Creates a source for a cluster with these kinds.
    #[must_use]
    pub fn new(client: Client, kinds: Kinds) -> Self {
        Self { client, kinds }
    }

    async fn usage<'a>(
        &self,
        deadline: Instant,
        namespaces: impl Iterator<Item = &'a str>,
    ) -> BTreeMap<String, Result<resource::Usage, ObservationError>> {
        let names: std::collections::BTreeSet<String> = namespaces.map(str::to_owned).collect();
        let fetches = names.into_iter().map(|namespace| async move {
            let usage = resource::fetch(&self.client, &namespace);
            let usage = before_deadline(deadline, usage).await;
            (namespace, usage)
        });
        stream::iter(fetches).buffered(CONCURRENCY).collect().await
    }

    async fn values(
        &self,
        deadline: Instant,
        paths: impl Iterator<Item = MetricPath>,
    ) -> BTreeMap<MetricPath, Result<MetricAnswer, ObservationError>> {
        let paths: std::collections::BTreeSet<MetricPath> = paths.collect();
        let fetches = paths.into_iter().map(|path| async move {
            let answer = before_deadline(deadline, path.fetch(&self.client, &self.kinds)).await;
            (path, answer)
        });
        stream::iter(fetches).buffered(CONCURRENCY).collect().await
    }
}

impl MetricsSource for MetricsApis {
    async fn measure(
        &self,
        questions: &[MetricQuestion<'_>],
    ) -> Vec<Result<MetricAnswer, ObservationError>> {
        let fetches: Vec<Fetch<'_>> = questions.iter().map(fetch_of).collect();
        let asked = || questions.iter().zip(&fetches);
        let namespaces = asked().filter(|(_, fetch)| matches!(fetch, Fetch::Usage { .. }));
        let namespaces = namespaces.map(|(question, _)| question.namespace);
        let paths = fetches.iter().filter_map(|fetch| match fetch {
            Fetch::Values(path) => Some(path.clone()),
            _ => None,
        });
        let deadline = Instant::now() + TIMEOUT;
        let (usage, values) = join(
            self.usage(deadline, namespaces),
            self.values(deadline, paths),
        )
        .await;
        let answer = |(question, fetch): (&MetricQuestion<'_>, &Fetch<'_>)| match fetch {
            Fetch::Usage {
                resource,
                container,
            } => {
                let usage = usage.get(question.namespace).ok_or_else(nothing_fetched)?;
                let usage = usage.as_ref().map_err(Clone::clone)?;
                resource::samples(usage, question.pods, resource, *container)
            }
            Fetch::Values(path) => values
                .get(path)
                .cloned()
                .unwrap_or_else(|| Err(nothing_fetched())),
            Fetch::Invalid(error) => Err(error.clone()),
        };
        asked().map(answer).collect()
    }
}

/// Waits for an answer until the deadline. A request is not started after it.
async fn before_deadline<T>(
    deadline: Instant,
    answer: impl Future<Output = Result<T, ObservationError>>,
) -> Result<T, ObservationError> {
    let late = || {
        let seconds = TIMEOUT.as_secs();
        unavailable(format!(
            "no answer within the {seconds} s for all metrics together"
        ))
    };
    if Instant::now() >= deadline {
        return Err(late());
    }
    timeout_at(deadline, answer)
        .await
        .unwrap_or_else(|_| Err(late()))
}

/// Returns the error for a metric that is unavailable.
pub(crate) fn unavailable(message: impl Into<String>) -> ObservationError {
    ObservationError {
        class: "metricsUnavailable",
        message: message.into(),
    }
}

fn nothing_fetched() -> ObservationError {
    unavailable("nothing was fetched for this metric")
}

fn fetch_of<'a>(question: &MetricQuestion<'a>) -> Fetch<'a> {
    let namespace = question.namespace;
    let selector = match question.metric_selector {
        Ok(selector) => selector.as_deref(),
        Err(error) => return Fetch::Invalid(error.clone()),
    };
    let path = match question.metric {
        MetricSpec::Resource(resource) => {
            return Fetch::Usage {
                resource: &resource.name,
                container: None,
            };
        }
        MetricSpec::ContainerResource(resource) => {
            return Fetch::Usage {
                resource: &resource.name,
                container: Some(&resource.container),
            };
        }
        MetricSpec::Pods(pods) => {
            MetricPath::pods(namespace, question.selector, &pods.metric.name, selector)
        }
        MetricSpec::Object(ObjectMetric {
            described_object,
            metric,
            ..
        }) => MetricPath::object(namespace, described_object, &metric.name, selector),
        MetricSpec::External(external) => {
            MetricPath::external(namespace, &external.metric.name, selector)
        }
        MetricSpec::Invalid(fields) => {
            return Fetch::Invalid(ObservationError::unknown_metric_type(&fields.kind));
        }
    };
    path.map_or_else(Fetch::Invalid, Fetch::Values)
}
