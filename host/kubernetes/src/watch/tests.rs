//! An object that can't be read does not affect those beside it, in lists and watches.

#![allow(
    clippy::unwrap_used,
    reason = "a panic is how a test says what is wrong"
)]

use kube::core::{ObjectList, WatchEvent};
use kube::runtime::watcher::Event;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Change, KnownIds, Slim, Watched};
use crate::resource::ReplicaAutoscaler;
use crate::slim::PodObject;

/// Any JSON, some of it nested more deeply than a reader allows.
fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "(?s).{0,20}".prop_map(Value::from),
    ];
    let nested = leaf.clone().prop_recursive(4, 24, 4, |inner| {
        let fields = prop::collection::btree_map("[a-z]{1,8}", inner.clone(), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            fields.prop_map(|fields| fields.into_iter().collect::<Value>()),
        ]
    });
    let deep = (leaf, 100..300_usize).prop_map(|(leaf, depth)| nest(leaf, depth));
    prop_oneof![3 => nested, 1 => deep]
}

fn nest(value: Value, depth: usize) -> Value {
    (0..depth).fold(value, |inner, _| json!({ "a": inner }))
}

/// An object with anything in these fields, and in the metadata that users choose.
fn object(fields: &'static [&'static str]) -> impl Strategy<Value = Value> {
    let metadata = prop::collection::btree_map("managedFields|labels|finalizers", anything(), 0..3);
    let names = prop::sample::subsequence(fields, 0..=fields.len());
    let values = prop::collection::vec(anything(), fields.len());
    (metadata, names, values).prop_map(|(more, names, values)| {
        let mut object = json!({ "metadata": identity("hostile") });
        for (name, value) in more {
            object["metadata"][name] = value;
        }
        for (name, value) in names.into_iter().zip(values) {
            object[name] = value;
        }
        object
    })
}

fn identity(name: &str) -> Value {
    json!({ "namespace": "shop", "name": name, "uid": name, "resourceVersion": "7" })
}

/// Reads a list and an event with an object between two others, and returns the names of
/// those that were read as a whole.
fn read<K: Watched>(hostile: &Value, good: &Value) -> Vec<String> {
    let named = |name: &str| {
        let mut good = good.clone();
        good["metadata"] = identity(name);
        good
    };
    let (first, last) = (named("first"), named("last"));
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
    let objects = list.items.into_iter();
    let names = objects.filter_map(|object| {
        let name = object.meta().name.clone().unwrap();
        object.into_object().map(|_| name)
    });
    names.collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn whatever_is_in_one_autoscaler_all_others_are_read(hostile in object(&["spec", "status"])) {
        let spec = json!({ "scaleTargetRef": { "kind": "Deployment", "name": "web" },
            "maxReplicas": 9 });
        let names = read::<ReplicaAutoscaler>(&hostile, &json!({ "spec": spec }));
        prop_assert_eq!(names, ["first", "hostile", "last"]);
    }

    #[test]
    fn whatever_is_in_one_pod_all_others_are_read(hostile in object(&["spec", "status"])) {
        let names = read::<Slim<PodObject>>(&hostile, &json!({}));
        prop_assert!(names.contains(&"first".to_owned()) && names.contains(&"last".to_owned()));
    }
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
