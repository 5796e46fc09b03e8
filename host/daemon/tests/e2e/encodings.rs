//! Files in the encodings of other systems' editors and shells.

use std::fs::File;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::support::{Ran, SCENARIO, Workshop};

const GROUPS: &str = "nodeGroups: [{name: a, max: 2, template: {capacity: {cpu: 4, memory: 8Gi}}}]";

/// Encodes a text with a byte order mark, in UTF-8 and UTF-16.
fn marked(text: &str) -> [(&'static str, Vec<u8>); 3] {
    let marked = format!("\u{FEFF}{text}");
    let wide = |bytes: fn(u16) -> [u8; 2]| marked.encode_utf16().flat_map(bytes).collect();
    [
        ("UTF-16LE", wide(u16::to_le_bytes)),
        ("UTF-16BE", wide(u16::to_be_bytes)),
        ("UTF-8", marked.clone().into_bytes()),
    ]
}

fn dump() -> Value {
    let pod = |name: &str, cpu: &str| {
        json!({
            "kind": "Pod",
            "metadata": {
                "name": name,
                "namespace": "größe",
                // Without a time the dump's time would be the current one.
                "creationTimestamp": "2026-01-02T03:04:05Z",
            },
            "spec": { "containers": [{ "name": "a", "resources": { "requests": { "cpu": cpu } } }] },
            "status": { "conditions": [
                { "type": "PodScheduled", "status": "False", "reason": "Unschedulable" },
            ] },
        })
    };
    json!({ "items": [pod("fits", "1"), pod("nonsense", "one core")], "kind": "List" })
}

#[test]
fn a_dump_is_read_in_any_encoding_that_has_a_mark_and_as_yaml() {
    let workshop = Workshop::new();
    workshop.write("groups.yaml", GROUPS);
    let plan = |file: &str| {
        workshop.succeed(&["plan", file, "--node-groups", "groups.yaml", "-o", "json"])
    };
    let text = dump().to_string();
    workshop.write("plain.json", &text);
    let expected = plan("plain.json");
    assert!(
        expected.contains(
            "items[1]: Pod größe/nonsense is left out: spec.containers[0].resources.requests.cpu"
        ) && expected.contains("\"to\": 1"),
        "{expected}"
    );
    let yaml = serde_saphyr::to_string(&dump()).unwrap();
    assert!(!yaml.starts_with('{'), "{yaml}");
    workshop.write("plain.yaml", &yaml);
    assert_eq!(plan("plain.yaml"), expected);
    for text in [&text, &yaml] {
        for (encoding, bytes) in marked(text) {
            workshop.write("marked", &bytes);
            assert_eq!(plan("marked"), expected, "{encoding}");
        }
    }

    let mut piped = workshop.command(&["plan", "-", "--node-groups", "groups.yaml", "-o", "json"]);
    piped.stdin(Stdio::from(File::open(workshop.path("marked")).unwrap()));
    let piped = Ran::from(piped.output().unwrap());
    assert_eq!(piped.code, Some(0), "{piped:#?}");
    assert_eq!(piped.stdout, expected);

    // Without a mark it is refused, and the error names the file.
    let bare: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    workshop.write("bare.json", bare);
    workshop
        .run(&["plan", "bare.json", "--node-groups", "groups.yaml"])
        .expect(
            1,
            &["bare.json", "UTF-16LE without a byte order mark", "iconv"],
        );
    for (dump, expected) in [
        ("", "not JSON"),
        ("{\"items\": [{}", "not JSON"),
        ("{\"items\": 1}", "not a List"),
        ("kind: Pod", "not a List"),
        ("hello", "neither JSON nor YAML"),
        ("items: [", "neither JSON nor YAML"),
    ] {
        workshop.write("broken", dump);
        workshop
            .run(&["plan", "broken", "--node-groups", "groups.yaml"])
            .expect(1, &["broken is not a dump", expected]);
    }
}

#[test]
fn other_files_of_a_user_are_read_in_the_same_encodings() {
    let workshop = Workshop::new();
    let load = "load: {csv: {file: load.csv, time: seconds, value: größe}}";
    let scenario = SCENARIO.replace("load:\n      formula: 40 + 120 * bell(1h, 20m)", load);
    assert!(scenario.contains(load));
    let series = "seconds,größe\n0,40\n7200,80\n";
    let fields = |printed: &str| {
        let runs: Value = serde_json::from_str(printed).unwrap();
        runs["runs"][0]["summary"].clone()
    };
    let simulate = [
        "simulate",
        "day.yaml",
        "--records",
        "day.jsonl",
        "-o",
        "json",
    ];
    workshop.write("day.yaml", &scenario);
    workshop.write("load.csv", series);
    workshop.write("mine.wasm", flyball_policies::PREDICTIVE);
    workshop.write("dump.json", dump().to_string());
    workshop.write("groups.yaml", GROUPS);
    let expected = fields(&workshop.succeed(&simulate));
    let records = std::fs::read_to_string(workshop.path("day.jsonl")).unwrap();

    for (row, (encoding, bytes)) in marked(&scenario).into_iter().enumerate() {
        let same = |text: &str| marked(text)[row].1.clone();
        workshop.write("day.yaml", bytes);
        workshop.write("load.csv", same(series));
        assert_eq!(fields(&workshop.succeed(&simulate)), expected, "{encoding}");
        workshop.write("day.jsonl", same(&records));
        workshop.succeed(&["replay", "day.jsonl"]);
        workshop.write("groups.yaml", same(GROUPS));
        workshop.succeed(&["plan", "dump.json", "--node-groups", "groups.yaml"]);
        workshop.write("policy.json", same("{}"));
        workshop.succeed(&["policy", "validate", "mine.wasm", "--config", "policy.json"]);
    }
}
