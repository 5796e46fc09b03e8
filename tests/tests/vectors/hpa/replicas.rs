//! One metric → proposed replicas.

use flyball_decision::replica::Proposal;
use flyball_replicas::memory::ObjectMemory;
use flyball_replicas::options::ReplicaOptions;
use flyball_replicas::pods::request_column;
use flyball_replicas::ports::{MetricAnswer, Scale};
use flyball_replicas::record::DecisionRecord;
use flyball_replicas::spec::AutoscalerSpec;
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::hpa::decide::{Situation, decide};
use crate::hpa::forms::{self, PodCase, SampleCase, is_apart, time};

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
    cpu_initialization_seconds: Option<i64>,
    initial_readiness_delay_seconds: Option<i64>,
    now: Option<String>,
    resource: Option<String>,
    container: Option<String>,
    pods: Option<Vec<PodCase>>,
    metrics: Option<Vec<SampleCase>>,
    object_value_milli: Option<i64>,
    external_values_milli: Option<Vec<i64>>,
    metrics_error: Option<Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Out {
    replicas: Option<i64>,
    utilization_percent: Option<i64>,
    average_milli: Option<i64>,
    usage_milli: Option<i64>,
    error_class: Option<String>,
    error: Option<String>,
}

/// Classes of failures of what was measured, whose text is compared.
const IN_UPSTREAMS_WORDS: [&str; 5] = [
    "missingRequest",
    "missingPodLevelRequest",
    "containerNotFound",
    "noUsableMetrics",
    "noMatchingRequests",
];

#[test]
fn the_policy_proposes_what_upstream_proposes() {
    let cases: Vec<Case> = vectors::read("hpa/replicas").unwrap();
    let (mut agreed, mut saturated) = (0, 0);
    let mut differing = Vec::new();
    for case in &cases {
        let (proposal, record) = propose(case);
        let decided = decided(case, &proposal, &record);
        let expected = if is_apart(case.arch_dependent, &case.tags) {
            saturated += 1;
            bounded(case, &decided)
        } else {
            agreed += 1;
            case.out.clone()
        };
        if decided != expected {
            differing.push(format!(
                "{} {:?}: {decided:?}, not {expected:?}",
                case.id, case.tags
            ));
        }
    }
    println!(
        "replicas: {agreed} as upstream, {saturated} saturate, but {} differ",
        differing.len()
    );
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(agreed > 1000 && saturated < 100);
}

/// What integers without bounds come to, cut to what fits, where those of upstream wrap
/// around or a float is left to the processor. Worked out from the case in 128 bits.
fn bounded(case: &Case, decided: &Out) -> Out {
    match &*case.kind {
        // Upstream saturates here itself.
        "externalAverageValue" if !case.arch_dependent => case.out.clone(),
        "objectValue" | "objectAverageValue" | "externalValue" | "externalAverageValue" => {
            bounded_whole(case)
        }
        "resourceAverageValue" | "podsAverageValue" => bounded_average(case),
        _ => bounded_utilization(case, decided),
    }
}

fn bounded_whole(case: &Case) -> Out {
    let input = &case.r#in;
    let values = input.object_value_milli.iter();
    let values = values.chain(input.external_values_milli.iter().flatten());
    let total: i128 = values.copied().map(i128::from).sum();
    let target = i128::from(input.target_milli.unwrap());
    let Some(current) = input.current_replicas else {
        return Out {
            replicas: Some(cut_to_i32(ceiling(total, target))),
            average_milli: match input.status_replicas {
                Some(0) => Some(forms::average_over_none(total)),
                _ => case.out.average_milli,
            },
            ..Out::default()
        };
    };
    let counted = if current == 0 { 1 } else { pod_count(input) };
    Out {
        replicas: Some(cut_to_i32(ceiling(total * counted, target))),
        usage_milli: Some(cut_to_i64(total)),
        ..Out::default()
    }
}

/// Samples that do not count are in the sum too: it is beyond all replicas without them.
fn bounded_average(case: &Case) -> Out {
    let input = &case.r#in;
    let samples = input.metrics.iter().flatten();
    let used: i128 = samples.map(|sample| i128::from(sample.value_milli)).sum();
    let target = i128::from(input.target_milli.unwrap());
    let cut = || i128::from(cut_to_i64(used)) / pod_count(input);
    Out {
        replicas: Some(cut_to_i32(ceiling(used, target))),
        average_milli: if case.has("wrapsInt64") {
            Some(cut_to_i64(cut()))
        } else {
            case.out.average_milli
        },
        ..Out::default()
    }
}

/// Upstream's average, which does not wrap around, is of the samples that count.
fn bounded_utilization(case: &Case, decided: &Out) -> Out {
    let input = &case.r#in;
    let average = i128::from(case.out.average_milli.unwrap());
    let utilization = cut_to_i32(average * 100 / i128::from(request(input)));
    let target = i128::from(input.target_utilization.unwrap());
    let replicas = ceiling(i128::from(utilization) * pod_count(input), target);
    let current = input.current_replicas.map(i64::from);
    Out {
        // How many are asked for depends on pods that are missing or not ready, too, which
        // are counted by upstream's wrong sign; the direction does not.
        replicas: match decided.replicas {
            more if !case.has("mix:clean") && more > current => more,
            _ => Some(cut_to_i32(replicas)),
        },
        utilization_percent: Some(utilization),
        average_milli: case.out.average_milli,
        ..Out::default()
    }
}

impl Case {
    fn has(&self, tag: &str) -> bool {
        self.tags.iter().any(|one| one == tag)
    }
}

fn pod_count(input: &In) -> i128 {
    input.pods.iter().flatten().count() as i128
}

/// The request of each pod; where they differ they are so small that it does not matter.
fn request(input: &In) -> i64 {
    let [resource, container] = [&input.resource, &input.container];
    let [resource, container] = [resource, container].map(|name| name.as_deref().unwrap_or(""));
    let pods = forms::pods(&input.pods);
    let requests = request_column(&pods, resource, container);
    requests.into_iter().max().unwrap()
}

fn ceiling(value: i128, divisor: i128) -> i128 {
    value.div_euclid(divisor) + i128::from(value.rem_euclid(divisor) != 0)
}

fn cut_to_i32(value: i128) -> i64 {
    value.clamp(i32::MIN.into(), i32::MAX.into()) as i64
}

fn cut_to_i64(value: i128) -> i64 {
    value.clamp(i64::MIN.into(), i64::MAX.into()) as i64
}

fn decided(case: &Case, proposal: &Proposal, record: &DecisionRecord) -> Out {
    Out {
        error: case.out.error.clone().map(|upstreams| {
            let sentence = record.named(&proposal.reason.sentence);
            // What failed around it is said by the policy too, and not by the case.
            match sentence.strip_suffix(&upstreams) {
                Some(around) if around.ends_with(": ") => upstreams,
                _ if !IN_UPSTREAMS_WORDS.contains(&&*proposal.error) => upstreams,
                _ => sentence,
            }
        }),
        replicas: proposal.replicas,
        utilization_percent: proposal.utilization,
        average_milli: proposal.average,
        usage_milli: proposal.value,
        error_class: Some(proposal.error.clone()).filter(|class| !class.is_empty()),
    }
}

fn propose(case: &Case) -> (Proposal, DecisionRecord) {
    let input = &case.r#in;
    let answer = match (
        &input.metrics_error,
        input.object_value_milli,
        &input.external_values_milli,
    ) {
        (Some(error), ..) if *error != json!(false) => Err(forms::unavailable(&error.to_string())),
        (_, Some(value), _) => Ok(MetricAnswer::Values([value].into())),
        (_, _, Some(values)) => Ok(MetricAnswer::Values(values.as_slice().into())),
        _ => Ok(forms::samples(input.metrics.as_deref().unwrap_or_default())),
    };
    let current = input.current_replicas.or(input.status_replicas).unwrap();
    let options = ReplicaOptions {
        cpu_initialization_period_ms: input.cpu_initialization_seconds.unwrap_or(300) * 1000,
        initial_readiness_delay_ms: input.initial_readiness_delay_seconds.unwrap_or(30) * 1000,
        ..ReplicaOptions::default()
    };
    let (record, _) = decide(Situation {
        now: time(input.now.as_deref().unwrap_or("2026-03-02T09:00:00Z")),
        options,
        spec: spec(case),
        scale: Scale {
            spec_replicas: input.current_replicas.unwrap_or_else(|| current.max(1)),
            status_replicas: current,
            selector: "app=web".into(),
            resource_version: "1".into(),
        },
        pods: Ok(forms::pods(&input.pods)),
        answers: vec![answer],
        memory: ObjectMemory::default(),
        tolerances: Some((input.tolerance_up, input.tolerance_down)),
    });
    let proposal = match &record.policies[0].answer {
        Ok(decision) => decision.proposals[0].clone(),
        Err(failure) => panic!("{}: {failure}", case.id),
    };
    (proposal, record)
}

fn spec(case: &Case) -> AutoscalerSpec {
    let input = &case.r#in;
    let quantity = || format!("{}m", input.target_milli.unwrap());
    let average = || json!({ "type": "AverageValue", "averageValue": quantity() });
    let value = || json!({ "type": "Value", "value": quantity() });
    let utilization =
        || json!({ "type": "Utilization", "averageUtilization": input.target_utilization });
    let resource = |target: Value| match &input.container {
        Some(container) => json!({
            "type": "ContainerResource",
            "containerResource": { "name": input.resource, "container": container, "target": target },
        }),
        None => json!({
            "type": "Resource",
            "resource": { "name": input.resource, "target": target },
        }),
    };
    let object = |target: Value| {
        let described = json!({ "apiVersion": "v1", "kind": "Service", "name": "web" });
        json!({
            "type": "Object",
            "object": { "describedObject": described, "metric": { "name": "m" }, "target": target },
        })
    };
    let external = |target: Value| json!({ "type": "External", "external": { "metric": { "name": "m" }, "target": target } });
    let metric = match &*case.kind {
        "resourceUtilization" | "containerResourceUtilization" => resource(utilization()),
        "resourceAverageValue" => resource(average()),
        "podsAverageValue" => {
            json!({ "type": "Pods", "pods": { "metric": { "name": "m" }, "target": average() } })
        }
        "objectValue" => object(value()),
        "objectAverageValue" => object(average()),
        "externalValue" => external(value()),
        "externalAverageValue" => external(average()),
        kind => panic!("{}: unknown kind {kind}", case.id),
    };
    serde_json::from_value(json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "maxReplicas": i32::MAX,
        "metrics": [metric],
    }))
    .unwrap()
}
