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
    let repeated = |keyword: &str, value: Value| {
        let all = vec![json!({ "$ref": "#/$defs/a" }); 1_000];
        json!({ "allOf": all, "$defs": { "a": { keyword: value } } })
    };
    let names: Vec<String> = (0..5_000).map(|n| n.to_string()).collect();
    let patterns: Vec<Value> = (0..65)
        .map(|n| json!({ "pattern": format!("{n}") }))
        .collect();
    for (schema, words) in [
        (&doubled, "steps to check a single value"),
        (&within, "steps to check a single value"),
        (&branches, "steps to check a single value"),
        (&marked, "steps to check a single value"),
        (
            &repeated("const", json!([vec![0; 5_000]])),
            "steps to check a single value",
        ),
        (
            &repeated("dependentRequired", json!({ "a": names })),
            "steps to check a single value",
        ),
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
    let names = |length: usize| {
        let mut names = json!({});
        names["t".repeat(length)] = json!(1);
        names
    };
    assert!(check(1, &names(1_000)));
    assert!(!check(1, &names(60_000)));
    let pattern = json!({ "pattern": "^t" });
    for applied in [
        json!({ "$ref": "#/$defs/name" }),
        json!({ "anyOf": [{ "not": pattern }] }),
        json!({ "allOf": vec![json!({ "minLength": 1 }); 3_000] }),
    ] {
        let schema = json!({ "propertyNames": applied, "$defs": { "name": pattern } });
        let cost = Cost::of(&schema).unwrap();
        assert!(cost.allows(&names(1_000)).is_ok(), "{applied}");
        assert!(cost.allows(&names(60_000)).is_err(), "{applied}");
    }
}

#[test]
fn each_keyword_that_reads_a_value_counts_its_size() {
    let numbers = |count: usize| json!((0..count).collect::<Vec<usize>>());
    let text = |length: usize| json!("a".repeat(length));
    let fields = |count: usize| -> Value {
        let names = (0..count).map(|n| n.to_string());
        names.map(|name| (name, json!(0))).collect()
    };
    let divided = json!({ "items": { "multipleOf": 0.3 } });
    let divided = Cost::of(&divided).unwrap();
    assert!(divided.allows(&json!(vec![1e300; 10_000])).is_ok());
    assert!(divided.allows(&json!(vec![1e300; 40_000])).is_err());
    for (keyword, small, large) in [
        (
            json!({ "uniqueItems": true }),
            numbers(100),
            numbers(10_900),
        ),
        (json!({ "minLength": 1 }), text(1_000), text(60_000)),
        (json!({ "enum": ["a", "b"] }), text(1_000), text(60_000)),
        (json!({ "format": "date" }), text(1_000), text(60_000)),
        (json!({ "required": ["0"] }), fields(100), fields(7_000)),
    ] {
        let schema = json!({ "properties": { "a": { "allOf": vec![&keyword; 1_500] } } });
        let cost = Cost::of(&schema).unwrap();
        assert!(cost.allows(&json!({ "a": small })).is_ok(), "{keyword}");
        assert!(cost.allows(&json!({ "a": large })).is_err(), "{keyword}");
    }
}

/// Each error of an alternative has a copy of the value at fault and its path.
#[test]
fn what_alternatives_collect_counts_as_errors() {
    let strings = json!({ "items": { "type": "string" } });
    let numbers = |count: usize| json!(vec![0; count]);
    let field = |name: usize, items: usize| {
        let fields = [("n".repeat(name), numbers(items))];
        fields.into_iter().collect::<Value>()
    };
    let nested = |depth: usize| {
        let innermost = numbers(10_000);
        let outer = (1..depth).fold(innermost, |inner, _| json!({ "left": inner }));
        json!({ "left": outer })
    };
    let names = |count: usize| -> Value {
        let names = (0..count).map(|n| n.to_string());
        names.map(|name| (name, json!(0))).collect()
    };
    let left = json!({ "properties": { "left": { "$ref": "#" } }, "items": { "type": "string" } });
    let alternatives = vec![json!({ "type": "string" }); 1_000];
    for (schema, small, large) in [
        (
            json!({ "anyOf": [{ "additionalProperties": strings }] }),
            field(10, 15_000),
            field(30_000, 15_000),
        ),
        (
            json!({ "additionalProperties": { "anyOf": alternatives } }),
            field(1, 100),
            field(1, 5_000),
        ),
        (
            json!({ "anyOf": [{ "propertyNames": { "pattern": "^a" } }] }),
            names(100),
            names(2_000),
        ),
        (json!({ "oneOf": [left] }), nested(1), nested(30)),
    ] {
        let cost = Cost::of(&schema).unwrap();
        assert!(cost.allows(&small).unwrap().located.is_some(), "{schema}");
        assert_eq!(cost.allows(&large).unwrap().located, None, "{schema}");
    }
}

/// The validator finds equal items by their hashes, which are alike for some items.
#[test]
fn few_items_are_compared_with_each_other() {
    let cost = Cost::of(&json!({ "properties": { "a": { "uniqueItems": true } } })).unwrap();
    // Twelve lists, each empty or with an empty list, by the digits of a number.
    let nests = |number: usize| -> Vec<Value> {
        let digit = |digit: usize| match (number >> digit) & 1 {
            0 => json!([]),
            _ => json!([[]]),
        };
        (0..12).map(digit).collect()
    };
    let objects = |number: usize| json!({ "at": number, "to": "a" });
    let nested = |count: usize| json!((0..count).map(nests).collect::<Vec<_>>());
    let large = |count: u64| json!((0..count).map(|n| u64::MAX - n).collect::<Vec<_>>());
    let small = |count: u32| json!((0..count).map(|n| f64::from(n) / 8.0).collect::<Vec<_>>());
    let objects = |count: usize| json!((0..count).map(objects).collect::<Vec<_>>());
    let texts = |count: usize| json!((0..count).map(|n| n.to_string()).collect::<Vec<_>>());
    for (items, fits) in [
        (nested(100), true),
        (nested(1_300), false),
        (large(500), true),
        (large(3_000), false),
        (objects(300), true),
        (objects(2_500), false),
        (small(10_000), true),
        (texts(8_000), true),
    ] {
        let first = items[1].clone();
        let allowed = cost.allows(&json!({ "a": items })).is_ok();
        assert_eq!(allowed, fits, "as {first}");
    }
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
