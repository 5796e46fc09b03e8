//! Sources of metrics: the three metrics APIs of Kubernetes.
//!
//! [`MetricsApis`] fetches the metrics that a reader asks for. A metric of several
//! autoscalers is fetched once per call. The namespaces share the requests, so that a
//! backend that hangs delays what it feeds ([`FairRequests`]). This crate makes no decisions,
//! and caches nothing but kinds between calls.

mod custom;
mod items;
mod quantity_list;
mod resource;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flyball_decision::text;
use flyball_kubernetes::{FairRequests, Kinds, RequestLimits};
use flyball_replicas::ports::{MetricAnswer, MetricQuestion, MetricsSource, ObservationError};
use flyball_replicas::spec::{MetricSpec, ObjectMetric};
use kube::Client;
use tokio::sync::Semaphore;

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

/// Values above which no more is fetched for a namespace in one call. Samples of pods do not
/// count: they are asked for only for as many pods as the namespace has rows for.
const VALUES: usize = 100_000;

/// Values above which nothing more is fetched in one call, for all namespaces. They take 128
/// MiB.
const VALUES_OF_ALL: usize = 16_000_000;

/// As how many values a sample of a pod counts that the target does not have.
const STRANGER: usize = 10;

/// Samples of such pods that an answer may have in any case: pods that are just created or
/// deleted.
const STRANGERS: usize = 1_000;

/// Maximum number of concurrent requests for the usage of the pods of a namespace, whose
/// answers may be large.
const USAGES: usize = 8;

/// metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
#[derive(Clone)]
pub struct MetricsApis {
    client: Client,
    kinds: Kinds,
    requests: Arc<FairRequests>,
    usages: Arc<Semaphore>,
}

/// A request, which may answer several questions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Request<'a> {
    /// The usage of all pods of a namespace.
    Usage { namespace: &'a str },
    /// A response of custom.metrics.k8s.io or external.metrics.k8s.io.
    Values(MetricPath),
}

/// The answer of a question.
type Answer = Result<MetricAnswer, ObservationError>;

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
            weight_of_all: VALUES_OF_ALL,
        };
        Self {
            client,
            kinds,
            requests: Arc::new(FairRequests::new(limits)),
            usages: Arc::new(Semaphore::new(USAGES)),
        }
    }

    /// Sends a request. Returns the answers of these questions, which it is about. What else
    /// the response has is dropped at once.
    async fn answers(
        &self,
        request: &Request<'_>,
        questions: &[&MetricQuestion<'_>],
    ) -> Vec<Answer> {
        let answers: Vec<Answer> = match request {
            Request::Usage { namespace } => {
                // Nobody closes the semaphore.
                let _permit = self.usages.acquire().await;
                match resource::fetch(&self.client, namespace).await {
                    Ok(usage) => {
                        let sample = |question: &&MetricQuestion<'_>| {
                            let (resource, container) = resource_of(question.metric);
                            resource::samples(&usage, question.pods, resource, container)
                        };
                        questions.iter().map(sample).collect()
                    }
                    Err(error) => vec![Err(error); questions.len()],
                }
            }
            Request::Values(path) => {
                let answer = path.fetch(&self.client, &self.kinds).await;
                vec![answer; questions.len()]
            }
        };
        let answers = answers.into_iter().zip(questions);
        let without_strangers = |(answer, question): (Answer, &&MetricQuestion<'_>)| {
            let answer = answer?;
            refuse_strangers(&answer, question.selected)?;
            Ok(answer)
        };
        answers.map(without_strangers).collect()
    }
}

impl MetricsSource for MetricsApis {
    async fn measure(&self, questions: &[MetricQuestion<'_>]) -> Vec<Answer> {
        let mut asked: BTreeMap<Request<'_>, Vec<usize>> = BTreeMap::new();
        let mut answers: Vec<Option<Answer>> = vec![None; questions.len()];
        for (index, question) in questions.iter().enumerate() {
            match request_of(question) {
                Ok(request) => asked.entry(request).or_default().push(index),
                Err(error) => answers[index] = Some(Err(error)),
            }
        }
        let wanted = asked.iter().flat_map(|(request, indices)| {
            let first = indices.first().and_then(|index| questions.get(*index));
            first.map(|question| (question.namespace, request))
        });
        let send = async |request| {
            let indices = asked.get(request).into_iter().flatten();
            let questions: Vec<_> = indices.filter_map(|index| questions.get(*index)).collect();
            let answers = self.answers(request, &questions).await;
            let weight = weight(request, &questions, &answers);
            (answers, weight)
        };
        let sent = self.requests.send(wanted, send, |(_, weight)| *weight);
        for (request, result) in sent.await {
            let indices = asked.get(request).into_iter().flatten();
            let of_request = match result {
                Ok((of_request, _)) => of_request,
                Err(undone) => vec![Err(unavailable(undone.to_string())); indices.clone().count()],
            };
            for (index, answer) in indices.zip(of_request) {
                answers[*index] = Some(answer);
            }
        }
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.unwrap_or_else(|| Err(nothing_fetched())))
            .collect()
    }
}

/// Returns an error if an answer has samples of many pods that the target does not have.
/// `selected` is the number of those that it has.
fn refuse_strangers(answer: &MetricAnswer, selected: usize) -> Result<(), ObservationError> {
    let MetricAnswer::Pods(samples) = answer else {
        return Ok(());
    };
    if samples.len() > selected.saturating_add(selected.max(STRANGERS)) {
        let samples = samples.len();
        return Err(unavailable(format!(
            "the answer has metrics of {samples} pods, and the target has {selected}"
        )));
    }
    Ok(())
}

/// Returns what the answers of a request weigh.
fn weight(request: &Request<'_>, questions: &[&MetricQuestion<'_>], answers: &[Answer]) -> usize {
    let weight = |(question, answer): (&&MetricQuestion<'_>, &Answer)| match answer {
        Ok(MetricAnswer::Values(values)) => values.len(),
        Ok(MetricAnswer::Pods(samples)) => {
            let strangers = samples.len().saturating_sub(question.selected);
            strangers.saturating_mul(STRANGER)
        }
        Err(_) => 0,
    };
    let mut weights = questions.iter().zip(answers).map(weight);
    match request {
        Request::Usage { .. } => weights.fold(0, usize::saturating_add),
        // They share one answer.
        Request::Values(_) => weights.next().unwrap_or_default(),
    }
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

/// Returns the request that answers a question.
fn request_of<'a>(question: &MetricQuestion<'a>) -> Result<Request<'a>, ObservationError> {
    let namespace = question.namespace;
    let selector = question.metric_selector.as_ref().map_err(Clone::clone)?;
    let selector = selector.as_deref();
    let path = match question.metric {
        MetricSpec::Resource(_) | MetricSpec::ContainerResource(_) => {
            return Ok(Request::Usage { namespace });
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
            return Err(ObservationError::unknown_metric_type(&fields.kind));
        }
    };
    path.map(Request::Values)
}

/// Returns the resource that a metric is about, and the container if it is about one.
fn resource_of(metric: &MetricSpec) -> (&str, Option<&str>) {
    match metric {
        MetricSpec::Resource(metric) => (&metric.name, None),
        MetricSpec::ContainerResource(metric) => (&metric.name, Some(&metric.container)),
        _ => Default::default(),
    }
}
