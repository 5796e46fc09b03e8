//! Validates what matters when nodes are removed: kinds and ends of pods,
//! PodDisruptionBudgets, and options of scale-down.

use std::collections::BTreeSet;

use super::node_groups::selector;
use super::{Fault, holds, lasts, share};
use crate::scenario::budget::CountOrPercent;
use crate::scenario::{
    BudgetSpec, GroupScaleDownSpec, ScaleDownSpec, Scenario, WorkloadKind, WorkloadSpec,
};

/// Longest grace period; larger values are assumed to be mistakes.
const MAX_GRACE_SECONDS: u32 = 366 * 86_400;

/// Checks the kind of a workload, and the ends of its pods.
pub(super) fn pods(spec: &WorkloadSpec) -> Result<(), Fault> {
    let (kind, pod) = (spec.kind, &spec.pod);
    let message = "only a Deployment can have an autoscaler here";
    let scales = spec.autoscaler.is_none() || kind == WorkloadKind::Deployment;
    holds(scales, "kind", message)?;
    if let Some(duration) = pod.duration {
        let ends = matches!(kind, WorkloadKind::Job | WorkloadKind::Pod);
        let message = "is for kinds Job and Pod: pods of others are started again";
        holds(ends, "pod.duration", message)?;
        lasts(duration, "pod.duration")?;
    }
    let grace = pod.termination_grace_period_seconds;
    holds(
        grace.is_none_or(|seconds| seconds <= MAX_GRACE_SECONDS),
        "pod.terminationGracePeriodSeconds",
        "is more than a year",
    )?;
    let mut names = BTreeSet::new();
    for (index, volume) in pod.volumes.iter().enumerate() {
        let field = format!("pod.volumes[{index}]");
        let once = !volume.name.is_empty() && names.insert(&volume.name);
        let message = format!("{:?} is empty, or there twice", volume.name);
        holds(once, &format!("{field}.name"), &message)?;
        let one = volume.empty_dir.is_some() != volume.host_path.is_some();
        holds(one, &field, "needs either emptyDir or hostPath")?;
    }
    Ok(())
}

/// Checks the PodDisruptionBudgets.
pub(super) fn budgets(scenario: &Scenario) -> Result<(), Fault> {
    let budgets = &scenario.pod_disruption_budgets;
    let nodes = budgets.is_empty() || !scenario.node_groups.is_empty();
    holds(nodes, "podDisruptionBudgets", "needs nodeGroups")?;
    let mut names = BTreeSet::new();
    for (index, spec) in budgets.iter().enumerate() {
        let at = |(field, message): Fault| {
            let field = format!("podDisruptionBudgets[{index}].{field}");
            (field, message)
        };
        let once = !spec.name.is_empty() && names.insert((&spec.namespace, &spec.name));
        let message = format!("{:?} is empty, or there twice", spec.name);
        holds(once, "name", &message).map_err(at)?;
        budget(spec).map_err(at)?;
    }
    Ok(())
}

fn budget(spec: &BudgetSpec) -> Result<(), Fault> {
    let amounts = [
        ("minAvailable", spec.min_available),
        ("maxUnavailable", spec.max_unavailable),
    ];
    let one = spec.min_available.is_some() != spec.max_unavailable.is_some();
    let message = "either this or maxUnavailable is needed, and not both";
    holds(one, "minAvailable", message)?;
    for (field, amount) in amounts {
        if let Some(CountOrPercent::Percent(percent)) = amount {
            let message = format!("{percent}% is more than 100%");
            holds(percent <= 100, field, &message)?;
        }
    }
    selector(spec.selector.as_ref(), "selector")
}

/// Checks the options of scale-down.
pub(super) fn options(spec: &ScaleDownSpec) -> Result<(), Fault> {
    for (index, policy) in spec.policies.iter().enumerate() {
        let field = format!("policies[{index}].name");
        holds(!policy.name.is_empty(), &field, "must not be empty")?;
    }
    let message = "must be at least 1, or no node is removed: use mode";
    let counts = [
        ("maxParallelism", spec.max_parallelism),
        ("maxDrainParallelism", spec.max_drain_parallelism),
    ];
    for (field, count) in counts {
        holds(count != Some(0), field, message)?;
    }
    Ok(())
}

/// Checks a node group's own options of scale-down.
pub(super) fn group(spec: &GroupScaleDownSpec) -> Result<(), Fault> {
    let thresholds = [
        ("utilizationThreshold", spec.utilization_threshold),
        ("gpuUtilizationThreshold", spec.gpu_utilization_threshold),
    ];
    for (field, threshold) in thresholds {
        threshold.map_or(Ok(()), |threshold| share(threshold, field))?;
    }
    Ok(())
}
