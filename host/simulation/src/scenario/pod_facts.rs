//! Fields of a pod that decide whether its node may go, with Kubernetes' names.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_nodes::state::{DrainFacts, RestartPolicy, SafeToEvict};
use serde::Deserialize;

use super::workload::{PodTemplate, WorkloadKind};

const SAFE_TO_EVICT: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict";
const SAFE_LOCAL_VOLUMES: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";
const ENABLE_DS_EVICTION: &str = "cluster-autoscaler.kubernetes.io/enable-ds-eviction";
const LIKE_DAEMON_SET: &str = "cluster-autoscaler.kubernetes.io/daemonset-pod";

/// A volume on the node's disk. Others make no difference to the simulation.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VolumeSpec {
    /// Name (required).
    pub name: String,
    /// A directory that is deleted with the pod. Either this or `hostPath` is required.
    #[serde(default)]
    pub empty_dir: Option<EmptyDir>,
    /// A directory of the node.
    #[serde(default)]
    pub host_path: Option<HostPath>,
}

/// A directory that is deleted with the pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct EmptyDir {
    /// `Memory`: not on disk; left out: on the node's disk. Example: `Memory`.
    pub medium: String,
}

/// A directory of the node.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct HostPath {
    /// Path (required). Example: `/var/lib/data`.
    pub path: String,
}

/// Returns what scale-down reads of a workload's pods.
pub fn of_workload(pod: &PodTemplate, kind: WorkloadKind) -> Arc<DrainFacts> {
    let ends = pod.duration.is_some();
    let facts = DrainFacts {
        grace_seconds: pod.own_grace_seconds(),
        restart_policy: if ends || kind == WorkloadKind::Job {
            RestartPolicy::Never
        } else {
            RestartPolicy::Always
        },
        ..of_annotations(&pod.annotations, &pod.volumes)
    };
    shared(facts)
}

/// Returns what scale-down reads of a DaemonSet's pods.
pub fn of_daemon_set(annotations: &BTreeMap<String, String>) -> Arc<DrainFacts> {
    shared(of_annotations(annotations, &[]))
}

/// Reports whether annotations make a pod count as a DaemonSet's.
pub fn is_like_daemon_set(annotations: &BTreeMap<String, String>) -> bool {
    annotations.get(LIKE_DAEMON_SET).map(String::as_str) == Some("true")
}

fn shared(facts: DrainFacts) -> Arc<DrainFacts> {
    if facts == DrainFacts::default() {
        DrainFacts::shared_default()
    } else {
        Arc::new(facts)
    }
}

/// Parses a deletion cost as the ReplicaSet controller does: a plus sign and leading
/// zeros are errors, and an error counts as 0.
fn deletion_cost(text: &str) -> i32 {
    let is_valid = text == "0" || text.starts_with(|first| matches!(first, '-' | '1'..='9'));
    let cost = is_valid.then(|| text.parse().ok()).flatten();
    cost.unwrap_or_default()
}

fn of_annotations(annotations: &BTreeMap<String, String>, volumes: &[VolumeSpec]) -> DrainFacts {
    let text = |key: &str| annotations.get(key).map(String::as_str);
    let excepted = text(SAFE_LOCAL_VOLUMES);
    let mut facts = DrainFacts {
        safe_to_evict: match text(SAFE_TO_EVICT) {
            None => SafeToEvict::Unset,
            Some("true") => SafeToEvict::True,
            Some("false") => SafeToEvict::False,
            Some("on-completion") => SafeToEvict::OnCompletion,
            Some(_) => SafeToEvict::Other,
        },
        deletion_cost: deletion_cost(text(DELETION_COST).unwrap_or("")),
        enable_ds_eviction: text(ENABLE_DS_EVICTION).map(|text| text == "true"),
        annotations: annotations
            .iter()
            .map(|(key, value)| (key.as_str().into(), value.as_str().into()))
            .collect(),
        ..DrainFacts::default()
    };
    for volume in volumes {
        let on_disk = |dir: &EmptyDir| dir.medium != "Memory";
        let empty_dir = volume.empty_dir.as_ref().is_some_and(on_disk);
        let host_path = volume.host_path.is_some();
        let mut names = excepted.into_iter().flat_map(|names| names.split(','));
        let excepted = names.any(|name| name == volume.name);
        if empty_dir {
            facts.empty_dir.add(excepted);
        }
        if host_path {
            facts.host_path.add(excepted);
        }
    }
    facts
}
