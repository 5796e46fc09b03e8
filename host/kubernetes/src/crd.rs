//! The custom resource definition of `ReplicaAutoscaler`. The schema of the spec is
//! derived from the core's type. Limits, enumerations and rules between fields, which
//! types can't express, are added here.

mod rules;

use std::collections::BTreeMap;

use flyball_replicas::spec::AutoscalerSpec;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

use crate::resource::{GROUP, KIND, PLURAL, SHORT_NAME, VERSION};
use crate::status::StatusObject;

const ABOUT: &str = "ReplicaAutoscaler scales a workload to the number of replicas that its \
    policies ask for, within its bounds. Its spec is that of a HorizontalPodAutoscaler of \
    autoscaling/v2, and says which policies are asked.";

/// Returns the custom resource definition as YAML, for `kubectl apply`.
#[must_use]
pub fn crd_yaml() -> String {
    match serde_saphyr::to_string(&Sorted(&definition())) {
        Ok(yaml) => yaml,
        Err(error) => unreachable!("nothing comes in from outside: {error}"),
    }
}

/// Serializes a value with sorted keys, independent of the order of `serde_json`'s
/// maps.
struct Sorted<'a>(&'a Value);

impl Serialize for Sorted<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Object(map) => {
                let sorted: BTreeMap<_, _> = map.iter().map(|(k, v)| (k, Sorted(v))).collect();
                serializer.collect_map(sorted)
            }
            Value::Array(items) => serializer.collect_seq(items.iter().map(Sorted)),
            other => other.serialize(serializer),
        }
    }
}

fn definition() -> Value {
    json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{PLURAL}.{GROUP}") },
        "spec": {
            "group": GROUP,
            "names": {
                "kind": KIND,
                "listKind": format!("{KIND}List"),
                "plural": PLURAL,
                "singular": KIND.to_lowercase(),
                "shortNames": [SHORT_NAME],
                "categories": ["all"],
            },
            "scope": "Namespaced",
            "versions": [{
                "name": VERSION,
                "served": true,
                "storage": true,
                "additionalPrinterColumns": columns(),
                "schema": { "openAPIV3Schema": schema() },
                "subresources": { "status": {} },
            }],
        },
    })
}

/// Returns the columns of `kubectl get hpa`, our own ones that `-o wide` prints, and READY.
/// READY is the one that `kubectl get hpa` does not have: without it, an object whose target
/// or policy is missing looks like one that has nothing to do.
fn columns() -> Value {
    let column = |name: &str, kind: &str, path: &str, priority: i32, about: &str| {
        json!({
            "name": name, "type": kind, "jsonPath": path, "priority": priority,
            "description": about,
        })
    };
    json!([
        column(
            "Reference",
            "string",
            ".status.reference",
            0,
            "what is scaled"
        ),
        column(
            "Targets",
            "string",
            ".status.targets",
            0,
            "current value and target of each metric"
        ),
        column(
            "MinPods",
            "integer",
            ".spec.minReplicas",
            0,
            "lower bound of replicas"
        ),
        column(
            "MaxPods",
            "integer",
            ".spec.maxReplicas",
            0,
            "upper bound of replicas"
        ),
        column(
            "Replicas",
            "integer",
            ".status.currentReplicas",
            0,
            "replicas of the target"
        ),
        column(
            "Policy",
            "string",
            ".status.policy",
            1,
            "policies that decide"
        ),
        column(
            "Mode",
            "string",
            ".spec.mode",
            1,
            "whether the target is written"
        ),
        column(
            "Ready",
            "string",
            ".status.ready",
            0,
            "whether replicas can be decided, or why not"
        ),
        column(
            "Age",
            "date",
            ".metadata.creationTimestamp",
            0,
            "time since creation"
        ),
    ])
}

fn schema() -> Value {
    let mut spec = schema_of::<AutoscalerSpec>();
    rules::add_to_spec(&mut spec);
    let mut status = schema_of::<StatusObject>();
    rules::add_to_status(&mut status);
    json!({
        "type": "object",
        "description": ABOUT,
        "required": ["spec"],
        "properties": {
            "metadata": { "type": "object" },
            "spec": spec,
            "status": status,
        },
    })
}

fn schema_of<T: JsonSchema>() -> Value {
    let mut settings = SchemaSettings::openapi3();
    settings.inline_subschemas = true;
    settings.meta_schema = None;
    let settings = settings.with_transform(Structural);
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
}

/// Drops what Kubernetes rejects or ignores in a schema.
#[derive(Clone)]
struct Structural;

impl Transform for Structural {
    fn transform(&mut self, schema: &mut schemars::Schema) {
        transform_subschemas(self, schema);
        for keyword in ["title", "nullable", "format", "default"] {
            let drop = keyword != "format" || schema.get("format") != Some(&json!("date-time"));
            if drop {
                schema.remove(keyword);
            }
        }
        // Unknown fields are pruned with a warning or rejected by kubectl; both name
        // the field.
        if schema.get("properties").is_some() {
            schema.remove("additionalProperties");
        }
        if let Some(Value::String(description)) = schema.get_mut("description") {
            *description = description.replace('\n', " ").replace('`', "");
        }
        if let Some(Value::Array(variants)) = schema.remove("oneOf") {
            merge_constants(schema, &variants);
        }
        let null = json!({ "enum": [null] });
        if let Some(Value::Array(variants)) = schema.get("anyOf")
            && let [Value::Object(value), other] = variants.as_slice()
            && *other == null
        {
            let value = value.clone();
            schema.remove("anyOf");
            let about = schema.remove("description");
            schema.ensure_object().extend(value);
            schema
                .ensure_object()
                .extend(about.map(|about| ("description".to_owned(), about)));
        }
    }
}

/// Merges an enumeration whose values have descriptions, which is derived as
/// alternatives.
fn merge_constants(schema: &mut schemars::Schema, variants: &[Value]) {
    let values = variants
        .iter()
        .filter_map(|variant| variant["enum"].as_array())
        .flatten();
    let values: Vec<Value> = values.cloned().collect();
    let abouts = variants
        .iter()
        .filter_map(|variant| variant["description"].as_str());
    let abouts = abouts
        .zip(&values)
        .map(|(about, value)| format!("{}: {about}", value.as_str().unwrap_or_default()));
    let abouts: Vec<String> = abouts.collect();
    let about = schema
        .get("description")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let about = format!("{about} {}", abouts.join(" "));
    schema.insert("description".to_owned(), about.trim().into());
    schema.insert("type".to_owned(), "string".into());
    schema.insert("enum".to_owned(), values.into());
}

#[cfg(test)]
mod tests {
    /// `cargo xtask lint --fix` writes the file.
    #[test]
    fn the_definition_in_the_repository_is_the_one_printed() {
        let present = include_str!("../crd/replicaautoscalers.yaml");
        assert_eq!(present, super::crd_yaml());
    }
}
