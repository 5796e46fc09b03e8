//! Interface `expander`.

use flyball_decision::context::Context;
use flyball_decision::expander::{ExpanderInput, ExpanderRanking, OptionColumns};
use wasmtime::Store;

use super::exports::expander;
use super::{figures, lend, reason, refusal, texts};
use crate::contract::Refusal;
use crate::guest::Guest;

pub(super) fn rank(
    policy: &expander::Guest,
    store: &mut Store<Guest>,
    context: &Context,
    input: &ExpanderInput,
) -> wasmtime::Result<Result<ExpanderRanking, Refusal>> {
    let node_group = texts(&input.options.node_group);
    let part_node_group = texts(&input.options.part_node_group);
    let option_texts = texts(&input.options.texts);
    let node_price = figures(&input.options.node_price);
    let pod_price = figures(&input.options.pod_price);
    let answer = lend(context, |context| {
        let input = expander::Input {
            options: expander::Options {
                node_group: &node_group,
                part_node_group: &part_node_group,
                node_price: &node_price,
                pod_price: &pod_price,
                texts: &option_texts,
                ..columns(&input.options)
            },
            cluster_node_count: input.cluster_node_count,
        };
        policy.call_rank(store, context, input)
    })?;
    Ok(answer.map(ranking).map_err(refusal))
}

/// All columns that are lent unchanged.
fn columns(options: &OptionColumns) -> expander::Options<'_> {
    expander::Options {
        node_group: &[],
        state: &options.state,
        node_count: &options.node_count,
        pod_count: &options.pod_count,
        requested_cpu: &options.requested_cpu,
        requested_memory: &options.requested_memory,
        requested_gpu: &options.requested_gpu,
        capacity_cpu: &options.capacity_cpu,
        capacity_memory: &options.capacity_memory,
        capacity_gpu: &options.capacity_gpu,
        allocatable_cpu: &options.allocatable_cpu,
        allocatable_memory: &options.allocatable_memory,
        allocatable_gpu: &options.allocatable_gpu,
        node_price: &[],
        pod_price: &[],
        current_size: &options.current_size,
        min_size: &options.min_size,
        max_size: &options.max_size,
        part_option: &options.part_option,
        part_node_group: &[],
        part_node_count: &options.part_node_count,
        zone: &options.zone,
        instance_type: &options.instance_type,
        texts: &[],
    }
}

/// Translates a ranking. Scores that are not numbers, which the contract uses for dropped
/// options, become `None`. Infinite scores become the largest finite ones, since JSON,
/// and so a record, has no infinity.
fn ranking(ranking: expander::Ranking) -> ExpanderRanking {
    let figure = |score: f64| (!score.is_nan()).then(|| score.clamp(f64::MIN, f64::MAX));
    ExpanderRanking {
        best: ranking.best,
        scores: ranking.scores.into_iter().map(figure).collect(),
        reason: reason(ranking.reason),
        state: ranking.state,
    }
}
