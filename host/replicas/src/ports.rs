//! Ports of the replica loop: everything that it needs from outside. They are implemented
//! for a real cluster and for the embedded one.

use std::future::Future;
use std::sync::Arc;

use crate::pods::{Pod, Ready};
use crate::selector::Selector;
use crate::spec::{AutoscalerSpec, MetricSpec};
use crate::status::AutoscalerStatus;
use flyball_decision::context::GrantedInput;
use flyball_decision::event::Event;
use flyball_decision::key::ObjectKey;
use flyball_decision::time::Timestamp;

/// An autoscaler object of the cluster.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    /// Namespace and name.
    pub key: ObjectKey,
    /// metadata.uid; unlike the name, it is never reused.
    pub uid: Arc<str>,
    /// metadata.generation.
    pub generation: i64,
    /// Its spec.
    pub spec: Arc<AutoscalerSpec>,
    /// Its status, as last written.
    pub status: Arc<AutoscalerStatus>,
}

/// A request to observe one autoscaler's target, pods and metrics.
#[derive(Clone, Debug)]
pub struct Question {
    /// The autoscaler of the target.
    pub autoscaler: Arc<Autoscaler>,
    /// Whether a policy wants the target's labels or annotations.
    pub target_metadata: bool,
    /// Selectors of the metrics, at the index of the metric in
    /// [`AutoscalerSpec::effective_metrics`].
    pub metric_selectors: Arc<[MetricSelector]>,
}

/// The selector of a metric's series, in text form. `None` if the metric has no selector;
/// the error has the class `invalidMetricSelector`.
pub type MetricSelector = Result<Option<Arc<str>>, ObservationError>;

/// What was observed for one autoscaler at one time.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The target's scale, or why it could not be read.
    pub scale: Result<Scale, ObservationError>,
    /// Pods that the scale's selector matches, or why they are unknown
    /// (`invalidSelector`, `ambiguousSelector`). The pipeline itself reports an empty
    /// selector. Readers return the same `Arc` as long as nothing changed.
    pub pods: Result<Arc<[Pod]>, ObservationError>,
    /// Answers, at the index of the metric in [`AutoscalerSpec::effective_metrics`].
    pub metrics: Vec<Result<MetricAnswer, ObservationError>>,
    /// Labels of the target, if requested.
    pub labels: GrantedInput,
    /// Annotations of the target, if requested.
    pub annotations: GrantedInput,
}

impl Observation {
    /// Returns the number of replicas whose pods are ready and are not being deleted.
    /// `None` if scale or pods are not known.
    #[must_use]
    pub fn ready_replicas(&self) -> Option<i32> {
        let (Ok(scale), Ok(pods)) = (&self.scale, &self.pods) else {
            return None;
        };
        let is_ready =
            |pod: &&Pod| matches!(pod.ready, Some((Ready::True, _))) && pod.deletion.is_none();
        let ready = pods.iter().filter(is_ready).count();
        // Pods of others may have the labels, too.
        let ready = i32::try_from(ready).unwrap_or(i32::MAX);
        Some(ready.min(scale.spec_replicas).max(0))
    }

    /// Returns the number of replicas whose removal counts: those that are ready, or all if it
    /// is not known which are. 0 if the scale is not known.
    pub(crate) fn removable_replicas(&self) -> i32 {
        let all = || self.scale.as_ref().map_or(0, |scale| scale.spec_replicas);
        self.ready_replicas().unwrap_or_else(all)
    }

    /// Returns the number of replicas that are not ready. 0 if it is not known.
    pub(crate) fn unready_replicas(&self) -> i32 {
        match (&self.scale, self.ready_replicas()) {
            (Ok(scale), Some(ready)) => scale.spec_replicas.saturating_sub(ready),
            _ => 0,
        }
    }
}

/// An object is not observed, since its namespace has no rows left for it (see
/// [`rows`](crate::rows)). It is to be observed first next time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRowsLeft {
    /// Number of rows that its observation would have.
    pub rows: usize,
}

/// The scale subresource of a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scale {
    /// spec.replicas.
    pub spec_replicas: i32,
    /// status.replicas.
    pub status_replicas: i32,
    /// status.selector, in text form.
    pub selector: Arc<str>,
    /// metadata.resourceVersion, for the optimistic write.
    pub resource_version: Arc<str>,
}

/// Why something could not be observed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ObservationError {
    /// Stable class: `invalidSpec`, `scaleUnavailable`, `unknownTargetKind`,
    /// `invalidTargetAPIVersion`, `selectorRequired`, `invalidSelector`,
    /// `ambiguousSelector`, `targetConflict`, `metricsUnavailable`,
    /// `invalidMetricSelector`, `unknownMetricType`, …
    pub class: &'static str,
    /// Message for people; names the culprit.
    pub message: String,
}

impl ObservationError {
    /// Returns the error of a metric whose `type` is unknown or does not match its fields.
    #[must_use]
    pub fn unknown_metric_type(kind: &str) -> Self {
        Self {
            class: "unknownMetricType",
            message: format!("unknown metric source type {kind:?}"),
        }
    }
}

/// The answer of a metrics source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricAnswer {
    /// A value for each pod that has one.
    Pods(Arc<[PodSample]>),
    /// One value for `Object`, one per series for `External`; in milli.
    Values(Arc<[i64]>),
}

/// A metric of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSample {
    /// Name of the pod.
    pub pod: Arc<str>,
    /// In milli.
    pub value: i64,
    /// Time of the measurement.
    pub timestamp: Timestamp,
    /// Length of the measured interval, in milliseconds.
    pub window_ms: i64,
}

/// A metric to measure.
#[derive(Clone, Copy, Debug)]
pub struct MetricQuestion<'a> {
    /// Namespace of the target and of its pods.
    pub namespace: &'a str,
    /// Selector of the target's pods, in text form.
    pub selector: &'a str,
    /// The same selector, parsed.
    pub pods: &'a Selector,
    /// Number of pods that it selects.
    pub selected: usize,
    /// Which metric.
    pub metric: &'a MetricSpec,
    /// Its selector.
    pub metric_selector: &'a MetricSelector,
}

/// Measures metrics, for a [`Reader`].
pub trait MetricsSource: Send + Sync {
    /// Measures all of these. Answers are at the index of their question. A metric that
    /// is asked for more than once is fetched once.
    fn measure(
        &self,
        questions: &[MetricQuestion<'_>],
    ) -> impl Future<Output = Vec<Result<MetricAnswer, ObservationError>>> + Send;
}

/// Reads the cluster. Nothing is observed before all caches are synced.
pub trait Reader: Send + Sync {
    /// Returns all autoscalers, ordered by key.
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>>;

    /// Observes each of these autoscalers. Observations are at the index of their
    /// question; what could not be read is an error within the observation. Of the objects
    /// of a namespace, the first ones are observed, as far as the rows suffice.
    fn observe(
        &self,
        now: Timestamp,
        questions: &[Question],
    ) -> impl Future<Output = Vec<Result<Observation, NoRowsLeft>>> + Send;

    /// Returns how many rows the observations of a namespace may have at a time (see
    /// [`rows`](crate::rows)). There is no limit by default: a cluster that several tenants
    /// fill needs one.
    fn row_limit(&self, _namespace: &str) -> usize {
        usize::MAX
    }

    /// Returns how many pods of a namespace are ready and are not being deleted. Its objects
    /// have at most as many ready replicas together. There is no limit by default: a cluster
    /// in which a target's pods may become another target's needs one.
    fn ready_pods(&self, _namespace: &str) -> usize {
        usize::MAX
    }
}

impl<R: Reader> Reader for Arc<R> {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        R::autoscalers(self)
    }

    fn observe(
        &self,
        now: Timestamp,
        questions: &[Question],
    ) -> impl Future<Output = Vec<Result<Observation, NoRowsLeft>>> + Send {
        R::observe(self, now, questions)
    }

    fn row_limit(&self, namespace: &str) -> usize {
        R::row_limit(self, namespace)
    }

    fn ready_pods(&self, namespace: &str) -> usize {
        R::ready_pods(self, namespace)
    }
}

/// A change of a target's replicas that is to be written.
#[derive(Clone, Debug)]
pub struct ScaleIntent {
    /// The autoscaler of the target.
    pub autoscaler: Arc<Autoscaler>,
    /// The scale that the decision was based on.
    pub from: Scale,
    /// The new spec.replicas.
    pub replicas: i32,
}

impl ScaleIntent {
    /// Returns how many replicas are removed; negative if replicas are added.
    #[must_use]
    pub fn removes(&self) -> i64 {
        i64::from(self.from.spec_replicas) - i64::from(self.replicas)
    }
}

/// A new status and events of an autoscaler.
#[derive(Clone, Debug)]
pub struct Report {
    /// The autoscaler.
    pub autoscaler: Arc<Autoscaler>,
    /// Its new status. `None` if it is unchanged.
    pub status: Option<Arc<AutoscalerStatus>>,
    /// Events to be published, in order.
    pub events: Vec<Event>,
}

/// Writes to the cluster. No other port does, and this one only while the process leads.
pub trait Writer: Send + Sync {
    /// Writes the scales. Results are at the index of their intent; an error is a
    /// sentence.
    fn scale(
        &self,
        now: Timestamp,
        intents: Vec<ScaleIntent>,
    ) -> impl Future<Output = Vec<Result<(), String>>> + Send;

    /// Writes statuses and events. The writer itself logs failures.
    fn report(&self, now: Timestamp, reports: Vec<Report>) -> impl Future<Output = ()> + Send;
}
