//! A workload of a scenario: its pods, the service they give, the load on it,
//! and the autoscaler.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flyball_core::spec::{
    AutoscalerSpec, Behavior, Combine, CrossVersionObjectReference, MetricSpec, Mode, PolicyRef,
};
use serde::Deserialize;

use super::deserialize_quantity;
use super::scheduling::{Affinity, Toleration, TopologySpreadConstraint};
use crate::formula::Formula;
use crate::time::Millis;

/// A Deployment with a service in front of it and an autoscaler behind it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Name of the Deployment and of its autoscaler (required).
    pub name: String,
    /// Their namespace (`default`).
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// How many of these there are; left out: one. Copies are named `NAME-000`
    /// and so on.
    #[serde(default)]
    pub count: Option<u32>,
    /// Labels of the Deployment.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the Deployment.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Replicas at the start, ready by then (1), as far as there are nodes for them.
    #[serde(default = "one")]
    pub replicas: i32,
    /// The pods.
    #[serde(default)]
    pub pod: PodTemplate,
    /// The service that the pods give.
    #[serde(default)]
    pub service: ServiceSpec,
    /// Requests per second that come in (required).
    pub load: LoadSpec,
    /// Noise on the load; left out: none.
    #[serde(default)]
    pub noise: Option<Noise>,
    /// The autoscaler; left out: replicas stay as they are.
    #[serde(default)]
    pub autoscaler: Option<AutoscalerTemplate>,
}

/// The pods of a workload.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodTemplate {
    /// Name of the container; left out: the workload's name.
    pub container: String,
    /// Requests (cpu 100m, memory 128Mi).
    pub requests: Resources,
    /// Limit of cpu (twice the request). There is none on memory.
    pub limits: Option<Limits>,
    /// From creation to Ready.
    pub startup: Startup,
    /// How long a pod stays after its deletion, without serving (5s).
    pub grace_period: Option<Millis>,
    /// Labels, beside `app: NAME` of the workload.
    pub labels: BTreeMap<String, String>,
    /// Labels that a node must have to run it. This and what follows needs nodes.
    pub node_selector: BTreeMap<String, String>,
    /// Required affinity to nodes and pods.
    pub affinity: Affinity,
    /// Taints of nodes that it bears.
    pub tolerations: Vec<Toleration>,
    /// How evenly pods must be spread.
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Priority (0).
    pub priority: i32,
}

/// Requests of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Resources {
    /// Cores.
    #[serde(deserialize_with = "deserialize_quantity")]
    pub cpu: f64,
    /// Bytes.
    #[serde(deserialize_with = "deserialize_quantity")]
    pub memory: f64,
}

impl Default for Resources {
    fn default() -> Self {
        Self {
            cpu: 0.1,
            memory: 134_217_728.0,
        }
    }
}

/// Limits of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Cores.
    #[serde(deserialize_with = "deserialize_quantity")]
    pub cpu: f64,
}

/// From creation to Ready: created, Pending for `mean` ± `jitter`, Running and
/// using `cpu` for `readiness_delay`, then Ready.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Startup {
    /// Mean time from creation to Running (10s); where there are nodes, from when
    /// the pod is bound to one.
    pub mean: Millis,
    /// Evenly drawn and added or taken off (0s).
    pub jitter: Millis,
    /// Time from Running to Ready (5s).
    pub readiness_delay: Millis,
    /// Cores used from Running to Ready (0).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub cpu: f64,
}

impl Default for Startup {
    fn default() -> Self {
        Self {
            mean: Millis(10_000),
            jitter: Millis(0),
            readiness_delay: Millis(5_000),
            cpu: 0.0,
        }
    }
}

/// What a request costs. Load is spread evenly over the pods that are Ready. A
/// pod serves what its limit of cpu allows; what is beyond waits in the queue,
/// and what does not fit there stays unserved.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct ServiceSpec {
    /// Core-seconds that a request costs (10m).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub cpu_per_request: f64,
    /// Cores that a Ready pod uses without load (1m).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub base_cpu: f64,
    /// Bytes that a Ready pod uses without load (32Mi).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub base_memory: f64,
    /// Bytes more for each request per second (0).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub memory_per_request: f64,
    /// Requests wait as long as this at full capacity, no longer (0s: they don't).
    pub queue: Millis,
}

impl Default for ServiceSpec {
    fn default() -> Self {
        Self {
            cpu_per_request: 0.01,
            base_cpu: 0.001,
            base_memory: 33_554_432.0,
            memory_per_request: 0.0,
            queue: Millis(0),
        }
    }
}

/// Requests per second over time.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum LoadSpec {
    /// A formula over `t`: see [`Formula`].
    Formula(Formula),
    /// Levels, each from its time to the next one's.
    Steps(Vec<LevelAt>),
    /// Rows of a file: a series of our own making or a recorded one.
    Csv(CsvLoad),
    /// Several loads together.
    Sum(Vec<LoadSpec>),
}

/// A level of load from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LevelAt {
    /// Since the start.
    pub at: Millis,
    /// Requests per second.
    pub value: f64,
}

/// Load from a file of comma-separated values with a header line.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvLoad {
    /// The file, beside the scenario's (required).
    pub file: PathBuf,
    /// The column of times: seconds, durations (`5m`), or points in time as in a
    /// recorded series (`2014-04-10 00:04:00`), ascending. The first row is the
    /// start. (The first column.)
    #[serde(default)]
    pub time: Option<String>,
    /// The column of values. (The second column.)
    #[serde(default)]
    pub value: Option<String>,
    /// What is between two rows.
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Values are multiplied by it to be requests per second (1).
    #[serde(default = "unit_scale")]
    pub scale: f64,
    /// The series is taken from here on (0s).
    #[serde(default)]
    pub skip: Millis,
    /// The series passes so many times as fast as it was recorded (1).
    #[serde(default = "unit_scale")]
    pub speed: f64,
}

/// What is between two rows of a series. Beyond the last row its value stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Interpolation {
    /// A straight line.
    #[default]
    Linear,
    /// The earlier row's value.
    Step,
}

/// Noise on the load: it is multiplied by 1 ± `amplitude`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Noise {
    /// The part of the load by which it is off at most (required).
    pub amplitude: f64,
    /// How long it takes to wander to a new value (1m).
    #[serde(default = "default_noise_period")]
    pub period: Millis,
}

/// The spec of a `ReplicaAutoscaler`, spelled as Kubernetes does; the target may
/// be left out, for it is the workload.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalerTemplate {
    /// If given, it has to name the workload.
    #[serde(default)]
    pub scale_target_ref: Option<CrossVersionObjectReference>,
    /// As in [`AutoscalerSpec`].
    #[serde(default)]
    pub min_replicas: Option<i32>,
    /// As in [`AutoscalerSpec`] (required).
    pub max_replicas: i32,
    /// As in [`AutoscalerSpec`].
    #[serde(default)]
    pub metrics: Vec<MetricSpec>,
    /// As in [`AutoscalerSpec`].
    #[serde(default)]
    pub behavior: Option<Behavior>,
    /// As in [`AutoscalerSpec`].
    #[serde(default)]
    pub policies: Vec<PolicyRef>,
    /// As in [`AutoscalerSpec`].
    #[serde(default)]
    pub combine: Combine,
    /// As in [`AutoscalerSpec`].
    #[serde(default)]
    pub mode: Mode,
}

impl AutoscalerTemplate {
    /// The spec of the autoscaler of a workload of that name.
    #[must_use]
    pub fn spec(&self, workload: &str) -> AutoscalerSpec {
        AutoscalerSpec {
            scale_target_ref: CrossVersionObjectReference {
                api_version: "apps/v1".to_owned(),
                kind: "Deployment".to_owned(),
                name: workload.to_owned(),
            },
            min_replicas: self.min_replicas,
            max_replicas: self.max_replicas,
            metrics: self.metrics.clone(),
            behavior: self.behavior.clone(),
            policies: self.policies.clone(),
            combine: self.combine,
            mode: self.mode,
        }
    }
}

impl WorkloadSpec {
    /// Names of the Deployments that it stands for.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let copies = self.count.unwrap_or(1);
        (0..copies).map(move |index| match self.count {
            None => self.name.clone(),
            Some(_) => format!("{}-{index:03}", self.name),
        })
    }

    /// Cores that a pod can use at most.
    #[must_use]
    pub fn cpu_limit(&self) -> f64 {
        self.pod
            .limits
            .map_or(2.0 * self.pod.requests.cpu, |limits| limits.cpu)
    }

    /// Requests per second that a pod can serve.
    #[must_use]
    pub fn pod_capacity(&self) -> f64 {
        (self.cpu_limit() - self.service.base_cpu) / self.service.cpu_per_request
    }
}

fn default_namespace() -> String {
    "default".to_owned()
}

fn default_noise_period() -> Millis {
    Millis(60_000)
}

fn one() -> i32 {
    1
}

fn unit_scale() -> f64 {
    1.0
}
