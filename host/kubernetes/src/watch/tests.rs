//! An object that can't be read does not affect those beside it, in lists and watches.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

mod decisions;
mod lists;

use flyball_decision::text;
use flyball_replicas::spec::AutoscalerSpec;
use flyball_test_support::cases;
use kube::core::{ObjectList, WatchEvent};
use kube::runtime::watcher::Event;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Change, KnownIds, Slim, Watched};
use crate::resource::ReplicaAutoscaler;
use crate::slim::PodObject;

/// Texts, some of them long or with characters that control a terminal.
fn any_text() -> impl Strategy<Value = String> + Clone {
    prop_oneof![
        4 => "[a-z]{1,8}",
        2 => "(?s).{0,20}",
        1 => "[a-z\u{1b}\n\u{202e}]{1,8}",
        1 => Just("k".repeat(3_000)),
    ]
}

/// Any JSON, some of it nested more deeply than a reader allows.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any_text().prop_map(Value::from),
    ];
    let nested = leaf.clone().prop_recursive(4, 24, 4, |inner| {
        let fields = prop::collection::btree_map(any_text(), inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    });
    let deep = (any_text(), leaf, 100..300_usize)
        .prop_map(|(key, leaf, depth)| Value::from_iter([(key, nest(leaf, depth))]));
    prop_oneof![3 => nested, 1 => deep]
}

fn nest(value: Value, depth: usize) -> Value {
    (0..depth).fold(value, |inner, _| json!({ "a": inner }))
}

/// A spec that scales the Deployment of that name.
fn spec(name: &str) -> Value {
    let target = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": name });
    json!({ "scaleTargetRef": target, "maxReplicas": 9 })
}

/// A spec in which little but names and a configuration is not as it should be.
fn nearly_a_spec() -> impl Strategy<Value = Value> {
    let fields = vec!["metrics", "behavior", "policies", "combine", "mode"];
    let other = prop::option::of((prop::sample::select(fields), anything()));
    (other, anything(), any_text(), any_text()).prop_map(|(other, configuration, metric, label)| {
        let labels = Value::from_iter([(label, "x")]);
        let metric = json!({ "name": metric, "selector": { "matchLabels": labels } });
        let target = json!({ "type": "AverageValue", "averageValue": "1" });
        let external = json!({ "metric": metric, "target": target });
        let mut spec = spec("hostile");
        spec["metrics"] = json!([{ "type": "External", "external": external }]);
        spec["policies"] = json!([{ "name": "hpa", "config": configuration }]);
        if let Some((name, value)) = other {
            spec[name] = value;
        }
        spec
    })
}

/// An object with such a spec, anything as its status, and anything in the metadata that
/// users choose.
fn object(spec: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let metadata = prop::collection::btree_map("managedFields|labels|finalizers", anything(), 0..3);
    let spec = prop::option::weighted(0.9, spec);
    (metadata, spec, prop::option::of(anything())).prop_map(|(more, spec, status)| {
        let mut object = json!({ "metadata": identity("hostile") });
        for (name, value) in more {
            object["metadata"][name] = value;
        }
        for (name, value) in [("spec", spec), ("status", status)] {
            if let Some(value) = value {
                object[name] = value;
            }
        }
        object
    })
}

fn identity(name: &str) -> Value {
    json!({ "namespace": "shop", "name": name, "uid": name, "resourceVersion": "7" })
}

/// Reads a list and an event with an object between two others. Returns the objects of the
/// list.
fn read<K: Watched>(hostile: &Value, good: impl Fn(&str) -> Value) -> Vec<K> {
    let (first, last) = (good("first"), good("last"));
    let metadata = json!({ "resourceVersion": "9" });
    let list = json!({ "metadata": metadata, "items": [first, hostile, last] });
    let list: ObjectList<K> = serde_json::from_str(&list.to_string()).unwrap();
    assert_eq!(list.items.len(), 3);
    assert_eq!(list.items[1].meta().name.as_deref(), Some("hostile"));
    // The type comes first, as an API server writes it.
    let event = format!(r#"{{"type":"ADDED","object":{hostile}}}"#);
    let event: WatchEvent<K> = serde_json::from_str(&event).unwrap();
    let WatchEvent::Added(event) = event else {
        unreachable!("it was added");
    };
    assert_eq!(event.meta().resource_version.as_deref(), Some("7"));
    list.items
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(300)))]

    #[test]
    fn whatever_is_in_one_autoscaler_all_others_are_read_and_decided(
        hostile in object(prop_oneof![anything(), nearly_a_spec()]),
    ) {
        let good = |name: &str| json!({ "metadata": identity(name), "spec": spec(name) });
        let objects = read::<ReplicaAutoscaler>(&hostile, good);
        for (object, name) in [(&objects[0], "first"), (&objects[2], "last")] {
            let spec: AutoscalerSpec = serde_json::from_value(spec(name)).unwrap();
            prop_assert_eq!(object.spec.as_ref().ok(), Some(&spec));
        }
        if let Err(problem) = &objects[1].spec {
            prop_assert_eq!(problem.as_str(), text::message(problem.as_str()));
        }
        let decided = decisions::decide(objects);
        for name in ["first", "last"] {
            let replicas = decided.get(name).copied().flatten();
            prop_assert_eq!(replicas, Some(decisions::REPLICAS), "{}", name);
        }
        prop_assert!(decided.contains_key("hostile"), "{:?}", decided);
    }

    #[test]
    fn whatever_is_in_one_pod_all_others_are_read(hostile in object(anything())) {
        let good = |name: &str| json!({ "metadata": identity(name) });
        let pods = read::<Slim<PodObject>>(&hostile, good);
        if let Some(problem) = pods[1].problem() {
            prop_assert_eq!(problem, text::message(problem));
        }
        let are_read = pods[0].problem().is_none() && pods[2].problem().is_none();
        prop_assert!(are_read, "{:?}", pods);
    }
}

#[test]
fn a_field_with_a_long_name_leaves_room_for_what_is_wrong_with_it() {
    let key = format!("\u{1b}{}", "k".repeat(1 << 19));
    let configuration = Value::from_iter([(key, nest(Value::Null, 130))]);
    let mut spec = spec("web");
    spec["policies"] = json!([{ "name": "hpa", "config": configuration }]);
    let object = json!({ "metadata": identity("web"), "spec": spec });
    let object: ReplicaAutoscaler = serde_json::from_str(&object.to_string()).unwrap();
    let problem = object.spec.unwrap_err();
    let field = "spec.policies[0].config.\\u{1b}kkk";
    assert!(problem.starts_with(field), "{problem}");
    let rest = "k….a.a.a.a.…: recursion limit exceeded";
    assert!(problem.contains(rest), "{problem}");
    assert!(problem.len() < 512, "{} bytes", problem.len());
}

/// Returns the spec of an object whose spec has this text.
fn read_spec(text: &str) -> Result<AutoscalerSpec, String> {
    let object = format!(r#"{{"metadata":{},"spec":{text}}}"#, identity("web"));
    let object: ReplicaAutoscaler = serde_json::from_str(&object).unwrap();
    object.spec
}

#[test]
fn a_spec_is_read_only_if_its_text_is_not_too_large() {
    // As large as the other limits allow.
    let values = ["x"; 32];
    let expression = json!({ "key": "x".repeat(90), "operator": "In", "values": values });
    let selector = json!({ "matchExpressions": vec![expression; 32] });
    let metric = json!({ "name": "q".repeat(317), "selector": selector });
    let target = json!({ "type": "AverageValue", "averageValue": "1" });
    let external = json!({ "metric": metric, "target": target });
    let configuration = json!({ "a": "x".repeat(65_528) });
    let mut largest = spec("web");
    largest["metrics"] = vec![json!({ "type": "External", "external": external }); 20].into();
    largest["policies"] = vec![json!({ "name": "hpa", "config": configuration }); 8].into();
    let read = read_spec(&largest.to_string());
    assert!(read.is_ok(), "{read:?}");

    let values = r#"{"":0},"#.repeat(200_000);
    let hostile = format!(r#"{{"policies":[{{"config":{{"a":[{values}0]}}}}]}}"#);
    let bytes = hostile.len();
    let problem = format!("spec: it has {bytes} bytes as JSON, at most 786432 are allowed");
    assert_eq!(read_spec(&hostile), Err(problem));
}

#[test]
fn an_object_that_cannot_be_read_stays_as_it_was_known_before() {
    let pod = |spec: Value| -> Slim<PodObject> {
        serde_json::from_value(json!({ "metadata": identity("web"), "spec": spec })).unwrap()
    };
    let good = || pod(json!({ "nodeName": "node-1" }));
    let bad = || pod(json!({ "nodeName": 3 }));
    let problem = bad().problem().unwrap().to_owned();
    assert!(
        problem.starts_with("invalid type: integer `3`"),
        "{problem}"
    );
    let mut known = KnownIds::default();
    let mut changes = Vec::new();
    let mut take = |event| {
        known.changes(event, |change: Change<PodObject>| {
            changes.push(match change {
                Change::Apply(pod) => pod.node_name().unwrap().to_string(),
                Change::Delete(id) => format!("{id} is gone"),
            });
        });
    };
    for event in [
        Event::Init,
        Event::InitApply(good()),
        Event::InitDone,
        Event::Apply(bad()),
        Event::Init,
        Event::InitApply(bad()),
        Event::InitDone,
        Event::Delete(bad()),
    ] {
        take(event);
    }
    assert_eq!(changes, ["node-1", "web is gone"]);
}
