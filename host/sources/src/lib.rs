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

use flyball_core::ports::{MetricAnswer, MetricQuestion, MetricsSource, ObservationError};
use flyball_kubernetes::Kinds;
use futures::future::join;
use futures::{StreamExt, stream};
use kube::Client;
use tokio::time::{Instant, timeout_at};

use self::custom::Path;
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
enum Need<'a> {
    /// The usage of all pods of a namespace.
    Usage {
        resource: &'a str,
        container: Option<&'a str>,
    },
    /// A response of custom.metrics.k8s.io or external.metrics.k8s.io.
    Values(Path),
    /// Nothing, as the question is invalid.
    Nothing(ObservationError),
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
            let usage = by(deadline, usage).await;
            (namespace, usage)
        });
        stream::iter(fetches).buffered(CONCURRENCY).collect().await
    }

    async fn values(
        &self,
        deadline: Instant,
        paths: impl Iterator<Item = Path>,
    ) -> BTreeMap<Path, Result<MetricAnswer, ObservationError>> {
        let paths: std::collections::BTreeSet<Path> = paths.collect();
        let fetches = paths.into_iter().map(|path| async move {
            let answer = by(deadline, path.fetch(&self.client, &self.kinds)).await;
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
        let needs: Vec<Need<'_>> = questions.iter().map(need).collect();
        let asked = || questions.iter().zip(&needs);
        let namespaces = asked().filter(|(_, need)| matches!(need, Need::Usage { .. }));
        let namespaces = namespaces.map(|(question, _)| question.namespace);
        let paths = needs.iter().filter_map(|need| match need {
            Need::Values(path) => Some(path.clone()),
            _ => None,
        });
        let deadline = Instant::now() + TIMEOUT;
        let (usage, values) = join(
            self.usage(deadline, namespaces),
            self.values(deadline, paths),
        )
        .await;
        let answer = |(question, need): (&MetricQuestion<'_>, &Need<'_>)| match need {
            Need::Usage {
                resource,
                container,
            } => {
                let usage = usage.get(question.namespace).ok_or_else(nothing_fetched)?;
                let usage = usage.as_ref().map_err(Clone::clone)?;
                resource::samples(usage, question.pods, resource, *container)
            }
            Need::Values(path) => values
                .get(path)
                .cloned()
                .unwrap_or_else(|| Err(nothing_fetched())),
            Need::Nothing(error) => Err(error.clone()),
        };
        asked().map(answer).collect()
    }
}

/// Waits for an answer until the deadline. A request is not started after it.
async fn by<T>(
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

fn need<'a>(question: &MetricQuestion<'a>) -> Need<'a> {
    let metric = question.metric;
    let namespace = question.namespace;
    let path = if let Some(resource) = &metric.resource {
        return Need::Usage {
            resource: &resource.name,
            container: None,
        };
    } else if let Some(resource) = &metric.container_resource {
        return Need::Usage {
            resource: &resource.name,
            container: Some(&resource.container),
        };
    } else if let Some(pods) = &metric.pods {
        Path::pods(question, &pods.metric)
    } else if let Some(object) = &metric.object {
        Path::object(namespace, &object.described_object, &object.metric)
    } else if let Some(external) = &metric.external {
        Path::external(namespace, &external.metric)
    } else {
        Err(ObservationError {
            class: "unknownMetricType",
            message: format!("unknown metric source type {:?}", metric.kind),
        })
    };
    path.map_or_else(Need::Nothing, Need::Values)
}
