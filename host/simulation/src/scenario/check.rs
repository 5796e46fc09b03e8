//! Validates a scenario's values beyond their types.

mod node_groups;
mod removals;

use std::collections::BTreeSet;
use std::path::Path;

use super::{
    AutoscalerTemplate, EventSpec, LoadSpec, NodeGroupSpec, Scenario, ScenarioError, Series,
    WorkloadSpec,
};
use crate::time::Millis;

/// A field's path, and its error.
type Fault = (String, String);

/// Limits of a run; larger values are assumed to be mistakes.
const MAX_STEPS: i64 = 10_000_000;
const MAX_WORKLOADS: usize = 100_000;
const MAX_REPLICAS: i32 = 100_000;

pub(super) fn scenario(scenario: &Scenario, file: &Path) -> Result<(), ScenarioError> {
    times(scenario)
        .and_then(|()| workloads(scenario))
        .and_then(|()| node_groups::node_groups(scenario))
        .and_then(|()| removals::budgets(scenario))
        .and_then(|()| events(scenario))
        .map_err(|(field, message)| ScenarioError::Invalid {
            file: file.to_owned(),
            field,
            message,
        })?;
    for workload in &scenario.workloads {
        load_files(&workload.load, scenario)?;
    }
    Ok(())
}

fn times(scenario: &Scenario) -> Result<(), Fault> {
    let Scenario { step, metrics, .. } = scenario;
    let positive = [
        ("duration", scenario.duration),
        ("step", *step),
        ("syncPeriod", scenario.sync_period),
        ("metrics.resolution", metrics.resolution),
    ];
    for (field, length) in positive {
        holds(length.0 > 0, field, "must be longer than 0s")?;
    }
    let multiples = [
        ("duration", scenario.duration),
        ("metrics.resolution", metrics.resolution),
    ];
    for (field, length) in multiples {
        let message = format!("{length} must be a multiple of the step ({step})");
        holds(length.0 % step.0 == 0, field, &message)?;
    }
    holds(
        scenario.duration.0 / step.0 <= MAX_STEPS,
        "duration",
        &format!("more than {MAX_STEPS} steps of {step}: take a longer step"),
    )?;
    share(metrics.noise, "metrics.noise")?;
    share(metrics.dropouts, "metrics.dropouts")
}

fn workloads(scenario: &Scenario) -> Result<(), Fault> {
    holds(
        !scenario.workloads.is_empty(),
        "workloads",
        "at least one is needed",
    )?;
    let count: usize = scenario
        .workloads
        .iter()
        .map(|w| w.count.unwrap_or(1) as usize)
        .sum();
    holds(
        count <= MAX_WORKLOADS,
        "workloads",
        &format!("{count} are too many"),
    )?;
    let mut names = BTreeSet::new();
    for (index, spec) in scenario.workloads.iter().enumerate() {
        let at = |(field, message): Fault| (format!("workloads[{index}].{field}"), message);
        workload(spec).map_err(at)?;
        for name in spec.names() {
            let message = format!("{}/{name} is there twice", spec.namespace);
            holds(names.insert((&spec.namespace, name)), "name", &message).map_err(at)?;
        }
    }
    Ok(())
}

fn workload(spec: &WorkloadSpec) -> Result<(), Fault> {
    holds(!spec.name.is_empty(), "name", "must not be empty")?;
    holds(spec.count != Some(0), "count", "must be at least 1")?;
    holds(
        (0..=MAX_REPLICAS).contains(&spec.replicas),
        "replicas",
        &format!("{} is not in 0 to {MAX_REPLICAS}", spec.replicas),
    )?;
    let amounts = [
        ("pod.requests.memory", spec.pod.requests.memory),
        ("pod.startup.cpu", spec.pod.startup.cpu),
        ("service.baseCpu", spec.service.base_cpu),
        ("service.baseMemory", spec.service.base_memory),
        ("service.memoryPerRequest", spec.service.memory_per_request),
    ];
    for (field, amount) in amounts {
        holds(amount >= 0.0, field, "must not be negative")?;
    }
    let positive = [
        ("pod.requests.cpu", spec.pod.requests.cpu),
        ("service.cpuPerRequest", spec.service.cpu_per_request),
    ];
    for (field, amount) in positive {
        holds(amount > 0.0, field, "must be more than 0")?;
    }
    holds(
        spec.pod_capacity() > 0.0,
        "service.baseCpu",
        "must be less than the pod's limit of cpu, or it can't serve anything",
    )?;
    let startup = spec.pod.startup;
    holds(
        startup.jitter <= startup.mean,
        "pod.startup.jitter",
        "must not be longer than mean",
    )?;
    if let Some(noise) = spec.noise {
        share(noise.amplitude, "noise.amplitude")?;
        holds(noise.period.0 > 0, "noise.period", "must be longer than 0s")?;
    }
    let mut names = BTreeSet::new();
    for (index, metric) in spec.metrics.iter().enumerate() {
        let once = !metric.name.is_empty() && names.insert(&metric.name);
        let message = format!("{:?} is empty, or there twice", metric.name);
        holds(once, &format!("metrics[{index}].name"), &message)?;
    }
    removals::pods(spec)?;
    node_groups::pod(&spec.pod).map_err(|(field, message)| (format!("pod.{field}"), message))?;
    load(&spec.load).map_err(|(field, message)| (format!("load{field}"), message))?;
    let Some(template) = &spec.autoscaler else {
        return Ok(());
    };
    autoscaler(template, spec).map_err(|(field, message)| (format!("autoscaler.{field}"), message))
}

fn load(spec: &LoadSpec) -> Result<(), Fault> {
    match spec {
        LoadSpec::Formula(formula) => holds(
            !formula.is_of_workload(),
            ".formula",
            "`load` and `ready` are for formulas of metrics",
        ),
        LoadSpec::Steps(levels) => {
            holds(!levels.is_empty(), ".steps", "at least one is needed")?;
            let ascending = levels.windows(2).all(|pair| pair[0].at < pair[1].at);
            holds(ascending, ".steps", "must be in the order of time")
        }
        LoadSpec::Csv(csv) => {
            let scale = csv.scale.is_finite() && csv.scale >= 0.0;
            holds(scale, ".csv.scale", "must not be negative")?;
            let speed = csv.speed.is_finite() && csv.speed > 0.0;
            holds(speed, ".csv.speed", "must be more than 0")
        }
        LoadSpec::Sum(parts) => {
            holds(!parts.is_empty(), ".sum", "at least one is needed")?;
            parts.iter().enumerate().try_for_each(|(index, part)| {
                load(part).map_err(|(field, message)| (format!(".sum[{index}]{field}"), message))
            })
        }
    }
}

fn autoscaler(template: &AutoscalerTemplate, spec: &WorkloadSpec) -> Result<(), Fault> {
    let least = template.min_replicas.unwrap_or(1);
    holds(least >= 0, "minReplicas", "must not be negative")?;
    let most = template.max_replicas;
    holds(
        (least.max(1)..=MAX_REPLICAS).contains(&most),
        "maxReplicas",
        &format!("{most} is not in minReplicas to {MAX_REPLICAS}"),
    )?;
    let checked = template.spec(&spec.name).check();
    checked.map_err(|fault| (fault.field, fault.message))?;
    let Some(target) = &template.scale_target_ref else {
        return Ok(());
    };
    let message = format!(
        "{} {:?} is not this workload (Deployment {:?}); leave it out",
        target.kind, target.name, spec.name
    );
    let own = spec.count.is_none() && target.kind == "Deployment" && target.name == spec.name;
    holds(own, "scaleTargetRef", &message)
}

fn events(scenario: &Scenario) -> Result<(), Fault> {
    for (index, event) in scenario.events.iter().enumerate() {
        check_event(event, scenario)
            .map_err(|(field, message)| (format!("events[{index}].{field}"), message))?;
    }
    Ok(())
}

fn check_event(event: &EventSpec, scenario: &Scenario) -> Result<(), Fault> {
    let workload = event.workload().map(|name| named(scenario, name));
    let workload = workload.transpose()?;
    let message = format!("{} is after the end ({})", event.at(), scenario.duration);
    holds(event.at() <= scenario.duration, "at", &message)?;
    match event {
        EventSpec::SwapPolicy { file, .. } => {
            let file = scenario.path(file);
            let message = format!("{} is no file", file.display());
            holds(file.is_file(), "swapPolicy.file", &message)
        }
        EventSpec::Surge { factor, length, .. } => {
            let sound = factor.is_finite() && *factor >= 0.0;
            holds(sound, "surge.factor", "must not be negative")?;
            lasts(*length, "surge.for")
        }
        EventSpec::MetricsOutage { length, .. } => lasts(*length, "metricsOutage.for"),
        EventSpec::ChangeAutoscaler {
            autoscaler: template,
            ..
        } => {
            let spec = workload.filter(|spec| spec.autoscaler.is_some());
            let spec = spec.ok_or_else(|| {
                let message = "has no autoscaler that could change".to_owned();
                ("changeAutoscaler.workload".to_owned(), message)
            })?;
            autoscaler(template, spec).map_err(|(field, message)| {
                (format!("changeAutoscaler.autoscaler.{field}"), message)
            })
        }
        EventSpec::KillPods { .. } => Ok(()),
        EventSpec::ZoneOutage { zone, length, .. } => {
            let mut zones = scenario.node_groups.iter().flat_map(|group| &group.zones);
            let message = format!("no node group has {zone:?}");
            holds(
                zones.any(|known| known == zone),
                "zoneOutage.zone",
                &message,
            )?;
            lasts(*length, "zoneOutage.for")
        }
        EventSpec::KillNodes { .. } => group(event, scenario, "killNodes").map(drop),
        EventSpec::Scale { replicas, .. } => holds(
            (0..=MAX_REPLICAS).contains(replicas),
            "scale.replicas",
            &format!("{replicas} is not in 0 to {MAX_REPLICAS}"),
        ),
        EventSpec::RefuseEvictions { length, .. } => {
            let message = "needs nodeGroups";
            holds(!scenario.node_groups.is_empty(), "refuseEvictions", message)?;
            lasts(*length, "refuseEvictions.for")
        }
        EventSpec::RefuseTermination { length, .. } => {
            group(event, scenario, "refuseTermination")?;
            lasts(*length, "refuseTermination.for")
        }
        EventSpec::ChangeNodeGroup {
            min, max, price, ..
        } => {
            let group = group(event, scenario, "changeNodeGroup")?;
            let (min, max) = (min.unwrap_or(group.min), max.unwrap_or(group.max));
            let message = format!("{min} is more than max ({max})");
            holds(min <= max, "changeNodeGroup.min", &message)?;
            let sound = price.is_none_or(|price| price.is_finite() && price >= 0.0);
            holds(sound, "changeNodeGroup.price", "must not be negative")
        }
    }
}

/// Returns the node group that an event names.
fn group<'a>(
    event: &EventSpec,
    scenario: &'a Scenario,
    kind: &str,
) -> Result<&'a NodeGroupSpec, Fault> {
    let name = event.node_group().unwrap_or_default();
    let mut groups = scenario.node_groups.iter();
    groups.find(|group| group.name == name).ok_or_else(|| {
        let field = format!("{kind}.nodeGroup");
        (field, format!("there is no {name:?}"))
    })
}

/// Returns the workload that an event names, which stands for all of its copies.
fn named<'a>(scenario: &'a Scenario, name: &str) -> Result<&'a WorkloadSpec, Fault> {
    let mut specs = scenario.workloads.iter();
    specs
        .find(|spec| spec.name == name || spec.names().any(|copy| copy == name))
        .ok_or_else(|| ("workload".to_owned(), format!("there is no {name:?}")))
}

/// Reads the files of a load, so that their errors are reported early.
fn load_files(load: &LoadSpec, scenario: &Scenario) -> Result<(), ScenarioError> {
    match load {
        LoadSpec::Csv(csv) => Series::read(csv, &scenario.path(&csv.file)).map(|_| ()),
        LoadSpec::Sum(parts) => parts.iter().try_for_each(|part| load_files(part, scenario)),
        LoadSpec::Formula(_) | LoadSpec::Steps(_) => Ok(()),
    }
}

fn lasts(length: Millis, field: &str) -> Result<(), Fault> {
    holds(length.0 > 0, field, "must be longer than 0s")
}

fn share(value: f64, field: &str) -> Result<(), Fault> {
    holds(
        (0.0..=1.0).contains(&value),
        field,
        &format!("{value} is not in 0 to 1"),
    )
}

fn holds(condition: bool, field: &str, message: &str) -> Result<(), Fault> {
    if condition {
        return Ok(());
    }
    Err((field.to_owned(), message.to_owned()))
}
