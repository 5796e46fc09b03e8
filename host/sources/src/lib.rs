//! Sources of metrics: the three metrics APIs of Kubernetes.
//!
//! [`MetricsApis`] fetches the metrics that a reader asks for. A metric of several
//! autoscalers is fetched once per call. The namespaces share the requests, so that a
//! backend that hangs delays what it feeds ([`FairRequests`]). This crate makes no decisions,
//! and caches nothing but kinds between calls.

mod custom;
mod quantity_list;
mod resource;

use std::sync::Arc;
use std::time::Duration;

use flyball_decision::text;
use flyball_kubernetes::{FairRequests, Kinds, RequestLimits, Undone};
use flyball_replicas::ports::{MetricAnswer, MetricQuestion, MetricsSource, ObservationError};
use flyball_replicas::spec::{MetricSpec, ObjectMetric};
use kube::Client;

use self::custom::MetricPath;
pub use self::quantity_list::{external_values, object_value, pod_samples};
pub use self::resource::PodMetricsList;

/// Maximum number of concurrent requests.
const CONCURRENCY: usize = 16;

/// Maximum number of concurrent requests for metrics of one namespace.
const PER_NAMESPACE: usize = 4;

/// Default of the time limit of a request.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Number of requests that hang, one after the other, after which a call ends. A metric
/// that is not fetched by then is unavailable, and does not affect others.
const HANGING: u32 = 5;

/// Values of External metrics above which no more is fetched for a namespace in one call.
/// Metrics of pods are asked for only for as many pods as the namespace has rows for.
const VALUES: usize = 100_000;

/// metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
#[derive(Clone)]
pub struct MetricsApis {
    client: Client,
    kinds: Kinds,
    requests: Arc<FairRequests>,
}

/// A request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Request<'a> {
    /// The usage of all pods of a namespace.
    Usage { namespace: &'a str },
    /// A response of custom.metrics.k8s.io or external.metrics.k8s.io.
    Values(MetricPath),
}

/// The answer of a request.
enum Answer {
    Usage(resource::Usage),
    Values(MetricAnswer),
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

impl Fetch<'_> {
    /// Returns the request of a question in a namespace. `None` if there is none.
    fn request<'a>(&self, namespace: &'a str) -> Option<Request<'a>> {
        match self {
            Fetch::Usage { .. } => Some(Request::Usage { namespace }),
            Fetch::Values(path) => Some(Request::Values(path.clone())),
            Fetch::Invalid(_) => None,
        }
    }
}

impl MetricsApis {
    /// Creates a source for a cluster with these kinds, with a time limit of each request.
    /// A call takes five times as long at most.
    #[must_use]
    pub fn new(client: Client, kinds: Kinds, timeout: Duration) -> Self {
        let limits = RequestLimits {
            concurrency: CONCURRENCY,
            per_namespace: PER_NAMESPACE,
            request: timeout,
            begin: timeout * (HANGING - 1),
            weight: VALUES,
        };
        Self {
            client,
            kinds,
            requests: Arc::new(FairRequests::new(limits)),
        }
    }

    async fn answer(&self, request: Request<'_>) -> Result<Answer, ObservationError> {
        match request {
            Request::Usage { namespace } => {
                let usage = resource::fetch(&self.client, namespace).await;
                usage.map(Answer::Usage)
            }
            Request::Values(path) => {
                let values = path.fetch(&self.client, &self.kinds).await;
                values.map(Answer::Values)
            }
        }
    }
}

impl MetricsSource for MetricsApis {
    async fn measure(
        &self,
        questions: &[MetricQuestion<'_>],
    ) -> Vec<Result<MetricAnswer, ObservationError>> {
        let fetches: Vec<Fetch<'_>> = questions.iter().map(fetch_of).collect();
        let asked = || questions.iter().zip(&fetches);
        let requests = asked().filter_map(|(question, fetch)| {
            let namespace = question.namespace;
            Some((namespace, fetch.request(namespace)?))
        });
        let send = |request| self.answer(request);
        let answers = self
            .requests
            .send(requests, send, values_outside_pods)
            .await;
        let answer = |(question, fetch): (&MetricQuestion<'_>, &Fetch<'_>)| {
            let answer = match fetch {
                Fetch::Invalid(error) => return Err(error.clone()),
                _ => fetch.request(question.namespace),
            };
            let answer = answer.and_then(|request| answers.get(&request));
            let answer = match answer.ok_or_else(nothing_fetched)? {
                Ok(answer) => answer.as_ref().map_err(Clone::clone)?,
                Err(undone) => return Err(late(undone)),
            };
            match (answer, fetch) {
                (
                    Answer::Usage(usage),
                    Fetch::Usage {
                        resource,
                        container,
                    },
                ) => resource::samples(usage, question.pods, resource, *container),
                (Answer::Values(values), _) => Ok(values.clone()),
                (Answer::Usage(_), _) => Err(nothing_fetched()),
            }
        };
        asked().map(answer).collect()
    }
}

fn values_outside_pods(answer: &Result<Answer, ObservationError>) -> usize {
    match answer {
        Ok(Answer::Values(MetricAnswer::Values(values))) => values.len(),
        Ok(Answer::Values(MetricAnswer::Pods(_)) | Answer::Usage(_)) | Err(_) => 0,
    }
}

fn late(undone: &Undone) -> ObservationError {
    unavailable(undone.to_string())
}

/// Returns the error for a metric that is unavailable. Its message is shortened: it may
/// quote an answer.
pub(crate) fn unavailable(message: impl Into<String>) -> ObservationError {
    ObservationError {
        class: "metricsUnavailable",
        message: text::message(message),
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
