//! A workload of a scenario: its pods, the service they provide, its load, and its
//! autoscaler.

use std::collections::BTreeMap;
use std::path::PathBuf;

use flyball_replicas::spec::{
    AutoscalerSpec, Behavior, Combine, CrossVersionObjectReference, MetricSpec, Mode, PolicyRef,
};
use serde::Deserialize;

use super::deserialize_quantity;
use super::pod_facts::VolumeSpec;
use super::resources::Resources;
use super::scheduling::{Affinity, Toleration, TopologySpreadConstraint};
use crate::formula::Formula;
use crate::time::{Delay, Millis};

/// A workload, usually a Deployment, with a service and an autoscaler.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorkloadSpec {
    /// Name of the workload and of its autoscaler (required).
    pub name: String,
    /// What creates the pods (`Deployment`).
    #[serde(default)]
    pub kind: WorkloadKind,
    /// Their namespace (`default`).
    #[serde(default = "default_namespace")]
    pub namespace: String,
    /// Number of copies; left out: one, without a number in its name. They are named `NAME-000` and so on.
    #[serde(default)]
    pub count: Option<u32>,
    /// Labels of the workload.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Annotations of the workload. Those of its pods are `pod.annotations`.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Replicas at the start, Ready by then if there are nodes for them (1).
    #[serde(default = "one")]
    pub replicas: i32,
    /// The pods.
    #[serde(default)]
    pub pod: PodTemplate,
    /// The service that the pods provide.
    #[serde(default)]
    pub service: ServiceSpec,
    /// Requests per second (required).
    pub load: LoadSpec,
    /// Metrics of its own, besides those that every workload has.
    #[serde(default)]
    pub metrics: Vec<MetricFormula>,
    /// Noise on the load; left out: none.
    #[serde(default)]
    pub noise: Option<Noise>,
    /// The autoscaler; left out: replicas stay as they are.
    #[serde(default)]
    pub autoscaler: Option<AutoscalerTemplate>,
}

/// A custom or external metric of a workload.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct MetricFormula {
    /// Name, by which an autoscaler refers to it (required).
    pub name: String,
    /// Its value over time, which may depend on `load` and `ready` (required). A metric of
    /// type `Pods` has this value for each pod, one of type `Object` or `External` once.
    pub formula: Formula,
}

/// What creates a workload's pods, and whether it creates them again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum WorkloadKind {
    /// A Deployment: its ReplicaSet creates a pod as soon as one is deleted.
    #[default]
    Deployment,
    /// A ReplicaSet.
    ReplicaSet,
    /// A ReplicationController.
    ReplicationController,
    /// A StatefulSet: a pod is created again under its name when the old one is gone.
    StatefulSet,
    /// A Job of that many pods: a pod that ended is not created again.
    Job,
    /// No controller: pods are never created again.
    Pod,
}

impl WorkloadKind {
    /// Returns the kind of the pods' controller. `None` if they have none.
    #[must_use]
    pub fn controller(self) -> Option<&'static str> {
        match self {
            Self::Deployment | Self::ReplicaSet => Some("ReplicaSet"),
            Self::ReplicationController => Some("ReplicationController"),
            Self::StatefulSet => Some("StatefulSet"),
            Self::Job => Some("Job"),
            Self::Pod => None,
        }
    }
}

/// The pods of a workload.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct PodTemplate {
    /// Name of the container; left out: the workload's name.
    pub container: String,
    /// Requests (cpu 100m, memory 128Mi).
    pub requests: Resources,
    /// Limit of cpu (twice the request). There is no limit of memory.
    pub limits: Option<Limits>,
    /// Time from creation to Ready.
    pub startup: Startup,
    /// Time from a pod's deletion to its removal, without serving (5s), at most its grace
    /// period; `never`: it stays until its node is gone.
    #[serde(alias = "gracePeriod")]
    pub termination: Option<Delay>,
    /// Grace period in seconds (30, or as long as `termination` takes).
    pub termination_grace_period_seconds: Option<u32>,
    /// Time from Running until a pod of a Job, or without a controller, has ended; left
    /// out: never.
    pub duration: Option<Millis>,
    /// Labels, besides `app: NAME` of the workload.
    pub labels: BTreeMap<String, String>,
    /// Annotations. Example: `{cluster-autoscaler.kubernetes.io/safe-to-evict: "false"}`.
    pub annotations: BTreeMap<String, String>,
    /// Volumes on the node's disk.
    pub volumes: Vec<VolumeSpec>,
    /// Labels that the node must have. This and the following fields need `nodeGroups`.
    pub node_selector: BTreeMap<String, String>,
    /// Required affinity to nodes and pods.
    pub affinity: Affinity,
    /// Tolerations.
    pub tolerations: Vec<Toleration>,
    /// Topology spread constraints.
    pub topology_spread_constraints: Vec<TopologySpreadConstraint>,
    /// Priority (0). Example: `1000`.
    pub priority: i32,
}

/// Time that a pod takes to terminate unless the scenario says otherwise.
const TERMINATION: Millis = Millis(5_000);

/// Grace period of a pod that sets none, in seconds.
const DEFAULT_GRACE_SECONDS: i64 = 30;

impl PodTemplate {
    /// Returns the time that a pod takes to terminate.
    #[must_use]
    pub fn termination(&self) -> Delay {
        self.termination.unwrap_or(Delay::After(TERMINATION))
    }

    /// Returns the grace period that the pods set, in seconds. `None` if they set none.
    #[must_use]
    pub fn own_grace_seconds(&self) -> Option<i64> {
        let longer = match self.termination() {
            Delay::After(Millis(ms)) => Some((ms + 999) / 1000),
            Delay::Never => None,
        };
        let longer = longer.filter(|seconds| *seconds > DEFAULT_GRACE_SECONDS);
        self.termination_grace_period_seconds
            .map(i64::from)
            .or(longer)
    }

    /// Returns the grace period of the pods, in seconds.
    #[must_use]
    pub fn grace_seconds(&self) -> i64 {
        self.own_grace_seconds().unwrap_or(DEFAULT_GRACE_SECONDS)
    }
}

/// Limits of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    /// Cores (required).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub cpu: f64,
}

/// Startup of a pod: Pending for `mean` ± `jitter`, then Running and using `cpu` for
/// `readiness_delay`, then Ready.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Startup {
    /// Mean time from creation to Running (10s); with nodes, from when the pod is bound
    /// to one.
    pub mean: Millis,
    /// Maximum deviation from the mean, evenly distributed (0s).
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

/// Cost of requests. Load is distributed evenly over the Ready pods. A pod serves as much
/// as its limit of cpu allows; further requests wait in the queue, and those that exceed
/// the queue are not served.
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
    /// Additional bytes for each request per second (0).
    #[serde(deserialize_with = "deserialize_quantity")]
    pub memory_per_request: f64,
    /// Length of the queue, as the time to serve it at full capacity (0s: no queue).
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
    /// A formula over `t`.
    Formula(Formula),
    /// Levels, each from its time to the next one's.
    Steps(Vec<LevelAt>),
    /// Rows of a file: a generated or a recorded series.
    Csv(CsvLoad),
    /// Sum of several loads.
    Sum(Vec<LoadSpec>),
}

/// A level of load from a time on.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LevelAt {
    /// Its time, since the start (required).
    pub at: Millis,
    /// Requests per second (required). Example: `120`.
    pub value: f64,
}

/// Load from a file of comma-separated values with a header line.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CsvLoad {
    /// The file, relative to the scenario's folder (required). Example: `load.csv`.
    pub file: PathBuf,
    /// Name of the column of times: seconds, durations (`5m`), or timestamps as in a
    /// recorded series (`2014-04-10 00:04:00`), ascending. The first row is the start.
    /// Left out: the first column.
    #[serde(default)]
    pub time: Option<String>,
    /// Name of the column of values; left out: the second column.
    #[serde(default)]
    pub value: Option<String>,
    /// Interpolation between rows (`linear`).
    #[serde(default)]
    pub interpolation: Interpolation,
    /// Factor that converts values to requests per second (1). Example: `0.5`.
    #[serde(default = "unit_scale")]
    pub scale: f64,
    /// Time of the series at which to start (0s).
    #[serde(default)]
    pub skip: Millis,
    /// Factor by which the series is accelerated (1). Example: `24`.
    #[serde(default = "unit_scale")]
    pub speed: f64,
}

/// Interpolation between two rows of a series. After the last row its value stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Interpolation {
    /// Linear.
    #[default]
    Linear,
    /// Constant: the earlier row's value.
    Step,
}

/// Noise on the load: it is multiplied by 1 ± `amplitude`.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Noise {
    /// Maximum deviation, as a part of the load from 0 to 1 (required). Example: `0.05`.
    pub amplitude: f64,
    /// Time from one random value to the next (1m).
    #[serde(default = "default_noise_period")]
    pub period: Millis,
}

/// The spec of a `ReplicaAutoscaler`, with Kubernetes' fields; the target may be left
/// out, since it is the workload.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AutoscalerTemplate {
    /// If given, it must name the workload; left out: the workload. Example:
    /// `{apiVersion: apps/v1, kind: Deployment, name: web}`.
    #[serde(default)]
    pub scale_target_ref: Option<CrossVersionObjectReference>,
    /// Minimum of the replicas; left out: 1.
    #[serde(default)]
    pub min_replicas: Option<i32>,
    /// Maximum of the replicas (required).
    pub max_replicas: i32,
    /// Metrics and their targets; left out: cpu with a target of 80%. Example:
    /// `[{type: Resource, resource: {name: cpu, target: {type: Utilization, averageUtilization: 60}}}]`.
    #[serde(default)]
    pub metrics: Vec<MetricSpec>,
    /// Rates and stabilization windows; left out: those of a HorizontalPodAutoscaler.
    /// Example: `{scaleDown: {stabilizationWindowSeconds: 60}}`.
    #[serde(default)]
    pub behavior: Option<Behavior>,
    /// Policies that are asked; left out: the built-in `hpa`. Example: `[{name: hpa}]`.
    #[serde(default)]
    pub policies: Vec<PolicyRef>,
    /// Whose answer counts if there are several policies: `Max`, the one that asks for most
    /// (`Max`), or `Min`. Example: `Min`.
    #[serde(default)]
    pub combine: Combine,
    /// `Active`, or `Observe` to decide without scaling (`Active`). Example: `Observe`.
    #[serde(default)]
    pub mode: Mode,
}

impl AutoscalerTemplate {
    /// Returns the spec of the autoscaler of a workload with that name.
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
    /// Returns the names of the copies.
    pub fn names(&self) -> impl Iterator<Item = String> {
        let copies = self.count.unwrap_or(1);
        (0..copies).map(move |index| match self.count {
            None => self.name.clone(),
            Some(_) => format!("{}-{index:03}", self.name),
        })
    }

    /// Returns the maximum number of cores that a pod can use.
    #[must_use]
    pub fn cpu_limit(&self) -> f64 {
        self.pod
            .limits
            .map_or(2.0 * self.pod.requests.cpu, |limits| limits.cpu)
    }

    /// Returns the requests per second that a pod can serve.
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
