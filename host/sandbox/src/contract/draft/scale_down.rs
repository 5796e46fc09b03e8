//! Interfaces `scale-down-pods`, `scale-down-nodes` and `scale-down-moves`.

use flyball_decision::context::{Context, Reason};
use flyball_decision::scale_down::{
    GroupColumns, MoveColumns, MoveVerdicts, NodeColumns, NodeVerdicts, PodColumns, PodNodeColumns,
    PodVerdicts, ScaleDownMovesInput, ScaleDownNodesInput, ScaleDownPodsInput,
};
use wasmtime::Store;

use super::exports::{scale_down_moves, scale_down_nodes, scale_down_pods};
use super::{figures, lend, reason, refusal, scale_down_types, texts, types};
use crate::contract::Refusal;
use crate::guest::Guest;

pub(super) fn judge_pods(
    policy: &scale_down_pods::Guest,
    store: &mut Store<Guest>,
    context: &Context,
    input: &ScaleDownPodsInput,
) -> wasmtime::Result<Result<PodVerdicts, Refusal>> {
    let lent = LentGroups::new(&input.groups);
    let node_texts = texts(&input.nodes.texts);
    let node_prices = figures(&input.nodes.price);
    let pod_texts = texts(&input.pods.texts);
    let answer = lend(context, |context| {
        let input = scale_down_pods::Input {
            groups: lent.groups(&input.groups),
            nodes: pod_nodes(&input.nodes, &node_prices, &node_texts),
            pods: pods(&input.pods, &pod_texts),
        };
        policy.call_judge(store, context, input)
    })?;
    let verdicts = |answer: scale_down_pods::Verdicts| PodVerdicts {
        verdict: answer.verdict,
        reason: answer.reason,
        cost: answer.cost,
        until_ms: answer.until_ms,
        reasons: reasons(answer.reasons),
    };
    Ok(answer.map(verdicts).map_err(refusal))
}

pub(super) fn judge_nodes(
    policy: &scale_down_nodes::Guest,
    store: &mut Store<Guest>,
    context: &Context,
    input: &ScaleDownNodesInput,
) -> wasmtime::Result<Result<NodeVerdicts, Refusal>> {
    let groups = LentGroups::new(&input.groups);
    let nodes = LentNodes::new(&input.nodes);
    let answer = lend(context, |context| {
        let input = scale_down_nodes::Input {
            groups: groups.groups(&input.groups),
            nodes: nodes.nodes(&input.nodes),
        };
        policy.call_judge(store, context, input)
    })?;
    let verdicts = |answer: scale_down_nodes::Verdicts| NodeVerdicts {
        verdict: answer.verdict,
        reason: answer.reason,
        score: scores(answer.score),
        unneeded_ms: answer.unneeded_ms,
        until_ms: answer.until_ms,
        reasons: reasons(answer.reasons),
    };
    Ok(answer.map(verdicts).map_err(refusal))
}

pub(super) fn judge_moves(
    policy: &scale_down_moves::Guest,
    store: &mut Store<Guest>,
    context: &Context,
    input: &ScaleDownMovesInput,
) -> wasmtime::Result<Result<MoveVerdicts, Refusal>> {
    let groups = LentGroups::new(&input.groups);
    let nodes = LentNodes::new(&input.nodes);
    let prices =
        [&input.moves.price_before, &input.moves.price_after].map(|column| figures(column));
    let answer = lend(context, |context| {
        let input = scale_down_moves::Input {
            groups: groups.groups(&input.groups),
            nodes: nodes.nodes(&input.nodes),
            moves: moves(&input.moves, &prices),
        };
        policy.call_judge(store, context, input)
    })?;
    let verdicts = |answer: scale_down_moves::Verdicts| MoveVerdicts {
        verdict: answer.verdict,
        reason: answer.reason,
        score: scores(answer.score),
        reasons: reasons(answer.reasons),
        state: answer.state,
        again_after_ms: answer.again_after_ms,
    };
    Ok(answer.map(verdicts).map_err(refusal))
}

fn reasons(reasons: Vec<types::Reason>) -> Vec<Reason> {
    reasons.into_iter().map(reason).collect()
}

/// Makes infinite scores the largest finite ones, since JSON, and so a record, has no
/// infinity. NaN stays, and makes the answer invalid.
fn scores(mut scores: Vec<f64>) -> Vec<f64> {
    for score in &mut scores {
        *score = score.clamp(f64::MIN, f64::MAX);
    }
    scores
}

/// Columns of groups that are not lent as they are.
struct LentGroups<'a> {
    names: Vec<&'a str>,
    node_price: Vec<f64>,
    price: Vec<f64>,
    cost: Vec<f64>,
    utilization_threshold: Vec<f64>,
    gpu_utilization_threshold: Vec<f64>,
}

impl<'a> LentGroups<'a> {
    fn new(groups: &'a GroupColumns) -> Self {
        Self {
            names: texts(&groups.name),
            node_price: figures(&groups.node_price),
            price: figures(&groups.price),
            cost: figures(&groups.cost),
            utilization_threshold: figures(&groups.utilization_threshold),
            gpu_utilization_threshold: figures(&groups.gpu_utilization_threshold),
        }
    }

    fn groups(&'a self, groups: &'a GroupColumns) -> scale_down_types::Groups<'a> {
        scale_down_types::Groups {
            name: &self.names,
            state: &groups.state,
            min_size: &groups.min_size,
            max_size: &groups.max_size,
            target_size: &groups.target_size,
            ready_nodes: &groups.ready_nodes,
            node_price: &self.node_price,
            price: &self.price,
            cost: &self.cost,
            utilization_threshold: &self.utilization_threshold,
            gpu_utilization_threshold: &self.gpu_utilization_threshold,
            unneeded_time_ms: &groups.unneeded_time_ms,
            unready_time_ms: &groups.unready_time_ms,
            ignore_daemon_sets: &groups.ignore_daemon_sets,
        }
    }
}

/// Columns of nodes that are not lent as they are.
struct LentNodes<'a> {
    price: Vec<f64>,
    texts: Vec<&'a str>,
}

impl<'a> LentNodes<'a> {
    fn new(nodes: &'a NodeColumns) -> Self {
        Self {
            price: figures(&nodes.price),
            texts: texts(&nodes.texts),
        }
    }

    fn nodes(&'a self, nodes: &'a NodeColumns) -> scale_down_types::Nodes<'a> {
        scale_down_types::Nodes {
            group: &nodes.group,
            zone: &nodes.zone,
            instance_type: &nodes.instance_type,
            state: &nodes.state,
            created_ms: &nodes.created_ms,
            unready_since_ms: &nodes.unready_since_ms,
            pods_changed_ms: &nodes.pods_changed_ms,
            unneeded_since_ms: &nodes.unneeded_since_ms,
            allocatable_cpu: &nodes.allocatable_cpu,
            allocatable_memory: &nodes.allocatable_memory,
            allocatable_gpu: &nodes.allocatable_gpu,
            requested_cpu: &nodes.requested_cpu,
            requested_memory: &nodes.requested_memory,
            requested_gpu: &nodes.requested_gpu,
            daemon_set_cpu: &nodes.daemon_set_cpu,
            daemon_set_memory: &nodes.daemon_set_memory,
            daemon_set_gpu: &nodes.daemon_set_gpu,
            mirror_cpu: &nodes.mirror_cpu,
            mirror_memory: &nodes.mirror_memory,
            mirror_gpu: &nodes.mirror_gpu,
            price: &self.price,
            pod_count: &nodes.pod_count,
            cost: &nodes.cost,
            texts: &self.texts,
        }
    }
}

fn pod_nodes<'a>(
    nodes: &'a PodNodeColumns,
    prices: &'a [f64],
    texts: &'a [&'a str],
) -> scale_down_pods::PodNodes<'a> {
    scale_down_pods::PodNodes {
        group: &nodes.group,
        zone: &nodes.zone,
        instance_type: &nodes.instance_type,
        created_ms: &nodes.created_ms,
        price: prices,
        texts,
    }
}

fn pods<'a>(pods: &'a PodColumns, texts: &'a [&'a str]) -> scale_down_pods::Pods<'a> {
    scale_down_pods::Pods {
        node: &pods.node,
        namespace: &pods.namespace,
        state: &pods.state,
        owner_kind: &pods.owner_kind,
        owner_replicas: &pods.owner_replicas,
        priority: &pods.priority,
        deletion_cost: &pods.deletion_cost,
        cpu: &pods.cpu,
        memory: &pods.memory,
        gpu: &pods.gpu,
        created_ms: &pods.created_ms,
        deletion_ms: &pods.deletion_ms,
        grace_ms: &pods.grace_ms,
        budgets: &pods.budgets,
        disruptions_allowed: &pods.disruptions_allowed,
        texts,
    }
}

fn moves<'a>(
    moves: &'a MoveColumns,
    [before, after]: &'a [Vec<f64>; 2],
) -> scale_down_moves::Moves<'a> {
    scale_down_moves::Moves {
        leaving_end: &moves.leaving_end,
        leaving_node: &moves.leaving_node,
        coming_end: &moves.coming_end,
        coming_group: &moves.coming_group,
        coming_count: &moves.coming_count,
        pod_count: &moves.pod_count,
        cost: &moves.cost,
        youngest_pod_ms: &moves.youngest_pod_ms,
        highest_priority: &moves.highest_priority,
        exhausted_budgets: &moves.exhausted_budgets,
        price_before: before,
        price_after: after,
    }
}
