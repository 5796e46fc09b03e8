//! Many objects that select the same pods: the message in the status of each has a bounded
//! size, and the files of records stay within their limits.

use std::fs;

use serde_json::{Value, json};

use crate::support::{WAIT_TIMEOUT, Workshop, wait_for};
use crate::test_cluster::{TestCluster, autoscaler_in, deployment, paused_deployment};

/// Number of the objects, and the length of their names: a message with all of them would
/// have ten thousand bytes.
const OBJECTS: usize = 100;
const NAME_BYTES: usize = 100;

/// Names that a message has room for.
const NAMED: usize = 4;

/// Maximum size of a message and of an event's note.
const MESSAGE_BYTES: usize = 2 << 10;
const NOTE_BYTES: usize = 1 << 10;

/// Maximum size of a file of records. A tick fills more than three.
const FILE_BYTES: u64 = 64 << 10;

#[test]
fn objects_that_select_the_same_pods_are_named_in_messages_and_files_of_bounded_size() {
    let test_cluster = TestCluster::new();
    test_cluster.deploy("shared", 1);
    let names: Vec<String> = (0..OBJECTS)
        .map(|number| format!("{number:0NAME_BYTES$}"))
        .collect();
    let objects = names.iter().enumerate().flat_map(|(number, name)| {
        let target = format!("web-{number}");
        let spec = json!({ "scaleTargetRef": deployment(&target), "maxReplicas": 20 });
        [
            paused_deployment("default", &target, "shared"),
            autoscaler_in("default", name, &spec),
        ]
    });
    test_cluster.apply_all(&Vec::from_iter(objects));
    let mut daemon = test_cluster.daemon(&[
        "--records=records.jsonl",
        "--records-max-size=64KiB",
        "--records-max-files=3",
    ]);

    let more = format!(" and {} more]", OBJECTS - NAMED);
    let get = |kind: &str| -> Vec<Value> {
        let list = test_cluster.cluster.kubectl(&["get", kind, "-o", "json"]);
        let list: Value = serde_json::from_str(&list.unwrap()).unwrap();
        list["items"].as_array().unwrap().clone()
    };
    let is_named = |object: &Value| {
        let conditions = object["status"]["conditions"].as_array();
        conditions.into_iter().flatten().any(|condition| {
            let message = condition["message"].as_str().unwrap();
            condition["reason"] == "AmbiguousSelector" && message.ends_with(&more)
        })
    };
    let mut autoscalers = Vec::new();
    wait_for("conditions of all objects", WAIT_TIMEOUT, || {
        autoscalers = get("ra");
        autoscalers.iter().all(is_named)
    });
    assert_eq!(autoscalers.len(), OBJECTS);
    for object in &autoscalers {
        assert!(longest_text(&object["status"]) <= MESSAGE_BYTES, "{object}");
    }
    for name in [&names[0], &names[OBJECTS - 1]] {
        test_cluster.wait_for_event(name, "AmbiguousSelector", &more);
    }
    for event in get("events") {
        assert!(longest_text(&event["message"]) <= NOTE_BYTES, "{event}");
    }
    let logged = [
        ("level", "WARN"),
        ("object", &*names[0]),
        ("message", &*more),
    ];
    daemon.wait_for("the log", |daemon| daemon.logged(&logged));
    for event in daemon.log() {
        assert!(longest_text(&event) <= MESSAGE_BYTES, "{event}");
    }

    let first_sequence = |text: String| {
        let record: Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        record["sequence"].as_u64().unwrap()
    };
    let oldest = test_cluster.workshop.path("records.jsonl.2");
    daemon.wait_for("the first records to be removed", |_| {
        fs::read_to_string(&oldest).is_ok_and(|text| first_sequence(text) > 1)
    });
    assert_eq!(daemon.terminate(), Some(0));
    check_records(&test_cluster.workshop);
}

/// Checks the sizes of the files of records, of all messages in them, and that no line is cut
/// short.
fn check_records(workshop: &Workshop) {
    let files = fs::read_dir(workshop.path("")).unwrap().map(Result::unwrap);
    let names = files.map(|file| file.file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name.starts_with("records.")).collect();
    names.sort();
    assert_eq!(
        names,
        ["records.jsonl", "records.jsonl.1", "records.jsonl.2"]
    );
    for name in names {
        let path = workshop.path(&name);
        let bytes = fs::metadata(&path).unwrap().len();
        assert!(bytes <= FILE_BYTES, "{name} has {bytes} bytes");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.ends_with('\n'), "{name}");
        for line in text.lines() {
            let record: Value = serde_json::from_str(line).unwrap();
            assert!(longest_text(&record) <= MESSAGE_BYTES, "{record}");
        }
    }
}

/// Returns the size of the longest text in a value, in bytes.
fn longest_text(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(items) => items.iter().map(longest_text).max().unwrap_or(0),
        Value::Object(fields) => fields.values().map(longest_text).max().unwrap_or(0),
        _ => 0,
    }
}
