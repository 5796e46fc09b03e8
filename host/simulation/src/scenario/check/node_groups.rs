//! Validates node groups, and the constraints of pods on nodes.

use std::collections::BTreeSet;

use flyball_placement::Operator;

use super::{Fault, holds, lasts, removals, share};
use crate::scenario::Scenario;
use crate::scenario::node_groups::{NodeAutoscalerSpec, NodeGroupSpec};
use crate::scenario::resources::NodeResources;
use crate::scenario::scheduling::{
    Affinity, Expression, LabelSelector, PodAffinity, Toleration, TolerationOperator,
};
use crate::scenario::workload::PodTemplate;

/// Maximum number of nodes of a group; larger values are assumed to be mistakes.
const MAX_NODES: u32 = 100_000;

pub(super) fn node_groups(scenario: &Scenario) -> Result<(), Fault> {
    if scenario.node_groups.is_empty() {
        return without_nodes(scenario);
    }
    let mut names = BTreeSet::new();
    for (index, group) in scenario.node_groups.iter().enumerate() {
        let at = |(field, message): Fault| (format!("nodeGroups[{index}].{field}"), message);
        node_group(group, scenario).map_err(at)?;
        let message = format!("{} is there twice", group.name);
        holds(names.insert(&group.name), "name", &message).map_err(at)?;
    }
    daemon_sets(scenario)?;
    autoscaler(&scenario.node_autoscaler)
        .map_err(|(field, message)| (format!("nodeAutoscaler.{field}"), message))
}

fn daemon_sets(scenario: &Scenario) -> Result<(), Fault> {
    let mut names = BTreeSet::new();
    for (index, set) in scenario.daemon_sets.iter().enumerate() {
        let at = |field: &str| format!("daemonSets[{index}].{field}");
        let once = !set.name.is_empty() && names.insert((&set.namespace, &set.name));
        let message = format!("{:?} is empty, or there twice", set.name);
        holds(once, &at("name"), &message)?;
        let requests = [set.requests.cpu, set.requests.memory];
        let sound = requests.iter().all(|amount| *amount >= 0.0);
        holds(sound, &at("requests"), "must not be negative")?;
        for toleration in &set.tolerations {
            tolerates(toleration, &at("tolerations"))?;
        }
    }
    Ok(())
}

/// Checks that nothing refers to nodes if there are none.
fn without_nodes(scenario: &Scenario) -> Result<(), Fault> {
    let message = "needs nodeGroups";
    holds(scenario.daemon_sets.is_empty(), "daemonSets", message)?;
    let options = scenario.node_autoscaler == NodeAutoscalerSpec::default();
    holds(options, "nodeAutoscaler", message)?;
    for (index, workload) in scenario.workloads.iter().enumerate() {
        let pod = &workload.pod;
        let none = [
            ("requests", pod.requests.extended.is_empty()),
            ("nodeSelector", pod.node_selector.is_empty()),
            ("affinity", pod.affinity == Affinity::default()),
            ("tolerations", pod.tolerations.is_empty()),
            (
                "topologySpreadConstraints",
                pod.topology_spread_constraints.is_empty(),
            ),
        ];
        for (field, none) in none {
            holds(none, &format!("workloads[{index}].pod.{field}"), message)?;
        }
    }
    Ok(())
}

fn node_group(group: &NodeGroupSpec, scenario: &Scenario) -> Result<(), Fault> {
    holds(!group.name.is_empty(), "name", "must not be empty")?;
    let (min, max, initial) = (group.min, group.max, group.initial());
    holds(
        max <= MAX_NODES,
        "max",
        &format!("{max} is more than {MAX_NODES}"),
    )?;
    holds(
        min <= max,
        "min",
        &format!("{min} is more than max ({max})"),
    )?;
    holds(
        (min..=max).contains(&initial),
        "initial",
        &format!("{initial} is not in min to max ({min} to {max})"),
    )?;
    let price = group
        .price
        .is_none_or(|price| price.is_finite() && price >= 0.0);
    holds(price, "price", "must not be negative")?;
    resources(&group.capacity, "capacity")?;
    if let Some(allocatable) = &group.allocatable {
        resources(allocatable, "allocatable")?;
        let within = allocatable.cpu <= group.capacity.cpu
            && allocatable.memory <= group.capacity.memory
            && allocatable.pods <= group.capacity.pods
            && allocatable
                .extended
                .iter()
                .all(|(name, amount)| amount <= group.capacity.extended.get(name).unwrap_or(&0));
        holds(within, "allocatable", "must not be more than capacity")?;
    }
    let mut zones = BTreeSet::new();
    for zone in &group.zones {
        let once = !zone.is_empty() && zones.insert(zone);
        holds(once, "zones", &format!("{zone:?} is empty, or there twice"))?;
    }
    let boot = group.boot;
    holds(
        boot.jitter <= boot.mean,
        "boot.jitter",
        "must not be longer than mean",
    )?;
    removals::group(&group.scale_down)
        .map_err(|(field, message)| (format!("scaleDown.{field}"), message))?;
    failures(group, scenario)
}

fn resources(resources: &NodeResources, field: &str) -> Result<(), Fault> {
    let positive = [
        ("cpu", resources.cpu),
        ("memory", resources.memory),
        ("pods", f64::from(resources.pods)),
    ];
    for (name, amount) in positive {
        let field = format!("{field}.{name}");
        holds(amount > 0.0, &field, "must be more than 0, or no pod fits")?;
    }
    Ok(())
}

fn failures(group: &NodeGroupSpec, scenario: &Scenario) -> Result<(), Fault> {
    let failures = &group.failures;
    let shares = [
        (
            "failures.outOfCapacity.probability",
            failures.out_of_capacity.probability,
        ),
        ("failures.neverJoins", failures.never_joins),
        (
            "failures.joinsLate.probability",
            failures.joins_late.probability,
        ),
    ];
    for (field, value) in shares {
        share(value, field)?;
    }
    for (index, window) in failures.out_of_capacity.windows.iter().enumerate() {
        let field = format!("failures.outOfCapacity.windows[{index}]");
        let message = format!("{} is after the end ({})", window.at, scenario.duration);
        holds(
            window.at <= scenario.duration,
            &format!("{field}.at"),
            &message,
        )?;
        lasts(window.length, &format!("{field}.for"))?;
    }
    failures.mean_time_between_failures.map_or(Ok(()), |mean| {
        lasts(mean, "failures.meanTimeBetweenFailures")
    })
}

fn autoscaler(spec: &NodeAutoscalerSpec) -> Result<(), Fault> {
    let times = [
        ("scanInterval", spec.scan_interval),
        ("maxNodeProvisionTime", spec.max_node_provision_time),
        (
            "initialNodeGroupBackoffDuration",
            spec.initial_node_group_backoff_duration,
        ),
        (
            "maxNodeGroupBackoffDuration",
            spec.max_node_group_backoff_duration,
        ),
    ];
    for (field, length) in times {
        length.map_or(Ok(()), |length| lasts(length, field))?;
    }
    for (index, expander) in spec.expanders.iter().enumerate() {
        let field = format!("expanders[{index}].name");
        holds(!expander.name.is_empty(), &field, "must not be empty")?;
    }
    spec.scale_down.as_ref().map_or(Ok(()), |scale_down| {
        removals::options(scale_down)
            .map_err(|(field, message)| (format!("scaleDown.{field}"), message))
    })
}

/// Checks what the API server would refuse in a pod.
pub(super) fn pod(pod: &PodTemplate) -> Result<(), Fault> {
    let required = pod.affinity.node_affinity.required.as_ref();
    let terms = required.map_or(&[][..], |nodes| &nodes.node_selector_terms);
    let field = "affinity.nodeAffinity.requiredDuringSchedulingIgnoredDuringExecution";
    let some = required.is_none() || !terms.is_empty();
    holds(some, field, "at least one term is needed")?;
    let conditions = terms
        .iter()
        .flat_map(|term| term.match_expressions.iter().chain(&term.match_fields));
    for condition in conditions {
        expression(condition, true, field)?;
    }
    let affinities = [
        ("affinity.podAffinity", &pod.affinity.pod_affinity),
        ("affinity.podAntiAffinity", &pod.affinity.pod_anti_affinity),
    ];
    for (field, affinity) in affinities {
        pod_affinity(affinity, field)?;
    }
    for (index, toleration) in pod.tolerations.iter().enumerate() {
        tolerates(toleration, &format!("tolerations[{index}]"))?;
    }
    for (index, spread) in pod.topology_spread_constraints.iter().enumerate() {
        let field = format!("topologySpreadConstraints[{index}]");
        let [skew, domains] = [spread.max_skew, spread.min_domains].map(|count| count >= 1);
        holds(skew, &format!("{field}.maxSkew"), "must be at least 1")?;
        holds(
            domains,
            &format!("{field}.minDomains"),
            "must be at least 1",
        )?;
        selector(spread.label_selector.as_ref(), &field)?;
    }
    Ok(())
}

fn pod_affinity(affinity: &PodAffinity, field: &str) -> Result<(), Fault> {
    for (index, term) in affinity.required.iter().enumerate() {
        let field = format!("{field}.requiredDuringSchedulingIgnoredDuringExecution[{index}]");
        let message = "must not be empty";
        let key = format!("{field}.topologyKey");
        holds(!term.topology_key.is_empty(), &key, message)?;
        selector(term.label_selector.as_ref(), &field)?;
    }
    Ok(())
}

/// Checks a selector of pods.
pub(super) fn selector(selector: Option<&LabelSelector>, field: &str) -> Result<(), Fault> {
    let conditions = selector.map_or(&[][..], |selector| &selector.match_expressions);
    conditions
        .iter()
        .try_for_each(|condition| expression(condition, false, &format!("{field}.labelSelector")))
}

fn expression(expression: &Expression, of_nodes: bool, field: &str) -> Result<(), Fault> {
    let count = expression.values.len();
    let key = &expression.key;
    let (sound, message) = match expression.operator {
        Operator::In | Operator::NotIn => (count > 0, "needs values"),
        Operator::Exists | Operator::DoesNotExist => (count == 0, "takes no values"),
        Operator::Gt | Operator::Lt if !of_nodes => (false, "is for labels of nodes"),
        Operator::Gt | Operator::Lt => {
            let number = |value: &String| value.parse::<i64>().is_ok();
            let one = count == 1 && expression.values.iter().all(number);
            (one, "needs one integer")
        }
    };
    let operator = expression.operator;
    holds(sound, field, &format!("{key} {operator:?} {message}"))
}

fn tolerates(toleration: &Toleration, field: &str) -> Result<(), Fault> {
    let exists = toleration.operator == TolerationOperator::Exists;
    let sound = exists || !toleration.key.is_empty();
    holds(sound, field, "without a key, operator must be Exists")?;
    let sound = !exists || toleration.value.is_empty();
    holds(sound, field, "with operator Exists, value must be empty")
}
