//! One metric → proposed replicas.

use flyball_core::control::ReplicaOptions;
use flyball_core::memory::Memory;
use flyball_core::ports::{MetricAnswer, Scale};
use flyball_core::record::Answer;
use flyball_core::replica::Proposal;
use flyball_core::spec::AutoscalerSpec;
use flyball_test_support::vectors;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::forms::{self, PodCase, SampleCase, is_apart, time};
use crate::scene::{Situation, decide};

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

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Out {
    replicas: Option<i64>,
    utilization_percent: Option<i64>,
    average_milli: Option<i64>,
    usage_milli: Option<i64>,
    error_class: Option<String>,
}

#[test]
fn the_policy_proposes_what_upstream_proposes() {
    let cases: Vec<Case> = vectors::read("hpa/replicas").unwrap();
    let (mut agreed, mut saturated) = (0, 0);
    let mut differing = Vec::new();
    for case in &cases {
        let proposal = propose(case);
        let decided = decided(&proposal);
        if is_apart(case.arch_dependent, &case.tags) {
            let replicas = proposal.replicas.unwrap_or_default();
            assert!(i32::try_from(replicas).is_ok(), "{}: {replicas}", case.id);
            saturated += 1;
        } else if decided == case.out {
            agreed += 1;
        } else {
            differing.push(format!(
                "{} {:?}: {decided:?}, upstream {:?}",
                case.id, case.tags, case.out
            ));
        }
    }
    println!(
        "replicas: {agreed} agree, {saturated} told apart, {} differ",
        differing.len()
    );
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    assert!(agreed > 1000 && saturated < 100);
}

fn decided(proposal: &Proposal) -> Out {
    Out {
        replicas: proposal.replicas,
        utilization_percent: proposal.utilization,
        average_milli: proposal.average,
        usage_milli: proposal.value,
        error_class: Some(proposal.error.clone()).filter(|class| !class.is_empty()),
    }
}

fn propose(case: &Case) -> Proposal {
    let input = &case.r#in;
    let answer = match (
        &input.metrics_error,
        input.object_value_milli,
        &input.external_values_milli,
    ) {
        (Some(error), ..) if *error != json!(false) => Err(forms::unavailable(&error.to_string())),
        (_, Some(value), _) => Ok(MetricAnswer::Values(vec![value])),
        (_, _, Some(values)) => Ok(MetricAnswer::Values(values.clone())),
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
        memory: Memory::default(),
        tolerances: Some((input.tolerance_up, input.tolerance_down)),
    });
    match &record.policies[0].answer {
        Answer::Decision(decision) => decision.proposals[0].clone(),
        Answer::Failure(failure) => panic!("{}: {failure}", case.id),
    }
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
