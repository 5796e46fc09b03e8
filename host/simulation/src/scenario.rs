//! Scenario files: description of a simulated cluster and of events in it.
//!
//! A scenario is YAML. Every field has a default unless it says otherwise;
//! durations are written `15s`, `5m` or `1h30m`, quantities as Kubernetes writes
//! them. `examples/` has scenarios with comments.

mod budget;
mod check;
mod error;
mod event;
mod node_groups;
mod pod_facts;
mod resources;
mod scale_down;
mod scheduling;
mod series;
mod workload;

use std::path::{Path, PathBuf};

use flyball_decision::quantity::{QuantityText, approximate_f64};
use flyball_decision::time::Timestamp;
use serde::{Deserialize, Deserializer};

pub use budget::{BudgetSpec, CountOrPercent, UnhealthyPodEvictionPolicy};
pub use error::ScenarioError;
pub use event::{EventSpec, TerminationAnswer};
pub use node_groups::{
    Boot, DaemonSetSpec, Failures, JoinsLate, NodeAutoscalerSpec, NodeGroupSpec, OutOfCapacity,
    OutOfCapacityAnswer, Range, Shutdown, TaintSpec, Window,
};
pub use pod_facts::{EmptyDir, HostPath, VolumeSpec};
pub(crate) use pod_facts::{
    is_like_daemon_set, of_daemon_set as daemon_drain_facts, of_workload as drain_facts,
};
pub use resources::{NodeResources, Resources};
pub use scale_down::{GroupScaleDownSpec, ScaleDownModeSpec, ScaleDownSpec};
pub use scheduling::{
    Affinity, Expression, InclusionPolicy, LabelSelector, NodeAffinity, NodeSelector,
    NodeSelectorTerm, PodAffinity, PodAffinityTerm, Toleration, TolerationOperator,
    TopologySpreadConstraint, WhenUnsatisfiable,
};
pub(crate) use scheduling::{daemon_pod, pod as placement_pod, selector};
pub(crate) use series::Series;
pub use workload::{
    AutoscalerTemplate, CsvLoad, Interpolation, LevelAt, Limits, LoadSpec, MetricFormula, Noise,
    PodTemplate, ServiceSpec, Startup, WorkloadKind, WorkloadSpec,
};

use crate::time::{Millis, deserialize_timestamp};

/// Description of a simulated cluster and of events in it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// Title of the report; left out: the stem of the file's name.
    #[serde(default)]
    pub name: String,
    /// Seed of all random numbers: same seed, same run (0). Example: `42`.
    #[serde(default)]
    pub seed: u64,
    /// Start of virtual time (2026-01-05T00:00:00Z). Example: `2026-03-01T08:00:00Z`.
    #[serde(default = "default_start", deserialize_with = "deserialize_timestamp")]
    pub start: Timestamp,
    /// Length of the run, a multiple of `step` (required). Example: `6h`.
    pub duration: Millis,
    /// Length of the world's steps (5s). Example: `1s`.
    #[serde(default = "default_step")]
    pub step: Millis,
    /// Time from one decision about an object to its next (15s). Example: `30s`.
    #[serde(default = "default_sync_period")]
    pub sync_period: Millis,
    /// How metrics are measured.
    #[serde(default)]
    pub metrics: MetricsSpec,
    /// Workloads in the cluster (required).
    pub workloads: Vec<WorkloadSpec>,
    /// Node groups; left out: pods start without being scheduled.
    #[serde(default)]
    pub node_groups: Vec<NodeGroupSpec>,
    /// DaemonSets.
    #[serde(default)]
    pub daemon_sets: Vec<DaemonSetSpec>,
    /// PodDisruptionBudgets.
    #[serde(default)]
    pub pod_disruption_budgets: Vec<BudgetSpec>,
    /// Options of the loop that orders and removes nodes.
    #[serde(default)]
    pub node_autoscaler: NodeAutoscalerSpec,
    /// Events besides the load.
    #[serde(default)]
    pub events: Vec<EventSpec>,
    /// Folder for relative paths in the scenario: that of its file.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// How metrics are measured.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsSpec {
    /// Interval of measurements, a multiple of `step`; a value is the mean over it (15s).
    /// Example: `1m`.
    pub resolution: Millis,
    /// Delay until a measurement can be read (5s).
    pub lag: Millis,
    /// Standard deviation of a pod's value, as a part of it from 0 to 1 (0.02).
    pub noise: f64,
    /// Part of the measurements of pods that are lost, from 0 to 1 (0). Example: `0.1`.
    pub dropouts: f64,
}

impl Default for MetricsSpec {
    fn default() -> Self {
        Self {
            resolution: Millis(15_000),
            lag: Millis(5_000),
            noise: 0.02,
            dropouts: 0.0,
        }
    }
}

impl Scenario {
    /// Reads a scenario file. Relative paths in it refer to its folder, and the files
    /// must exist.
    ///
    /// # Errors
    /// If it can't be read, is not a scenario, or names something that does not exist:
    /// with the file, the line if there is one, and the field.
    pub fn load(file: &Path) -> Result<Self, ScenarioError> {
        let text = flyball_files::read_to_string(file).map_err(|source| ScenarioError::Read {
            file: file.to_owned(),
            source,
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Self::parse(&text, file, folder)
    }

    /// Parses a scenario; `file` is named in errors, and relative paths in the scenario
    /// refer to `folder`.
    ///
    /// # Errors
    /// As [`Scenario::load`].
    pub fn parse(text: &str, file: &Path, folder: &Path) -> Result<Self, ScenarioError> {
        let mut path = String::new();
        let read = |deserializer: serde_saphyr::Deserializer<'_, '_>| {
            serde_path_to_error::deserialize(deserializer).map_err(|error| {
                path = error.path().to_string();
                error.into_inner()
            })
        };
        let mut scenario: Self = serde_saphyr::with_deserializer_from_str(text, read)
            .map_err(|error| error::syntax(file, &path, &error))?;
        if scenario.name.is_empty() {
            let stem = file.file_stem().unwrap_or_default();
            scenario.name = stem.to_string_lossy().into_owned();
        }
        folder.clone_into(&mut scenario.folder);
        check::scenario(&scenario, file)?;
        Ok(scenario)
    }

    /// Returns the end of virtual time.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start.plus(self.duration.0)
    }

    /// Reports whether a swap adds a policy of that name.
    #[must_use]
    pub fn brings(&self, policy: &str) -> bool {
        let mut events = self.events.iter();
        events.any(|event| matches!(event, EventSpec::SwapPolicy { name, .. } if name == policy))
    }

    /// Returns the path of a file that the scenario names.
    #[must_use]
    pub fn path(&self, file: &Path) -> PathBuf {
        self.folder.join(file)
    }
}

fn default_start() -> Timestamp {
    Timestamp(1_767_571_200_000)
}

fn default_step() -> Millis {
    Millis(5_000)
}

fn default_sync_period() -> Millis {
    Millis(15_000)
}

/// Parses a quantity as a number of whole units, exact to the billionth: a request may
/// cost less than a thousandth of a core.
fn deserialize_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = QuantityText::deserialize(deserializer)?;
    let value = approximate_f64(&text.0).map_err(serde::de::Error::custom)?;
    Ok((value * 1e9).round() / 1e9)
}
