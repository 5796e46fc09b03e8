//! The arithmetic behind a proposal: what was measured, how far it is from the target, and
//! how many pods it speaks of.

use flyball_decision::quantity::Milli;
use flyball_decision::replica::{MetricInput, Proposal, ReplicaInput, UNKNOWN_POD, pod_state};

/// Returns the target, the ratio to it, the ratios that change nothing, and the pods that
/// were counted, such as `target 50%: ratio 2.50, 0.90 to 1.10 changes nothing; samples
/// of 3 of 4 pods, 1 not ready`. `None` if
/// the policy reports nothing that the metric has a target for.
pub(super) fn arithmetic(input: &ReplicaInput, row: usize, proposal: &Proposal) -> Option<String> {
    let metric = input.metrics.get(row)?;
    let measured = [
        (
            proposal.utilization,
            metric.target_average_utilization.map(i64::from),
            "%",
        ),
        (proposal.average, metric.target_average_value, ""),
        (proposal.value, metric.target_value, ""),
    ];
    let mut measured = measured
        .into_iter()
        .filter_map(|(is, target, unit)| Some((is?, target.filter(|target| *target > 0)?, unit)));
    let (is, target, unit) = measured.next()?;
    let shown = match unit {
        "%" => format!("{target}%"),
        _ => Milli(target).to_string(),
    };
    let [least, most] = [1.0 - input.tolerance_down, 1.0 + input.tolerance_up];
    let ratio = is as f64 / target as f64;
    let pods = pods(input, metric);
    Some(format!(
        "target {shown}: ratio {ratio:.2}, {least:.2} to {most:.2} changes nothing{pods}"
    ))
}

/// Returns how many pods have a sample, and how many are not ready. Empty for metrics that
/// are not of pods.
fn pods(input: &ReplicaInput, metric: &MetricInput) -> String {
    if !matches!(&*metric.source, "Resource" | "ContainerResource" | "Pods") {
        return String::new();
    }
    let mut with_sample: Vec<u32> = metric.pod.clone();
    with_sample.retain(|pod| *pod != UNKNOWN_POD);
    with_sample.sort_unstable();
    with_sample.dedup();
    let all = input.pods.len();
    let unready = input.pods.state.iter();
    let unready = unready.filter(|state| **state & pod_state::READY == 0);
    let unready = match unready.count() {
        0 => String::new(),
        count => format!(", {count} not ready"),
    };
    format!("; samples of {} of {all} pods{unready}", with_sample.len())
}
