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
use flyball_kubernetes::{FairRequests, Kinds, RequestLimits, Undone};
use flyball_replicas::ports::{MetricAnswer, MetricQuestion, MetricsSource, ObservationError};
use flyball_replicas::spec::{MetricSpec, ObjectMetric};
use kube::Client;

use self::custom::MetricPath;
pub use self::quantity_list::{external_values, object_value, pod_samples};
pub use self::resource::PodMetricsList;

/// Maximum number of concurrent requests for values.
const CONCURRENCY: usize = 16;

/// Maximum number of concurrent requests for values of one namespace.
const PER_NAMESPACE: usize = 4;

/// Maximum number of concurrent requests for the usage of the pods of a namespace, whose
/// answers may be large.
const USAGES: usize = 8;

/// Default of the time limit of a request.
pub const TIMEOUT: Duration = Duration::from_secs(2);

/// Number of requests that hang, one after the other, after which a call ends. A metric
/// that is not fetched by then is unavailable, and does not affect others.
const HANGING: u32 = 5;

/// Values above which no more is fetched for a namespace in one call. Samples of the target's
/// own pods do not count: they are asked for only for as many pods as the namespace has rows
/// for.
const VALUES: usize = 100_000;

/// Values above which nothing more is fetched in one call, for all namespaces. They take 128
/// MiB.
const VALUES_OF_ALL: usize = 16_000_000;

/// Number of values that a sample counts as if its pod is not one of the target's.
const STRANGER: usize = 10;

/// Samples of such pods that an answer may have in any case: pods that are just created or
/// deleted.
const STRANGERS: usize = 1_000;

/// metrics.k8s.io, custom.metrics.k8s.io and external.metrics.k8s.io.
#[derive(Clone)]
pub struct MetricsApis {
    client: Client,
    kinds: Kinds,
    usages: Arc<FairRequests>,
    values: Arc<FairRequests>,
}

/// The answer of a question.
type Answer = Result<MetricAnswer, ObservationError>;

/// A question that a request answers, with its index.
type Asked<'a> = (usize, &'a MetricQuestion<'a>);

/// Requests, with the questions that each of them answers.
#[derive(Default)]
struct Requests<'a> {
    /// For the usage of all pods of a namespace, by its name.
    usages: BTreeMap<&'a str, Vec<Asked<'a>>>,
    /// To custom.metrics.k8s.io and external.metrics.k8s.io.
    values: BTreeMap<MetricPath, Vec<Asked<'a>>>,
}

impl<'a> Requests<'a> {
    /// Adds a question to its request.
    ///
    /// # Errors
    /// If the question is invalid.
    fn add(
        &mut self,
        index: usize,
        question: &'a MetricQuestion<'a>,
    ) -> Result<(), ObservationError> {
        let asked = match path_of(question)? {
            Some(path) => self.values.entry(path).or_default(),
            None => self.usages.entry(question.namespace).or_default(),
        };
        asked.push((index, question));
        Ok(())
    }
}

impl MetricsApis {
    /// Creates a source for a cluster with these kinds, with a time limit of each request.
    /// A call takes five times as long at most.
    #[must_use]
    pub fn new(client: Client, kinds: Kinds, timeout: Duration) -> Self {
        let values = RequestLimits {
            concurrency: CONCURRENCY,
            per_namespace: PER_NAMESPACE,
            request: timeout,
            begin: timeout * (HANGING - 1),
            weight: VALUES,
            weight_of_all: VALUES_OF_ALL,
        };
        let usages = RequestLimits {
            concurrency: USAGES,
            ..values
        };
        Self {
            client,
            kinds,
            usages: Arc::new(FairRequests::new(usages)),
            values: Arc::new(FairRequests::new(values)),
        }
    }

    /// Fetches the usage of the pods of a namespace. Returns the answers of these questions,
    /// and what they weigh. What else the response has is dropped at once.
    async fn usage(&self, namespace: &str, asked: &[Asked<'_>]) -> (Vec<Answer>, usize) {
        let usage = match resource::fetch(&self.client, namespace).await {
            Ok(usage) => usage,
            Err(error) => return (vec![Err(error); asked.len()], 0),
        };
        let mut weight = 0_usize;
        let answer = |(_, question): &Asked<'_>| {
            if weight > VALUES {
                return Err(unavailable(Undone::NoRoom.to_string()));
            }
            let (resource, container) = resource_of(question.metric);
            let answer = resource::samples(&usage, question.pods, resource, container)?;
            weight = weight.saturating_add(weigh(&answer, question)?);
            Ok(answer)
        };
        let answers = asked.iter().map(answer).collect();
        (answers, weight)
    }

    /// Fetches values. Returns the answer of all of these questions, and what it weighs.
    async fn values(&self, path: &MetricPath, asked: &[Asked<'_>]) -> (Answer, usize) {
        let answer = path.fetch(&self.client, &self.kinds).await;
        let weighed = answer.and_then(|answer| {
            let first = asked.first().map(|(_, question)| weigh(&answer, question));
            Ok((answer, first.transpose()?.unwrap_or_default()))
        });
        match weighed {
            Ok((answer, weight)) => (Ok(answer), weight),
            Err(error) => (Err(error), 0),
        }
    }
}

impl MetricsSource for MetricsApis {
    async fn measure(&self, questions: &[MetricQuestion<'_>]) -> Vec<Answer> {
        let mut requests = Requests::default();
        let mut answers: Vec<Option<Answer>> = vec![None; questions.len()];
        for (index, question) in questions.iter().enumerate() {
            if let Err(error) = requests.add(index, question) {
                answers[index] = Some(Err(error));
            }
        }
        let Requests { usages, values } = &requests;
        let wanted = usages.keys().map(|namespace| (*namespace, *namespace));
        let send = |namespace| self.usage(namespace, asked_of(usages, &namespace));
        let sent_usages = self.usages.send(wanted, send, |(_, weight)| *weight);
        let wanted = values.iter().filter_map(|(path, asked)| {
            let (_, first) = asked.first()?;
            Some((first.namespace, path))
        });
        let send = |path| self.values(path, asked_of(values, path));
        let sent_values = self.values.send(wanted, send, |(_, weight)| *weight);
        let (sent_usages, sent_values) = tokio::join!(sent_usages, sent_values);
        for (namespace, result) in sent_usages {
            let asked = asked_of(usages, &namespace);
            let of_asked = match result {
                Ok((of_asked, _)) => of_asked,
                Err(undone) => vec![Err(late(&undone)); asked.len()],
            };
            for ((index, _), answer) in asked.iter().zip(of_asked) {
                answers[*index] = Some(answer);
            }
        }
        for (path, result) in sent_values {
            let answer = result.map_or_else(|undone| Err(late(&undone)), |(answer, _)| answer);
            for (index, _) in asked_of(values, path) {
                answers[*index] = Some(answer.clone());
            }
        }
        let answers = answers.into_iter();
        answers
            .map(|answer| answer.unwrap_or_else(|| Err(nothing_fetched())))
            .collect()
    }
}

/// Returns the questions that a request answers.
fn asked_of<'r, 'a, K: Ord>(
    requests: &'r BTreeMap<K, Vec<Asked<'a>>>,
    request: &K,
) -> &'r [Asked<'a>] {
    requests.get(request).map_or(&[], Vec::as_slice)
}

/// Returns what an answer weighs.
///
/// # Errors
/// If it has samples of many pods that are not the target's.
fn weigh(answer: &MetricAnswer, question: &MetricQuestion<'_>) -> Result<usize, ObservationError> {
    let samples = match answer {
        MetricAnswer::Values(values) => return Ok(values.len()),
        MetricAnswer::Pods(samples) => samples.len(),
    };
    let selected = question.selected;
    let strangers = samples.saturating_sub(selected);
    if strangers > selected.max(STRANGERS) {
        return Err(unavailable(format!(
            "the answer has metrics of {samples} pods, and the target has {selected}"
        )));
    }
    Ok(strangers.saturating_mul(STRANGER))
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

/// Returns the path of the values that answer a question. `None` if the usage of pods answers
/// it.
fn path_of(question: &MetricQuestion<'_>) -> Result<Option<MetricPath>, ObservationError> {
    let namespace = question.namespace;
    let selector = question.metric_selector.as_ref().map_err(Clone::clone)?;
    let selector = selector.as_deref();
    let path = match question.metric {
        MetricSpec::Resource(_) | MetricSpec::ContainerResource(_) => return Ok(None),
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
    path.map(Some)
}

/// Returns the resource that a metric is about, and the container if it is about one.
fn resource_of(metric: &MetricSpec) -> (&str, Option<&str>) {
    match metric {
        MetricSpec::Resource(metric) => (&metric.name, None),
        MetricSpec::ContainerResource(metric) => (&metric.name, Some(&metric.container)),
        _ => Default::default(),
    }
}
