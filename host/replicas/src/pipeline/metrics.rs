//! Metrics in status and events: failures in Kubernetes' words, and current values of the
//! other metrics.

use crate::record::Names;
use crate::status::MetricStatus;
use flyball_decision::replica::{MetricInput, Proposal, ReplicaDecision, ReplicaInput};
use flyball_decision::text;

/// Summary of the metrics that failed in a decision.
pub(super) struct Failure {
    /// Reason of the first one's condition.
    pub reason: &'static str,
    /// Message of the first one's condition.
    pub message: String,
    /// All of them in one sentence.
    pub summary: String,
}

/// A metric that failed.
pub(super) struct Fault {
    /// Reason of its event and of the condition.
    pub reason: &'static str,
    /// Message of its event.
    pub message: String,
    /// Its message in the summary of all failures.
    summary: String,
}

/// Returns the metrics for which a policy proposes nothing.
pub(super) fn faults(
    input: &ReplicaInput,
    names: &Names,
    decision: &ReplicaDecision,
) -> Vec<Fault> {
    let rows = input.metrics.iter().zip(&decision.proposals);
    let failed = rows.filter(|(_, proposal)| !proposal.error.is_empty());
    failed
        .map(|(metric, proposal)| fault(metric, proposal, names))
        .collect()
}

/// Returns the failure of metrics in a decision. `None` if all succeeded.
pub(super) fn failure(
    input: &ReplicaInput,
    names: &Names,
    decision: &ReplicaDecision,
) -> Option<Failure> {
    let faults = faults(input, names, decision);
    let first = faults.first()?;
    Some(Failure {
        reason: first.reason,
        message: text::message(format!(
            "the HPA was unable to compute the replica count: {}",
            first.message
        )),
        summary: text::message(format!(
            "invalid metrics ({} invalid out of {}), first error is: {}",
            faults.len(),
            input.metrics.len(),
            first.summary
        )),
    })
}

fn fault(metric: &MetricInput, proposal: &Proposal, names: &Names) -> Fault {
    let sentences = [&proposal.reason.sentence, &metric.message, &proposal.error];
    let sentence = sentences.into_iter().find(|text| !text.is_empty());
    let summary = sentence
        .map(|text| names.in_sentence(text))
        .unwrap_or_default();
    let (reason, prefixes) = failure_reason(metric);
    let mut message = summary.as_str();
    for prefix in &prefixes {
        message = message.strip_prefix(prefix.as_str()).unwrap_or(message);
    }
    Fault {
        reason,
        message: message.to_owned(),
        summary,
    }
}

/// Returns the reason of a metric's failure, and the prefixes of its message that
/// Kubernetes leaves out where only this failure is reported.
fn failure_reason(metric: &MetricInput) -> (&'static str, Vec<String>) {
    let MetricInput {
        name, container, ..
    } = metric;
    match &*metric.source {
        "Resource" => (
            "FailedGetResourceMetric",
            vec![format!("failed to get {name} resource metric value: ")],
        ),
        "ContainerResource" => (
            "FailedGetContainerResourceMetric",
            vec![format!(
                "failed to get {container} container metric value: "
            )],
        ),
        "Pods" => (
            "FailedGetPodsMetric",
            vec!["failed to get pods metric value: ".to_owned()],
        ),
        "Object" => (
            "FailedGetObjectMetric",
            vec![
                "failed to get object metric value: ".to_owned(),
                format!("failed to get {name} object metric: "),
            ],
        ),
        "External" => (
            "FailedGetExternalMetric",
            vec![
                format!("failed to get {name} external metric value: "),
                format!("failed to get {name} external metric: "),
                format!("failed to get external metric {name}: "),
            ],
        ),
        _ => ("InvalidMetricSourceType", Vec::new()),
    }
}

/// Returns the metrics' current values: from the policy's proposals or, if it makes none,
/// from what was measured. A metric that failed has no source.
pub(super) fn statuses(input: &ReplicaInput, proposals: &[Proposal]) -> Vec<MetricStatus> {
    let status = |(row, metric): (usize, &std::sync::Arc<MetricInput>)| match proposals.get(row) {
        Some(proposal) if !proposal.error.is_empty() => MetricStatus::default(),
        Some(proposal) => MetricStatus {
            utilization: proposal.utilization,
            average: proposal.average,
            value: proposal.value,
            ..identity(metric)
        },
        None if !metric.error.is_empty() => MetricStatus::default(),
        None => measured(metric),
    };
    input.metrics.iter().enumerate().map(status).collect()
}

fn identity(metric: &MetricInput) -> MetricStatus {
    MetricStatus {
        source: metric.source.clone(),
        name: metric.name.clone(),
        container: metric.container.clone(),
        ..MetricStatus::default()
    }
}

fn measured(metric: &MetricInput) -> MetricStatus {
    let sum = |values: &[i64]| values.iter().map(|&value| i128::from(value)).sum::<i128>();
    let ratio = |a: i128, b: i128| a.checked_div(b).and_then(|value| i64::try_from(value).ok());
    let total = sum(&metric.value);
    let mut status = identity(metric);
    if matches!(&*metric.source, "Object" | "External") {
        status.value = i64::try_from(total).ok();
        return status;
    }
    status.average = ratio(total, metric.value.len() as i128);
    let requested = metric
        .pod
        .iter()
        .map(|&row| metric.request.get(row as usize).copied());
    let requests: Option<Vec<i64>> = requested
        .map(|request| request.filter(|&r| r >= 0))
        .collect();
    if metric.target_average_utilization.is_some() {
        status.utilization = requests.and_then(|requests| ratio(total * 100, sum(&requests)));
    }
    status
}
