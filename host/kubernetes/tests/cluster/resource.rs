//! The API server rejects invalid specs with clear messages.

use crate::fixture::{autoscaler, cluster};

const TARGET: &str = "scaleTargetRef: { apiVersion: apps/v1, kind: Deployment, name: web }";
const CPU: &str = "{ type: Resource, resource: { name: cpu, target: \
    { type: Utilization, averageUtilization: 50 } } }";

const QUEUE: &str = "{ type: External, external: { metric: { name: queue }, target: \
    { type: AverageValue, averageValue: 10 } } }";
/// The same message as for a HorizontalPodAutoscaler.
const ZERO_REFUSED: &str = "spec.metrics: Forbidden: must specify at least one Object or \
    External metric to support scaling to zero replicas";

#[test]
fn the_api_server_refuses_bad_specs_and_fills_in_defaults() {
    let cluster = cluster();
    let cases = [
        (
            "minReplicas: 11, maxReplicas: 10",
            "minReplicas must not exceed maxReplicas",
        ),
        ("minReplicas: 0, maxReplicas: 9", ZERO_REFUSED),
        ("minReplicas: 0, maxReplicas: 9, metrics: []", ZERO_REFUSED),
        (
            &format!("minReplicas: 0, maxReplicas: 9, metrics: [{CPU}]"),
            ZERO_REFUSED,
        ),
        (
            "maxReplicas: 0",
            "spec.maxReplicas in body should be greater than or equal to 1",
        ),
        (
            "maxReplicas: many",
            "spec.maxReplicas in body must be of type integer: \"string\"",
        ),
        (
            "maxReplicas: 9, metrics: cpu",
            "spec.metrics in body must be of type array: \"string\"",
        ),
        (
            "maxReplicas: 9, replicas: 3",
            "unknown field \"spec.replicas\"",
        ),
        (
            "maxReplicas: 9, behavior: { scaleUp: { stabilisationWindowSeconds: 60 } }",
            "unknown field \"spec.behavior.scaleUp.stabilisationWindowSeconds\"",
        ),
        (
            "maxReplicas: 9, mode: Watch",
            "spec.mode: Unsupported value: \"Watch\"",
        ),
        (
            "maxReplicas: 9, behavior: { scaleUp: { stabilizationWindowSeconds: 3601 } }",
            "stabilizationWindowSeconds in body should be less than or equal to 3600",
        ),
        (
            "maxReplicas: 9, behavior: { scaleUp: { policies: \
             [{ type: Pods, value: 0, periodSeconds: 15 }] } }",
            "value in body should be greater than or equal to 1",
        ),
        (
            "maxReplicas: 9, behavior: { scaleUp: { policies: \
             [{ type: Pods, value: 1, periodSeconds: 1801 }] } }",
            "periodSeconds in body should be less than or equal to 1800",
        ),
        (
            "maxReplicas: 9, behavior: { scaleDown: { tolerance: -50m } }",
            "tolerance must not be negative",
        ),
        (
            "maxReplicas: 9, metrics: [{ type: Pods, resource: { name: cpu, target: \
             { type: Utilization, averageUtilization: 50 } } }]",
            "resource must be set if type is Resource, and only then",
        ),
        (
            "maxReplicas: 9, metrics: [{ type: Resource, resource: { name: cpu, target: \
             { type: Utilization, averageValue: 50m } } }]",
            "averageUtilization must be set if the target's type is Utilization, and only then",
        ),
        (
            "maxReplicas: 9, metrics: [{ type: Resource, resource: { name: cpu, target: \
             { type: AverageValue, averageValue: \"0\" } } }]",
            "averageValue must be greater than 0",
        ),
        (
            "maxReplicas: 9, policies: [{ name: hpa }, { name: hpa }]",
            "spec.policies[1]: Duplicate value",
        ),
        (
            "maxReplicas: 9, policies: [{ name: ../hpa }]",
            "spec.policies[0].name in body should match",
        ),
        (
            "maxReplicas: 9, metrics: [{ type: External, external: { metric: { name: a/b }, \
             target: { type: Value, value: 1 } } }]",
            "external.metric.name in body should match",
        ),
        (
            "maxReplicas: 9, policies: [{ name: Hpa }]",
            "spec.policies[0].name in body should match",
        ),
    ];
    for name in [
        "..",
        "../../kube-system/deployments/web",
        "web/scale?x=",
        "a%2fb",
    ] {
        let target =
            format!("scaleTargetRef: {{ kind: Deployment, name: {name:?} }}, maxReplicas: 9");
        let refused = cluster
            .apply(&autoscaler("bad", &target))
            .expect_err(name)
            .to_string();
        let message = "spec.scaleTargetRef.name in body should match";
        assert!(refused.contains(message), "{name}: {refused}");
    }
    for (spec, message) in cases {
        let refused = cluster.apply(&autoscaler("bad", &format!("{TARGET}, {spec}")));
        let refused = refused.expect_err(spec).to_string();
        assert!(refused.contains(message), "{spec}: {refused}");
    }

    let to_zero = format!("{TARGET}, minReplicas: 0, maxReplicas: 9, metrics: [{CPU}, {QUEUE}]");
    cluster.apply(&autoscaler("idle", &to_zero)).unwrap();

    let good = format!(
        "{TARGET}, maxReplicas: 9, metrics: [{CPU}], behavior: {{ scaleUp: {{ tolerance: 0.05 }} }}, \
         policies: [{{ name: hpa, config: {{ anything: [1, {{ goes: true }}] }} }}, \
         {{ name: 2_a.b- }}]"
    )
    .replace("0.05", "50m");
    cluster.apply(&autoscaler("good", &good)).unwrap();
    let config = "jsonpath={.spec.policies[0].config}";
    let config = cluster
        .kubectl(&["get", "ra", "good", "-o", config])
        .unwrap();
    assert_eq!(config, r#"{"anything":[1,{"goes":true}]}"#);

    cluster
        .apply(&autoscaler("plain", &format!("{TARGET}, maxReplicas: 9")))
        .unwrap();
    let defaults = "jsonpath={.spec.minReplicas} {.spec.policies[*].name} {.spec.mode} \
                    {.spec.combine} {.spec.metrics[0].resource.target.averageUtilization}";
    let defaults = cluster
        .kubectl(&["get", "ra", "plain", "-o", defaults])
        .unwrap();
    assert_eq!(defaults, "1 hpa Active Max 80");
}
