//! The ports: what a loop needs of the world, implemented for a real cluster
//! and for the embedded one.

use std::future::Future;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::memory::Kept;
use crate::pods::Pod;
use crate::policy::PolicyEngine;
use crate::recorder::Recorder;
use crate::replica::GrantedInput;
use crate::selector::Selector;
use crate::spec::{AutoscalerSpec, MetricSpec};
use crate::status::{AutoscalerStatus, Event};
use crate::time::Timestamp;

/// Namespace and name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ObjectKey {
    /// Namespace.
    pub namespace: Arc<str>,
    /// Name.
    pub name: Arc<str>,
}

/// An autoscaler as the cluster holds it.
#[derive(Clone, Debug)]
pub struct Autoscaler {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Unique over time: another object of the same name has another one.
    pub uid: Arc<str>,
    /// metadata.generation.
    pub generation: i64,
    /// What the user asks for.
    pub spec: Arc<AutoscalerSpec>,
    /// What was last written about it.
    pub status: Arc<AutoscalerStatus>,
}

/// What is to be observed for one autoscaler.
#[derive(Clone, Debug)]
pub struct Question {
    /// Whose target.
    pub autoscaler: Arc<Autoscaler>,
    /// Whether some policy wants the target's labels or annotations.
    pub target_metadata: bool,
}

/// What the world looks like around one autoscaler, at one time.
#[derive(Clone, Debug)]
pub struct Observation {
    /// The target's scale, or why it can't be had.
    pub scale: Result<Scale, ObservationError>,
    /// Pods that the scale's selector matches, or why they can't be told
    /// (`invalidSelector`, `ambiguousSelector`). An empty selector is found by
    /// the pipeline. Readers return the same `Arc` while nothing changed.
    pub pods: Result<Arc<[Pod]>, ObservationError>,
    /// Answers at the index of [`AutoscalerSpec::effective_metrics`].
    pub metrics: Vec<Result<MetricAnswer, ObservationError>>,
    /// Labels of the target, if asked for.
    pub labels: GrantedInput,
    /// Annotations of the target, if asked for.
    pub annotations: GrantedInput,
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
    /// For the optimistic write.
    pub resource_version: Arc<str>,
}

/// Why something could not be observed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ObservationError {
    /// Stable class: `invalidSpec`, `scaleUnavailable`, `unknownTargetKind`,
    /// `invalidTargetAPIVersion`, `selectorRequired`, `invalidSelector`,
    /// `ambiguousSelector`, `targetConflict`, `metricsUnavailable`,
    /// `invalidMetricSelector`, …
    pub class: &'static str,
    /// What a person reads, naming the culprit.
    pub message: String,
}

/// What a metrics source answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricAnswer {
    /// A value for each pod that has one.
    Pods(Vec<PodSample>),
    /// `Object`: one value; `External`: one a series, in milli.
    Values(Vec<i64>),
}

/// A metric of one pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodSample {
    /// Name of the pod.
    pub pod: Arc<str>,
    /// In milli.
    pub value: i64,
    /// When measured.
    pub timestamp: Timestamp,
    /// The time measured over, in milliseconds.
    pub window_ms: i64,
}

/// A metric that is to be measured.
#[derive(Clone, Copy, Debug)]
pub struct MetricQuestion<'a> {
    /// Namespace of the target and of its pods.
    pub namespace: &'a str,
    /// Selects the target's pods, in text form.
    pub selector: &'a str,
    /// The same selector, parsed.
    pub pods: &'a Selector,
    /// Which metric.
    pub metric: &'a MetricSpec,
}

/// Measures metrics, for a [`Reader`].
pub trait MetricsSource: Send + Sync {
    /// What is measured now, at the index of each question. What is asked for
    /// more than once is fetched once.
    fn measure(
        &self,
        questions: &[MetricQuestion<'_>],
    ) -> impl Future<Output = Vec<Result<MetricAnswer, ObservationError>>> + Send;
}

/// Brings the world in. Nothing is observed before all caches are synced.
pub trait Reader: Send + Sync {
    /// All autoscalers, ordered by key.
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>>;

    /// The world around each of these, at the index of its question. What can't
    /// be had is an error inside the observation.
    fn observe(
        &self,
        now: Timestamp,
        questions: &[Question],
    ) -> impl Future<Output = Vec<Observation>> + Send;
}

impl<R: Reader> Reader for Arc<R> {
    fn autoscalers(&self) -> Vec<Arc<Autoscaler>> {
        R::autoscalers(self)
    }

    fn observe(
        &self,
        now: Timestamp,
        questions: &[Question],
    ) -> impl Future<Output = Vec<Observation>> + Send {
        R::observe(self, now, questions)
    }
}

/// A wish to change a target's replicas.
#[derive(Clone, Debug)]
pub struct ScaleIntent {
    /// Whose target.
    pub autoscaler: Arc<Autoscaler>,
    /// The scale it was decided on.
    pub from: Scale,
    /// The new spec.replicas.
    pub replicas: i32,
}

impl ScaleIntent {
    /// How many replicas go; negative: so many come.
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

/// Carries intents out: the only one that writes, and only while it is leader.
pub trait Writer: Send + Sync {
    /// Writes the scales; answers at the same index (the error as a sentence).
    fn scale(
        &self,
        now: Timestamp,
        intents: Vec<ScaleIntent>,
    ) -> impl Future<Output = Vec<Result<(), String>>> + Send;

    /// Writes statuses and events. The writer itself logs what fails and makes up for it
    /// at the next report.
    fn report(&self, now: Timestamp, reports: Vec<Report>) -> impl Future<Output = ()> + Send;
}

/// Tells and passes the time: real, or as fast as a simulation can go.
pub trait Clock: Send + Sync {
    /// The time now.
    fn now(&self) -> Timestamp;

    /// Waits until `at`, or until the set of autoscalers or a spec has changed:
    /// to return early is harmless. False: there is no more time, the loop ends.
    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = bool> + Send;

    /// False once shutdown was requested. The loop then ends without deciding on what it
    /// has just observed. It still finishes what it is carrying out.
    fn should_continue(&self) -> bool {
        true
    }
}

impl<C: Clock> Clock for &C {
    fn now(&self) -> Timestamp {
        C::now(self)
    }

    fn sleep_until(&self, at: Timestamp) -> impl Future<Output = bool> + Send {
        C::sleep_until(self, at)
    }

    fn should_continue(&self) -> bool {
        C::should_continue(self)
    }
}

/// What a loop decides with beside the world: the policies, who takes its records, and
/// where states outlive it.
#[derive(Clone)]
pub struct DecisionPorts {
    /// Where policies are found.
    pub engine: Arc<dyn PolicyEngine>,
    /// Takes the records of decisions.
    pub recorder: Arc<dyn Recorder>,
    /// Keeps what policies remember.
    pub store: Arc<dyn StateStore>,
}

/// Keeps what is remembered of objects beyond the life of a loop: by the object's
/// uid ([`NODE_GROUPS`](crate::policy::NODE_GROUPS) for what chooses among node
/// groups), within by policy and version of its state, at most
/// [`KEPT_LIMIT`](crate::memory::KEPT_LIMIT) bytes for an object.
///
/// The loop works on copies. It loads one when it first sees an object, and saves
/// what changed materially once the action that belongs to it has succeeded. No
/// decision waits for a store: one that writes elsewhere knows what there is when
/// the caches are synced, takes what is saved, and tells of and makes up for
/// writes that fail itself.
pub trait StateStore: Send + Sync {
    /// Returns what was saved last of an object. `None` if nothing was saved.
    fn load(&self, uid: &Arc<str>) -> Option<Arc<Kept>>;

    /// Takes what is kept of an object from now on, in place of what was.
    fn save(&self, uid: &Arc<str>, kept: Kept);

    /// What is kept of an object is of no use any more.
    fn forget(&self, uid: &Arc<str>);
}

#[cfg(test)]
mod tests {
    use super::Clock;
    use crate::time::Timestamp;

    /// A clock after its end.
    struct Ended;

    impl Clock for Ended {
        fn now(&self) -> Timestamp {
            Timestamp(7)
        }

        async fn sleep_until(&self, _: Timestamp) -> bool {
            false
        }

        fn should_continue(&self) -> bool {
            false
        }
    }

    fn continues(clock: impl Clock) -> bool {
        clock.should_continue()
    }

    #[test]
    fn a_borrowed_clock_ends_when_its_owner_does() {
        assert!(!continues(&Ended));
    }
}
