//! Converts what decides whether a pod's node may go.

use std::collections::BTreeMap;
use std::sync::Arc;

use flyball_nodes::state::{DrainFacts, RestartPolicy, SafeToEvict};

use flyball_placement::Name;

use super::pod::PodObject;

impl PodObject {
    /// Returns the facts of the pod that only scale-down reads, with the annotations that
    /// policies want.
    pub(super) fn drain_facts(&self, wanted: BTreeMap<Name, Name>) -> Arc<DrainFacts> {
        let annotations = &self.metadata.annotations;
        // As in Cluster Autoscaler, the names are separated by commas and nothing else.
        let excepted = annotations.safe_local_volumes.as_deref();
        let is_excepted = |name: &str| {
            let mut names = excepted.into_iter().flat_map(|names| names.split(','));
            names.any(|excepted| excepted == name)
        };
        let mut facts = DrainFacts {
            grace_seconds: self.spec.termination_grace_period_seconds,
            safe_to_evict: safe_to_evict(annotations.safe_to_evict.as_deref()),
            deletion_cost: deletion_cost(annotations.deletion_cost.as_deref().unwrap_or("")),
            enable_ds_eviction: annotations
                .enable_ds_eviction
                .as_deref()
                .map(|text| text == "true"),
            restart_policy: match self.spec.restart_policy.as_deref() {
                Some("OnFailure") => RestartPolicy::OnFailure,
                Some("Never") => RestartPolicy::Never,
                _ => RestartPolicy::Always,
            },
            annotations: wanted,
            ..DrainFacts::default()
        };
        for volume in &self.spec.volumes {
            let (empty_dir, host_path) = (volume.is_empty_dir_on_disk(), volume.is_host_path());
            if !empty_dir && !host_path {
                continue;
            }
            let excepted = is_excepted(volume.name());
            if empty_dir {
                facts.empty_dir.add(excepted);
            }
            if host_path {
                facts.host_path.add(excepted);
            }
        }
        if facts == DrainFacts::default() {
            DrainFacts::shared_default()
        } else {
            Arc::new(facts)
        }
    }
}

fn safe_to_evict(text: Option<&str>) -> SafeToEvict {
    match text {
        None => SafeToEvict::Unset,
        Some("true") => SafeToEvict::True,
        Some("false") => SafeToEvict::False,
        Some("on-completion") => SafeToEvict::OnCompletion,
        Some(_) => SafeToEvict::Other,
    }
}

/// Parses a deletion cost as the ReplicaSet controller does: a plus sign and leading
/// zeros are errors, and an error counts as 0.
fn deletion_cost(text: &str) -> i32 {
    let is_valid = text == "0" || text.starts_with(|first| matches!(first, '-' | '1'..='9'));
    let cost = is_valid.then(|| text.parse().ok()).flatten();
    cost.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use flyball_nodes::state::LocalVolumes::{Excepted, Kept, None};
    use flyball_nodes::state::{DrainFacts, RestartPolicy, SafeToEvict};
    use serde_json::{Value, json};

    use super::deletion_cost;
    use crate::slim::PodObject;

    fn facts(annotations: Value, spec: Value) -> Result<DrainFacts, serde_json::Error> {
        let metadata = json!({ "name": "a", "annotations": annotations });
        let object = json!({ "metadata": metadata, "spec": spec });
        let (facts, _) = serde_json::from_value::<PodObject>(object)?.into_facts();
        Ok((*facts.drain).clone())
    }

    #[test]
    fn local_volumes_count_unless_the_annotation_excepts_them() -> Result<(), serde_json::Error> {
        const KEY: &str = "cluster-autoscaler.kubernetes.io/safe-to-evict-local-volumes";
        let volumes = json!({ "volumes": [
            { "name": "config", "configMap": { "name": "c" } },
            { "name": "tmp", "emptyDir": { "sizeLimit": "1Gi" } },
            { "name": "shm", "emptyDir": { "medium": "Memory" } },
            { "name": "logs", "hostPath": { "path": "/var/log" } },
            { "name": "claim", "persistentVolumeClaim": { "claimName": "c" } },
        ] });
        // Annotation, then emptyDir and hostPath volumes.
        for (text, expected) in [
            ("", (Kept, Kept)),
            ("*", (Kept, Kept)),
            ("shm,config", (Kept, Kept)),
            ("tmp", (Excepted, Kept)),
            ("logs,", (Kept, Excepted)),
            ("tmp,logs", (Excepted, Excepted)),
            ("tmp, logs", (Excepted, Kept)),
            ("TMP", (Kept, Kept)),
        ] {
            let facts = facts(json!({ KEY: text }), volumes.clone())?;
            let found = (facts.empty_dir, facts.host_path);
            assert_eq!(found, expected, "{text:?}");
        }
        let two = json!({ "volumes": [
            { "name": "a", "emptyDir": {} },
            { "name": "b", "emptyDir": {} },
        ] });
        for (text, expected) in [("a", Kept), ("b", Kept), ("b,a", Excepted)] {
            let facts = facts(json!({ KEY: text }), two.clone())?;
            assert_eq!((facts.empty_dir, facts.host_path), (expected, None));
        }
        let huge = json!({ "volumes": [
            { "name": "huge", "emptyDir": { "medium": "HugePages" } },
        ] });
        let facts = facts(json!({}), huge)?;
        assert_eq!((facts.empty_dir, facts.host_path), (Kept, None));
        Ok(())
    }

    #[test]
    fn annotations_have_any_text() -> Result<(), serde_json::Error> {
        let of = |safe: &str, daemon: &str, cost: &str| {
            facts(
                json!({
                    "cluster-autoscaler.kubernetes.io/safe-to-evict": safe,
                    "cluster-autoscaler.kubernetes.io/enable-ds-eviction": daemon,
                    "controller.kubernetes.io/pod-deletion-cost": cost,
                }),
                json!({ "terminationGracePeriodSeconds": 0, "restartPolicy": "Never" }),
            )
        };
        let facts = of("on-completion", "true", "-100")?;
        assert_eq!(
            facts,
            DrainFacts {
                grace_seconds: Some(0),
                safe_to_evict: SafeToEvict::OnCompletion,
                deletion_cost: -100,
                enable_ds_eviction: Some(true),
                restart_policy: RestartPolicy::Never,
                ..DrainFacts::default()
            }
        );
        for safe in ["maybe", "True", "", "1"] {
            let facts = of(safe, "yes", "10e30")?;
            assert_eq!(facts.safe_to_evict, SafeToEvict::Other);
            assert_eq!(facts.enable_ds_eviction, Some(false));
            assert_eq!(facts.deletion_cost, 0);
        }
        Ok(())
    }

    #[test]
    fn a_deletion_cost_is_read_as_by_the_controller() {
        for (text, expected) in [
            ("0", 0),
            ("7", 7),
            ("-7", -7),
            ("2147483647", i32::MAX),
            ("-2147483648", i32::MIN),
            ("2147483648", 0),
            ("+7", 0),
            ("007", 0),
            ("", 0),
            ("-", 0),
            (" 7", 0),
            ("7 ", 0),
            ("1.5", 0),
            ("1000000000000000000000000000000", 0),
        ] {
            assert_eq!(deletion_cost(text), expected, "{text:?}");
        }
    }
}
