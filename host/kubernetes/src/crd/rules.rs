//! Validation that the types of the spec can't express: limits, enumerations, defaults,
//! and rules between fields (in CEL) with their messages.

use std::ops::RangeInclusive;

use flyball_replicas::spec::SEGMENT_PATTERN;
use flyball_replicas::spec::limits::{self, METRICS};
use serde_json::{Value, json};

use crate::status::MAX_CONDITIONS;

/// Adds the rules of autoscaling/v2 and our own to the schema of a spec.
pub(super) fn add_to_spec(spec: &mut Value) {
    rules(
        spec,
        &[(
            "self.minReplicas <= self.maxReplicas",
            "minReplicas must not exceed maxReplicas",
        )],
    );
    add_zero_rule(spec);
    set(spec, "minReplicas", json!({ "minimum": 0, "default": 1 }));
    set(spec, "maxReplicas", json!({ "minimum": 1 }));
    set(spec, "combine", json!({ "default": "Max" }));
    set(spec, "mode", json!({ "default": "Active" }));
    add_to_reference(field(spec, "scaleTargetRef"));

    set(
        spec,
        "metrics",
        json!({ "maxItems": limits::MAX_METRICS, "default": [default_metric()] }),
    );
    add_to_metric(item(field(spec, "metrics")));

    for direction in ["scaleUp", "scaleDown"] {
        add_to_scaling_rules(field(field(spec, "behavior"), direction));
    }

    set(
        spec,
        "policies",
        json!({ "maxItems": limits::MAX_POLICIES, "default": [{ "name": "hpa" }] }),
    );
    let policies = field(spec, "policies");
    set_self(
        policies,
        json!({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] }),
    );
    let policy = item(policies);
    set(
        policy,
        "name",
        json!({ "minLength": 1, "maxLength": limits::NAME_BYTES, "pattern": NAME }),
    );
    set_self(
        field(policy, "config"),
        json!({
            "type": "object",
            "maxProperties": limits::MAX_CONFIGURATION_FIELDS,
            "x-kubernetes-preserve-unknown-fields": true,
        }),
    );
    remove(field(policy, "config"), "additionalProperties");
}

/// Adds the rule that minReplicas 0 needs a metric measured outside the pods, since
/// only such a metric can scale a target up from zero. Message and field are those of
/// the API server for HorizontalPodAutoscaler.
fn add_zero_rule(spec: &mut Value) {
    let outside = limits::OUTSIDE_METRICS.map(|kind| format!("'{kind}'"));
    let rule = format!(
        "self.minReplicas > 0 || self.metrics.exists(metric, metric.type in [{}])",
        outside.join(", ")
    );
    let rule = json!({
        "rule": rule,
        "message": limits::ZERO_WITHOUT_OUTSIDE_METRIC,
        "reason": "FieldValueForbidden",
        "fieldPath": ".metrics",
    });
    if let Some(rules) = spec["x-kubernetes-validations"].as_array_mut() {
        rules.push(rule);
    }
}

/// Sets how lists of a status are merged, and how long they are at most.
pub(super) fn add_to_status(status: &mut Value) {
    set(
        status,
        "conditions",
        json!({
            // Our own conditions are added to those that others wrote, as far as these are read.
            "maxItems": 2 * MAX_CONDITIONS,
            "x-kubernetes-list-type": "map",
            "x-kubernetes-list-map-keys": ["type"],
        }),
    );
    let atomic = |most: usize| json!({ "maxItems": most, "x-kubernetes-list-type": "atomic" });
    set(status, "policies", atomic(limits::MAX_POLICIES));
    set(status, "currentMetrics", atomic(limits::MAX_METRICS));
}

/// Pattern of a policy's name, the stem of its file: the names that the sandbox
/// accepts.
const NAME: &str = "^[a-z0-9][a-z0-9._-]*$";

fn default_metric() -> Value {
    json!({
        "type": "Resource",
        "resource": { "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 80 } },
    })
}

fn add_to_reference(reference: &mut Value) {
    set(reference, "kind", segment(limits::NAME_BYTES));
    set(reference, "name", segment(limits::OBJECT_NAME_BYTES));
    // Each part of it is one segment; the daemon checks that.
    set(
        reference,
        "apiVersion",
        json!({ "maxLength": limits::METRIC_NAME_BYTES, "pattern": API_VERSION }),
    );
}

/// Pattern of an apiVersion, or the empty text.
const API_VERSION: &str = "^[A-Za-z0-9.-]*(/[A-Za-z0-9.-]+)*$";

/// Returns the keywords of a text that becomes one segment of a path.
fn segment(bytes: usize) -> Value {
    json!({ "minLength": 1, "maxLength": bytes, "pattern": SEGMENT_PATTERN })
}

fn add_to_metric(metric: &mut Value) {
    set(
        metric,
        "type",
        json!({ "enum": METRICS.map(|kind| kind.name) }),
    );
    let mut pairs = Vec::new();
    for limits::MetricKind {
        name: kind,
        field: name,
        targets,
    } in METRICS
    {
        pairs.push((
            format!("has(self.{name}) == (self.type == '{kind}')"),
            format!("{name} must be set if type is {kind}, and only then"),
        ));
        let source = field(metric, name);
        add_to_target(field(source, "target"), targets);
        if source["properties"].get("metric").is_some() {
            set(
                field(source, "metric"),
                "name",
                segment(limits::METRIC_NAME_BYTES),
            );
            add_to_selector(field(field(source, "metric"), "selector"));
        } else {
            let bytes = limits::METRIC_NAME_BYTES;
            set(
                source,
                "name",
                json!({ "minLength": 1, "maxLength": bytes }),
            );
        }
    }
    set(
        field(metric, "containerResource"),
        "container",
        json!({ "minLength": 1, "maxLength": limits::NAME_BYTES }),
    );
    add_to_reference(field(field(metric, "object"), "describedObject"));
    let pairs: Vec<(&str, &str)> = pairs
        .iter()
        .map(|(a, b)| (a.as_str(), b.as_str()))
        .collect();
    rules(metric, &pairs);
}

fn add_to_target(target: &mut Value, kinds: &[&str]) {
    set(target, "type", json!({ "enum": kinds }));
    require(target, "type");
    set(target, "averageUtilization", json!({ "minimum": 1 }));
    for (kind, name) in limits::TARGETS {
        if kinds.contains(&kind) {
            let rule = format!("has(self.{name}) == (self.type == '{kind}')");
            let message =
                format!("{name} must be set if the target's type is {kind}, and only then");
            rules(target, &[(&rule, &message)]);
        }
    }
    for name in ["value", "averageValue"] {
        let rule = format!(
            "!has(self.{name}) || quantity(string(self.{name})).isGreaterThan(quantity('0'))"
        );
        let message = format!("{name} must be greater than 0");
        rules(target, &[(&rule, &message)]);
    }
}

fn add_to_selector(selector: &mut Value) {
    let most = limits::MAX_REQUIREMENTS;
    set(selector, "matchLabels", json!({ "maxProperties": most }));
    set(selector, "matchExpressions", json!({ "maxItems": most }));
    let expression = item(field(selector, "matchExpressions"));
    set(expression, "values", json!({ "maxItems": most }));
    set(
        expression,
        "operator",
        json!({ "enum": ["In", "NotIn", "Exists", "DoesNotExist"] }),
    );
}

fn add_to_scaling_rules(direction: &mut Value) {
    set(
        direction,
        "stabilizationWindowSeconds",
        bounds(&limits::WINDOW_SECONDS),
    );
    set(
        direction,
        "selectPolicy",
        json!({ "enum": limits::SELECT_POLICIES }),
    );
    let (fewest, most) = limits::SCALING_POLICIES.into_inner();
    set(
        direction,
        "policies",
        json!({ "minItems": fewest, "maxItems": most }),
    );
    let policy = item(field(direction, "policies"));
    set(
        policy,
        "type",
        json!({ "enum": limits::SCALING_POLICY_TYPES }),
    );
    set(policy, "value", json!({ "minimum": 1 }));
    set(policy, "periodSeconds", bounds(&limits::PERIOD_SECONDS));
    rules(
        direction,
        &[(
            "!has(self.tolerance) || !quantity(string(self.tolerance)).isLessThan(quantity('0'))",
            "tolerance must not be negative",
        )],
    );
}

fn bounds(range: &RangeInclusive<i32>) -> Value {
    json!({ "minimum": range.start(), "maximum": range.end() })
}

/// Returns the schema of a field. The fields named above exist in the derived schema: a
/// test compares the generated file, in which a missing field would show.
fn field<'a>(schema: &'a mut Value, name: &str) -> &'a mut Value {
    &mut schema["properties"][name]
}

fn item(schema: &mut Value) -> &mut Value {
    &mut schema["items"]
}

fn set(schema: &mut Value, name: &str, keywords: Value) {
    set_self(field(schema, name), keywords);
}

fn set_self(schema: &mut Value, keywords: Value) {
    if let (Some(schema), Value::Object(keywords)) = (schema.as_object_mut(), keywords) {
        schema.extend(keywords);
    }
}

fn remove(schema: &mut Value, keyword: &str) {
    if let Some(schema) = schema.as_object_mut() {
        schema.remove(keyword);
    }
}

fn require(schema: &mut Value, name: &str) {
    if let Some(schema) = schema.as_object_mut() {
        let required = schema.entry("required").or_insert_with(|| json!([]));
        if let Some(required) = required.as_array_mut() {
            required.push(name.into());
        }
    }
}

fn rules(schema: &mut Value, pairs: &[(&str, &str)]) {
    let added = pairs
        .iter()
        .map(|(rule, message)| json!({ "rule": rule, "message": message }));
    if let Some(schema) = schema.as_object_mut() {
        let rules = schema
            .entry("x-kubernetes-validations")
            .or_insert_with(|| json!([]));
        if let Some(rules) = rules.as_array_mut() {
            rules.extend(added);
        }
    }
}
