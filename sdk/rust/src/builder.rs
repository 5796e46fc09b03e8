//! Inputs of replica policies for native tests, put together in a few lines.

use std::time::Duration;

use crate::bindings::replica::exports::flyball::policy::replica as wire;
use crate::bindings::types;
use crate::given::{Given, build_given};
use crate::metric::{Request, UNKNOWN_POD};
use crate::pod::bits;
use crate::replica::Replica;
use crate::time::{Time, milliseconds};
use crate::{Phase, Ready};

/// Puts a [`Replica`] together. Pods come first: metrics name them by row.
#[derive(Clone, Debug)]
#[must_use]
pub struct ReplicaBuilder<C, S>(Replica<C, S>);

impl<C: Default, S: Default> Replica<C, S> {
    /// Starts an input for a native test: one replica wanted and running,
    /// between 1 and 10 allowed.
    pub fn build() -> ReplicaBuilder<C, S> {
        ReplicaBuilder::new()
    }
}

/// A pod for a [`ReplicaBuilder`]: Running, Ready and long started unless said
/// otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PodSpec {
    /// Its phase.
    pub phase: Phase,
    /// Its Ready condition.
    pub ready: Option<Ready>,
    /// When that condition last changed.
    pub ready_since: Option<Time>,
    /// When it started.
    pub started: Option<Time>,
    /// By when it is to be gone.
    pub deleted: Option<Time>,
}

impl Default for PodSpec {
    fn default() -> Self {
        Self {
            phase: Phase::Running,
            ready: Some(Ready::True),
            ready_since: Some(Time::from_ms(0)),
            started: Some(Time::from_ms(0)),
            deleted: None,
        }
    }
}

/// A metric for a [`ReplicaBuilder`].
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct MetricSpec(wire::Metric);

impl<C: Default, S: Default> ReplicaBuilder<C, S> {
    fn new() -> Self {
        let input = wire::Input {
            target: wire::Target {
                api_version: "apps/v1".into(),
                kind: "Deployment".into(),
                namespace: "default".into(),
                name: "web".into(),
            },
            min_replicas: 1,
            max_replicas: 10,
            current_replicas: 1,
            status_replicas: 1,
            ready_replicas: 0,
            tolerance_up: 0.1,
            tolerance_down: 0.1,
            cpu_initialization_period_ms: 300_000,
            initial_readiness_delay_ms: 30_000,
            pods: wire::Pods {
                state: Vec::new(),
                ready_transition_ms: Vec::new(),
                start_ms: Vec::new(),
                deletion_ms: Vec::new(),
            },
            metrics: Vec::new(),
            recommendations: wire::Samples {
                at_ms: Vec::new(),
                replicas: Vec::new(),
            },
            scale_events: wire::Samples {
                at_ms: Vec::new(),
                replicas: Vec::new(),
            },
        };
        Self(Replica {
            input,
            given: Given::default(),
        })
    }
}

impl<C, S> ReplicaBuilder<C, S> {
    build_given!();

    /// Bounds of the replicas.
    pub fn bounds(mut self, min: i32, max: i32) -> Self {
        (self.0.input.min_replicas, self.0.input.max_replicas) = (min, max);
        self
    }

    /// Replicas that are wanted, and replicas that exist.
    pub fn replicas(mut self, current: i32, running: i32) -> Self {
        (self.0.input.current_replicas, self.0.input.status_replicas) = (current, running);
        self
    }

    /// Tolerance up and down.
    pub fn tolerance(mut self, up: f64, down: f64) -> Self {
        (self.0.input.tolerance_up, self.0.input.tolerance_down) = (up, down);
        self
    }

    /// The rules by which the cpu of young pods is judged.
    pub fn cpu_rules(mut self, initialization: Duration, readiness_delay: Duration) -> Self {
        self.0.input.cpu_initialization_period_ms = milliseconds(initialization);
        self.0.input.initial_readiness_delay_ms = milliseconds(readiness_delay);
        self
    }

    /// So many pods that run, are ready and started long ago.
    pub fn ready_pods(self, count: usize) -> Self {
        (0..count).fold(self, |builder, _| builder.pod(PodSpec::default()))
    }

    /// A pod.
    pub fn pod(mut self, pod: PodSpec) -> Self {
        let phase = match pod.phase {
            Phase::Pending => bits::PENDING,
            Phase::Running => bits::RUNNING,
            Phase::Succeeded => bits::SUCCEEDED,
            Phase::Failed => bits::FAILED,
            Phase::Unknown => 0,
        };
        let ready = match pod.ready {
            Some(Ready::True) => bits::READY,
            Some(Ready::False) => bits::NOT_READY,
            Some(Ready::Unknown) => bits::READY_UNKNOWN,
            None => 0,
        };
        let counts = phase | ready == bits::RUNNING | bits::READY;
        self.0.input.ready_replicas += i32::from(counts);
        let pods = &mut self.0.input.pods;
        pods.state.push(phase | ready);
        pods.ready_transition_ms.push(Time::column(pod.ready_since));
        pods.start_ms.push(Time::column(pod.started));
        pods.deletion_ms.push(Time::column(pod.deleted));
        self
    }

    /// A metric.
    pub fn metric(mut self, metric: MetricSpec) -> Self {
        self.0.input.metrics.push(metric.0);
        self
    }

    /// An earlier recommendation of the policy.
    pub fn recommended(mut self, at: Time, replicas: i32) -> Self {
        push(&mut self.0.input.recommendations, at, replicas);
        self
    }

    /// An earlier change.
    pub fn scaled(mut self, at: Time, change: i32) -> Self {
        push(&mut self.0.input.scale_events, at, change);
        self
    }

    /// The answer to the next wish: a history, oldest first.
    pub fn history(mut self, points: impl IntoIterator<Item = (Time, f64)>) -> Self {
        let (times_ms, values) = points
            .into_iter()
            .map(|(at, value)| (at.ms(), value))
            .unzip();
        self.0.given.granted.push(types::GrantedInput {
            times_ms,
            values,
            ..nothing()
        });
        self
    }

    /// The answer to the next wish: labels or annotations.
    pub fn labels<'a>(mut self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let owned = |(key, value): (&str, &str)| (key.to_owned(), value.to_owned());
        let (keys, texts) = pairs.into_iter().map(owned).unzip();
        self.0.given.granted.push(types::GrantedInput {
            keys,
            texts,
            ..nothing()
        });
        self
    }

    /// The answer to the next wish: an error instead of the input.
    pub fn not_granted(mut self, error: &str) -> Self {
        self.0.given.granted.push(types::GrantedInput {
            error: error.into(),
            ..nothing()
        });
        self
    }

    /// The input.
    #[must_use]
    pub fn done(self) -> Replica<C, S> {
        self.0
    }
}

impl MetricSpec {
    /// A resource of whole pods, such as `cpu`.
    pub fn resource(name: &str) -> Self {
        Self::new("Resource", name)
    }

    /// A resource of one container of each pod.
    pub fn container_resource(name: &str, container: &str) -> Self {
        let mut spec = Self::new("ContainerResource", name);
        spec.0.container = container.into();
        spec
    }

    /// A custom metric of each pod.
    pub fn pods(name: &str) -> Self {
        Self::new("Pods", name)
    }

    /// A custom metric of one object.
    pub fn object(name: &str) -> Self {
        Self::new("Object", name)
    }

    /// A metric from outside the cluster.
    pub fn external(name: &str) -> Self {
        Self::new("External", name)
    }

    fn new(source: &str, name: &str) -> Self {
        Self(wire::Metric {
            source: source.into(),
            name: name.into(),
            container: String::new(),
            selector: String::new(),
            target_type: String::new(),
            target_value: None,
            target_average_value: None,
            target_average_utilization: None,
            error: String::new(),
            message: String::new(),
            pod: Vec::new(),
            value: Vec::new(),
            timestamp_ms: Vec::new(),
            window_ms: Vec::new(),
            request: Vec::new(),
        })
    }

    /// Target: percent of the request.
    pub fn target_utilization(mut self, percent: i32) -> Self {
        self.0.target_type = "Utilization".into();
        self.0.target_average_utilization = Some(percent);
        self
    }

    /// Target: the average over pods, in milli.
    pub fn target_average_value(mut self, milli: i64) -> Self {
        self.0.target_type = "AverageValue".into();
        self.0.target_average_value = Some(milli);
        self
    }

    /// Target: the value itself, in milli.
    pub fn target_value(mut self, milli: i64) -> Self {
        self.0.target_type = "Value".into();
        self.0.target_value = Some(milli);
        self
    }

    /// What every pod requests, in milli, in the order of the rows.
    pub fn requests(mut self, requests: impl IntoIterator<Item = Request>) -> Self {
        self.0.request = requests.into_iter().map(Request::column).collect();
        self
    }

    /// Adds a sample of the pod in that row, in milli. `None` if the pod is not known.
    pub fn sample(mut self, pod: Option<usize>, milli: i64, at: Time, window: Duration) -> Self {
        let row = pod
            .and_then(|pod| u32::try_from(pod).ok())
            .unwrap_or(UNKNOWN_POD);
        self.0.pod.push(row);
        self.0.value.push(milli);
        self.0.timestamp_ms.push(at.ms());
        self.0.window_ms.push(milliseconds(window));
        self
    }

    /// Fresh samples of the first pods, in milli, in the order of the rows.
    pub fn samples(self, at: Time, milli: impl IntoIterator<Item = i64>) -> Self {
        let minute = Duration::from_secs(60);
        let each = milli.into_iter().enumerate();
        each.fold(self, |spec, (pod, milli)| {
            spec.sample(Some(pod), milli, at, minute)
        })
    }

    /// A value of no pod, in milli: an object's, or one series of an external
    /// metric.
    pub fn measured(mut self, milli: i64) -> Self {
        self.0.value.push(milli);
        self
    }

    /// An error instead of samples: a stable class, and a sentence.
    pub fn failed(mut self, class: &str, message: &str) -> Self {
        (self.0.error, self.0.message) = (class.into(), message.into());
        self
    }
}

fn push(samples: &mut wire::Samples, at: Time, replicas: i32) {
    samples.at_ms.push(at.ms());
    samples.replicas.push(replicas);
}

pub(crate) fn nothing() -> types::GrantedInput {
    types::GrantedInput {
        error: String::new(),
        keys: Vec::new(),
        texts: Vec::new(),
        times_ms: Vec::new(),
        values: Vec::new(),
        rows: Vec::new(),
        numbers: Vec::new(),
    }
}
