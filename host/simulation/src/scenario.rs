//! Scenario files: what a simulated cluster holds, and what happens in it.
//!
//! A scenario is YAML. Every field has a default unless it says otherwise;
//! durations are written `15s`, `5m` or `1h30m`, quantities as Kubernetes writes
//! them. `examples/` has scenarios with comments.

mod check;
mod error;
mod nodes;
mod scheduling;
mod workload;

use std::path::{Path, PathBuf};

use flyball_core::quantity::{QuantityText, approximate_f64};
use flyball_core::time::Timestamp;
use serde::{Deserialize, Deserializer};

pub use error::ScenarioError;
pub use nodes::{
    Boot, DaemonSetSpec, Failures, JoinsLate, NodeAutoscalerSpec, NodeGroupSpec, NodeResources,
    OutOfCapacity, OutOfCapacityAnswer, Range, TaintSpec, Window,
};
pub use scheduling::{
    Affinity, Expression, InclusionPolicy, LabelSelector, NodeAffinity, NodeSelector,
    NodeSelectorTerm, PodAffinity, PodAffinityTerm, Toleration, TolerationOperator,
    TopologySpreadConstraint, WhenUnsatisfiable,
};
pub(crate) use scheduling::{daemon_pod, pod as placement_pod};
pub use workload::{
    AutoscalerTemplate, CsvLoad, Interpolation, LevelAt, Limits, LoadSpec, Noise, PodTemplate,
    Resources, ServiceSpec, Startup, WorkloadSpec,
};

use crate::time::{Millis, deserialize_timestamp};

/// What a simulated cluster holds, and what happens in it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scenario {
    /// What the report is headed with (default: the file's stem).
    #[serde(default)]
    pub name: String,
    /// All chance comes from it: same seed, same run (0).
    #[serde(default)]
    pub seed: u64,
    /// When virtual time begins (2026-01-05T00:00:00Z, a Monday).
    #[serde(default = "default_start", deserialize_with = "deserialize_timestamp")]
    pub start: Timestamp,
    /// How long it lasts (required).
    pub duration: Millis,
    /// The world moves in steps of this length (5s).
    #[serde(default = "default_step")]
    pub step: Millis,
    /// Time from one decision about an object to its next (15s).
    #[serde(default = "default_sync_period")]
    pub sync_period: Millis,
    /// How metrics come to be known.
    #[serde(default)]
    pub metrics: MetricsSpec,
    /// What runs in the cluster (required).
    pub workloads: Vec<WorkloadSpec>,
    /// What it runs on; left out: pods start without being placed.
    #[serde(default)]
    pub node_groups: Vec<NodeGroupSpec>,
    /// What runs on every node.
    #[serde(default)]
    pub daemon_sets: Vec<DaemonSetSpec>,
    /// What the loop that orders nodes goes by.
    #[serde(default)]
    pub node_autoscaler: NodeAutoscalerSpec,
    /// What happens beside the load.
    #[serde(default)]
    pub events: Vec<EventSpec>,
    /// Where files named in the scenario are looked for: beside its file.
    #[serde(skip)]
    pub folder: PathBuf,
}

/// How metrics come to be known.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct MetricsSpec {
    /// Pods are measured this often; a value is the mean over that time (15s).
    pub resolution: Millis,
    /// How long a measurement takes until it can be read (5s).
    pub lag: Millis,
    /// Deviation of a pod's value, as a part of it (0.02).
    pub noise: f64,
    /// The part of the measurements of pods that get lost (0).
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

/// Something that happens, `at` a time since the start.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum EventSpec {
    /// A policy is replaced, as if its file had been dropped in at that time.
    #[serde(rename_all = "camelCase")]
    SwapPolicy {
        /// When.
        at: Millis,
        /// Name of the policy.
        name: String,
        /// The component to take over.
        file: PathBuf,
    },
    /// Pods die without notice.
    #[serde(rename_all = "camelCase")]
    KillPods {
        /// When.
        at: Millis,
        /// Whose pods.
        workload: String,
        /// How many, chosen by chance.
        count: u32,
    },
    /// Load is multiplied for a while.
    #[serde(rename_all = "camelCase")]
    Surge {
        /// When.
        at: Millis,
        /// Whose load.
        workload: String,
        /// By this.
        factor: f64,
        /// For so long.
        #[serde(rename = "for")]
        length: Millis,
    },
    /// A user edits the autoscaler.
    #[serde(rename_all = "camelCase")]
    ChangeAutoscaler {
        /// When.
        at: Millis,
        /// Whose autoscaler.
        workload: String,
        /// Its new spec.
        autoscaler: Box<AutoscalerTemplate>,
    },
    /// No metric can be had for a while.
    #[serde(rename_all = "camelCase")]
    MetricsOutage {
        /// When.
        at: Millis,
        /// For so long.
        #[serde(rename = "for")]
        length: Millis,
    },
    /// All instances in a zone are gone at once, and none can be had there for a
    /// while.
    #[serde(rename_all = "camelCase")]
    ZoneOutage {
        /// When.
        at: Millis,
        /// The zone.
        zone: String,
        /// For so long.
        #[serde(rename = "for")]
        length: Millis,
    },
    /// Nodes of a group die without notice.
    #[serde(rename_all = "camelCase")]
    KillNodes {
        /// When.
        at: Millis,
        /// Of this node group.
        node_group: String,
        /// How many, chosen by chance.
        count: u32,
    },
}

impl EventSpec {
    /// When it happens, since the start.
    #[must_use]
    pub fn at(&self) -> Millis {
        match self {
            Self::SwapPolicy { at, .. }
            | Self::KillPods { at, .. }
            | Self::Surge { at, .. }
            | Self::ChangeAutoscaler { at, .. }
            | Self::MetricsOutage { at, .. }
            | Self::ZoneOutage { at, .. }
            | Self::KillNodes { at, .. } => *at,
        }
    }

    /// Which workload it happens to, if one.
    #[must_use]
    pub fn workload(&self) -> Option<&str> {
        match self {
            Self::KillPods { workload, .. }
            | Self::Surge { workload, .. }
            | Self::ChangeAutoscaler { workload, .. } => Some(workload),
            Self::SwapPolicy { .. }
            | Self::MetricsOutage { .. }
            | Self::ZoneOutage { .. }
            | Self::KillNodes { .. } => None,
        }
    }
}

impl Scenario {
    /// Reads a scenario file. Files it names are looked for in its folder, and
    /// have to be there.
    ///
    /// # Errors
    /// If it can't be read, is no scenario, or speaks of what isn't there: with
    /// the file, the line where one is at fault, and the field.
    pub fn load(file: &Path) -> Result<Self, ScenarioError> {
        let text = flyball_files::read_to_string(file).map_err(|source| ScenarioError::Read {
            file: file.to_owned(),
            source,
        })?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Self::parse(&text, file, folder)
    }

    /// Reads a scenario from its text; `file` is named in errors, and files that
    /// the scenario names are looked for in `folder`.
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

    /// When virtual time ends.
    #[must_use]
    pub fn end(&self) -> Timestamp {
        self.start.plus(self.duration.0)
    }

    /// Whether a swap brings a policy of that name, sooner or later.
    #[must_use]
    pub fn brings(&self, policy: &str) -> bool {
        let mut events = self.events.iter();
        events.any(|event| matches!(event, EventSpec::SwapPolicy { name, .. } if name == policy))
    }

    /// Where a file that the scenario names is.
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

/// A quantity as a number of whole units, exact to the billionth: a request may
/// cost less than a thousandth of a core.
fn deserialize_quantity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    let text = QuantityText::deserialize(deserializer)?;
    let value = approximate_f64(&text.0).map_err(serde::de::Error::custom)?;
    Ok((value * 1e9).round() / 1e9)
}
