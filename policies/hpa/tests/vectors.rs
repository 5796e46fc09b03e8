//! The policy's arithmetic against upstream's own answers (`replicas` of
//! `tests/vectors/hpa`), natively. The same vectors run through the sandbox in
//! the workspace's tests.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use flyball_decision::replica::request_mark;
use flyball_policy::{MetricSpec, Phase, PodSpec, Ready, Replica, Request, Time};
use flyball_replicas::pods::{Container, Pod, PodRequests, Resources, request_column};
use flyball_test_support::vectors;
use serde::Deserialize;

/// Cases in which upstream's integers wrap around: there the policy saturates.
const WRAPS: [&str; 3] = ["wrapsInt32", "wrapsInt64", "sumUnderflow"];

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Case {
    id: String,
    kind: String,
    tags: Vec<String>,
    arch_dependent: bool,
    r#in: In,
    out: Out,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct In {
    current_replicas: Option<i32>,
    status_replicas: Option<i32>,
    target_utilization: Option<i32>,
    target_milli: Option<i64>,
    tolerance_up: f64,
    tolerance_down: f64,
    cpu_initialization_seconds: u64,
    initial_readiness_delay_seconds: u64,
    now: jiff::Timestamp,
    resource: Option<String>,
    container: Option<String>,
    #[serde(default)]
    pods: Option<Vec<PodIn>>,
    #[serde(default)]
    metrics: Option<Vec<MetricIn>>,
    object_value_milli: Option<i64>,
    #[serde(default)]
    external_values_milli: Option<Vec<i64>>,
    metrics_error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PodIn {
    name: String,
    phase: String,
    deletion_timestamp: Option<jiff::Timestamp>,
    start_time: Option<jiff::Timestamp>,
    ready: Option<ReadyIn>,
    containers: Vec<ContainerIn>,
    #[serde(default)]
    init_containers: Option<Vec<ContainerIn>>,
    #[serde(default)]
    pod_requests_milli: Option<BTreeMap<String, i64>>,
    #[serde(default)]
    overhead_milli: Option<BTreeMap<String, i64>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReadyIn {
    status: String,
    last_transition_time: Option<jiff::Timestamp>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ContainerIn {
    name: String,
    #[serde(default)]
    requests_milli: Option<BTreeMap<String, i64>>,
    #[serde(default)]
    restartable: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct MetricIn {
    pod: String,
    value_milli: i64,
    timestamp: jiff::Timestamp,
    window_seconds: u64,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
struct Out {
    replicas: Option<i64>,
    utilization_percent: Option<i64>,
    average_milli: Option<i64>,
    usage_milli: Option<i64>,
    error_class: Option<String>,
}

#[test]
fn agrees_with_upstream() {
    let (mut compared, mut apart, mut wrong) = (0, 0, Vec::new());
    for case in vectors::read::<Case>("hpa/replicas").unwrap() {
        let answer = answer(&case);
        if case.arch_dependent || case.tags.iter().any(|tag| WRAPS.contains(&tag.as_str())) {
            apart += 1;
            continue;
        }
        compared += 1;
        if answer != case.out {
            wrong.push(format!(
                "{} {:?}: {answer:?} instead of {:?}",
                case.id, case.tags, case.out
            ));
        }
    }
    println!("{compared} compared, {apart} wrap around or depend on the architecture");
    assert!(
        wrong.is_empty(),
        "{} are wrong:\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert!(compared > 1000, "only {compared} cases were compared");
}

fn answer(case: &Case) -> Out {
    let decision = hpa::decide(&input(case));
    let [proposal] = decision.proposals() else {
        panic!("{}: not one proposal", case.id)
    };
    let (utilization_percent, average_milli, usage_milli) = proposal.reported();
    let error = proposal.error();
    Out {
        replicas: proposal.replicas(),
        utilization_percent,
        average_milli,
        usage_milli,
        error_class: (!error.is_empty()).then(|| error.to_owned()),
    }
}

fn input(case: &Case) -> Replica {
    let given = &case.r#in;
    let pods = given.pods.as_deref().unwrap_or_default();
    let (current, status) = (given.current_replicas, given.status_replicas);
    let builder = Replica::build()
        .at(time(given.now))
        .replicas(current.or(status).unwrap(), status.or(current).unwrap())
        .tolerance(given.tolerance_up, given.tolerance_down)
        .cpu_rules(
            Duration::from_secs(given.cpu_initialization_seconds),
            Duration::from_secs(given.initial_readiness_delay_seconds),
        );
    let builder = pods
        .iter()
        .fold(builder, |builder, pod| builder.pod(pod_spec(pod)));
    builder.metric(metric(case, pods)).done()
}

fn metric(case: &Case, pods: &[PodIn]) -> MetricSpec {
    let given = &case.r#in;
    let (resource, container) = (given.resource.as_deref(), given.container.as_deref());
    let spec = match (case.kind.as_str(), resource, container) {
        ("objectValue" | "objectAverageValue", ..) => MetricSpec::object("m"),
        ("externalValue" | "externalAverageValue", ..) => MetricSpec::external("m"),
        ("podsAverageValue", ..) => MetricSpec::pods("m"),
        (_, Some(resource), Some(container)) => MetricSpec::container_resource(resource, container),
        (_, Some(resource), None) => MetricSpec::resource(resource),
        (kind, ..) => panic!("{}: {kind} without a resource", case.id),
    };
    let spec = match (
        case.kind.as_str(),
        given.target_utilization,
        given.target_milli,
    ) {
        (_, Some(percent), _) => spec.target_utilization(percent),
        ("objectValue" | "externalValue", _, Some(milli)) => spec.target_value(milli),
        (_, _, Some(milli)) => spec.target_average_value(milli),
        _ => panic!("{}: no target", case.id),
    };
    let spec = match resource {
        Some(resource) => spec.requests(requests(pods, resource, container.unwrap_or_default())),
        None => spec,
    };
    if given.metrics_error.is_some() {
        return spec.failed("metricsUnavailable", "the metrics client failed");
    }
    let external = given.external_values_milli.iter().flatten();
    let values = given.object_value_milli.iter().chain(external);
    let spec = values.fold(spec, |spec, milli| spec.measured(*milli));
    given.metrics.iter().flatten().fold(spec, |spec, sample| {
        let row = pods.iter().position(|pod| pod.name == sample.pod);
        let window = Duration::from_secs(sample.window_seconds);
        spec.sample(row, sample.value_milli, time(sample.timestamp), window)
    })
}

fn pod_spec(pod: &PodIn) -> PodSpec {
    PodSpec {
        phase: match pod.phase.as_str() {
            "Pending" => Phase::Pending,
            "Running" => Phase::Running,
            "Succeeded" => Phase::Succeeded,
            "Failed" => Phase::Failed,
            _ => Phase::Unknown,
        },
        ready: pod.ready.as_ref().map(|ready| match ready.status.as_str() {
            "True" => Ready::True,
            "False" => Ready::False,
            _ => Ready::Unknown,
        }),
        ready_since: pod
            .ready
            .as_ref()
            .and_then(|ready| ready.last_transition_time)
            .map(time),
        started: pod.start_time.map(time),
        deleted: pod.deletion_timestamp.map(time),
    }
}

fn requests(pods: &[PodIn], resource: &str, container: &str) -> Vec<Request> {
    let resources = |given: &Option<BTreeMap<String, i64>>| -> Resources {
        let each = given.iter().flatten();
        each.map(|(name, milli)| (name.as_str().into(), *milli))
            .collect()
    };
    let containers = |given: &[ContainerIn]| -> Vec<Container> {
        let container = |one: &ContainerIn| Container {
            name: one.name.as_str().into(),
            requests: resources(&one.requests_milli),
            restartable: one.restartable,
        };
        given.iter().map(container).collect()
    };
    let pod = |pod: &PodIn| Pod {
        requests: Arc::new(PodRequests {
            containers: containers(&pod.containers),
            init_containers: containers(pod.init_containers.as_deref().unwrap_or_default()),
            pod: resources(&pod.pod_requests_milli),
            overhead: resources(&pod.overhead_milli),
        }),
        ..Pod::default()
    };
    let pods: Vec<Pod> = pods.iter().map(pod).collect();
    let request = |milli| match milli {
        request_mark::MISSING => Request::Missing,
        request_mark::NO_CONTAINER => Request::NoContainer,
        request_mark::MISSING_AT_POD_LEVEL => Request::MissingAtPodLevel,
        milli => Request::Milli(milli),
    };
    request_column(&pods, resource, container)
        .into_iter()
        .map(request)
        .collect()
}

fn time(at: jiff::Timestamp) -> Time {
    Time::from_ms(at.as_millisecond())
}
