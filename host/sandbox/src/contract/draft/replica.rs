//! Interface `replica`.

use flyball_decision::context::Context;
use flyball_decision::replica::{MetricInput, Proposal, ReplicaDecision, ReplicaInput, Samples};
use wasmtime::Store;

use super::exports::replica;
use super::{lend, reason, refusal};
use crate::contract::Refusal;
use crate::guest::Guest;

pub(super) fn decide(
    policy: &replica::Guest,
    store: &mut Store<Guest>,
    context: &Context,
    input: &ReplicaInput,
) -> wasmtime::Result<Result<ReplicaDecision, Refusal>> {
    let metrics: Vec<_> = input.metrics.iter().map(|one| metric(one)).collect();
    let answer = lend(context, |context| {
        let columns = columns(input, &metrics);
        policy.call_decide(store, context, columns)
    })?;
    Ok(answer.map(decision).map_err(refusal))
}

fn columns<'a>(input: &'a ReplicaInput, metrics: &'a [replica::Metric<'a>]) -> replica::Input<'a> {
    replica::Input {
        target: replica::Target {
            api_version: &input.target.api_version,
            kind: &input.target.kind,
            namespace: &input.target.namespace,
            name: &input.target.name,
        },
        min_replicas: input.min_replicas,
        max_replicas: input.max_replicas,
        current_replicas: input.current_replicas,
        status_replicas: input.status_replicas,
        ready_replicas: input.ready_replicas,
        tolerance_up: input.tolerance_up,
        tolerance_down: input.tolerance_down,
        cpu_initialization_period_ms: input.cpu_initialization_period_ms,
        initial_readiness_delay_ms: input.initial_readiness_delay_ms,
        pods: replica::Pods {
            state: &input.pods.state,
            ready_transition_ms: &input.pods.ready_transition_ms,
            start_ms: &input.pods.start_ms,
            deletion_ms: &input.pods.deletion_ms,
        },
        metrics,
        recommendations: samples(&input.recommendations),
        scale_events: samples(&input.scale_events),
    }
}

fn metric(metric: &MetricInput) -> replica::Metric<'_> {
    replica::Metric {
        source: &metric.source,
        name: &metric.name,
        container: &metric.container,
        selector: &metric.selector,
        target_type: &metric.target_type,
        target_value: metric.target_value,
        target_average_value: metric.target_average_value,
        target_average_utilization: metric.target_average_utilization,
        error: &metric.error,
        message: &metric.message,
        pod: &metric.pod,
        value: &metric.value,
        timestamp_ms: &metric.timestamp_ms,
        window_ms: &metric.window_ms,
        request: &metric.request,
    }
}

fn samples(samples: &Samples) -> replica::Samples<'_> {
    replica::Samples {
        at_ms: &samples.at_ms,
        replicas: &samples.replicas,
    }
}

fn decision(decision: replica::Decision) -> ReplicaDecision {
    ReplicaDecision {
        replicas: decision.replicas,
        reason: reason(decision.reason),
        proposals: decision.proposals.into_iter().map(proposal).collect(),
        leading: decision.leading,
        state: decision.state,
        again_after_ms: decision.again_after_ms,
    }
}

fn proposal(proposal: replica::Proposal) -> Proposal {
    Proposal {
        replicas: proposal.replicas,
        utilization: proposal.utilization,
        average: proposal.average,
        value: proposal.value,
        error: proposal.error,
        reason: reason(proposal.reason),
    }
}
