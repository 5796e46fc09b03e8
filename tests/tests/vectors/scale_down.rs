//! The built-in scale-down policies in the real sandbox, against what Cluster Autoscaler
//! itself decided: every case of `vectors/nodes/drain.jsonl.gz` and of
//! `vectors/nodes/utilization.jsonl.gz`.
//!
//! Every answer is upstream's, but for those that `accepted.tsv` lists, each with the
//! reason why ours is another one.

mod drain;
mod utilization;

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_decision::policy::{Policy, PolicyEngine as _, kind};
use flyball_kubernetes::slim::PodObject;
use flyball_placement::Resources;
use flyball_sandbox::{Engine, EngineOptions, Registry};
use serde::Deserialize;
use serde_json::Value;

/// Lines of: the case, what was asked, why the answer differs.
const ACCEPTED: &str = include_str!("scale_down/accepted.tsv");

/// Resources that are GPUs.
const GPUS: [&str; 6] = [
    "nvidia.com/gpu",
    "amd.com/gpu",
    "microsoft.com/directx",
    "gpu.intel.com/xe",
    "gpu.intel.com/i915",
    "habana.ai/gaudi",
];

/// How long after its grace a pod that is being deleted counts as gone.
const BEYOND_GRACE_MS: i64 = 30_000;

fn policy(name: &str) -> Arc<dyn Policy> {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let registry = Registry::fixed(&engine, flyball_policies::BUILTIN, &[]).unwrap();
    registry.policy(kind::SCALE_DOWN, name).unwrap()
}

/// Answers other than upstream's, by file.
struct Differences {
    file: &'static str,
    accepted: BTreeMap<&'static str, bool>,
    wrong: Vec<String>,
}

impl Differences {
    fn new(file: &'static str) -> Self {
        let lines = ACCEPTED.lines().filter(|line| !line.starts_with('#'));
        let accepted = lines.map(|line| {
            let Some((answer, reason)) = line.rsplit_once('\t') else {
                panic!("{line:?} has no reason");
            };
            assert!(!reason.is_empty(), "{line:?} has no reason");
            (answer, false)
        });
        Self {
            file,
            accepted: accepted
                .filter(|(answer, _)| answer.starts_with(file))
                .collect(),
            wrong: Vec::new(),
        }
    }

    fn compare<T: PartialEq + std::fmt::Debug>(
        &mut self,
        case: &str,
        what: &str,
        expected: &T,
        got: &T,
    ) {
        if expected == got {
            return;
        }
        match self.accepted.get_mut(&*format!("{case}\t{what}")) {
            Some(met) => *met = true,
            None => self.wrong.push(format!(
                "{case}\t{what}: expected {expected:?}, got {got:?}"
            )),
        }
    }

    fn finish(mut self) {
        let never = self.accepted.iter().filter(|(_, met)| !**met);
        let never = never.map(|(answer, _)| format!("{answer}: as upstream, yet listed"));
        self.wrong.extend(never);
        assert!(
            self.wrong.is_empty(),
            "{}: {} differ\n{}",
            self.file,
            self.wrong.len(),
            self.wrong.join("\n")
        );
    }
}

/// A pod of a case, with what the host would read of it.
struct CasePod {
    value: Value,
    requests: Resources,
}

impl<'de> Deserialize<'de> for CasePod {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let object = PodObject::deserialize(&value).map_err(serde::de::Error::custom)?;
        Ok(Self {
            value,
            requests: object.into_pod().requests,
        })
    }
}

impl CasePod {
    fn text(&self, path: &str) -> &str {
        let value = self.value.pointer(path);
        value.and_then(Value::as_str).unwrap_or_default()
    }

    fn annotation(&self, key: &str) -> Option<&str> {
        let annotations = self.value.pointer("/metadata/annotations")?;
        annotations.get(key)?.as_str()
    }

    fn autoscaler_annotation(&self, key: &str) -> Option<&str> {
        self.annotation(&format!("cluster-autoscaler.kubernetes.io/{key}"))
    }

    fn name(&self) -> String {
        let namespace = self.text("/metadata/namespace");
        format!("{namespace}/{}", self.text("/metadata/name"))
    }

    /// Kind and name of its controller.
    fn owner(&self) -> Option<(&str, &str)> {
        let owners = self
            .value
            .pointer("/metadata/ownerReferences")?
            .as_array()?;
        let owner = owners.iter().find(|owner| owner["controller"] == true)?;
        Some((owner["kind"].as_str()?, owner["name"].as_str()?))
    }

    fn is_mirror(&self) -> bool {
        self.annotation("kubernetes.io/config.mirror").is_some()
    }

    fn is_of_daemon_set(&self) -> bool {
        self.owner().is_some_and(|(kind, _)| kind == "DaemonSet")
            || self.autoscaler_annotation("daemonset-pod") == Some("true")
    }

    fn is_long_terminating(&self, now: i64) -> bool {
        let deleted = self.text("/metadata/deletionTimestamp");
        let grace = self.value.pointer("/spec/terminationGracePeriodSeconds");
        let grace = grace.and_then(Value::as_i64).unwrap_or(30);
        !deleted.is_empty() && time(deleted) + grace * 1000 + BEYOND_GRACE_MS < now
    }

    fn gpu_milli(&self) -> i64 {
        gpu_milli(&self.requests)
    }
}

fn gpu_milli(resources: &Resources) -> i64 {
    GPUS.iter().map(|name| resources.get(name)).sum::<i64>() * 1000
}

/// A time of a case in milliseconds since the Unix epoch; -1 if it is not set.
fn time(text: &str) -> i64 {
    match text {
        "" => -1,
        text => text.parse::<jiff::Timestamp>().unwrap().as_millisecond(),
    }
}
