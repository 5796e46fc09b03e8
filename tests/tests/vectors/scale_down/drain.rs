//! What happens to the pods of a node that is drained: `drain-rules`.

use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::question::{Question as _, ScaleDownPodsQuestion};
use flyball_decision::scale_down::{
    PodColumns, PodNodeColumns, PodVerdicts, ScaleDownPodsInput, Texts, owner_kind, pod_state,
    pod_verdict,
};
use flyball_decision::time::Timestamp;
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CasePod, Differences, policy, time};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    id: String,
    now: String,
    options: Options,
    controllers_known: bool,
    controllers: Vec<Controller>,
    pod_disruption_budgets: Vec<Value>,
    pods: Vec<CasePod>,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    skip_nodes_with_system_pods: bool,
    skip_nodes_with_local_storage: bool,
    skip_nodes_with_custom_controller_pods: bool,
    min_replica_count: u32,
    blocking_system_pod_disruption_timeout_seconds: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Controller {
    kind: String,
    namespace: String,
    name: String,
    replicas: Option<i32>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Expected {
    pods_to_evict: Vec<String>,
    daemon_set_pods: Vec<String>,
    on_completion_pods: Vec<String>,
    blocking_pod: Option<BlockingPod>,
    per_pod: Vec<PerPod>,
}

#[derive(Debug, Deserialize, PartialEq)]
struct BlockingPod {
    pod: String,
    reason: String,
}

#[derive(Debug, Deserialize, PartialEq)]
struct PerPod {
    pod: String,
    outcome: String,
    #[serde(default)]
    reason: String,
}

#[test]
fn every_pod_has_the_verdict_that_upstream_has() {
    let policy = policy("drain-rules");
    let mut differences = Differences::new("drain");
    let mut pods = 0;
    for case in vectors::read::<Case>("nodes/drain").unwrap() {
        let context = Context {
            now: Timestamp(time(&case.now)),
            configuration: case.options.configuration().into(),
            ..Context::default()
        };
        let mut input = case.input();
        let outcome = ScaleDownPodsQuestion::ask(&*policy, &context, &mut input, &mut ());
        let verdicts = outcome.answer.unwrap();
        let got = case.per_pod(&verdicts);
        for (expected, got) in case.expected.per_pod.iter().zip(&got) {
            differences.compare(&case.id, &expected.pod, expected, got);
            pods += 1;
        }
        differences.compare(&case.id, "node", &case.expected.walk(), &case.walk(got));
    }
    assert!(pods > 1_000, "{pods}");
    differences.finish();
}

/// Pods to evict, of DaemonSets and to wait for, before the pod that blocks.
type Walk = (
    Vec<String>,
    Vec<String>,
    Vec<String>,
    Option<(String, String)>,
);

impl Expected {
    fn walk(&self) -> Walk {
        let blocking = self.blocking_pod.as_ref();
        (
            self.pods_to_evict.clone(),
            self.daemon_set_pods.clone(),
            self.on_completion_pods.clone(),
            blocking.map(|blocking| (blocking.pod.clone(), blocking.reason.clone())),
        )
    }
}

impl Options {
    fn configuration(&self) -> String {
        json!({
            "skipNodesWithSystemPods": self.skip_nodes_with_system_pods,
            "skipNodesWithLocalStorage": self.skip_nodes_with_local_storage,
            "skipNodesWithCustomControllerPods": self.skip_nodes_with_custom_controller_pods,
            "minReplicaCount": self.min_replica_count,
            "blockingSystemPodDisruptionTimeoutSeconds":
                self.blocking_system_pod_disruption_timeout_seconds,
        })
        .to_string()
    }
}

impl Case {
    fn per_pod(&self, verdicts: &PodVerdicts) -> Vec<PerPod> {
        let rows = self.pods.iter().enumerate();
        rows.map(|(row, pod)| {
            let verdict = verdicts.verdict[row];
            let reason = usize::try_from(verdicts.reason[row]).ok();
            let reason = reason.map(|reason| verdicts.reasons[reason].code.clone());
            PerPod {
                pod: pod.name(),
                outcome: match verdict {
                    pod_verdict::EVICT => "evict",
                    pod_verdict::WAIT => "wait",
                    pod_verdict::BLOCK => "block",
                    pod_verdict::SKIP => "skip",
                    other => panic!("{other} is no verdict"),
                }
                .to_owned(),
                reason: match verdict {
                    pod_verdict::BLOCK => reason.unwrap(),
                    _ => String::new(),
                },
            }
        })
        .collect()
    }

    /// The host's walk over the pods, which ends at the first that blocks.
    fn walk(&self, verdicts: Vec<PerPod>) -> Walk {
        let (mut evicted, mut daemon_sets, mut waited_for) = (vec![], vec![], vec![]);
        for (pod, verdict) in self.pods.iter().zip(verdicts) {
            match &*verdict.outcome {
                "evict" if pod.is_of_daemon_set() => daemon_sets.push(verdict.pod),
                "evict" => evicted.push(verdict.pod),
                "wait" => waited_for.push(verdict.pod),
                "block" => {
                    let blocking = Some((verdict.pod, verdict.reason));
                    return (evicted, daemon_sets, waited_for, blocking);
                }
                _ => {}
            }
        }
        (evicted, daemon_sets, waited_for, None)
    }

    fn input(&self) -> ScaleDownPodsInput {
        let mut pods = PodColumns::default();
        let mut texts = Texts::default();
        for pod in &self.pods {
            self.push(&mut pods, &mut texts, pod);
        }
        pods.texts = texts.into_column();
        let nodes = PodNodeColumns {
            group: vec![-1],
            ..PodNodeColumns::default()
        };
        let mut input = ScaleDownPodsInput {
            nodes: Arc::new(nodes),
            pods: Arc::new(pods),
            ..ScaleDownPodsInput::default()
        };
        // Columns that no rule reads have their marks.
        input.complete().unwrap();
        input
    }

    fn push(&self, columns: &mut PodColumns, texts: &mut Texts, pod: &CasePod) {
        let namespace = pod.text("/metadata/namespace");
        let budgets = self.budgets(pod);
        let owner = pod.owner();
        let known = owner.and_then(|(kind, name)| {
            let mut controllers = self.controllers.iter();
            controllers.find(|controller| {
                (&*controller.kind, &*controller.namespace, &*controller.name)
                    == (kind, namespace, name)
            })
        });
        let mut state = state(pod, time(&self.now));
        if self.controllers_known {
            state |= pod_state::OWNER_LOOKED_UP;
        }
        if known.is_some() {
            state |= pod_state::OWNER_EXISTS;
        }
        columns.node.push(0);
        columns.namespace.push(texts.row(&namespace.into()));
        columns.state.push(state);
        columns.owner_kind.push(match owner {
            None => owner_kind::NONE,
            Some(("DaemonSet", _)) => owner_kind::DAEMON_SET,
            Some(("ReplicaSet", _)) => owner_kind::REPLICA_SET,
            Some(("ReplicationController", _)) => owner_kind::REPLICATION_CONTROLLER,
            Some(("StatefulSet", _)) => owner_kind::STATEFUL_SET,
            Some(("Job", _)) => owner_kind::JOB,
            Some(_) => owner_kind::OTHER,
        });
        let replicas = known.and_then(|controller| controller.replicas);
        columns.owner_replicas.push(replicas.unwrap_or(-1));
        let created = pod.text("/metadata/creationTimestamp");
        columns.created_ms.push(time(created));
        columns.budgets.push(u32::try_from(budgets.len()).unwrap());
        let allowed = budgets.into_iter().min();
        columns.disruptions_allowed.push(allowed.unwrap_or(-1));
    }

    /// The disruptions that each budget of a pod allows.
    fn budgets(&self, pod: &CasePod) -> Vec<i32> {
        let labels = pod.value.pointer("/metadata/labels");
        let selecting = self.pod_disruption_budgets.iter().filter(|budget| {
            let namespace = budget.pointer("/metadata/namespace");
            namespace.and_then(Value::as_str) == Some(pod.text("/metadata/namespace"))
                && selects(budget.pointer("/spec/selector"), labels)
        });
        let allowed = selecting.map(|budget| {
            let allowed = budget.pointer("/status/disruptionsAllowed");
            let allowed = allowed.and_then(Value::as_i64).unwrap_or(0);
            // A column has no disruptions below 0.
            i32::try_from(allowed).unwrap().max(0)
        });
        allowed.collect()
    }
}

fn state(pod: &CasePod, now: i64) -> u32 {
    let phase = pod.text("/status/phase");
    let restart = pod.text("/spec/restartPolicy");
    let ended =
        phase == "Failed" || (phase == "Succeeded" && matches!(restart, "Never" | "OnFailure"));
    let ended = ended && (restart == "Never" || restart == "OnFailure" || phase == "Failed");
    let safe_to_evict = pod.autoscaler_annotation("safe-to-evict");
    let excepted = pod.autoscaler_annotation("safe-to-evict-local-volumes");
    let excepted: Vec<&str> = excepted.unwrap_or_default().split(',').collect();
    let volumes = pod.value.pointer("/spec/volumes");
    let volumes = volumes.and_then(Value::as_array).into_iter().flatten();
    let local = |kind: &str| {
        let of_kind = volumes.clone().filter(|volume| {
            volume
                .get(kind)
                .is_some_and(|source| source["medium"] != "Memory")
        });
        let names: Vec<&str> = of_kind
            .filter_map(|volume| volume["name"].as_str())
            .collect();
        let all_excepted = names.iter().all(|name| excepted.contains(name));
        (!names.is_empty(), !names.is_empty() && all_excepted)
    };
    let (empty_dir, empty_dir_excepted) = local("emptyDir");
    let (host_path, host_path_excepted) = local("hostPath");
    let bits = [
        (pod.is_mirror(), pod_state::MIRROR),
        (pod.is_of_daemon_set(), pod_state::DAEMON_SET),
        (ended, pod_state::TERMINAL),
        (pod.is_long_terminating(now), pod_state::LONG_TERMINATING),
        (empty_dir, pod_state::EMPTY_DIR),
        (empty_dir_excepted, pod_state::EMPTY_DIR_EXCEPTED),
        (host_path, pod_state::HOST_PATH),
        (host_path_excepted, pod_state::HOST_PATH_EXCEPTED),
        (safe_to_evict == Some("true"), pod_state::SAFE_TO_EVICT),
        (safe_to_evict == Some("false"), pod_state::NOT_SAFE_TO_EVICT),
        (
            safe_to_evict == Some("on-completion"),
            pod_state::EVICT_ON_COMPLETION,
        ),
    ];
    bits.iter().filter(|(is, _)| *is).map(|(_, bit)| bit).sum()
}

/// Whether a selector selects labels. A selector that is missing selects nothing, and one
/// without conditions everything.
fn selects(selector: Option<&Value>, labels: Option<&Value>) -> bool {
    let Some(selector) = selector.filter(|selector| !selector.is_null()) else {
        return false;
    };
    let label = |key: &str| labels.and_then(|labels| labels.get(key)?.as_str());
    let equal = selector["matchLabels"].as_object().into_iter().flatten();
    let conditions = selector["matchExpressions"]
        .as_array()
        .into_iter()
        .flatten();
    equal
        .into_iter()
        .all(|(key, value)| label(key) == value.as_str())
        && conditions.into_iter().all(|condition| {
            let value = label(condition["key"].as_str().unwrap());
            let values = condition["values"].as_array();
            let among = value.is_some_and(|value| {
                values.is_some_and(|values| values.iter().any(|one| one == value))
            });
            match condition["operator"].as_str().unwrap() {
                "In" => among,
                "NotIn" => !among,
                "Exists" => value.is_some(),
                "DoesNotExist" => value.is_none(),
                other => panic!("{other} is no operator"),
            }
        })
}
