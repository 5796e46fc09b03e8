//! Which schemas and configurations take too long to check.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

use serde_json::{Value, json};

use super::Cost;

/// Returns a schema with `length` `$defs`, each referring to the next one by `refer`.
fn chain(length: usize, refer: impl Fn(&Value) -> Value) -> Value {
    let mut definitions = json!({ "last": {} });
    for number in 0..length {
        let next = match number + 1 {
            last if last == length => json!({ "$ref": "#/$defs/last" }),
            next => json!({ "$ref": format!("#/$defs/a{next}") }),
        };
        definitions[format!("a{number}")] = refer(&next);
    }
    json!({ "$ref": "#/$defs/a0", "$defs": definitions })
}

/// Returns `depth` nested objects, each in the field `left` of the enclosing one.
fn nested(depth: usize) -> Value {
    (0..depth).fold(json!({}), |inner, _| json!({ "left": inner }))
}

#[test]
fn schemas_that_explode_are_refused_wherever_they_do() {
    let doubled = chain(15, |next| json!({ "allOf": [next, next] }));
    let within = json!({ "properties": { "deep": doubled["$defs"]["a0"] },
        "$defs": doubled["$defs"] });
    let branches = chain(15, |next| json!({ "if": next, "then": next, "else": next }));
    let marked = chain(
        15,
        |next| json!({ "$ref": next["$ref"], "unevaluatedItems": false }),
    );
    let circle = json!({ "allOf": [{ "not": { "$ref": "#" } }] });
    let patterns: Vec<Value> = (0..65)
        .map(|n| json!({ "pattern": format!("{n}") }))
        .collect();
    for (schema, words) in [
        (&doubled, "steps to check a single value"),
        (&within, "steps to check a single value"),
        (&branches, "steps to check a single value"),
        (&marked, "steps to check a single value"),
        (&chain(40, Value::clone), "subschemas within each other"),
        (&circle, "subschemas within each other"),
        (
            &json!({ "properties": { "a": { "oneOf": patterns } } }),
            "65 patterns",
        ),
        (
            &json!({ "$ref": "http://localhost/x" }),
            "refers to \"http://localhost/x\"",
        ),
        (
            &json!({ "$ref": "#/$defs/gone" }),
            "refers to \"#/$defs/gone\"",
        ),
        (
            &json!({ "items": { "$dynamicRef": "#" } }),
            "has a `$dynamicRef`",
        ),
        (
            &json!({ "$defs": { "a": { "$id": "http://localhost/x" } } }),
            "has an `$id` within",
        ),
    ] {
        match Cost::of(schema) {
            Err(fault) => assert!(fault.contains(words), "{fault}"),
            Ok(_) => panic!("{words}: {schema}"),
        }
    }
}

#[test]
fn recursion_ends_where_the_configuration_does() {
    let node = |variants: usize| {
        let variant = json!({ "properties": {
            "left": { "$ref": "#/$defs/node" },
            "right": { "$ref": "#/$defs/node" },
        } });
        json!({
            "$ref": "#/$defs/node",
            "$defs": { "node": { "oneOf": vec![variant; variants] } },
        })
    };
    let one = Cost::of(&node(1)).unwrap();
    assert!(one.allows(&nested(30)).is_ok());
    assert!(one.allows(&nested(40)).is_err(), "too deep");
    let three = Cost::of(&node(3)).unwrap();
    assert!(three.allows(&nested(5)).is_ok());
    assert!(three.allows(&nested(20)).is_err(), "3^20 checks");
}

#[test]
fn a_long_text_is_matched_with_few_patterns() {
    let patterns = |count: usize| {
        let one = |number| json!({ "pattern": format!("^[ab]*(?:aa|a|b){{{number}}}$") });
        let patterns: Vec<Value> = (1..=count).map(one).collect();
        let text = json!({ "anyOf": patterns });
        json!({ "properties": { "text": text }, "propertyNames": { "pattern": "^t" } })
    };
    let check = |count: usize, configuration: &Value| {
        let cost = Cost::of(&patterns(count)).unwrap();
        cost.allows(configuration).is_ok()
    };
    let text = |length: usize| json!({ "text": "a".repeat(length) });
    assert!(check(60, &text(100)));
    assert!(!check(60, &text(1000)));
    assert!(check(1, &text(5_000)));
    assert!(!check(1, &text(60_000)));
    let mut names = json!({});
    names["t".repeat(60_000)] = json!(1);
    assert!(!check(1, &names));
}

#[test]
fn what_generators_write_is_cheap() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "http://localhost/configuration",
        "type": "object",
        "properties": {
            "tiers": { "type": "array", "items": { "$ref": "#/$defs/tier" } },
            "fallback": { "anyOf": [{ "$ref": "#/$defs/tier" }, { "type": "null" }] },
            "$id": { "type": "string", "pattern": "^[a-z]+$" },
        },
        "unevaluatedProperties": false,
        "$defs": { "tier": {
            "oneOf": [
                { "type": "string", "enum": ["low", "high"] },
                { "type": "object", "properties": { "at": { "type": "number" } },
                  "additionalProperties": false },
            ],
        } },
    });
    let cost = Cost::of(&schema).unwrap();
    let many = json!({ "tiers": vec![json!({ "at": 3 }); 10_000], "fallback": "low" });
    assert!(cost.allows(&many).is_ok());
}
