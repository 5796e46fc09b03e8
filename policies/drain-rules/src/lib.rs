//! The built-in policy `drain-rules`: which pods let their node go, by the twelve rules of
//! Cluster Autoscaler. The first rule with a verdict decides, so the order matters: a pod
//! whose controller is gone blocks even if it is annotated as safe to evict.

use std::time::Duration;

use flyball_policy::{JudgedPod, OwnerKind, PodVerdict, PodVerdicts, SafeToEvict, ScaleDownPods};
use schemars::JsonSchema;
use serde::Deserialize;

/// Namespace of the cluster's own pods.
const SYSTEM_NAMESPACE: &str = "kube-system";

/// What one unit of `pod-deletion-cost` adds to the cost of a pod, and one of its priority;
/// both as in Karpenter's disruption cost.
const PER_DELETION_COST: f64 = 1.0 / (1 << 27) as f64;
const PER_PRIORITY: f64 = 1.0 / (1 << 25) as f64;
/// The highest cost of a pod.
const HIGHEST_COST: f64 = 10.0;

/// Flags of Cluster Autoscaler, with its defaults.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields, default)]
pub struct Config {
    /// Whether pods in kube-system without a PodDisruptionBudget keep their node.
    pub skip_nodes_with_system_pods: bool,
    /// Whether pods with local storage keep their node.
    pub skip_nodes_with_local_storage: bool,
    /// Whether pods of controllers other than Kubernetes' own keep their node, and
    /// whether controllers are looked up.
    pub skip_nodes_with_custom_controller_pods: bool,
    /// Replicas that a ReplicaSet or a ReplicationController must want for its pods to be
    /// evicted.
    pub min_replica_count: u32,
    /// How long a pod in kube-system keeps its node, in seconds since its creation.
    pub blocking_system_pod_disruption_timeout_seconds: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            skip_nodes_with_system_pods: true,
            skip_nodes_with_local_storage: true,
            skip_nodes_with_custom_controller_pods: true,
            min_replica_count: 0,
            blocking_system_pod_disruption_timeout_seconds: 3600,
        }
    }
}

flyball_policy::scale_down_policy! {
    summary: "Cluster Autoscaler's rules for pods that keep their node",
    config: Config,
    judge_pods: judge,
}

/// Judges each pod by the rules.
pub fn judge(input: &ScaleDownPods<Config>) -> PodVerdicts {
    PodVerdicts::each(input, |pod| {
        before_annotations(input, pod)
            .or_else(|| by_annotations(pod))
            .or_else(|| not_replicated(input.config(), pod))
            .or_else(|| system(input, pod))
            .or_else(|| kept(input.config(), pod))
            .unwrap_or_else(|| PodVerdict::evict().cost(cost(pod)))
    })
}

/// What it costs to move a pod: 1 for one without a priority and a deletion cost.
fn cost(pod: JudgedPod<'_>) -> f64 {
    let deletion = f64::from(pod.deletion_cost()) * PER_DELETION_COST;
    let priority = f64::from(pod.priority()) * PER_PRIORITY;
    (1.0 + deletion + priority).clamp(0.0, HIGHEST_COST)
}

/// Rules 1 to 4: mirror pods, pods that should be gone, controllers that are gone or want
/// few replicas, and DaemonSets.
fn before_annotations(input: &ScaleDownPods<Config>, pod: JudgedPod<'_>) -> Option<PodVerdict> {
    if pod.is_mirror() {
        return Some(PodVerdict::skip().because("Mirror", "it is the mirror of a static pod"));
    }
    if pod.is_long_terminating() {
        let sentence = "it is being deleted and should have been gone 30 s ago";
        return Some(PodVerdict::skip().because("LongTerminating", sentence));
    }
    if let Some(block) = few_replicas(input.config(), pod) {
        return Some(block);
    }
    // Nothing has to be found for it elsewhere, so it costs nothing.
    pod.is_of_daemon_set().then(PodVerdict::evict)
}

fn few_replicas(config: &Config, pod: JudgedPod<'_>) -> Option<PodVerdict> {
    if !config.skip_nodes_with_custom_controller_pods {
        return None;
    }
    let kind = pod.owner_kind()?;
    let looked_up = match kind {
        OwnerKind::Other => false,
        OwnerKind::DaemonSet | OwnerKind::ReplicationController => true,
        // One that only says that it runs on every node is taken at its word.
        _ => !pod.is_of_daemon_set(),
    };
    if !looked_up {
        return None;
    }
    if !pod.owner_exists()? {
        let sentence = "its controller does not exist";
        return Some(PodVerdict::block().because("ControllerNotFound", sentence));
    }
    let counts = matches!(
        kind,
        OwnerKind::ReplicaSet | OwnerKind::ReplicationController
    );
    let replicas = pod.owner_replicas().filter(|_| counts)?;
    (replicas < config.min_replica_count).then(|| {
        let least = config.min_replica_count;
        PodVerdict::block().because(
            "MinReplicasReached",
            format!("its controller wants fewer than {least} replicas"),
        )
    })
}

/// Rules 5 to 7: annotated as safe to evict, ended, annotated to be waited for.
fn by_annotations(pod: JudgedPod<'_>) -> Option<PodVerdict> {
    let annotation = pod.safe_to_evict();
    if annotation == Some(SafeToEvict::Yes) {
        return Some(PodVerdict::evict().cost(cost(pod)));
    }
    if pod.is_terminal() {
        return Some(PodVerdict::evict());
    }
    (annotation == Some(SafeToEvict::OnCompletion)).then(|| {
        PodVerdict::wait().because("EvictOnCompletion", "it is annotated to run to its end")
    })
}

/// Rule 8: nobody makes the pod again elsewhere.
fn not_replicated(config: &Config, pod: JudgedPod<'_>) -> Option<PodVerdict> {
    let replicated = match pod.owner_kind() {
        None => false,
        Some(OwnerKind::Other | OwnerKind::DaemonSet) => {
            !config.skip_nodes_with_custom_controller_pods
        }
        Some(_) => true,
    };
    (!replicated).then(|| {
        let sentence = match pod.owner_kind() {
            None => "it has no controller that makes it again elsewhere",
            Some(_) => "its controller is none of Kubernetes' own",
        };
        PodVerdict::block().because("NotReplicated", sentence)
    })
}

/// Rule 9: a pod of the cluster itself without a budget blocks for a time, and then is
/// evicted whatever the rules after this say.
fn system(input: &ScaleDownPods<Config>, pod: JudgedPod<'_>) -> Option<PodVerdict> {
    let config = input.config();
    let judged = config.skip_nodes_with_system_pods
        && pod.namespace() == SYSTEM_NAMESPACE
        && pod.budgets() == 0;
    if !judged {
        return None;
    }
    let timeout = config.blocking_system_pod_disruption_timeout_seconds;
    let timeout = Duration::from_secs(u64::from(timeout));
    let Some(ends) = pod.created().map(|created| created + timeout) else {
        // It has been there longer than anyone knows.
        return Some(PodVerdict::evict().cost(cost(pod)));
    };
    if input.now() > ends {
        return Some(PodVerdict::evict().cost(cost(pod)));
    }
    let block = PodVerdict::block().until(ends + Duration::from_millis(1));
    let sentence = "it is in kube-system and no PodDisruptionBudget selects it";
    Some(block.because("UnmovableKubeSystemPod", sentence))
}

/// Rules 10 to 12: annotated as not safe to evict, with local storage, and under a budget
/// that allows nothing.
fn kept(config: &Config, pod: JudgedPod<'_>) -> Option<PodVerdict> {
    if pod.safe_to_evict() == Some(SafeToEvict::No) {
        let sentence = "it is annotated as not safe to evict";
        return Some(PodVerdict::block().because("NotSafeToEvictAnnotation", sentence));
    }
    if config.skip_nodes_with_local_storage {
        let sentence = match (pod.keeps_empty_dir(), pod.keeps_host_path()) {
            (true, _) => Some("it has an emptyDir volume"),
            (false, true) => Some("it has a hostPath volume"),
            (false, false) => None,
        };
        if let Some(sentence) = sentence {
            return Some(PodVerdict::block().because("LocalStorageRequested", sentence));
        }
    }
    (pod.disruptions_allowed() == Some(0)).then(|| {
        let sentence = "its PodDisruptionBudget allows no disruption";
        PodVerdict::block().because("NotEnoughPdb", sentence)
    })
}

#[cfg(test)]
mod tests {
    use flyball_policy::{
        OwnerKind, SafeToEvict, ScaleDownNodeSpec, ScaleDownPodSpec, ScaleDownPods, Time,
    };

    use super::{Config, judge};

    const NOW: Time = Time::from_ms(1_800_000_000_000);

    fn pod() -> ScaleDownPodSpec {
        ScaleDownPodSpec::default()
    }

    /// A pod for each rule and for each way around it, with what is expected of it.
    fn cases() -> Vec<(ScaleDownPodSpec, Option<&'static str>, bool)> {
        let system = |ms| {
            let created = Time::from_ms(NOW.ms() - ms);
            pod().namespace("kube-system").created(Some(created))
        };
        vec![
            (pod(), None, true),
            (pod().mirror(), Some("Mirror"), false),
            (pod().long_terminating(), Some("LongTerminating"), false),
            (pod().owner_gone(), Some("ControllerNotFound"), false),
            (
                pod().owner_gone().safe_to_evict(SafeToEvict::Yes),
                Some("ControllerNotFound"),
                false,
            ),
            (
                pod().owner(OwnerKind::ReplicaSet, Some(1)),
                Some("MinReplicasReached"),
                false,
            ),
            (pod().owner(OwnerKind::StatefulSet, Some(1)), None, true),
            (pod().of_daemon_set().budgets(1, 0), None, true),
            (
                pod()
                    .without_owner()
                    .safe_to_evict(SafeToEvict::Yes)
                    .budgets(1, 0),
                None,
                true,
            ),
            (pod().without_owner().terminal(), None, true),
            (
                pod().safe_to_evict(SafeToEvict::OnCompletion),
                Some("EvictOnCompletion"),
                false,
            ),
            (pod().without_owner(), Some("NotReplicated"), false),
            (
                pod().owner(OwnerKind::Other, None),
                Some("NotReplicated"),
                false,
            ),
            (system(3_600_000), Some("UnmovableKubeSystemPod"), false),
            (system(3_600_001).empty_dir(false), None, true),
            (system(0).budgets(1, 1), None, true),
            (
                pod().safe_to_evict(SafeToEvict::No),
                Some("NotSafeToEvictAnnotation"),
                false,
            ),
            (pod().empty_dir(false), Some("LocalStorageRequested"), false),
            (pod().empty_dir(true), None, true),
            (
                pod().empty_dir(true).host_path(false),
                Some("LocalStorageRequested"),
                false,
            ),
            (pod().budgets(2, 0), Some("NotEnoughPdb"), false),
            (pod().budgets(2, 1), None, true),
        ]
    }

    #[test]
    fn the_first_rule_with_a_verdict_decides_and_rows_are_independent() {
        let config = Config {
            min_replica_count: 2,
            ..Config::default()
        };
        let build = ScaleDownPods::<Config>::build().at(NOW).config(config);
        let build = build.node(ScaleDownNodeSpec::default());
        let pods = cases().into_iter().map(|(pod, ..)| pod);
        let build = pods.fold(build, |build, pod| build.pod(pod));
        build.check_rows(judge);
        let verdicts = judge(&build.done());
        for (row, (pod, code, evicts)) in cases().into_iter().enumerate() {
            assert_eq!(verdicts.code(row), code, "{pod:?}");
            assert_eq!(verdicts.evicts(row), evicts, "{pod:?}");
        }
        let system = cases()
            .iter()
            .position(|case| case.1 == Some("UnmovableKubeSystemPod"));
        let until = verdicts.until(system.unwrap());
        assert_eq!(until, Some(Time::from_ms(NOW.ms() + 1)));
    }

    #[test]
    fn a_pod_costs_more_by_its_priority_and_its_deletion_cost() {
        let build = ScaleDownPods::<Config>::build()
            .at(NOW)
            .node(ScaleDownNodeSpec::default())
            .pod(pod())
            .pod(pod().priority(1 << 25).deletion_cost(1 << 27))
            .pod(pod().priority(2_000_000_000))
            .pod(pod().deletion_cost(i32::MIN))
            .pod(pod().of_daemon_set());
        let verdicts = judge(&build.done());
        let costs: Vec<_> = (0..5).map(|row| verdicts.cost(row).unwrap()).collect();
        assert_eq!(costs, [1.0, 3.0, 10.0, 0.0, 0.0]);
    }
}
