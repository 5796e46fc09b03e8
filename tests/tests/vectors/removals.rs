//! The planner of removals with the built-in policies in the real sandbox, against what
//! Cluster Autoscaler itself decided: every case of `vectors/nodes/scaledown.jsonl.gz`.
//!
//! Candidates are considered in the order of the case. Differences that are accepted stand
//! in `accepted.tsv`, each with its reason.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use flyball_decision::key::ObjectKey;
use flyball_decision::memory::PolicyMemories;
use flyball_decision::time::Timestamp;
use flyball_kubernetes::Dump;
use flyball_nodes::backoff::Backoffs;
use flyball_nodes::census::Census;
use flyball_nodes::cloud::{GroupScaleDown, Instance, InstanceState, NodeGroup};
use flyball_nodes::options::{Bounds, ExpanderChoice, NodeOptions};
use flyball_nodes::scale_down::tracker::EvictedPod;
use flyball_nodes::scale_down::{
    ScaleDownContext, ScaleDownMode, ScaleDownOptions, ScaleDownPlan, ScaleDownTracker,
    plan_scale_down,
};
use flyball_nodes::state::{ClusterState, OwnerKind};
use flyball_sandbox::{Engine, EngineOptions, Registry};
use flyball_test_support::vectors;
use serde_json::{Value, json};

/// Lines of: the case, the node or list, expected, got, why ours is another answer.
const ACCEPTED: &str = include_str!("removals/accepted.tsv");

#[test]
fn every_case_is_planned_as_upstream_plans_it() {
    let engine = Engine::new(&EngineOptions::default()).unwrap();
    let registry = Registry::fixed(&engine, flyball_policies::BUILTIN, &[]).unwrap();
    let mut accepted: BTreeMap<String, bool> = ACCEPTED
        .lines()
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let fields: Vec<&str> = line.split('\t').collect();
            assert!(fields.len() == 5 && !fields[4].is_empty(), "{line:?}");
            (fields[..4].join("\t"), false)
        })
        .collect();
    let mut wrong = Vec::new();
    let (mut exact, mut cases) = (0, 0);
    for case in vectors::read::<Value>("nodes/scaledown").unwrap() {
        cases += 1;
        let differences = differences(&registry, &case);
        let is_new = |difference: &String| match accepted.get_mut(difference) {
            Some(met) => {
                *met = true;
                false
            }
            None => true,
        };
        exact += usize::from(differences.is_empty());
        wrong.extend(differences.into_iter().filter(is_new));
    }
    println!("{exact} of {cases} cases are exact");
    let never = accepted.iter().filter(|(_, met)| !**met);
    wrong.extend(never.map(|(line, _)| format!("as upstream, yet listed: {line}")));
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What one loop found: the unneeded nodes, and why the others stay.
type Found = (BTreeSet<String>, BTreeMap<String, String>);

/// Returns the differences from the result that is nearest.
fn differences(registry: &Registry, case: &Value) -> Vec<String> {
    let mut world = World::new(case);
    let first = world.plan(registry, case, 0);
    let second = world.plan(registry, case, 1);
    let results = case["expected"]["results"].as_array().unwrap();
    let differences = results.iter().map(|expected| {
        let mut differences = Vec::new();
        let id = case["id"].as_str().unwrap();
        let loops = [&first, &second];
        for (at, plan) in loops.into_iter().enumerate() {
            let expected = &expected["loops"][at];
            let (unneeded, stays) = found(&world, plan);
            let names = strings(&expected["unneeded"]);
            compare(
                &mut differences,
                id,
                &format!("unneeded {at}"),
                &join(&names),
                &join(&unneeded),
            );
            for (node, reason) in expected["unremovable"].as_object().unwrap() {
                let expected = reason_of(reason);
                let got = stays.get(node).cloned().unwrap_or_default();
                // Upstream does not say again within five minutes why a node stays.
                if expected != "RecentlyUnremovable" {
                    compare(
                        &mut differences,
                        id,
                        &format!("{node} {at}"),
                        &expected,
                        &got,
                    );
                }
            }
        }
        let removed = removed(&world, &second);
        for (what, expected, is_empty) in [
            ("deleteEmpty", &expected["deleteEmpty"], true),
            ("deleteNeedDrain", &expected["deleteNeedDrain"], false),
        ] {
            let of_kind = removed.iter().filter(|(_, empty)| **empty == is_empty);
            let got: BTreeSet<String> = of_kind.map(|(node, _)| node.clone()).collect();
            compare(
                &mut differences,
                id,
                what,
                &join(&strings(expected)),
                &join(&got),
            );
        }
        for (node, reason) in expected["unremovableAfterDecision"].as_object().unwrap() {
            let expected = reason_of(reason);
            if expected != "RecentlyUnremovable" {
                let stays = found(&world, &second).1;
                let waiting = second.waiting.iter();
                let mut waiting = waiting.filter(|(at, _)| *second.unneeded[*at].name == **node);
                let waits = waiting.next().map(|(_, stay)| stay.code.to_string());
                let got = waits
                    .or_else(|| stays.get(node).cloned())
                    .unwrap_or_default();
                compare(
                    &mut differences,
                    id,
                    &format!("{node} decided"),
                    &expected,
                    &got,
                );
            }
        }
        for (what, is_empty) in [
            ("startedEmptyCount", true),
            ("startedNeedDrainCount", false),
        ] {
            let started = second.removed.iter().map(|&at| &second.unneeded[at]);
            let started = started.filter(|node| node.is_empty() == is_empty).count();
            compare(
                &mut differences,
                id,
                what,
                &expected[what].to_string(),
                &started.to_string(),
            );
        }
        differences
    });
    differences.min_by_key(Vec::len).unwrap_or_default()
}

fn compare(differences: &mut Vec<String>, id: &str, what: &str, expected: &str, got: &str) {
    if expected != got {
        differences.push([id, what, expected, got].join("\t"));
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

fn join(names: &BTreeSet<String>) -> String {
    names
        .iter()
        .map(String::as_str)
        .collect::<Vec<_>>()
        .join(" ")
}

/// `BlockedByPod p3 NotEnoughPdb`.
fn reason_of(reason: &Value) -> String {
    let fields = ["reason", "blockingPod", "blockingReason"].map(|key| reason[key].as_str());
    let fields: Vec<&str> = fields.into_iter().flatten().collect();
    fields.join(" ").replace("default/", "")
}

fn found(world: &World, plan: &ScaleDownPlan) -> Found {
    let unneeded = plan.unneeded.iter().map(|node| node.name.to_string());
    let stays = plan.needed.iter().map(|node| {
        let stay = &node.stay;
        let mut text = stay.code.to_string();
        if let (Some(pod), Some(code)) = (&stay.pod, &stay.pod_code) {
            text = format!("{text} {} {code}", world.name_of(pod));
        }
        (node.name.to_string(), text)
    });
    (unneeded.collect(), stays.collect())
}

/// Nodes that go as far as times, sizes and bounds are concerned, and whether each is
/// empty: upstream's answer before it limits how many go at the same time.
fn removed(_: &World, plan: &ScaleDownPlan) -> BTreeMap<String, bool> {
    let held = plan.waiting.iter();
    let held = held.filter(|(_, stay)| &*stay.code == "ScaleDownParallelism");
    let all = plan.removed.iter().copied().chain(held.map(|(at, _)| *at));
    all.map(|at| {
        let node = &plan.unneeded[at];
        (node.name.to_string(), node.is_empty())
    })
    .collect()
}

struct World {
    state: ClusterState,
    tracker: ScaleDownTracker,
    groups: Vec<Arc<NodeGroup>>,
    options: NodeOptions,
    order: Vec<Arc<str>>,
}

impl World {
    fn new(case: &Value) -> Self {
        let mut world = Self {
            state: state(case),
            tracker: ScaleDownTracker::default(),
            groups: groups(case),
            options: options(&case["options"]),
            order: strings_in_order(&case["candidateOrder"]),
        };
        for node in strings_in_order(&case["deletionsInProgress"]) {
            let group = case["nodeGroup"][&*node].as_str().unwrap_or_default();
            world.tracker.note_leaving(&node, &group.into(), false);
        }
        for pod in case["recentEvictions"].as_array().unwrap() {
            // A pod that is not in the cluster any more: its class is what remains.
            let mut pod = pod.clone();
            name_owners(&mut pod);
            let dump = dump(&[("Pod", pod.clone())]);
            let gone = Dump::read(dump.as_bytes()).unwrap().state;
            let uid = pod["metadata"]["uid"].as_str().unwrap();
            let view = gone.pod(uid).unwrap();
            world.tracker.note_evicted(EvictedPod {
                pod: Arc::new(gone.cluster().pod(view.class)),
                owner: view
                    .facts
                    .owner
                    .as_ref()
                    .map(|owner| Arc::clone(&owner.uid)),
                at: Timestamp(0),
            });
        }
        world
    }

    fn plan(&mut self, registry: &Registry, case: &Value, at: usize) -> ScaleDownPlan {
        let now = time(&case["loopTimes"][at]);
        let census = Census::without_history(now, &self.state, &self.groups, &self.options);
        let context = ScaleDownContext {
            now,
            options: &self.options,
            engine: registry,
            memories: &PolicyMemories::default(),
            census: &census,
            backoffs: &Backoffs::default(),
            order: Some(&self.order),
            hold: None,
            seed: 0,
        };
        plan_scale_down(&context, &mut self.state, &mut self.tracker)
    }

    /// The name of a pod in the case: without the zeros that keep the order.
    fn name_of(&self, pod: &ObjectKey) -> String {
        let digits = pod.name.trim_start_matches('p').trim_start_matches('0');
        let name = if digits.is_empty() { "0" } else { digits };
        match &*pod.namespace {
            "default" => format!("p{name}"),
            other => format!("{other}/p{name}"),
        }
    }
}

fn strings_in_order(list: &Value) -> Vec<Arc<str>> {
    let list = list.as_array().unwrap().iter();
    list.map(|text| text.as_str().unwrap().into()).collect()
}

fn time(text: &Value) -> Timestamp {
    let time: jiff::Timestamp = text.as_str().unwrap().parse().unwrap();
    Timestamp(time.as_millisecond())
}

/// Uid of a controller. In a case they are unique by kind, namespace and name only.
fn uid(kind: &Value, namespace: &Value, name: &Value) -> Value {
    let [kind, namespace, name] = [kind, namespace, name].map(|text| text.as_str().unwrap());
    format!("{kind}/{namespace}/{name}").into()
}

/// Gives the owners of a pod uids that are unique.
fn name_owners(pod: &mut Value) {
    let namespace = pod["metadata"]["namespace"].clone();
    let owners = pod.pointer_mut("/metadata/ownerReferences");
    if let Some(owners) = owners.and_then(Value::as_array_mut) {
        for owner in owners {
            owner["uid"] = uid(&owner["kind"], &namespace, &owner["name"]);
        }
    }
}

fn dump(objects: &[(&str, Value)]) -> String {
    let items: Vec<Value> = objects
        .iter()
        .map(|(kind, object)| {
            let mut object = object.clone();
            object["kind"] = (*kind).into();
            object
        })
        .collect();
    json!({ "kind": "List", "items": items }).to_string()
}

fn state(case: &Value) -> ClusterState {
    let mut objects: Vec<(&str, Value)> = Vec::new();
    let leaving = strings(&case["deletionsInProgress"]);
    for node in case["nodes"].as_array().unwrap() {
        let mut node = node.clone();
        if leaving.contains(node["metadata"]["name"].as_str().unwrap()) {
            let taint = json!({
                "key": "ToBeDeletedByClusterAutoscaler", "value": "1", "effect": "NoSchedule",
            });
            let mut taints = node["spec"]["taints"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            taints.push(taint);
            node["spec"]["taints"] = taints.into();
        }
        objects.push(("Node", node));
    }
    for pod in case["pods"].as_array().unwrap() {
        let mut pod = pod.clone();
        let number = pod["metadata"]["name"].as_str().unwrap()[1..].to_owned();
        pod["metadata"]["name"] = format!("p{number:0>4}").into();
        name_owners(&mut pod);
        // In cases the pods of leaving nodes have found room before. Only pods with an owner
        // are created again.
        if leaving.contains(pod["spec"]["nodeName"].as_str().unwrap_or_default()) {
            pod["metadata"]["ownerReferences"] = json!([]);
        }
        // A case need not say that a pod runs.
        if pod["status"]["phase"].is_null() {
            pod["status"]["phase"] = "Running".into();
        }
        objects.push(("Pod", pod));
    }
    for (at, budget) in case["podDisruptionBudgets"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
    {
        let mut budget = budget.clone();
        budget["metadata"]["uid"] = format!("budget-{at}").into();
        // Cases have no healthy pods, of which none is evicted without a disruption.
        objects.push(("PodDisruptionBudget", budget));
    }
    for controller in case["controllers"].as_array().unwrap() {
        let [kind, namespace, name] = ["kind", "namespace", "name"].map(|key| &controller[key]);
        let metadata = json!({
            "name": name, "namespace": namespace, "uid": uid(kind, namespace, name),
        });
        let mut object = json!({ "metadata": metadata, "spec": {}, "status": {} });
        if !controller["replicas"].is_null() {
            object["spec"]["replicas"] = controller["replicas"].clone();
        }
        if kind == "DaemonSet" {
            object["spec"]["template"] = json!({ "spec": { "containers": [] } });
        }
        // The pods that it has, where these are not in the case.
        for at in 0..controller["currentReplicas"].as_u64().unwrap_or_default() {
            let mut pod = json!({
                "metadata": {
                    "name": format!("{kind}-{name}-{at}"), "namespace": namespace,
                    "uid": format!("{kind}/{namespace}/{name}/{at}"),
                    "ownerReferences": [{ "kind": kind, "name": name, "controller": true }],
                },
                "spec": { "containers": [] }, "status": { "phase": "Pending" },
            });
            name_owners(&mut pod);
            objects.push(("Pod", pod));
        }
        objects.push((kind.as_str().unwrap(), object));
    }
    let dump = Dump::read(dump(&objects).as_bytes()).unwrap();
    let left_out = dump.problems.iter();
    let left_out: Vec<&String> = left_out
        .filter(|problem| problem.starts_with("items["))
        .collect();
    assert!(left_out.is_empty(), "{left_out:?}");
    let mut state = dump.state;
    state.set_budgets_available();
    for kind in OwnerKind::ALL {
        state.set_owner_kind_available(kind);
    }
    state
}

fn groups(case: &Value) -> Vec<Arc<NodeGroup>> {
    let of = |group: &Value| {
        let name = &group["name"];
        let members = case["nodeGroup"].as_object().unwrap().iter();
        let instances = members
            .filter(|(_, of)| *of == name)
            .map(|(node, _)| Instance {
                provider_id: node.as_str().into(),
                zone: None,
                state: InstanceState::Running,
                instance_type: None,
                spot: None,
            });
        let number = |key: &str| u32::try_from(group[key].as_u64().unwrap()).unwrap();
        let own = &group["overrides"];
        let seconds = |key: &str| own[key].as_i64().map(|seconds| seconds * 1000);
        Arc::new(NodeGroup {
            name: name.as_str().unwrap().into(),
            min_size: number("min"),
            max_size: number("max"),
            target_size: number("target"),
            instances: instances.collect(),
            zones: Vec::new(),
            template: None,
            price: None,
            instance_type: None,
            spot: None,
            scale_down: GroupScaleDown {
                utilization_threshold: own["scaleDownUtilizationThreshold"].as_f64(),
                gpu_utilization_threshold: own["scaleDownGpuUtilizationThreshold"].as_f64(),
                unneeded_time_ms: seconds("scaleDownUnneededSeconds"),
                unready_time_ms: seconds("scaleDownUnreadySeconds"),
                max_node_provision_time_ms: None,
                zero_or_max: own["zeroOrMaxNodeScaling"].as_bool().unwrap_or_default(),
                ignore_daemonsets_utilization: own["ignoreDaemonSetsUtilization"].as_bool(),
            },
            suspended: Vec::new(),
        })
    };
    case["groups"].as_array().unwrap().iter().map(of).collect()
}

fn options(of: &Value) -> NodeOptions {
    let number = |key: &str| u32::try_from(of[key].as_u64().unwrap()).unwrap();
    let ms = |key: &str| i64::from(number(key)) * 1000;
    let rules = json!({
        "skipNodesWithSystemPods": of["skipNodesWithSystemPods"],
        "skipNodesWithLocalStorage": of["skipNodesWithLocalStorage"],
        "skipNodesWithCustomControllerPods": of["skipNodesWithCustomControllerPods"],
        "minReplicaCount": of["minReplicaCount"],
        "blockingSystemPodDisruptionTimeoutSeconds":
            of["blockingSystemPodDisruptionTimeoutSeconds"],
    });
    let utilization = json!({
        "threshold": of["scaleDownUtilizationThreshold"],
        "gpuThreshold": of["scaleDownGpuUtilizationThreshold"],
        "ignoreDaemonSets": of["ignoreDaemonSetsUtilization"],
        "ignoreMirrorPods": of["ignoreMirrorPodsUtilization"],
    });
    let chosen = |name: &str, configuration: Value| ExpanderChoice {
        name: name.into(),
        configuration: configuration.to_string().into(),
    };
    NodeOptions {
        cores_total: Bounds {
            min: u64::from(number("minCores")),
            max: u64::MAX,
        },
        memory_total: Bounds {
            min: of["minMemoryBytes"].as_u64().unwrap(),
            max: u64::MAX,
        },
        scale_down: ScaleDownOptions {
            mode: ScaleDownMode::On,
            policies: vec![
                chosen("drain-rules", rules),
                chosen("utilization", utilization),
            ],
            unneeded_time_ms: ms("scaleDownUnneededSeconds"),
            unready_time_ms: ms("scaleDownUnreadySeconds"),
            unready_enabled: of["scaleDownUnreadyEnabled"].as_bool().unwrap(),
            max_parallelism: number("maxScaleDownParallelism"),
            max_drain_parallelism: number("maxDrainParallelism"),
            ..ScaleDownOptions::default()
        },
        ..NodeOptions::default()
    }
}
