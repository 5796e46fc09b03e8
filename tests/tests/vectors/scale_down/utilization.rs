//! What the pods of a node request of it: `utilization`.

use std::sync::Arc;

use flyball_decision::context::Context;
use flyball_decision::question::{Question as _, ScaleDownNodesQuestion};
use flyball_decision::scale_down::{
    NodeColumns, NodeVerdicts, ScaleDownNodesInput, node_state, node_verdict,
};
use flyball_decision::time::Timestamp;
use flyball_kubernetes::slim::NodeObject;
use flyball_placement::{Node, Resources};
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{CasePod, Differences, gpu_milli, policy, time};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Case {
    id: String,
    now: String,
    options: Options,
    gpu_label: String,
    node: Value,
    pods: Vec<CasePod>,
    expected: Expected,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Options {
    ignore_daemon_sets_utilization: bool,
    ignore_mirror_pods_utilization: bool,
    scale_down_utilization_threshold: f64,
    scale_down_gpu_utilization_threshold: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expected {
    error: bool,
    utilization: f64,
    eligible: bool,
    ineligible_reason: String,
}

#[test]
fn every_node_has_the_utilization_that_upstream_has() {
    let policy = policy("utilization");
    let mut differences = Differences::new("utilization");
    for case in vectors::read::<Case>("nodes/utilization").unwrap() {
        let context = Context {
            now: Timestamp(time(&case.now)),
            configuration: case.options.configuration().into(),
            ..Context::default()
        };
        let mut input = case.input();
        let outcome = ScaleDownNodesQuestion::ask(&*policy, &context, &mut input, &mut ());
        let verdicts = outcome.answer.unwrap();
        if !case.expected.error {
            // The order `emptiest` scores by the utilization itself.
            let got = verdicts.score[0];
            differences.compare(&case.id, "utilization", &case.expected.utilization, &got);
        }
        // Other reasons are the host's own rules.
        let expected = &*case.expected.ineligible_reason;
        if matches!(expected, "" | "NotUnderutilized" | "UnexpectedError") {
            let expected = (case.expected.eligible, expected.to_owned());
            differences.compare(&case.id, "eligible", &expected, &eligible(&verdicts));
        }
    }
    differences.finish();
}

/// Thousands of nodes with many different reasons are judged within the usual fuel.
#[test]
fn many_nodes_with_many_reasons_are_judged() {
    const NODES: u32 = 5_000;
    let percentages = (0..NODES).map(|node| 51 + i64::from(node % 200));
    let mut columns = NodeColumns {
        group: vec![-1; NODES as usize],
        state: vec![node_state::READY; NODES as usize],
        allocatable_cpu: vec![4_000; NODES as usize],
        allocatable_memory: vec![8 << 30; NODES as usize],
        allocatable_gpu: vec![0; NODES as usize],
        requested_cpu: percentages.map(|percent| percent * 40).collect(),
        ..NodeColumns::default()
    };
    let zeros = || vec![0; NODES as usize];
    columns.requested_memory = zeros();
    columns.requested_gpu = zeros();
    columns.daemon_set_cpu = zeros();
    columns.daemon_set_memory = zeros();
    columns.daemon_set_gpu = zeros();
    columns.mirror_cpu = zeros();
    columns.mirror_memory = zeros();
    columns.mirror_gpu = zeros();
    let mut input = ScaleDownNodesInput {
        nodes: Arc::new(columns),
        ..ScaleDownNodesInput::default()
    };
    input.complete().unwrap();
    let policy = policy("utilization");
    let context = Context {
        configuration: "{}".into(),
        ..Context::default()
    };
    let outcome = ScaleDownNodesQuestion::ask(&*policy, &context, &mut input, &mut ());
    let verdicts = outcome.answer.unwrap();
    assert_eq!(verdicts.reasons.len(), 200);
    let stays = |verdict: &u32| *verdict == node_verdict::MUST_STAY;
    assert!(verdicts.verdict.iter().all(stays));
}

/// Whether the only node may go, and why not.
fn eligible(verdicts: &NodeVerdicts) -> (bool, String) {
    if verdicts.verdict[0] == node_verdict::MAY_GO {
        return (true, String::new());
    }
    assert_eq!(verdicts.verdict[0], node_verdict::MUST_STAY);
    let reason = usize::try_from(verdicts.reason[0]).unwrap();
    (false, verdicts.reasons[reason].code.clone())
}

impl Options {
    fn configuration(&self) -> String {
        json!({
            "ignoreDaemonSets": self.ignore_daemon_sets_utilization,
            "ignoreMirrorPods": self.ignore_mirror_pods_utilization,
            "threshold": self.scale_down_utilization_threshold,
            "gpuThreshold": self.scale_down_gpu_utilization_threshold,
            "order": "emptiest",
        })
        .to_string()
    }
}

impl Case {
    fn input(&self) -> ScaleDownNodesInput {
        let object = NodeObject::deserialize(&self.node).unwrap();
        let node = object.into_node();
        let (mut all, mut daemon_sets, mut mirrors) =
            (Amounts::default(), Amounts::default(), Amounts::default());
        let now = time(&self.now);
        for pod in self.pods.iter().filter(|pod| !pod.is_long_terminating(now)) {
            all.add(pod);
            if pod.is_mirror() {
                mirrors.add(pod);
            } else if pod.is_of_daemon_set() {
                daemon_sets.add(pod);
            }
        }
        let mut columns = NodeColumns {
            group: vec![-1],
            state: vec![state(&node, &self.gpu_label)],
            allocatable_cpu: vec![node.allocatable.cpu],
            allocatable_memory: vec![node.allocatable.memory],
            allocatable_gpu: vec![gpu_milli(&node.allocatable)],
            ..NodeColumns::default()
        };
        columns.requested_cpu.push(all.cpu);
        columns.requested_memory.push(all.memory);
        columns.requested_gpu.push(all.gpu);
        columns.daemon_set_cpu.push(daemon_sets.cpu);
        columns.daemon_set_memory.push(daemon_sets.memory);
        columns.daemon_set_gpu.push(daemon_sets.gpu);
        columns.mirror_cpu.push(mirrors.cpu);
        columns.mirror_memory.push(mirrors.memory);
        columns.mirror_gpu.push(mirrors.gpu);
        let mut input = ScaleDownNodesInput {
            nodes: Arc::new(columns),
            ..ScaleDownNodesInput::default()
        };
        // Columns that the policy does not read have their marks.
        input.complete().unwrap();
        input
    }
}

fn state(node: &Node, gpu_label: &str) -> u32 {
    let labelled = node.labels.get(gpu_label).is_some();
    match labelled || gpu_milli(&node.allocatable) > 0 {
        true => node_state::READY | node_state::GPU,
        false => node_state::READY,
    }
}

/// Sums of requests.
#[derive(Default)]
struct Amounts {
    cpu: i64,
    memory: i64,
    gpu: i64,
}

impl Amounts {
    fn add(&mut self, pod: &CasePod) {
        let Resources { cpu, memory, .. } = pod.requests;
        self.cpu += cpu;
        self.memory += memory;
        self.gpu += pod.gpu_milli();
    }
}
