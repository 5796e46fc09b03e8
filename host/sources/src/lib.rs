//! Where metrics come from: the three metrics APIs of Kubernetes.
//!
//! [`MetricsApis`] answers the questions of a reader: what several autoscalers
//! ask for is fetched once. Nothing is decided here, and nothing is kept from one
//! question to the next.

mod custom;
mod quantity_list;
mod request;
mod resource;

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_core::ports::{MetricAnswer, MetricQuestion, MetricsSource, ObservationError};
use flyball_core::selector::Selector;
use futures::{StreamExt, stream};
use kube::Client;

use self::custom::{Path, Paths};
pub use self::quantity_list::{external_values, object_value, pod_samples};
pub use self::resource::PodMetricsList;

/// Requests under way at once.
const CONCURRENCY: usize = 16;

/// metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
#[derive(Clone)]
pub struct MetricsApis {
    client: Client,
    paths: Arc<Paths>,
}

/// What a question needs to be fetched.
enum Need<'a> {
    /// The usage of all pods of a namespace.
    Usage {
        resource: &'a str,
        container: Option<&'a str>,
    },
    /// One answer of custom.metrics.k8s.io or external.metrics.k8s.io.
    Values(Path),
    /// Nothing: the question itself is at fault.
    Nothing(ObservationError),
}

impl MetricsApis {
    /// The metrics APIs of a cluster.
    #[must_use]
    pub fn new(client: Client) -> Self {
        Self {
            client,
            paths: Arc::default(),
        }
    }

    async fn usage<'a>(
        &self,
        namespaces: impl Iterator<Item = &'a str>,
    ) -> BTreeMap<String, Result<resource::Usage, ObservationError>> {
        let names: std::collections::BTreeSet<String> = namespaces.map(str::to_owned).collect();
        let fetches = names.into_iter().map(|namespace| async move {
            let usage = resource::fetch(&self.client, &namespace).await;
            (namespace, usage)
        });
        stream::iter(fetches).buffered(CONCURRENCY).collect().await
    }

    async fn values(
        &self,
        paths: impl Iterator<Item = Path>,
    ) -> BTreeMap<Path, Result<MetricAnswer, ObservationError>> {
        let paths: std::collections::BTreeSet<Path> = paths.collect();
        let fetches = paths.into_iter().map(|path| async move {
            let answer = path.fetch(&self.client, &self.paths).await;
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
        let usage = self
            .usage(namespaces.map(|(question, _)| question.namespace))
            .await;
        let paths = needs.iter().filter_map(|need| match need {
            Need::Values(path) => Some(path.clone()),
            _ => None,
        });
        let values = self.values(paths).await;
        let answer = |(question, need): (&MetricQuestion<'_>, &Need<'_>)| match need {
            Need::Usage {
                resource,
                container,
            } => {
                let usage = usage.get(question.namespace).ok_or_else(nothing_fetched)?;
                let usage = usage.as_ref().map_err(Clone::clone)?;
                let selector =
                    Selector::parse(question.selector).map_err(|error| ObservationError {
                        class: "invalidSelector",
                        message: error.to_string(),
                    })?;
                resource::samples(usage, &selector, resource, *container)
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

fn nothing_fetched() -> ObservationError {
    request::unavailable("nothing was fetched for this metric")
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
