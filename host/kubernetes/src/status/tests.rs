#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use flyball_decision::time::Timestamp;
use flyball_replicas::spec::AutoscalerSpec;
use flyball_replicas::status::{AutoscalerStatus, Condition, MetricStatus, PolicyStatus};
use serde_json::json;

use super::StatusObject;
use crate::resource::ReplicaAutoscaler;

fn spec() -> AutoscalerSpec {
    serde_json::from_value(json!({
        "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" },
        "maxReplicas": 10,
        "metrics": [
            { "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 } } },
            { "type": "External", "external": {
                "metric": { "name": "queue", "selector": { "matchLabels": { "q": "a" } } },
                "target": { "type": "AverageValue", "averageValue": "30" } } },
            { "type": "Pods", "pods": {
                "metric": { "name": "rps" },
                "target": { "type": "AverageValue", "averageValue": "1500m" } } },
        ],
        "policies": [{ "name": "hpa" }, { "name": "mine" }],
    }))
    .unwrap()
}

fn status() -> AutoscalerStatus {
    AutoscalerStatus {
        observed_generation: Some(3),
        last_scale_time: Some(Timestamp(1_767_225_600_000)),
        current_replicas: 2,
        desired_replicas: 4,
        current_metrics: vec![
            MetricStatus {
                source: "Resource".into(),
                name: "cpu".into(),
                utilization: Some(80),
                average: Some(400),
                ..MetricStatus::default()
            },
            MetricStatus {
                source: "External".into(),
                name: "queue".into(),
                average: Some(30_500),
                ..MetricStatus::default()
            },
            MetricStatus::default(),
        ],
        conditions: vec![Condition {
            kind: "AbleToScale".into(),
            status: "True".into(),
            last_transition_time: Timestamp(1_767_225_601_000),
            reason: "SucceededRescale".into(),
            message: "scaled".into(),
        }],
        policies: vec![PolicyStatus {
            name: "hpa".into(),
            digest: "sha256:00".into(),
            desired_replicas: Some(4),
            reason: "AboveTarget".into(),
            message: "cpu is above its target".into(),
        }],
    }
}

#[test]
fn a_status_is_written_as_autoscaling_v2_does_and_read_back() {
    let object = StatusObject::new(&status(), &spec());
    let value = serde_json::to_value(&object).unwrap();
    assert_eq!(value["lastScaleTime"], "2026-01-01T00:00:00Z");
    assert_eq!(value["reference"], "Deployment/web");
    assert_eq!(value["policy"], "hpa,mine");
    assert_eq!(
        value["targets"],
        "cpu: 80%/50%, 30500m/30 (avg) + 1 more..."
    );
    assert_eq!(
        value["currentMetrics"],
        json!([
            { "type": "Resource", "resource": {
                "name": "cpu", "current": { "averageUtilization": 80, "averageValue": "400m" } } },
            { "type": "External", "external": {
                "metric": { "name": "queue", "selector": { "matchLabels": { "q": "a" } } },
                "current": { "averageValue": "30500m" } } },
            { "type": "" },
        ])
    );
    let read: StatusObject = serde_json::from_value(value).unwrap();
    assert_eq!(read.to_core(), status());
}

#[test]
fn before_the_first_decision_values_are_unknown() {
    let mut spec = spec();
    spec.metrics.truncate(1);
    let object = StatusObject::new(&AutoscalerStatus::default(), &spec);
    assert_eq!(object.targets, "cpu: <unknown>/50%");
    spec.metrics.clear();
    let object = StatusObject::new(&AutoscalerStatus::default(), &spec);
    assert_eq!(object.targets, "cpu: <unknown>/80%");
}

#[test]
fn quantities_are_written_as_in_kubectl_get_hpa() {
    let mut spec = spec();
    spec.metrics = serde_json::from_value(json!([
        { "type": "Resource", "resource": {
            "name": "memory", "target": { "type": "AverageValue", "averageValue": "100Mi" } } },
        { "type": "Pods", "pods": {
            "metric": { "name": "rps" },
            "target": { "type": "AverageValue", "averageValue": "1k" } } },
    ]))
    .unwrap();
    let mut status = status();
    let metric = |source: &str, name: &str, average| MetricStatus {
        source: source.into(),
        name: name.into(),
        average: Some(average),
        ..MetricStatus::default()
    };
    let mebibyte = 1000 << 20;
    status.current_metrics = vec![
        metric("Resource", "memory", 50 * mebibyte),
        metric("Pods", "rps", 2_000_000),
    ];
    let object = StatusObject::new(&status, &spec);
    assert_eq!(object.targets, "memory: 50Mi/100Mi, 2k/1k");
    let value = serde_json::to_value(&object).unwrap();
    let memory = &value["currentMetrics"][0]["resource"]["current"];
    assert_eq!(memory["averageValue"], "50Mi");

    // A fraction of a byte is kept, but not shown.
    status.current_metrics[0].average = Some(50 * mebibyte + 1);
    let object = StatusObject::new(&status, &spec);
    assert_eq!(object.targets, "memory: 52428801/100Mi, 2k/1k");
    let value = serde_json::to_value(object).unwrap();
    let read: StatusObject = serde_json::from_value(value).unwrap();
    assert_eq!(read.to_core(), status);
}

#[test]
fn what_others_wrote_into_a_status_is_bounded_and_names_of_a_spec_stay() {
    let long = "x".repeat(1 << 20);
    let odd = "queue\u{1b}\n";
    let current = json!({ "averageValue": "1" });
    let resource = json!({ "name": long, "container": long, "current": current });
    let external = |name: &str| {
        json!({ "type": "External", "external": {
            "metric": { "name": name }, "current": current } })
    };
    let status = json!({
        "currentMetrics": [
            { "type": long, "containerResource": resource },
            external(&long),
            external(odd),
        ],
        "conditions": [{ "type": long, "status": long, "reason": long, "message": long }],
        "policies": [{ "name": long, "digest": long, "reason": long, "message": long }],
    });
    // What is kept of an object, also in a page of a list.
    let object = json!({ "metadata": {}, "status": status });
    let object: ReplicaAutoscaler = serde_json::from_value(object).unwrap();
    let bytes = serde_json::to_vec(&object.status).unwrap().len();
    assert!(bytes <= 16 << 10, "{bytes} bytes");
    assert_eq!(object.status.current_metrics[2].name, odd);
}

#[test]
fn of_long_lists_in_a_status_the_first_elements_are_read_alone() {
    let expression = json!({ "key": "a", "operator": "In", "values": vec![""; 100_000] });
    let selector = json!({ "matchExpressions": [expression] });
    let current = json!({ "averageValue": "1" });
    let external =
        json!({ "metric": { "name": "queue", "selector": selector }, "current": current });
    let mut metrics = vec![json!({}); 300_000];
    metrics[19] = json!({ "type": "External", "external": external });
    // Elements that are not read may be anything.
    metrics[20] = json!("anything");
    let condition = json!({ "type": "AbleToScale", "status": "True" });
    let status = json!({
        "currentMetrics": metrics,
        "conditions": vec![condition; 10_000],
        "policies": vec![json!({ "name": "hpa" }); 30_000],
    });
    let read: StatusObject = serde_json::from_str(&status.to_string()).unwrap();
    let bytes = format!("{read:?}").len();
    assert!(bytes <= 16 << 10, "{bytes} bytes");
    let read = read.to_core();
    let lengths = [
        read.current_metrics.len(),
        read.conditions.len(),
        read.policies.len(),
    ];
    assert_eq!(lengths, [20, 16, 8]);
    assert_eq!(read.current_metrics[19].name, "queue");
}
